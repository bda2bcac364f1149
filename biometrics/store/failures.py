"""What the databases' failures mean in the one family of errors.

Sources: SQLite, "Result and Error Codes" (the primary code is the low byte);
PostgreSQL, "PostgreSQL Error Codes" (the class is the first two characters).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

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
_OF_SQLITE: Final[dict[int | str, tuple[str, str]]] = {
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
# By SQLSTATE, or its class. A server that cannot flush its log stops, and recovers:
# no answer of it says that a flush failed.
_LOST: Final = (
    "STORAGE_UNREACHABLE",
    (
        "the connection to the database is lost or does not come about; nothing of this"
        " request was written, send it again"
    ),
)
_STOPPED: Final = (
    "STORAGE_BUSY",
    (
        "the database has no room for this now, or another session of it stands in the"
        " way; send the request again"
    ),
)
_OF_SERVER: Final[dict[int | str, tuple[str, str]]] = {
    "53100": (
        "STORAGE_FULL",
        (
            "the disk of the database server is full; nothing of this request was"
            " written, free space and send it again"
        ),
    ),
    "53": _STOPPED,  # no memory, too many connections
    "40": _STOPPED,  # serialization, deadlock
    "55": _STOPPED,  # locks
    "57014": _STOPPED,  # cancelled
    "57": _LOST,  # stopping, starting
    "08": _LOST,
    "58": (
        "STORAGE_IO",
        "the database server's disk reports an error; see the server's log",
    ),
    "25006": (
        "STORAGE_READ_ONLY",
        (
            "the database server takes no writes now; see whether it follows another"
            " one, and its `default_transaction_read_only`"
        ),
    ),
    "42501": (
        "STORAGE_READ_ONLY",
        (
            "the database server does not let the exchange's role do this; make the"
            " role the owner of the database"
        ),
    ),
}

_STORAGE: Final = _OF_SQLITE | _OF_SERVER
# XX is PostgreSQL's own damage; 22003, sums beyond the largest number, are of numbers
# that the exchange never wrote.
_DAMAGED: Final[frozenset[int | str]] = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, "XX", "22003"}
)

# What a database operation may raise, wrapped by SQLAlchemy or not. Of SQLite's own
# words Python cannot read those that quote what damage has made of a schema.
DATABASE_ERRORS: Final = (exc.SQLAlchemyError, sqlite3.Error, UnicodeDecodeError)
DatabaseError: TypeAlias = exc.SQLAlchemyError | sqlite3.Error | UnicodeDecodeError


def result_code(error: BaseException) -> int | None:
    """Return SQLite's extended result code, or None where there is none."""
    source = error.orig if isinstance(error, exc.DBAPIError) else error
    return getattr(source, "sqlite_errorcode", None)


def sql_state(error: BaseException) -> str | None:
    """Return PostgreSQL's SQLSTATE, or None where there is none."""
    source = error.orig if isinstance(error, exc.DBAPIError) else error
    return getattr(source, "sqlstate", None)


def is_lost(error: BaseException) -> bool:
    """Say whether the connection went with the error: no answer of the database's."""
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def translate(error: DatabaseError) -> ExchangeError:
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
            "a flush to disk failed, and nothing is written until the disk works: the"
            " request may have been carried out; send it again with the same request_id"
            " then, and it is carried out once",
        )
    keys = _keys(error)
    if isinstance(error, UnicodeDecodeError) or not _DAMAGED.isdisjoint(keys):
        return DefectError(
            "STORAGE_DAMAGED",
            "the database is damaged; stop the exchange and restore its backup",
        )
    for key in keys:
        if key in _STORAGE:
            return StorageError(*_STORAGE[key])
    result = keys[0] if keys and code is None else code
    return DefectError(
        "STORAGE_DEFECT", f"the database refused a statement, result `{result}`"
    )


def _keys(error: BaseException) -> tuple[int | str, ...]:
    """Return what an error may be found under, the narrowest first."""
    if (code := result_code(error)) is not None:
        return (code & 0xFF,)
    if (state := sql_state(error)) is not None:
        return (state, state[:2])
    if isinstance(error, exc.OperationalError) and not isinstance(
        error.orig, sqlite3.Error
    ):
        return ("08",)  # of a server's driver, about the connection
    return ()


@contextmanager
def translated() -> Iterator[None]:
    """Raise database errors of the block as errors of our family."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise translate(error) from error
