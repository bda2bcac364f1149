"""Withdrawn keys: where their bytes are, and from when they are nowhere."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from store.shelf import Shelf, digest

from biometrics import limits
from biometrics.errors import StorageError
from biometrics.store import database

if TYPE_CHECKING:
    from pathlib import Path


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


def test_withdrawn_keys_are_gone_after_erase(shelf: Shelf) -> None:
    """Before, the log still has them; after, no file has; the others are there."""
    references = [f"R{n}" for n in range(200)]
    shelf.enrol(*references)
    assert shelf.store.erase()
    assert traces(shelf, *keys_of("R7")) == {""}
    withdrawn = [*references[3:40:2], *references[100:190]]
    for reference in withdrawn:
        shelf.withdraw(reference)
    assert traces(shelf, *(w for r in withdrawn for w in keys_of(r))) != set()
    assert shelf.store.erase()
    assert traces(shelf, *(w for r in withdrawn for w in keys_of(r))) == set()
    for reference in set(references) - set(withdrawn):
        for word in keys_of(reference):
            assert traces(shelf, word) == {""}


def test_a_plain_checkpoint_leaves_them_in_the_log(shelf: Shelf) -> None:
    """Which is why `erase` cuts the log: copying it is not enough."""
    shelf.enrol("A")
    shelf.withdraw("A")
    connection = sqlite3.connect(shelf.path)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    connection.close()
    assert traces(shelf, *keys_of("A")) == {"-wal"}
    assert shelf.store.erase()
    assert traces(shelf, *keys_of("A")) == set()


def test_withdrawn_keys_are_gone_after_close(shelf: Shelf) -> None:
    """The last connection removes the log."""
    shelf.enrol("A", "B")
    shelf.withdraw("A")
    shelf.store.close()
    assert traces(shelf, *keys_of("A")) == set()
    assert traces(shelf, *keys_of("B")) == {""}


def test_erase_waits_for_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one still reads from before the withdrawal, it says not yet."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    shelf = Shelf(tmp_path / "exchange.sqlite")
    shelf.enrol("A")
    with shelf.store._reading.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM record").all()
        shelf.withdraw("A")
        assert not shelf.store.erase()
    assert shelf.store.erase()
    assert traces(shelf, *keys_of("A")) == set()
    shelf.store.close()


def test_erase_tells_what_stopped_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that cannot be opened is a storage error."""
    monkeypatch.setattr(shelf.store, "_path", shelf.path.parent / "nowhere" / "x")
    with pytest.raises(StorageError) as caught:
        shelf.store.erase()
    assert caught.value.reason == "STORAGE_UNREACHABLE"
    assert database.empty_log(shelf.path)
