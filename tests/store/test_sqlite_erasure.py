"""Withdrawn keys in SQLite: where their bytes are, and from when they are nowhere."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from store.shelf import Shelf, digest

from biometrics import limits
from biometrics.errors import StorageError
from biometrics.store import sqlite

if TYPE_CHECKING:
    from store.places import SqlitePlace


def traces(shelf: Shelf, *words: str) -> set[str]:
    """Return the suffixes of the files that have a wrapped key of one of `words`."""
    canaries = [digest(word) * 2 for word in words]
    found = set()
    for file in shelf.path.parent.iterdir():
        content = file.read_bytes()
        if any(canary in content for canary in canaries):
            found.add(file.name.removeprefix(shelf.path.name))
    return found


def keys_of(reference: str) -> tuple[str, str]:
    """Return the words for which a record's sealed values stand."""
    return f"template {reference} 0", f"reference {reference}"


def test_withdrawn_keys_are_gone_after_erase(sqlite_shelf: Shelf) -> None:
    """Before, the log still has them; after, no file has; the others are there."""
    references = [f"R{n}" for n in range(200)]
    sqlite_shelf.enrol(*references)
    assert sqlite_shelf.store.erase()
    assert traces(sqlite_shelf, *keys_of("R7")) == {""}
    withdrawn = [*references[3:40:2], *references[100:190]]
    for reference in withdrawn:
        sqlite_shelf.withdraw(reference)
    assert traces(sqlite_shelf, *(w for r in withdrawn for w in keys_of(r))) != set()
    assert sqlite_shelf.store.erase()
    assert traces(sqlite_shelf, *(w for r in withdrawn for w in keys_of(r))) == set()
    for reference in set(references) - set(withdrawn):
        for word in keys_of(reference):
            assert traces(sqlite_shelf, word) == {""}


def test_a_plain_checkpoint_leaves_them_in_the_log(sqlite_shelf: Shelf) -> None:
    """Which is why `erase` cuts the log: copying it is not enough."""
    sqlite_shelf.enrol("A")
    sqlite_shelf.withdraw("A")
    connection = sqlite3.connect(sqlite_shelf.path)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    connection.close()
    assert traces(sqlite_shelf, *keys_of("A")) == {"-wal"}
    assert sqlite_shelf.store.erase()
    assert traces(sqlite_shelf, *keys_of("A")) == set()


def test_withdrawn_keys_are_gone_after_close(sqlite_shelf: Shelf) -> None:
    """The last connection removes the log."""
    sqlite_shelf.enrol("A", "B")
    sqlite_shelf.withdraw("A")
    sqlite_shelf.store.close()
    assert traces(sqlite_shelf, *keys_of("A")) == set()
    assert traces(sqlite_shelf, *keys_of("B")) == {""}


def test_erase_waits_for_readers(
    sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one still reads from before the withdrawal, it says not yet."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    shelf = Shelf(sqlite_place)
    shelf.enrol("A")
    with shelf.reading.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM record").all()
        shelf.withdraw("A")
        assert not shelf.store.erase()
    assert shelf.store.erase()
    assert traces(shelf, *keys_of("A")) == set()
    shelf.store.close()


def test_erase_tells_what_stopped_it(
    sqlite_shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that cannot be opened is a storage error."""
    nowhere = sqlite_shelf.path.parent / "nowhere" / "x"
    monkeypatch.setattr(sqlite_shelf.store._database, "_path", nowhere)
    with pytest.raises(StorageError) as caught:
        sqlite_shelf.store.erase()
    assert caught.value.reason == "STORAGE_UNREACHABLE"
    assert sqlite.empty_log(sqlite_shelf.path)
