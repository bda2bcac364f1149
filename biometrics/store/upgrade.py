"""Brings a database to the schema of this program; Alembic does the work.

The configuration is made here, so that no ini file has to be found at run time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from biometrics.errors import ConfigurationError, DefectError
from biometrics.store.database import unenforced

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(path: Path, reading: sa.Engine, writing: sa.Engine) -> None:
    """Run the migrations that a database lacks, all in one transaction.

    A database that is refused is not written to, not even its journal mode.

    Args:
        path: the database, for messages.
        reading: an engine of read-only connections to it.
        writing: the writer's engine.

    Raises:
        ConfigurationError: a later version of this program has written the
            database, or something else has.
        DefectError: a migration is wrong; nothing of it was kept.
    """
    if not is_current(path, reading):
        config = _configuration()
        with unenforced(writing), writing.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _check_references(connection)


def is_current(path: Path, reading: sa.Engine) -> bool:
    """Say whether a database has the schema of this program; writes nothing.

    Raises:
        ConfigurationError: as `upgrade`.
    """
    scripts = ScriptDirectory.from_config(_configuration())
    with reading.connect() as connection:
        heads = set(MigrationContext.configure(connection).get_current_heads())
        tables = sa.inspect(connection).get_table_names()
    _refuse(path, heads, {script.revision for script in scripts.walk_revisions()})
    if tables and not heads:
        raise ConfigurationError(
            "FOREIGN_DATABASE",
            f"`{path}` is a database of something else; name another file",
        )
    return heads == set(scripts.get_heads())


def _check_references(connection: sa.Connection) -> None:
    """Refuse to commit a migration that left rows without what they refer to."""
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise DefectError(
            "MIGRATION_BROKE_REFERENCES",
            "the upgrade of the database failed and changed nothing: start the version"
            " before, and report this",
        )


def _configuration() -> Config:
    """Return where Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse(path: Path, heads: set[str], known: set[str]) -> None:
    """Refuse revisions that this program has not heard of."""
    if heads <= known:
        return
    revision = min(heads - known)
    raise ConfigurationError(
        "NEWER_SCHEMA",
        f"`{path}` has schema `{revision[:32]}` of a later version; start that version,"
        " or restore the backup made before the upgrade",
    )
