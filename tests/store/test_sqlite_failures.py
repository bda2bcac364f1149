"""A full disk, a busy file, a failing one: told apart, and survived."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from store.shelf import Shelf

from biometrics import limits
from biometrics.errors import DefectError, StorageError
from biometrics.store.failures import translate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.places import SqlitePlace


@pytest.fixture
def shelf(sqlite_shelf: Shelf) -> Shelf:
    """Return an open store in a file."""
    return sqlite_shelf


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse writes beyond `size` bytes of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_database_refuses_and_goes_on_when_there_is_space(shelf: Shelf) -> None:
    """SQLITE_FULL: nothing is half done, reads go on, writing resumes."""

    def limit(more: int) -> None:
        pages = "PRAGMA page_count"
        shelf.store._writer.run(
            lambda connection: connection.exec_driver_sql(
                "PRAGMA max_page_count ="
                f" {connection.exec_driver_sql(pages).scalar() + more}"
            ).scalar()
        )

    shelf.enrol("A")
    limit(2)
    with pytest.raises(StorageError) as caught:
        shelf.enrol(*(f"R{n}" for n in range(400)))
    assert caught.value.reason == "STORAGE_FULL"
    assert shelf.store.journal.end() == 1
    assert shelf.count("record") == shelf.count("reply") == 1
    assert len(shelf.store.journal.changes(0, 10)) == 1
    limit(1000)
    assert shelf.enrol(*(f"R{n}" for n in range(400))).position == 401


def test_a_full_database_fails_only_what_does_not_fit(shelf: Shelf) -> None:
    """A neighbour in the same group that still fits is written."""
    pages = "PRAGMA page_count"
    shelf.store._writer.run(
        lambda connection: connection.exec_driver_sql(
            f"PRAGMA max_page_count = {connection.exec_driver_sql(pages).scalar() + 2}"
        ).scalar()
    )
    with shelf.held():
        small = shelf.begin_enrol(shelf.record("small"))
        large = shelf.begin_enrol(*(shelf.record(f"R{n}") for n in range(400)))
        later = shelf.begin_enrol(shelf.record("later"))
    assert small.result(30).position == 1
    assert isinstance(large.exception(30), StorageError)
    assert later.result(30).position == 2
    assert shelf.count("record") == 2


def test_a_disk_that_takes_no_more_fails_the_whole_group(shelf: Shelf) -> None:
    """The log cannot grow at the commit: nobody is told yes; later all is well."""
    shelf.enrol("A")
    log = shelf.path.with_name(f"{shelf.path.name}-wal")
    with files_no_larger_than(log.stat().st_size):
        with shelf.held():
            futures = [shelf.begin_enrol(shelf.record(f"R{n}")) for n in range(5)]
        errors = [future.exception(30) for future in futures]
        assert len(shelf.store.journal.changes(0, 10)) == 1
    assert all(isinstance(error, StorageError) for error in errors)
    assert {error.reason for error in errors} == {"STORAGE_IO"}  # type: ignore[union-attr] - just checked
    assert shelf.store.journal.end() == 1
    assert shelf.enrol("B").position == 2


def test_a_database_that_others_hold_is_busy_for_a_while(
    sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails after the bound, and the next one goes through."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    shelf = Shelf(sqlite_place)
    other = sqlite3.connect(shelf.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError) as caught:
        shelf.enrol("A")
    assert caught.value.reason == "STORAGE_BUSY"
    assert shelf.store.journal.end() == 0
    other.execute("ROLLBACK")
    other.close()
    assert shelf.enrol("A").position == 1
    shelf.store.close()


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (sqlite3.SQLITE_FULL, StorageError, "STORAGE_FULL"),
        (sqlite3.SQLITE_IOERR_WRITE, StorageError, "STORAGE_IO"),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageError, "STORAGE_SYNC_FAILED"),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, StorageError, "STORAGE_SYNC_FAILED"),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageError, "STORAGE_READ_ONLY"),
        (sqlite3.SQLITE_PERM, StorageError, "STORAGE_READ_ONLY"),
        (sqlite3.SQLITE_CANTOPEN, StorageError, "STORAGE_UNREACHABLE"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageError, "STORAGE_BUSY"),
        (sqlite3.SQLITE_LOCKED, StorageError, "STORAGE_BUSY"),
        (sqlite3.SQLITE_CORRUPT_INDEX, DefectError, "STORAGE_DAMAGED"),
        (sqlite3.SQLITE_NOTADB, DefectError, "STORAGE_DAMAGED"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, DefectError, "STORAGE_DEFECT"),
    ],
)
def test_every_result_code_has_its_error(
    code: int, kind: type[Exception], reason: str
) -> None:
    """Wrapped by SQLAlchemy or not, and without the statement."""
    error = sqlite3.OperationalError("of SQLite")
    error.sqlite_errorcode = code
    for raised in (error, exc.OperationalError("SELECT secret", {}, error)):
        told = translate(raised)
        assert type(told) is kind
        assert told.reason == reason
        assert "secret" not in told.message


def test_an_error_without_a_code_is_a_defect() -> None:
    """Such as one of SQLAlchemy's own."""
    assert translate(sa.exc.InvalidRequestError("misuse")).reason == "STORAGE_DEFECT"


def test_a_recovery_writes_the_whole_log_into_the_database_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not while a reader still needs the log; one write more goes through."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    log = shelf.path.with_name(f"{shelf.path.name}-wal")
    database = shelf.store._database
    with shelf.reading.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM record").scalar_one()
        shelf.enrol(*(f"R{n}" for n in range(100)))
        with pytest.raises(StorageError):
            database.recover()
    before = log.stat().st_size
    database.recover()
    assert log.stat().st_size < before // 3
    assert shelf.enrol("S").position == 101


def test_a_recovery_fails_where_the_database_does_not_read_back(shelf: Shelf) -> None:
    """Whatever the disk has made of it, nothing is written on top."""
    shelf.enrol(*(f"R{n}" for n in range(100)))
    shelf.store.erase()
    content = bytearray(shelf.path.read_bytes())
    content[-8192:] = b"\xff" * 8192
    shelf.path.write_bytes(content)
    with pytest.raises((DefectError, sqlite3.DatabaseError, exc.DatabaseError)):
        shelf.store._database.recover()
