"""Brings a database to the schema of this program; Alembic does the work.

The configuration is made here, so that no ini file has to be found at run time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from biometrics.store.databases import Database

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Run the migrations that a database lacks, all in one transaction.

    A database that is refused is not written to, not even its journal mode.

    Args:
        database: held by this process.

    Raises:
        ConfigurationError: a later version of this program has written the
            database, or something else has.
        DefectError: a migration is wrong; nothing of it was kept.
    """
    if not is_current(database):
        with database.migrating() as connection:
            migrate(connection)


def migrate(connection: sa.Connection, schema: str = "head") -> None:
    """Run the migrations that a database lacks up to a schema.

    Args:
        connection: of `Database.migrating`.
        schema: revision of a schema.
    """
    config = _configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, schema)


def refuse_unknown(schema: str) -> None:
    """Refuse a schema that this program cannot bring up to date.

    Raises:
        ConfigurationError: a later version wrote it.
    """
    scripts = ScriptDirectory.from_config(_configuration())
    _refuse("the backup", {schema}, {s.revision for s in scripts.walk_revisions()})


def is_current(database: Database) -> bool:
    """Say whether a database has the schema of this program; writes nothing.

    Raises:
        ConfigurationError: as `upgrade`.
    """
    scripts = ScriptDirectory.from_config(_configuration())
    with database.reading.connect() as connection:
        heads = set(MigrationContext.configure(connection).get_current_heads())
        tables = sa.inspect(connection).get_table_names()
    _refuse(database, heads, {script.revision for script in scripts.walk_revisions()})
    if tables and not heads:
        raise ConfigurationError(
            "FOREIGN_DATABASE",
            f"`{database}` is a database of something else; name another one",
        )
    return heads == set(scripts.get_heads())


def _configuration() -> Config:
    """Return where Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse(database: Database | str, heads: set[str], known: set[str]) -> None:
    """Refuse revisions that this program has not heard of."""
    if heads <= known:
        return
    revision = min(heads - known)
    raise ConfigurationError(
        "NEWER_SCHEMA",
        f"`{database}` has schema `{revision[:32]}` of a later version; start that"
        " version, or restore the backup made before the upgrade",
    )
