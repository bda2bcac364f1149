"""The version of an agreement that was last in force outlives the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store.shelf import XAA, XBB, Shelf, digest

from biometrics.errors import DefectError
from biometrics.store import AgreementRow, inspect_store, open_store

if TYPE_CHECKING:
    from biometrics.members import Member


def version(
    revision: int, word: str = "", holder: Member = XAA, note: bytes = b"note"
) -> AgreementRow:
    """Return a version that says `word`."""
    return AgreementRow(
        holder=holder,
        revision=revision,
        digest=digest(word),
        data=word.encode(),
        note=note,
    )


def test_a_new_database_has_none(shelf: Shelf) -> None:
    """Nothing was ever in force."""
    assert shelf.store.agreements.last() == []


def test_the_last_version_of_each_holder_is_kept(shelf: Shelf) -> None:
    """A later one takes the place of the one before, and of no other holder's."""
    other = version(7, "other", XBB)
    shelf.store.agreements.keep(other)
    shelf.store.agreements.keep(version(1, "first"))
    shelf.store.agreements.keep(version(3, "third"))
    kept = [version(3, "third"), other]
    assert shelf.store.agreements.last() == kept
    with inspect_store(shelf.place.where) as found:
        assert found is not None
        assert found.agreements.last() == kept
    shelf.store.close()
    shelf.store = open_store(shelf.place.where, shelf.clock)
    assert shelf.store.agreements.last() == kept


@pytest.mark.parametrize(("revision", "word"), [(2, "third"), (3, "other"), (2, "x")])
def test_no_earlier_and_no_other_version_is_kept(
    shelf: Shelf, revision: int, word: str
) -> None:
    """Whoever asks for it, what was there stays."""
    shelf.store.agreements.keep(version(3, "third"))
    with pytest.raises(DefectError) as refused:
        shelf.store.agreements.keep(version(revision, word))
    assert refused.value.reason == "AGREEMENT_ROLLED_BACK"
    assert shelf.store.agreements.last() == [version(3, "third")]


def test_the_same_version_can_be_signed_again(shelf: Shelf) -> None:
    """Another note takes the place of the one before."""
    shelf.store.agreements.keep(version(3, "third"))
    shelf.store.agreements.keep(version(3, "third", note=b"signed again"))
    assert shelf.store.agreements.last() == [version(3, "third", note=b"signed again")]


@pytest.mark.parametrize("change", ["holder = x'07'", "data = 7", "revision = 'x'"])
def test_a_row_that_is_none_any_more_is_damage(
    sqlite_shelf: Shelf, change: str
) -> None:
    """SQLite keeps whatever it is given."""
    sqlite_shelf.store.agreements.keep(version(3, "third"))
    sqlite_shelf.place.edit(f"UPDATE agreement SET {change}")  # noqa: S608 - our own
    with pytest.raises(DefectError) as caught:
        sqlite_shelf.store.agreements.last()
    assert caught.value.reason == "STORAGE_DAMAGED"
