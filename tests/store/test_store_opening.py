"""Opening a store: what is refused, what is brought up to date, what is left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import START, Shelf, definitions

from biometrics import limits
from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError, DefectError, StorageError
from biometrics.store import open_store, upgrade
from biometrics.store.database import make_writer_engine
from biometrics.store.schema import METADATA

if TYPE_CHECKING:
    from pathlib import Path

OPEN = """
import sys
from pathlib import Path
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError
from biometrics.store import open_store, upgrade
try:
    open_store(Path(sys.argv[1]), SystemClock()).close()
    print("opened")
except ConfigurationError as error:
    print(error.reason)
"""


def refused(path: Path) -> str:
    """Return the reason for which a database is refused."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(path, ManualClock(START))
    assert str(path) in caught.value.message
    return caught.value.reason


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    """A migrated database has the definitions of `schema.py`, letter by letter."""
    open_store(tmp_path / "migrated", ManualClock(START)).close()
    (tmp_path / "made").touch()
    engine = make_writer_engine(tmp_path / "made")
    with engine.begin() as connection:
        METADATA.create_all(connection)
    engine.dispose()
    assert definitions(tmp_path / "migrated") == definitions(tmp_path / "made")


def test_a_store_opens_again_with_what_it_holds(tmp_path: Path) -> None:
    """In a folder whose name has what URLs and configuration files treat apart."""
    folder = tmp_path / "100% ?a#b &c=d"
    folder.mkdir()
    path = folder / "exchange.sqlite"
    shelf = Shelf(path)
    shelf.enrol("A")
    shelf.store.close()
    with open_store(path, ManualClock(START)) as store:
        assert store.journal.end() == 1
    assert sorted(file.name for file in folder.iterdir()) == [
        "exchange.sqlite",
        "exchange.sqlite.lock",
    ]


def test_only_the_owner_may_read_the_files(shelf: Shelf) -> None:
    """The database and what stands beside it have mode 0600."""
    shelf.enrol("A")
    files = list(shelf.path.parent.iterdir())
    assert len(files) == 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_writer_flushes_every_commit_and_overwrites_what_it_deletes(
    shelf: Shelf,
) -> None:
    """The settings that durability and erasure rest on are in force."""
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "page_size": 8192,
    }
    found = shelf.store._writer.run(
        lambda connection: {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in wanted
        }
    )
    assert found == wanted


def test_readers_cannot_write(shelf: Shelf) -> None:
    """Their connections are read-only, whatever statement they are given."""
    with (
        shelf.store._reading.connect() as connection,
        pytest.raises(sa.exc.OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM counter")


def test_a_second_store_is_refused(shelf: Shelf) -> None:
    """Within the process, and in another one; reads by others go on."""
    shelf.enrol("A")
    assert refused(shelf.path) == "DATABASE_IN_USE"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OPEN, str(shelf.path)]
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "DATABASE_IN_USE"
    reader = sqlite3.connect(shelf.path)
    assert reader.execute("SELECT count(*) FROM record").fetchone() == (1,)
    reader.close()
    shelf.store.close()
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "opened"


def test_a_newer_schema_is_refused(shelf: Shelf) -> None:
    """A database that a later version wrote is left alone, and can be named again."""
    shelf.store.close()
    connection = sqlite3.connect(shelf.path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = shelf.path.read_bytes()
    assert refused(shelf.path) == "NEWER_SCHEMA"
    assert refused(shelf.path) == "NEWER_SCHEMA"  # the lock was given back
    assert shelf.path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """It is not written to, not even its journal mode."""
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (value)")
    connection.close()
    before = path.read_bytes()
    assert refused(path) == "FOREIGN_DATABASE"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"x" * 100_000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """Short or long, it stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert refused(path) == "NOT_A_DATABASE"
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, or is the path itself."""
    assert refused(tmp_path / "nowhere" / "exchange.sqlite") == "DATABASE_UNREACHABLE"
    assert refused(tmp_path) == "DATABASE_UNREACHABLE"


def test_a_failed_migration_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations are one transaction; the next start makes them again."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    path = tmp_path / "exchange.sqlite"
    path.touch()

    def fail(_: sa.Connection) -> None:
        raise ZeroDivisionError

    sa.event.listen(sa.Engine, "commit", fail)
    try:
        with pytest.raises(ZeroDivisionError):
            open_store(path, ManualClock(START))
    finally:
        sa.event.remove(sa.Engine, "commit", fail)
    assert definitions(path) == set()
    Shelf(path).store.close()


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_a_database_held_by_another_program_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    """Opening tells that it is busy, and works once it is free."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.05)
    path = tmp_path / "exchange.sqlite"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute(begin)
    with pytest.raises(StorageError) as caught:
        open_store(path, ManualClock(START))
    assert caught.value.reason == "STORAGE_BUSY"
    holder.close()
    Shelf(path).store.close()


def test_a_damaged_database_is_a_defect(shelf: Shelf) -> None:
    """Pages of noise are told as damage, not as an empty answer."""
    shelf.enrol(*(f"R{n}" for n in range(100)))
    shelf.store.close()
    content = bytearray(shelf.path.read_bytes())
    noise = b"\xa5" * (len(content) - 3 * 8192)
    content[3 * 8192 :] = noise
    shelf.path.write_bytes(content)
    with open_store(shelf.path, ManualClock(START)) as store:
        with pytest.raises(DefectError) as caught:
            store.journal.changes(0, 10)
        assert caught.value.reason == "STORAGE_DAMAGED"


ANEW = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "0003", None, None
def upgrade():
    with op.batch_alter_table("record", recreate="always") as table:
        table.add_column(sa.Column("more", sa.Text))
"""
ORPHANS = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "0003", None, None
def upgrade():
    op.execute("DELETE FROM record")
"""


def migrated_by(
    shelf: Shelf, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open a closed store by a program that has one migration more."""
    shutil.copytree(upgrade._MIGRATIONS, folder)
    (folder / "versions" / "next.py").write_text(text)
    monkeypatch.setattr(upgrade, "_MIGRATIONS", folder)
    shelf.store.close()
    with open_store(shelf.path, ManualClock(START)) as store:
        (change,) = store.journal.changes(0, 10)
        assert len(change.templates) == 1


def test_a_table_that_is_made_anew_keeps_every_row_that_refers_to_it(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration of `record` loses no template, and references count afterwards."""
    shelf.enrol("A")
    migrated_by(shelf, ANEW, tmp_path / "migrations", monkeypatch)
    engine = make_writer_engine(shelf.path)
    upgrade.upgrade(shelf.path, engine, engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_migration_that_leaves_orphans_changes_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused as our defect, and the version before goes on."""
    shelf.enrol("A")
    with pytest.raises(DefectError) as caught:
        migrated_by(shelf, ORPHANS, tmp_path / "migrations", monkeypatch)
    assert caught.value.reason == "MIGRATION_BROKE_REFERENCES"
    monkeypatch.undo()
    with open_store(shelf.path, ManualClock(START)) as store:
        assert len(store.journal.changes(0, 10)[0].templates) == 1
