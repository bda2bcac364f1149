"""How it is about members: each change has its leaf, and counts from its commit on."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import XAA, XBB, Shelf, digest

from biometrics.audit import Kind, Mention
from biometrics.errors import DefectError, RefusedError
from biometrics.members import Member, Membership
from biometrics.store import Disclosed
from biometrics.store.schema import MEMBERSHIP

if TYPE_CHECKING:
    from concurrent.futures import Future


def begin(shelf: Shelf, word: str) -> Future[bytes | None]:
    """Begin to answer a request of XBB that compared with XAA's galleries."""
    return shelf.store.answers.commit(
        XBB,
        digest(word)[:16],
        digest(word),
        lambda _: word.encode(),
        Disclosed(
            mentions=(Mention(member=XBB, kind=Kind.SEARCH),), searched=frozenset({XAA})
        ),
    )


def answer(shelf: Shelf, word: str) -> bytes | None:
    """Answer a request as `begin` does."""
    return begin(shelf, word).result(30)


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


@pytest.mark.parametrize("is_undone", [True, False])
def test_who_is_shut_out_is_known_within_a_transaction(
    shelf: Shelf, *, is_undone: bool
) -> None:
    """By a change that the answer shares a flush with; and not by one that was undone.

    What is remembered of it is no older than the last statement that may change it.
    """
    assert answer(shelf, "before") == b"before"

    def suspend(connection: sa.Connection) -> None:
        values = {"member": XBB.code, "membership": "suspended", "changed_at": 1}
        connection.execute(sa.insert(MEMBERSHIP), values)
        if is_undone:
            raise RefusedError("NOT_SO", "and so it is undone")

    with shelf.held():
        suspending = shelf.store._writer.submit(suspend)
        answering = begin(shelf, "with it")
    if is_undone:
        with pytest.raises(RefusedError):
            suspending.result(30)
    else:
        suspending.result(30)
    told = b"with it" if is_undone else None
    assert answering.result(30) == told
    assert answer(shelf, "with it") == told


def test_who_was_shut_out_by_a_flush_that_failed_is_not(shelf: Shelf) -> None:
    """What an answer has read of it within that transaction is not remembered."""

    def suspend(connection: sa.Connection) -> None:
        values = {"member": XBB.code, "membership": "suspended", "changed_at": 1}
        connection.execute(sa.insert(MEMBERSHIP), values)
        sa.event.listen(connection, "commit", broken)  # of this transaction alone

    def broken(_: sa.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with shelf.held():
        suspending = shelf.store._writer.submit(suspend)
        answering = begin(shelf, "with it")
    with pytest.raises(DefectError):
        suspending.result(30)
    with pytest.raises(DefectError):
        answering.result(30)
    assert answer(shelf, "after") == b"after"
