"""What the database's failures mean in the one family of errors.

Source: SQLite, "Result and Error Codes". The primary code is the low byte.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import exc

from biometrics.errors import DefectError, ExchangeError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SYNC_FAILED: Final = "STORAGE_SYNC_FAILED"

# After a failed flush the system may have dropped the pages and call the next
# flush a success: what was written before cannot be trusted to be on the disk.
_SYNC_CODES: Final = frozenset(
    {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
)
_STORAGE: Final = {
    sqlite3.SQLITE_FULL: (
        "STORAGE_FULL",
        (
            "the disk or the database's quota is full; nothing of this request was"
            " written, free space and send it again"
        ),
    ),
    sqlite3.SQLITE_IOERR: (
        "STORAGE_IO",
        "the database's disk reports an input or output error; see the system's log",
    ),
    sqlite3.SQLITE_READONLY: (
        "STORAGE_READ_ONLY",
        "the database cannot be written; check the permissions of its file and folder",
    ),
    sqlite3.SQLITE_PERM: (
        "STORAGE_READ_ONLY",
        "the database cannot be written; check the permissions of its file and folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "STORAGE_UNREACHABLE",
        "the database cannot be opened; check that its folder is there and writable",
    ),
    sqlite3.SQLITE_BUSY: (
        "STORAGE_BUSY",
        "another process holds the database; send the request again",
    ),
    sqlite3.SQLITE_LOCKED: (
        "STORAGE_BUSY",
        "another process holds the database; send the request again",
    ),
}
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# What a database operation may raise, wrapped by SQLAlchemy or not.
DATABASE_ERRORS: Final = (exc.SQLAlchemyError, sqlite3.Error)


def result_code(error: BaseException) -> int | None:
    """Return SQLite's extended result code, or None where there is none."""
    source = error.orig if isinstance(error, exc.DBAPIError) else error
    return getattr(source, "sqlite_errorcode", None)


def translate(error: exc.SQLAlchemyError | sqlite3.Error) -> ExchangeError:
    """Return the error of our family that says what a database error means.

    Statements and values stay out of the message: they are a holder's.
    """
    if isinstance(error, exc.TimeoutError):
        return StorageError(
            "STORAGE_BUSY",
            "every reading connection is in use; send the request again",
        )
    code = result_code(error)
    if code in _SYNC_CODES:
        return StorageError(
            SYNC_FAILED,
            "a flush to disk failed; nothing more is written until the exchange is"
            " started again, check the disk first",
        )
    primary = None if code is None else code & 0xFF
    if primary in _DAMAGED:
        return DefectError(
            "STORAGE_DAMAGED",
            "the database is damaged; stop the exchange and restore its backup",
        )
    if primary in _STORAGE:
        return StorageError(*_STORAGE[primary])
    return DefectError(
        "STORAGE_DEFECT", f"the database refused a statement, SQLite result `{code}`"
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise database errors of the block as errors of our family."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise translate(error) from error
