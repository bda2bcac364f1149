"""Opening a store: what is refused, what is brought up to date, what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import START, XAA, Shelf, digest

from biometrics import limits
from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError, StorageError
from biometrics.store import inspect_store, open_store
from biometrics.store.databases import database_at
from biometrics.store.schema import METADATA

if TYPE_CHECKING:
    from store.places import Place

OPEN = """
import sys
from pathlib import Path
from biometrics import limits
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError
from biometrics.store import open_store
limits.STORE_BUSY_SECONDS = 0.2
where = sys.argv[1]
try:
    open_store(where if "://" in where else Path(where), SystemClock()).close()
    print("opened")
except ConfigurationError as error:
    print(error.reason)
"""


def opened_elsewhere(place: Place) -> str:
    """Return what another process is told when it opens a store."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OPEN, str(place.where)]
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def refused(place: Place) -> str:
    """Return the reason for which a database is refused."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(place.where, ManualClock(START))
    assert str(place.where) in caught.value.message
    return caught.value.reason


def test_migrations_make_exactly_the_schema(place: Place) -> None:
    """A migrated database has the definitions of `schema.py`, letter by letter."""
    open_store(place.where, ManualClock(START)).close()
    other = place.other("made")
    made = database_at(other.where)
    made.hold()
    with made.writing.begin() as connection:
        METADATA.create_all(connection)
    made.close()
    assert place.definitions() == other.definitions() != set()


def test_readers_cannot_write(shelf: Shelf) -> None:
    """Their connections are read-only, whatever statement they are given."""
    with (
        shelf.reading.connect() as connection,
        pytest.raises((sa.exc.OperationalError, sa.exc.InternalError)),
    ):
        connection.exec_driver_sql("DELETE FROM counter")
    assert shelf.count("counter") == 1


def test_readers_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every reading connection in use the next read is refused in time."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(limits, "READ_CONNECTIONS", 1)
    shelf = Shelf(place)
    with (
        shelf.reading.connect(),
        pytest.raises(StorageError) as caught,
    ):
        shelf.store.answers.find(XAA, shelf.fresh(), digest("m"))
    assert caught.value.reason == "STORAGE_BUSY"
    assert shelf.store.journal.end() == 0
    shelf.store.close()


def test_a_second_store_is_refused(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the process, and in another one; reads by others go on."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.2)
    shelf.enrol("A")
    assert refused(shelf.place) == "DATABASE_IN_USE"
    assert opened_elsewhere(shelf.place) == "DATABASE_IN_USE"
    with inspect_store(shelf.place.where) as found:
        assert found is not None
        assert found.journal.end() == 1
    shelf.store.close()
    assert opened_elsewhere(shelf.place) == "opened"


def test_a_newer_schema_is_refused(shelf: Shelf) -> None:
    """A database that a later version wrote is left alone, and can be named again."""
    shelf.store.close()
    shelf.place.edit("UPDATE alembic_version SET version_num = '9999'")
    before = shelf.place.definitions()
    assert refused(shelf.place) == "NEWER_SCHEMA"
    assert refused(shelf.place) == "NEWER_SCHEMA"  # the lock was given back
    assert shelf.place.definitions() == before


def test_another_programs_database_is_refused(place: Place) -> None:
    """Nothing is made in it."""
    place.edit("CREATE TABLE other (value INTEGER)")
    before = place.definitions()
    assert refused(place) == "FOREIGN_DATABASE"
    assert place.definitions() == before


def test_nothing_is_found_where_nothing_was_made(place: Place) -> None:
    """Whoever only looks makes nothing either."""
    with inspect_store(place.where) as found:
        assert found is None
    assert place.definitions() == set()


def test_a_failed_migration_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations are one transaction; the next start makes them again."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.2)

    def fail(_: sa.Connection) -> None:
        raise ZeroDivisionError

    sa.event.listen(sa.Engine, "commit", fail)
    try:
        with pytest.raises(ZeroDivisionError):
            open_store(place.where, ManualClock(START))
    finally:
        sa.event.remove(sa.Engine, "commit", fail)
    assert place.definitions() == set()
    Shelf(place).store.close()
