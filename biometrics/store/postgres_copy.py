"""Copies of a PostgreSQL database: made while it is written to, restored as a whole.

By COPY in its binary form, all tables in one transaction that sees one moment, and back
in one transaction of the session that holds the lock. Not by `pg_dump`: a machine that
serves the exchange need not have the server's programs, let alone of its version, and
what a restore does after loading (withdrawals done again) has to be in the same
transaction, or a stop in between would leave people in the database that were taken out
of it. Whoever keeps the server backs it up by its own means as well: `pg_basebackup`
and an archive of its log lose less.

Source: PostgreSQL, "COPY" and "Transaction Isolation: Repeatable Read".
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics.errors import ConfigurationError
from biometrics.files import write_new
from biometrics.store.moment import moment_of
from biometrics.store.postgres import PostgresDatabase
from biometrics.store.schema import METADATA
from biometrics.store.upgrade import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from biometrics.store.moment import Moment

CONTENTS: Final = "tables.json"
_VERSIONS: Final = "alembic_version"
_PIECE_BYTES: Final = 1024 * 1024

_COLUMNS: Final = sa.text("""
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position
""")
# What numbers rows: a number that was given once is never given again.
_SEQUENCES: Final = sa.text("""
    SELECT sequencename, last_value FROM pg_sequences
    WHERE schemaname = current_schema() AND last_value IS NOT NULL
""")


def write_copy(source: str, folder: Path) -> Moment:
    """Write a database as it is at one moment into files of a folder.

    Raises:
        OSError: they cannot be written.
        SQLAlchemyError: the database cannot be read.
    """
    database = PostgresDatabase(source)
    try:
        with database.reading.connect() as connection:
            tables = _tables(connection)
            for name, columns in tables.items():
                _write_table(connection, name, columns, folder)
            rows = connection.execute(_SEQUENCES)
            sequences = {row.sequencename: row.last_value for row in rows}
            moment = moment_of(connection)
        contents = json.dumps({"tables": tables, "sequences": sequences}, indent=1)
        write_new(folder / CONTENTS, [contents.encode()])
        return moment
    finally:
        database.close()


@contextmanager
def restoring(url: str, folder: Path, schema: str) -> Iterator[sa.Connection]:
    """Fill a database from a copy; see `backups.restoring`.

    The tables are made as they were, and brought up to date with the rows in them.
    """
    database = PostgresDatabase(url)
    contents = json.loads((folder / CONTENTS).read_bytes())
    try:
        database.hold()
        with database.migrating() as connection:
            if connection.execute(_COLUMNS).first() is not None:
                raise ConfigurationError(
                    "DATABASE_EXISTS",
                    f"`{database}` has tables, and nothing is overwritten; make an"
                    " empty database and name that in [store] database",
                )
            migrate(connection, schema)
            # Rows that a migration made are in the copy as they became.
            for name in reversed(contents["tables"]):
                connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - ours
            for name, columns in contents["tables"].items():
                _load_table(connection, name, columns, folder)
            for name, last in contents["sequences"].items():
                connection.execute(
                    sa.text("SELECT setval(CAST(:name AS regclass), :last)"),
                    {"name": name, "last": last},
                )
            migrate(connection)
            # Or the server would plan by what it knew of empty tables.
            connection.exec_driver_sql(f"ANALYZE {', '.join(_tables(connection))}")
            yield connection
    finally:
        database.close()


def _tables(connection: sa.Connection) -> dict[str, list[str]]:
    """Return the columns of every table, a table after those that it refers to."""
    found: dict[str, list[str]] = {}
    for name, column in connection.execute(_COLUMNS):
        found.setdefault(name, []).append(column)
    found.pop(_VERSIONS, None)
    order = [table.name for table in METADATA.sorted_tables]
    known = [name for name in order if name in found]
    return {name: found[name] for name in [*known, *sorted(set(found) - set(known))]}


def _write_table(
    connection: sa.Connection, name: str, columns: list[str], folder: Path
) -> None:
    """Write the rows of a table into a file."""
    asked = f"COPY {name} ({', '.join(columns)}) TO STDOUT (FORMAT binary)"
    with _copying(connection, asked) as copy:
        write_new(_file_of(folder, name), copy)


def _load_table(
    connection: sa.Connection, name: str, columns: list[str], folder: Path
) -> None:
    """Fill a table from a file."""
    told = f"COPY {name} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    with _file_of(folder, name).open("rb") as file, _copying(connection, told) as copy:
        while piece := file.read(_PIECE_BYTES):
            copy.write(piece)


@contextmanager
def _copying(connection: sa.Connection, statement: str) -> Iterator[Any]:
    """Copy in the connection's transaction; what fails is an error of SQLAlchemy's."""
    raw: Any = connection.connection.dbapi_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            yield copy
    except connection.dialect.loaded_dbapi.Error as error:
        raise sa.exc.DBAPIError(statement, None, error, hide_parameters=True) from error


def _file_of(folder: Path, table: str) -> Path:
    """Return where the rows of a table are."""
    return folder / f"{table}.rows"
