"""The one port of the store to its database, and the choice between the two.

A path is a file of SQLite, a URL a database of PostgreSQL. The tables, statements and
meanings are the same; each database's own module has what differs:

    sqlite.py      one file, for one machine: nothing to run beside the exchange
    postgres.py    a server, for those who run one, with its copies and its backups
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from biometrics.errors import ConfigurationError
from biometrics.store import postgres, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import sqlalchemy as sa

    from biometrics.errors import ExchangeError
    from biometrics.store.failures import DatabaseError


class Database(Protocol):
    """A database of the exchange. As text it is its name, without any secret."""

    @property
    def reading(self) -> sa.Engine:
        """Connections that cannot write; all reads of a transaction see one moment.

        They are made when needed, at most `limits.READ_CONNECTIONS`. Whoever finds
        all in use waits, in no fair order, `limits.STORE_BUSY_SECONDS`.
        """

    @property
    def writing(self) -> sa.Engine:
        """The one connection that writes, for whoever holds the database.

        A commit returns when it is durable. One that raises because the connection
        is lost may have been carried out; any other error undid the transaction.
        """

    def hold(self) -> None:
        """Keep every other exchange out until `close`, however this process ends.

        Raises:
            ConfigurationError: another exchange has it (`DATABASE_IN_USE`), it
                cannot be opened for writing (`DATABASE_UNREACHABLE`), or it would
                not keep what is acknowledged.
        """

    def is_there(self) -> bool:
        """Say whether there may be something to read; changes nothing.

        Raises:
            ConfigurationError: there can be no database there.
        """

    def refusal(self, error: DatabaseError) -> ExchangeError:
        """Return why it cannot be opened, from what opening it raised."""

    def migrating(self) -> AbstractContextManager[sa.Connection]:
        """Give the writer's connection, in the one transaction of all migrations.

        Raises:
            DefectError: a row is left without what it refers to; nothing is kept.
        """

    def has_transaction(self, connection: sa.Connection) -> bool:
        """Say whether the writer's transaction is still there after an error.

        Only asked while the connection is not lost.
        """

    def has_others_writes(self, connection: sa.Connection) -> bool:
        """Say whether somebody else has written since the last transaction of this one.

        Args:
            connection: the writer's, at the beginning of its transaction.
        """

    def is_gone(self, connection: sa.Connection, front_end: bytes) -> bool:
        """Say whether another front end can write no more, unless it begins anew.

        Args:
            connection: the writer's, in its transaction.
            front_end: its name.
        """

    def note_commit(self) -> None:
        """Take note, outside the database, that the writer's last commit was made."""

    def is_behind(self) -> bool:
        """Say whether commits are missing that were made, while it is held.

        As after a damage to the end of a log, which the database takes for the trace of
        a write that was never finished; or after an old copy was put in its place.
        """

    def has_room(self) -> bool:
        """Say whether there is room for what grows, beside what must still fit.

        As far as can be seen from here: a server says it of its own disk.
        """

    def recover(self) -> None:
        """Bring what was acknowledged to the disk anew, after a flush that failed.

        On return all of it was flushed, could be read back, and one more write was.

        Raises:
            ExchangeError, OSError, or what the database raises: not now.
        """

    def damage(self, most: int) -> list[str]:
        """Return what the database itself finds wrong with its files.

        Args:
            most: at most so many things.
        """

    def erase(self) -> bool:
        """Take the bytes of what was deleted out of the files, as far as it can.

        Returns:
            False while a reader still needs them; then it is to be called again.
        """

    def close(self) -> None:
        """Close every connection, and let the next exchange in."""


class _Insert(Protocol):
    """Inserts one or more rows by as few statements as go."""

    def __call__(
        self,
        connection: sa.Connection,
        table: sa.Table,
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        """Insert; the columns are in the order of the table."""


class _Find(Protocol):
    """Finds rows of a member under any of some keyed hashes of references."""

    def __call__(
        self,
        connection: sa.Connection,
        column: sa.Column[Any],
        member: str,
        lookups: Sequence[bytes],
    ) -> Sequence[tuple[bytes, Any]]:
        """Return the hash of each, and its column."""


_INSERTS: Final[Mapping[str, _Insert]] = {
    "sqlite": sqlite.insert_columns,
    "postgresql": postgres.insert_columns,
}
_FINDS: Final[Mapping[str, _Find]] = {
    "sqlite": sqlite.find_lookups,
    "postgresql": postgres.find_lookups,
}


def database_at(where: Path | str, front_end: bytes | None = None) -> Database:
    """Return the database at a path or a URL; nothing is opened yet.

    Args:
        where: as for `store.open_store`.
        front_end: likewise.

    Raises:
        ConfigurationError: the driver of the URL's database is not installed, or a
            file is to be shared (`NOT_SHARED`).
    """
    if isinstance(where, str):
        return postgres.PostgresDatabase(where, front_end)
    if front_end is not None:
        raise ConfigurationError(
            "NOT_SHARED",
            f"`{where}` is a file, which one exchange has for itself: set [store]"
            " database to one of PostgreSQL, or leave out `shared`",
        )
    return sqlite.SqliteDatabase(where)


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows by as few statements as go, which searches hardly notice.

    Args:
        connection: in a transaction.
        table: where to.
        rows: values by column, all of the same columns; none is nothing to do.
    """
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        insert_columns(connection, table, columns)


def insert_columns(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
) -> None:
    """Insert one or more rows as `insert_rows` does, given column by column.

    Args:
        connection: in a transaction.
        table: where to.
        columns: the values of all rows, by column.
    """
    ordered = {c.name: columns[c.name] for c in table.columns if c.name in columns}
    _INSERTS[connection.dialect.name](connection, table, ordered)


def find_lookups(
    connection: sa.Connection,
    column: sa.Column[Any],
    member: str,
    lookups: Sequence[bytes],
) -> dict[bytes, Any]:
    """Return a column of a member's rows, by the keyed hashes of their references.

    By a statement that is written once: SQLAlchemy writes an IN anew each time, which
    takes longer than to find a chunk's references in a million.

    Args:
        connection: in a transaction.
        column: of a table that has members and lookups.
        member: code of the holder.
        lookups: at most `limits.MAX_RECORDS_PER_CHUNK`.
    """
    find = _FINDS[connection.dialect.name]
    return dict(find(connection, column, member, lookups))
