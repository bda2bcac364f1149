"""How it is about members: each change has its leaf, and counts from its commit on."""

from __future__ import annotations

import pytest
from store.shelf import XAA, XBB, Shelf, digest

from biometrics.audit import Kind, Mention
from biometrics.errors import DefectError, RefusedError
from biometrics.members import Member, Membership
from biometrics.store import Disclosed


def answer(shelf: Shelf, word: str) -> bytes | None:
    """Answer a request of XBB that compared with XAA's galleries."""
    return shelf.store.answers.commit(
        XBB,
        digest(word)[:16],
        digest(word),
        lambda _: word.encode(),
        Disclosed(
            mentions=(Mention(member=XBB, kind=Kind.SEARCH),), searched=frozenset({XAA})
        ),
    ).result(30)


def test_a_change_has_a_leaf_and_who_was_there_before_has_none(shelf: Shelf) -> None:
    """What is kept again changes nothing, and whoever has left is not brought back."""
    table, sizes = shelf.store.membership, []
    for membership in (
        Membership.ACTIVE,
        Membership.SUSPENDED,
        Membership.SUSPENDED,
        Membership.ACTIVE,
        Membership.LEFT,
    ):
        table.keep(XAA, membership)
        assert table.last() == {XAA: membership}
        sizes.append(shelf.store.log.head().size)
    assert sizes == [0, 1, 1, 2, 3]
    with pytest.raises(DefectError):
        table.keep(XAA, Membership.ACTIVE)
    assert table.last() == {XAA: Membership.LEFT}


@pytest.mark.parametrize("member", [XAA, XBB])
def test_nothing_of_a_suspended_member_becomes_durable(
    shelf: Shelf, member: Member
) -> None:
    """Neither what it asks nor what compared with it, nor what it enrols."""
    table = shelf.store.membership
    assert answer(shelf, "before") == b"before"
    table.keep(member, Membership.SUSPENDED)
    assert answer(shelf, "after") is None
    assert answer(shelf, "before") == b"before"  # a replay is told as it was
    with pytest.raises(RefusedError, match=f"`{member}` is suspended"):
        shelf.enrol("A", member=member)
    table.keep(member, Membership.ACTIVE)
    assert answer(shelf, "after") == b"after"
    shelf.enrol("A", member=member)
