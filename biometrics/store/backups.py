"""Copies of whole databases, of either kind, each of one moment."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biometrics.store import postgres_copy, sqlite_copy
from biometrics.store.databases import database_at
from biometrics.store.failures import DATABASE_ERRORS, translated
from biometrics.store.moment import moment_of, nothing_stored
from biometrics.store.restrictions import restrictions
from biometrics.store.upgrade import is_current, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from biometrics.store.databases import Database
    from biometrics.store.moment import Moment


def write_copy(where: Path | str, folder: Path) -> Moment:
    """Copy a database into new files of a folder, while others write to it.

    Every row is as it was at the moment that is returned. The files are durable.

    Raises:
        ConfigurationError: there is nothing in it, or it cannot be opened.
        StorageError: it cannot be read now, or the disk is full.
        DefectError: it is damaged.
        OSError: a file cannot be written.
    """
    with _opened(where), translated():
        if isinstance(where, Path):
            return sqlite_copy.write_copy(where, folder)
        return postgres_copy.write_copy(where, folder)


@contextmanager
def restoring(where: Path | str, folder: Path, schema: str) -> Iterator[sa.Connection]:
    """Fill a database that has nothing in it from a copy, whole or not at all.

    It is held meanwhile. Nobody sees any of it before the block ends, and nothing is
    left of it if the block, or the process, does not come to its end.

    Args:
        where: of the kind that was copied.
        folder: of the files.
        schema: revision of their tables.

    Yields:
        The connection of the one transaction, in the schema of this program.

    Raises:
        ConfigurationError: there is something in the database (`DATABASE_EXISTS`), an
            exchange holds it (`DATABASE_IN_USE`), or a later version wrote the copy
            (`NEWER_SCHEMA`).
        StorageError: it cannot be written now.
    """
    refuse_unknown(schema)
    filling = (
        sqlite_copy.restoring(where, folder)
        if isinstance(where, Path)
        else postgres_copy.restoring(where, folder, schema)
    )
    with translated(), filling as connection:
        yield connection


@contextmanager
def restrictions_of(
    where: Path | str,
) -> Iterator[tuple[Moment, Iterator[dict[str, Any]]]]:
    """Give what holders took back, as of one moment, beside a running exchange.

    Raises:
        ConfigurationError: there is nothing in the database, or it cannot be opened.
        StorageError: it cannot be read now.
    """
    with (
        _opened(where) as database,
        translated(),
        database.reading.connect() as connection,
    ):
        yield moment_of(connection), restrictions(connection)


@contextmanager
def _opened(where: Path | str) -> Iterator[Database]:
    """Open a database for reading; refuse one that is not this program's."""
    database = database_at(where)
    try:
        try:
            if not database.is_there():
                raise nothing_stored()
            is_current(database)  # or one before it, or it is refused
        except DATABASE_ERRORS as error:
            raise database.refusal(error) from error
        yield database
    finally:
        database.close()
