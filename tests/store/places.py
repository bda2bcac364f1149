"""Where a store may be: what a test needs to do there behind the store's back."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa
    from postgres_server import PostgresServer

# Columns, constraints and indexes, as PostgreSQL itself would write them.
DEFINITIONS = """
    SELECT 'column', c.relname || '.' || a.attname,
        format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
        || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
        AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'
    UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname,
        pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


class Place(Protocol):
    """A database that tests may have for themselves."""

    where: Path | str

    def edit(self, script: str) -> None:
        """Change the database behind the store's back; references do not count."""

    def definitions(self) -> set[tuple[str, str, str]]:
        """Return type, name and definition of everything in the database."""

    def defer_references(self, connection: sa.Connection) -> None:
        """Let `reference_record` break its reference until the commit."""

    def other(self, name: str) -> Place:
        """Return another place of the kind, in which there is nothing yet."""


class SqlitePlace:
    """A file."""

    def __init__(self, path: Path) -> None:
        """Take a file that is there or not."""
        self.where = path

    def edit(self, script: str) -> None:
        """Run a script."""
        connection = sqlite3.connect(self.where)
        connection.executescript(script)
        connection.close()

    def definitions(self) -> set[tuple[str, str, str]]:
        """Return what `sqlite_master` says."""
        connection = sqlite3.connect(self.where)
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
        found = {
            (kind, name, " ".join((sql or "").split()))
            for kind, name, sql in rows.fetchall()
            if "alembic_version" not in name
        }
        connection.close()
        return found

    def defer_references(self, connection: sa.Connection) -> None:
        """Defer all of this transaction."""
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")

    def other(self, name: str) -> SqlitePlace:
        """Return a file beside this one."""
        return SqlitePlace(self.where.with_name(f"{name}.sqlite"))


class PostgresPlace:
    """A database of the tests' server."""

    def __init__(self, server: PostgresServer) -> None:
        """Make a database."""
        self.server = server
        self.where = server.make()
        self._others: list[PostgresPlace] = []

    def edit(self, script: str) -> None:
        """Run a script."""
        self.run(f"SET session_replication_role = replica; {script}")

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run statements; return the rows of the last one."""
        return self.server.run(self.where, statement)

    def definitions(self) -> set[tuple[str, str, str]]:
        """Return what the catalogues say."""
        return set(self.run(DEFINITIONS))  # type: ignore[arg-type] - three texts

    def defer_references(self, connection: sa.Connection) -> None:
        """Make the constraint one that can wait."""
        connection.exec_driver_sql(
            "ALTER TABLE reference_record ALTER CONSTRAINT"
            " reference_record_reference_digest_fkey DEFERRABLE INITIALLY DEFERRED"
        )

    def other(self, _name: str) -> PostgresPlace:
        """Return another database of the server."""
        self._others.append(PostgresPlace(self.server))
        return self._others[-1]

    def take_back(self) -> None:
        """Give the databases back."""
        for place in (self, *self._others):
            self.server.take_back(place.where)
