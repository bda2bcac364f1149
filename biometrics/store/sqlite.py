"""SQLite as the exchange uses it: one file, one writer, many readers.

Transactions are SQLAlchemy's: sqlite3's own control is off (`isolation_level=None`)
and the `begin` event emits BEGIN, as SQLAlchemy's page on SQLite says under
"Enabling Non-Legacy SQLite Transactional Modes". The writer's are BEGIN IMMEDIATE,
so that the write lock is taken before the first read and never upgraded.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from biometrics import limits
from biometrics.errors import ConfigurationError, DefectError, StorageError
from biometrics.store.failures import result_code, translate
from biometrics.store.lock import ProcessLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from biometrics.errors import ExchangeError
    from biometrics.store.failures import DatabaseError

# Three sealed 512-d vectors fit in a page of 8 KiB, one in a page of 4 KiB.
_PAGE_BYTES: Final = 8192
# What is no UTF-8 becomes a text that is the name of nothing: a row that somebody
# edited is that row's trouble, where sqlite3 would fail the whole query.
_TEXT: Final = partial(str, encoding="utf-8", errors="backslashreplace")
_WRITER_PRAGMAS: Final = (
    f"PRAGMA page_size = {_PAGE_BYTES}",  # counts when the file is made
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is flushed before it is acknowledged
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten with zeros
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA cache_size = -{limits.STORE_CACHE_BYTES // 1024}",
    f"PRAGMA wal_autocheckpoint = {limits.STORE_LOG_BYTES // _PAGE_BYTES}",
    f"PRAGMA journal_size_limit = {limits.STORE_LOG_BYTES}",
)
# The number of the last commit, in the header of the file: nothing else uses it.
_COMMITS: Final = "PRAGMA user_version"
_MOST_COMMITS: Final = 2**31
_READER_PRAGMAS: Final = ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF")


class SqliteDatabase:
    """A file, with `-wal`, `-shm` and `.lock` beside it; see `databases.Database`."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._lock: ProcessLock | None = None
        self.reading = make_reader_engine(path)
        self.writing = make_writer_engine(path)
        self._commits = self._changes = 0
        # Whether the last commit has a number, and whether it is known to be made: then
        # the database has that number, since nobody else writes to it.
        self._has_number = self._is_made = False
        sa.event.listen(self.writing, "commit", self._count)

    def __str__(self) -> str:
        """Return the path."""
        return str(self._path)

    def hold(self) -> None:
        """Make the file where it is missing, and lock it."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            os.close(os.open(self._path, flags, 0o600))
            self._lock = ProcessLock(self._path)
        except OSError as error:
            raise ConfigurationError(
                "DATABASE_UNREACHABLE",
                f"`{self._path}` cannot be opened for writing, {error.strerror}; name a"
                " file in a folder that is there and writable",
            ) from error

    def is_there(self) -> bool:
        """Say whether the file is there and not empty; its folder has to be."""
        if not self._path.parent.is_dir():
            raise ConfigurationError(
                "DATABASE_UNREACHABLE", f"`{self._path.parent}` is no folder; make it"
            )
        return self._path.exists() and self._path.stat().st_size > 0

    def refusal(self, error: DatabaseError) -> ExchangeError:
        """Return why a file cannot be opened as a database."""
        if result_code(error) == sqlite3.SQLITE_NOTADB:
            return ConfigurationError(
                "NOT_A_DATABASE", f"`{self._path}` is no database; name another file"
            )
        return translate(error)

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Give the writer's connection, without enforcing references meanwhile.

        SQLite changes a table by making another and dropping the first, which would
        take every row that refers to it along (SQLite, "Making Other Kinds Of Table
        Schema Changes", steps 1 and 12). The setting cannot change within a
        transaction; what it let through is looked for before the commit.
        """
        self._enforce_references("OFF")
        try:
            with self.writing.begin() as connection:
                yield connection
                _check_references(connection)
        finally:
            self._enforce_references("ON")

    def _enforce_references(self, value: str) -> None:
        """Set whether references are enforced on the writer's connection."""
        connection = self.writing.raw_connection()
        try:
            connection.cursor().execute(f"PRAGMA foreign_keys = {value}").close()
        finally:
            connection.close()  # back to the pool

    def has_transaction(self, connection: sa.Connection) -> bool:
        """Say whether SQLite still has the transaction that SQLAlchemy began.

        After SQLITE_FULL, SQLITE_IOERR and the like SQLite may have rolled the whole
        transaction back by itself (SQLite, "Response To Errors Within A Transaction").
        """
        raw: Any = connection.connection.dbapi_connection
        return bool(raw.in_transaction)

    def _count(self, connection: sa.Connection) -> None:
        """Number the commit that is about to be made, in the database itself.

        One that changes no row is none: it is not written, and cannot fail.
        """
        raw: Any = connection.connection.dbapi_connection
        self._has_number = False
        if raw.total_changes == self._changes:
            return
        self._changes = raw.total_changes
        if not self._is_made:
            self._commits = connection.exec_driver_sql(_COMMITS).scalar_one()
        self._has_number, self._is_made = True, False
        self._commits = (self._commits + 1) % _MOST_COMMITS
        connection.exec_driver_sql(f"{_COMMITS} = {self._commits}")

    def has_others_writes(self, _connection: sa.Connection) -> bool:
        """Say no: nobody else writes, for the lock keeps them out."""
        return False

    def is_gone(self, _connection: sa.Connection, front_end: bytes) -> bool:  # noqa: ARG002
        """Say yes: there is no other front end."""
        return True

    def note_commit(self) -> None:
        """Write the number of the last commit into the file of the lock."""
        self._is_made |= self._has_number
        if self._lock is not None:
            self._lock.note(self._commits)

    def is_behind(self) -> bool:
        """Say whether the database has an earlier number than was noted."""
        noted = None if self._lock is None else self._lock.commits()
        if noted is None:
            return False
        with self.reading.connect() as connection:
            found: int = connection.exec_driver_sql(_COMMITS).scalar_one()
        # After weeks of hundreds of commits a second, numbers begin again.
        return 0 < (noted - found) % _MOST_COMMITS < _MOST_COMMITS // 2

    def has_room(self) -> bool:
        """Say whether the file system has more free than what is kept for the rest."""
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize >= limits.STORE_RESERVE_BYTES

    def recover(self) -> None:
        """Write the log into the file anew, flush both, and read them from the disk.

        A system that failed to flush a page may call it clean, and keep or drop it as
        it likes. What was acknowledged is in the log, whose own flush had succeeded,
        or was flushed to the file before it left the log: so the pages in doubt are
        those that are written here again, and nothing else is (SQLite, "Write-Ahead
        Logging"; "fsyncgate", PostgreSQL's mailing list, 2018).
        """
        # 1. Away with the connection that has met the error, and with its pages.
        self.writing.dispose()
        self._changes = 0
        self._is_made = False
        # 2. Every page of the log is written into the file, and flushed, or it raises.
        if not empty_log(self._path):
            raise StorageError("STORAGE_BUSY", "a reader still needs the log")
        # 3. What the disk has, not what the system remembers of it, is a database.
        _forget_pages(self._path)
        with self.reading.connect() as connection:
            told = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if told != "ok":
            raise DefectError("STORAGE_DAMAGED", "the database does not read back")
        # 4. One more write goes through, to the log and its flush.
        with self.writing.begin() as connection:
            connection.exec_driver_sql("UPDATE counter SET counter_id = counter_id")

    def damage(self, most: int) -> list[str]:
        """Read every page, and compare tables with their indexes and references."""
        with self.reading.connect() as connection:
            asked = f"PRAGMA integrity_check({most})"
            told = connection.exec_driver_sql(asked).scalars().all()
            lost = connection.exec_driver_sql("PRAGMA foreign_key_check")
            return [
                *(text for text in told if text != "ok"),
                *(
                    f"row {number} of {table} refers to a row of {other} that is not"
                    " there"
                    for table, number, other, _ in lost.fetchmany(most)
                ),
            ]

    def erase(self) -> bool:
        """Copy the log into the database and cut it to nothing."""
        return empty_log(self._path)

    def close(self) -> None:
        """Close every connection, which empties the log, and unlock."""
        self.reading.dispose()
        self.writing.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _forget_pages(path: Path) -> None:
    """Ask the system to read a file from the disk when it is read next."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(number)


def _check_references(connection: sa.Connection) -> None:
    """Refuse to commit a migration that left rows without what they refer to."""
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise DefectError(
            "MIGRATION_BROKE_REFERENCES",
            "the upgrade of the database failed and changed nothing: start the version"
            " before, and report this",
        )


def make_writer_engine(path: Path) -> sa.Engine:
    """Return the engine of the one connection that writes to an existing file."""
    return _make_engine(path, "rw", "BEGIN IMMEDIATE", connections=1)


def make_reader_engine(path: Path) -> sa.Engine:
    """Return the engine of read-only connections; they are made when needed.

    Whoever finds all in use waits, in no fair order, `limits.STORE_BUSY_SECONDS`.
    """
    return _make_engine(path, "ro", "BEGIN", connections=limits.READ_CONNECTIONS)


def _make_engine(path: Path, mode: str, begin: str, *, connections: int) -> sa.Engine:
    """Return an engine with a bounded pool; no connection is made yet."""
    pragmas = _WRITER_PRAGMAS if mode == "rw" else _READER_PRAGMAS

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=limits.STORE_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # the pool hands it to one thread at a time
        )
        connection.text_factory = _TEXT
        try:
            for pragma in pragmas:
                connection.execute(pragma).close()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = sa.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=sa.QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=limits.STORE_BUSY_SECONDS,
        hide_parameters=True,  # values are a holder's and belong in no message
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


# The first releases of Python 3.12 take ?1 for a name, and warn of each.
_SHARES: Final = not (3, 12) <= sys.version_info < (3, 12, 4)


def insert_columns(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
) -> None:
    """Insert one or more rows; see `databases.insert_columns`.

    Python's SQLite takes the interpreter's lock anew for each step of each statement:
    a row at a time, a writer waits for every other thread once a row, and they for it.
    What all rows have the same is given once.
    """
    (count,) = {len(values) for values in columns.values()}
    same = {n: v[0] for n, v in columns.items() if v.count(v[0]) == count and _SHARES}
    other = {n: _unadapted(v) for n, v in columns.items() if n not in same}
    most = (limits.STORE_VARIABLES - len(same)) // max(1, len(other))
    # No more, so that few statements are made, and none is long.
    most = min(most, limits.MAX_RECORDS_PER_CHUNK)
    shared = _unadapted(list(same.values()))
    for start in range(0, count, most):
        rows = zip(*(v[start : start + most] for v in other.values()), strict=True)
        statement = _insertion(
            table,
            tuple(columns),
            tuple(same),
            count=min(most, count - start),
            dialect=connection.dialect,
        )
        given = (*shared, *chain.from_iterable(rows))
        connection.exec_driver_sql(statement, given)


def _unadapted(values: Sequence[Any]) -> Sequence[Any]:
    """Return values with bytes as what `sqlite3` takes as it is.

    Of `bytes` it asks each time how they are to be adapted, for as long as all else
    takes that is done with them here.
    """
    return [bytearray(each) if type(each) is bytes else each for each in values]


@lru_cache(maxsize=limits.MAX_RECORDS_PER_CHUNK)
def _insertion(
    table: sa.Table,
    names: tuple[str, ...],
    same: tuple[str, ...],
    *,
    count: int,
    dialect: sa.Dialect,
) -> str:
    """Return an INSERT of so many rows.

    It takes what is the same in all of them, and the others' values row after row.
    SQLAlchemy writes columns in the order of the table.
    """
    one = sa.insert(table).values({name: sa.bindparam(name) for name in names})
    head, _ = str(one.compile(dialect=dialect)).split(" VALUES ")
    other = [name for name in names if name not in same]
    place = {name: number for number, name in enumerate(same, 1)}
    place |= {name: number for number, name in enumerate(other, len(same) + 1)}
    rows = (
        ", ".join(
            f"?{place[name] + (0 if name in same else row * len(other))}"
            if same
            else "?"
            for name in names
        )
        for row in range(count)
    )
    return f"{head} VALUES ({'), ('.join(rows)})"


def find_lookups(
    connection: sa.Connection,
    column: sa.Column[Any],
    member: str,
    lookups: Sequence[bytes],
) -> Sequence[tuple[bytes, Any]]:
    """Find rows of a member; see `databases.find_lookups`."""
    statement = _finding(column, len(lookups))
    given = (member, *_unadapted(lookups))
    found = connection.exec_driver_sql(statement, given).all()
    return [(lookup, value) for lookup, value in found]


@lru_cache(maxsize=2 * limits.MAX_RECORDS_PER_CHUNK)
def _finding(column: sa.Column[Any], count: int) -> str:
    """Return a SELECT of a column by so many lookups."""
    marks = ", ".join("?" * count)
    return (
        f"SELECT lookup, {column.name} FROM {column.table}"  # noqa: S608 - ours
        f" WHERE member = ? AND lookup IN ({marks})"
    )


def empty_log(path: Path) -> bool:
    """Copy the write-ahead log into the database and cut it to nothing.

    Until then the log still has the pages as they were before a withdrawal, with
    the wrapped keys; SQLite's own checkpoints copy it but leave its bytes.

    Returns:
        Whether it is empty now; False while a reader still needs it.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=rw",
        uri=True,
        timeout=limits.STORE_BUSY_SECONDS,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL").close()
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    return not busy
