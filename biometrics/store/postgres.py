"""PostgreSQL as the exchange uses it: one session that writes, many that read.

The session that writes holds an advisory lock. The server drops the lock with the
session and not before, so what an old session still has under way can neither meet nor
follow what a new one writes; and every transaction proves anew that nobody else has
the lock. Whoever loses it writes nothing until it has it again.

Several front ends share that lock, and take turns: one transaction is under way at any
moment, whoever's it is, and each begins by finding out whether somebody else wrote
since its own last one. Whoever stands still in its turn loses it with its session.

Sources: PostgreSQL, "Explicit Locking: Advisory Locks", "Transaction Isolation",
"Reliability and the Write-Ahead Log"; libpq, "Connection Strings".
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from biometrics import limits
from biometrics.errors import ConfigurationError, DefectError, StorageError
from biometrics.store.failures import translate
from biometrics.store.schema import (
    FRONT_END_KEY,
    GALLERY_KEY,
    INDEX_KEY,
    METADATA,
    TURN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from biometrics.errors import ExchangeError
    from biometrics.store.failures import DatabaseError

_LOCK: Final = int.from_bytes(b"exchange")  # one for each database of a server
_OLDEST_SERVER: Final = 140_000  # it notices by itself that a client has gone away
_LOST: Final = limits.STORE_LOST_SECONDS

# What libpq is told, whatever the URL says: an exchange that stands still is no use.
_CONNECT: Final = {
    "autocommit": True,  # transactions are SQLAlchemy's, as with SQLite
    "client_encoding": "utf8",
    "connect_timeout": limits.STORE_CONNECT_SECONDS,
    "keepalives_idle": _LOST // 2,
    "keepalives_interval": _LOST // 4,
    "keepalives_count": 2,
    "tcp_user_timeout": 1000 * _LOST,
}
# A server that does not notice that the exchange is gone would keep its lock.
_EVERY_SESSION: Final = f"""
    SET client_connection_check_interval = '1s';
    SET tcp_keepalives_idle = {_LOST // 2};
    SET tcp_keepalives_interval = {_LOST // 4};
    SET tcp_keepalives_count = 2;
    SET tcp_user_timeout = {1000 * _LOST};
    SELECT set_config('synchronous_commit',
        CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false);
"""
_SERVER: Final = """
    SELECT current_setting('server_version_num')::int AS version,
           current_setting('server_encoding') AS encoding,
           current_setting('fsync') = 'off'
               OR current_setting('full_page_writes') = 'off'
               OR current_setting('data_sync_retry') = 'on' AS is_unsafe
"""
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BEGIN_WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TAKE: Final = f"SELECT pg_advisory_lock({_LOCK})"
# This session has it already: true unless another one has it meanwhile.
_PROVE: Final = f"SELECT pg_try_advisory_xact_lock({_LOCK})"

# Of several front ends: what they share, whose turn it is, and that one is there.
_TURN: Final = int.from_bytes(b"turn of.")
_SHARE: Final = f"SELECT pg_advisory_lock_shared({_LOCK})"
_OWN: Final = "SELECT pg_advisory_lock(%s)"
_PROVE_SHARED: Final = (
    f"SELECT pg_try_advisory_xact_lock_shared({_LOCK}), pg_advisory_xact_lock({_TURN})"
)
_IS_GONE: Final = sa.text("SELECT pg_try_advisory_xact_lock(:own)")
_LAST: Final = sa.select(TURN.c.name)
_FORGET_LAST: Final = sa.delete(TURN)
_SET_LAST: Final = sa.insert(TURN)

# Deleted rows can be taken away once nobody may still see them: sessions, copies that
# follow this server and transactions that were prepared all hold the moment back.
_MOMENT: Final = "SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)"
_IS_PAST: Final = sa.text("""
    SELECT coalesce(max(held.age) <= age(CAST(CAST(:moment AS text) AS xid)), true)
    FROM (
        SELECT greatest(age(backend_xmin), age(backend_xid)) AS age
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid()
            AND (datname = current_database() OR datname IS NULL)
        UNION ALL SELECT age(xmin) FROM pg_replication_slots
        UNION ALL SELECT age(transaction) FROM pg_prepared_xacts
            WHERE database = current_database()
    ) AS held
""")
_LOOK_SECONDS: Final = 0.02

_IN_USE: Final = (
    "DATABASE_IN_USE",
    (
        "the database is open already: an exchange serves it, a command checks or"
        " restores it, or the connection of an earlier one is not over yet; stop that"
        " one first. Two exchanges need a database each, unless both have [store]"
        " shared = true"
    ),
)


class PostgresDatabase:
    """A database of a server; see `databases.Database`."""

    def __init__(self, url: str, front_end: bytes | None = None) -> None:
        """Name the database; nothing is opened yet.

        Args:
            url: of libpq, as `postgresql://host/database`, without a password.
            front_end: 16 random bytes that name one of several front ends; None where
                nobody else may write.

        Raises:
            ConfigurationError: the driver is not installed (`EXTRA_MISSING`).
        """
        self._url = url
        self._front_end = front_end
        self._is_closed = False
        is_alone = front_end is None
        self.reading = self._engine(_BEGIN_READING, limits.READ_CONNECTIONS)
        self.writing = self._engine(
            _BEGIN_WRITING, connections=1, prepare=_lock if is_alone else self._share
        )
        self._tending = self._engine(None, connections=1)
        sa.event.listen(self.writing, "begin", _prove if is_alone else _take_turn)
        sa.event.listen(self.writing, "commit", _refuse_aborted)

    def __str__(self) -> str:
        """Return the URL, which has no password."""
        return self._url

    def hold(self) -> None:
        """Make the connection that writes, which takes the lock and keeps it."""
        with self._told():
            self.writing.connect().close()

    def is_there(self) -> bool:
        """Connect; say that there is a database, which may be empty."""
        with self._told(), self._tending.connect() as connection:
            _check(connection.connection.dbapi_connection)
        return True

    def refusal(self, error: DatabaseError) -> ExchangeError:
        """Return what the error means: all of the server's are told in one way."""
        return translate(error)

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Give the writer's connection; the server enforces references all the time."""
        with self.writing.begin() as connection:
            if self._front_end is not None:
                with self._told():
                    _prove(connection)  # no other one may be running
            yield connection

    def has_transaction(self, _connection: sa.Connection) -> bool:
        """Say yes: only with its connection does the server end a transaction."""
        return True

    def has_others_writes(self, connection: sa.Connection) -> bool:
        """Say whether another front end has written since this one did."""
        own = self._front_end
        if own is None or connection.execute(_LAST).scalar() == own:
            return False
        connection.execute(_FORGET_LAST)
        connection.execute(_SET_LAST, {"name": own})
        return True

    def is_gone(self, connection: sa.Connection, front_end: bytes) -> bool:
        """Say whether another front end's session that writes is no more."""
        own = {"own": _own_lock(front_end)}
        return bool(connection.execute(_IS_GONE, own).scalar_one())

    def note_commit(self) -> None:
        """Do nothing: the server keeps its log, and what it says of it."""

    def is_behind(self) -> bool:
        """Say no: nothing here knows more than the server."""
        return False

    def has_room(self) -> bool:
        """Say yes: the server refuses what does not fit."""
        return True

    def recover(self) -> None:
        """Do nothing: a server that cannot flush stops, and recovers from its log."""

    def damage(self, most: int) -> list[str]:  # noqa: ARG002 - of the port
        """Return nothing: what can be read is told by reading, as `Consistency` does.

        Of indexes the server's own `pg_amcheck` tells, and of pages `pg_checksums`.
        """
        return []

    def erase(self) -> bool:
        """Take deleted rows, and what indexes say of them, out of every table.

        The tables of keys are written anew, without them. In the others, which may be
        large, their bytes are free then, and go when the server fills the place: there
        is nothing like SQLite's `secure_delete`. What the write-ahead log, copies and
        backups still have goes with those.
        """
        names = ", ".join(table.name for table in METADATA.sorted_tables)
        of_keys = (GALLERY_KEY, INDEX_KEY, FRONT_END_KEY)
        keys = ", ".join(table.name for table in of_keys)
        with self._tending.connect() as connection:
            moment = connection.exec_driver_sql(_MOMENT).scalar_one()
            end = time.monotonic() + limits.STORE_BUSY_SECONDS
            while not connection.execute(_IS_PAST, {"moment": moment}).scalar_one():
                if self._is_closed or time.monotonic() > end:
                    connection.invalidate()
                    return False
                time.sleep(_LOOK_SECONDS)
            connection.exec_driver_sql(f"VACUUM (INDEX_CLEANUP ON) {names}")
            connection.exec_driver_sql(f"VACUUM (FULL) {keys}")
            if self._is_closed:  # meanwhile, and the pool is not there any more
                connection.invalidate()
        return True

    def close(self) -> None:
        """Close every connection; the lock goes with the one that writes."""
        self._is_closed = True
        for engine in (self.reading, self._tending, self.writing):
            engine.dispose()

    def _share(self, connection: Any) -> None:  # noqa: ANN401 - psycopg's
        """Make a new session one of those that write in turns.

        Raises:
            StorageError: as `_lock`.
        """
        _lock(connection, _SHARE)
        most = f"{limits.FRONT_END_STALL_SECONDS}s"
        connection.execute(f"SET idle_in_transaction_session_timeout = '{most}'")
        connection.execute(_OWN, (_own_lock(self._front_end or b""),))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the operator at once why the database cannot be opened."""
        try:
            yield
        except StorageError as error:
            raise ConfigurationError(
                error.reason, f"`{self}`: {error.message}"
            ) from error
        except exc.DBAPIError as error:
            why = " ".join(str(error.orig).split())
            raise ConfigurationError(
                "DATABASE_UNREACHABLE",
                f"`{self}` cannot be opened: {why}; see [store] database",
            ) from error

    def _engine(
        self,
        begin: str | None,
        connections: int,
        prepare: Callable[[Any], None] = lambda _: None,
    ) -> sa.Engine:
        """Return an engine with a bounded pool; no connection is made yet."""

        def connect() -> Any:  # noqa: ANN401 - psycopg's, which may be missing
            connection = engine.dialect.loaded_dbapi.connect(self._url, **_CONNECT)
            try:
                connection.execute(_EVERY_SESSION, prepare=False)
                busy = round(1000 * limits.STORE_BUSY_SECONDS)
                connection.execute(f"SET lock_timeout = {busy}", prepare=False)
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

        try:
            engine = sa.create_engine(
                "postgresql+psycopg://",
                creator=connect,
                poolclass=sa.QueuePool,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=limits.STORE_BUSY_SECONDS,
                hide_parameters=True,  # values are a holder's and belong in no message
            )
        except ImportError as error:  # of the driver, or of libpq by the driver
            raise ConfigurationError(
                "EXTRA_MISSING",
                "PostgreSQL needs its driver; run `pip install"
                " 'regional-biometrics-exchange[postgres]'`",
            ) from error
        sa.event.listen(engine, "handle_error", _hide_values)
        if begin is not None:

            @sa.event.listens_for(engine, "begin")
            def _begin(connection: sa.Connection) -> None:
                connection.exec_driver_sql(begin)

        return engine


def insert_columns(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
) -> None:
    """Insert one or more rows; see `databases.insert_columns`.

    A column is one parameter, an array: there can be no more than 65,535 parameters,
    and a chunk may have more values. The statement is always the same, so the server
    plans it once.
    """
    statement = _insertion(table, tuple(columns), connection.dialect)
    arrays = tuple(list(values) for values in columns.values())
    connection.exec_driver_sql(statement, arrays)


@lru_cache
def _insertion(table: sa.Table, names: tuple[str, ...], dialect: sa.Dialect) -> str:
    """Return an INSERT of one array for each column; `%b` is sent as binary."""
    types = (table.c[name].type.compile(dialect) for name in names)
    arrays = ", ".join(f"CAST(%b AS {of}[])" for of in types)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)})"  # noqa: S608 - of our tables
        f" SELECT * FROM unnest({arrays})"
    )


def find_lookups(
    connection: sa.Connection,
    column: sa.Column[Any],
    member: str,
    lookups: Sequence[bytes],
) -> Sequence[tuple[bytes, Any]]:
    """Find rows of a member; see `databases.find_lookups`."""
    statement = (
        f"SELECT lookup, {column.name} FROM {column.table}"  # noqa: S608 - ours
        " WHERE member = %s AND lookup = ANY(%b)"
    )
    found = connection.exec_driver_sql(statement, (member, list(lookups))).all()
    return [(lookup, value) for lookup, value in found]


def _check(connection: Any) -> None:  # noqa: ANN401 - psycopg's
    """Refuse a server that would not keep what it says it keeps.

    Raises:
        StorageError: it is too old (`DATABASE_TOO_OLD`), its text is not Unicode
            (`WRONG_ENCODING`), or a crash may cost what it has acknowledged
            (`DATABASE_UNSAFE`).
    """
    version, encoding, is_unsafe = connection.execute(_SERVER).fetchone()
    if version < _OLDEST_SERVER:
        raise StorageError(
            "DATABASE_TOO_OLD",
            f"the server is of version {version // 10_000}; PostgreSQL"
            f" {_OLDEST_SERVER // 10_000} or later is needed",
        )
    if encoding != "UTF8":
        raise StorageError(
            "WRONG_ENCODING",
            f"the database's encoding is `{encoding}`; make one with encoding `UTF8`",
        )
    if is_unsafe:
        raise StorageError(
            "DATABASE_UNSAFE",
            "a crash of the server may lose what it has acknowledged: set `fsync` and"
            " `full_page_writes` to `on`, and `data_sync_retry` to `off`",
        )


def _own_lock(front_end: bytes) -> int:
    """Return the number of the lock that a front end has as long as it can write."""
    return int.from_bytes(front_end[:8], signed=True)


def _lock(connection: Any, take: str = _TAKE) -> None:  # noqa: ANN401 - psycopg's
    """Make a new session the one that writes.

    An earlier session may have something under way, a commit even, and the server may
    not have noticed yet that its client is gone: the lock is waited for a while.

    Raises:
        StorageError: another one has the lock (`DATABASE_IN_USE`), or as `_check`.
    """
    _check(connection)
    try:
        connection.execute(take)
    except Exception as error:
        if getattr(error, "sqlstate", None) == "55P03":  # waited for too long
            raise StorageError(*_IN_USE) from error
        raise


def _prove(connection: sa.Connection) -> None:
    """Refuse a transaction while another session has the lock.

    It can, where something between the exchange and the server shares sessions.
    """
    if not connection.exec_driver_sql(_PROVE).scalar_one():
        raise StorageError(*_IN_USE)


def _take_turn(connection: sa.Connection) -> None:
    """Wait until no other front end writes; what is read from here on is the newest.

    Raises:
        StorageError: somebody has the database for itself.
    """
    if not connection.exec_driver_sql(_PROVE_SHARED).one()[0]:
        raise StorageError(*_IN_USE)


def _refuse_aborted(connection: sa.Connection) -> None:
    """Refuse to commit what the server would undo, and say that it is committed.

    So it answers a COMMIT after a statement that failed.
    """
    raw: Any = connection.connection.dbapi_connection
    status = raw.info.transaction_status
    if status != type(status).INTRANS and not raw.closed:
        raise DefectError("TRANSACTION_ABORTED", "a failed transaction was committed")


def _hide_values(context: sa.ExceptionContext) -> None:
    """Leave of the server's message its condition: it quotes the values of rows."""
    error = context.original_exception
    state = getattr(error, "sqlstate", None)
    if state is None:  # of libpq itself, about the connection
        return
    told = f"({type(error).__name__}) SQLSTATE {state}"
    error.args = (told,)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (told,)
