"""Copies of an SQLite database: made while it is written to, restored as a whole.

By VACUUM INTO (SQLite, "VACUUM": it is a transaction that reads, so writers go on).
Unlike SQLite's backup interface it begins only once, however much is written meanwhile;
and it writes every row anew, so that neither free pages nor damaged ones are copied: a
page that cannot be read ends it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.files import make_durable
from biometrics.store.lock import ProcessLock
from biometrics.store.moment import moment_of
from biometrics.store.sqlite import SqliteDatabase, make_reader_engine
from biometrics.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from biometrics.store.moment import Moment

NAME: Final = "exchange.sqlite"
# A log that was left behind would be taken for the one of whatever gets the name.
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


def write_copy(source: Path, folder: Path) -> Moment:
    """Write a database as it is at one moment into a file of a folder.

    Raises:
        OSError: it cannot be written.
        sqlite3.Error: the database cannot be read, or the disk is full.
    """
    target = folder / NAME
    # Made before, since SQLite would let others read it.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(
        f"file:{quote(str(source.absolute()))}?mode=ro",
        uri=True,
        timeout=limits.STORE_BUSY_SECONDS,
        isolation_level=None,
    )
    try:
        connection.execute("VACUUM INTO ?", (str(target),)).close()
    finally:
        connection.close()
    make_durable(target)
    copied = make_reader_engine(target)
    try:
        with copied.connect() as seen:
            return moment_of(seen)
    finally:
        copied.dispose()


@contextmanager
def restoring(path: Path, folder: Path) -> Iterator[sa.Connection]:
    """Make a database of a copy; see `backups.restoring`.

    It is filled under another name, and gets its own as the last step.
    """
    try:
        lock = ProcessLock(path)
    except OSError as error:
        raise ConfigurationError(
            "DATABASE_UNREACHABLE",
            f"`{path}` cannot be made, {error.strerror}; make its folder, or name a"
            " file in one that is there and writable",
        ) from error
    draft = path.with_name(f".{path.name}.draft")
    try:
        _refuse_existing(path)
        _remove(draft)  # of a restore that was killed
        database = SqliteDatabase(draft)
        try:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            shutil.copyfile(folder / NAME, draft)
            upgrade(database)
            with database.writing.begin() as connection:
                yield connection
            database.close()  # which empties the log into the file
            make_durable(draft)
            lock.forget()  # of a database that was there before
            draft.replace(path)
            make_durable(path.parent)
        finally:
            database.close()
            _remove(draft)
    finally:
        lock.release()


def _refuse_existing(path: Path) -> None:
    """Refuse to take the place of a database, or of what is left of one.

    Raises:
        ConfigurationError: there is something.
    """
    for suffix in _SUFFIXES:
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise ConfigurationError(
                "DATABASE_EXISTS",
                f"`{beside}` exists and is not overwritten; move it away with all that"
                " stands beside it, or name another file in [store] database",
            )


def _remove(path: Path) -> None:
    """Delete a file and its log."""
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
