"""Opening a file: what is refused, what is brought up to date, what is left alone."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from store.places import SqlitePlace
from store.shelf import START, Shelf

from biometrics import limits
from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError, DefectError, StorageError
from biometrics.store import inspect_store, open_store, upgrade
from biometrics.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from pathlib import Path


def refused(path: Path) -> str:
    """Return the reason for which a database is refused."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(path, ManualClock(START))
    assert str(path) in caught.value.message
    return caught.value.reason


@pytest.fixture
def shelf(sqlite_shelf: Shelf) -> Shelf:
    """Return an open store in a file."""
    return sqlite_shelf


def test_a_store_opens_again_with_what_it_holds(tmp_path: Path) -> None:
    """In a folder whose name has what URLs and configuration files treat apart."""
    folder = tmp_path / "100% ?a#b &c=d"
    folder.mkdir()
    path = folder / "exchange.sqlite"
    shelf = Shelf(SqlitePlace(path))
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
    Shelf(SqlitePlace(path)).store.close()


def test_a_damaged_database_is_a_defect(shelf: Shelf) -> None:
    """Pages of noise are told as damage, not as an empty answer."""
    shelf.enrol(*(f"R{n}" for n in range(100)))
    shelf.store.close()
    content = bytearray(shelf.path.read_bytes())
    noise = b"\xa5" * (len(content) - 3 * 8192)
    content[3 * 8192 :] = noise
    shelf.path.write_bytes(content)
    with (
        pytest.raises(DefectError) as caught,
        open_store(shelf.path, ManualClock(START)) as store,
    ):
        store.journal.changes(0, 10)
    assert caught.value.reason == "STORAGE_DAMAGED"


def test_what_sqlite_cannot_say_in_words_is_damage_too(shelf: Shelf) -> None:
    """Its message quotes the schema, of which damage has left no text."""

    def opened() -> None:
        with inspect_store(shelf.path):
            pass

    shelf.store.close()
    connection = sqlite3.connect(shelf.path)
    connection.execute("PRAGMA writable_schema = ON")
    noise = "UPDATE sqlite_master SET sql = CAST(X'f028' AS TEXT) WHERE name = 'record'"
    connection.execute(noise)
    connection.commit()
    connection.close()
    for look in (lambda: open_store(shelf.path, ManualClock(START)), opened):
        with pytest.raises(DefectError) as caught:
            look()
        assert caught.value.reason == "STORAGE_DAMAGED"


ANEW = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "more", "{head}", None, None
def upgrade():
    with op.batch_alter_table("record", recreate="always") as table:
        table.add_column(sa.Column("more", sa.Text))
"""
ORPHANS = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "more", "{head}", None, None
def upgrade():
    op.execute("DELETE FROM record")
"""


def migrated_by(
    shelf: Shelf, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open a closed store by a program that has one migration more."""
    shutil.copytree(upgrade._MIGRATIONS, folder)
    head = ScriptDirectory(str(folder)).get_current_head()
    (folder / "versions" / "more.py").write_text(text.replace("{head}", head or ""))
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
    database = SqliteDatabase(shelf.path)
    upgrade.upgrade(database)
    with database.writing.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


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


@pytest.mark.parametrize(
    ("noted", "found", "is_behind"),
    [
        ("00000000000000000007\n", 7, False),
        ("00000000000000000007\n", 8, False),  # the note of the last one was lost
        ("00000000000000000007\n", 6, True),
        ("00000000000000000000\n", 2**31 - 1, True),  # numbers begin again
        ("00000000002147483647\n", 0, False),
        ("", 6, False),
        ("7\n", 6, False),
    ],
)
def test_a_database_that_lacks_commits_is_refused(
    sqlite_place: SqlitePlace, noted: str, found: int, *, is_behind: bool
) -> None:
    """Those that were noted beside it; what is not known is not held against it."""
    Shelf(sqlite_place).store.close()
    sqlite_place.edit(f"PRAGMA user_version = {found}")
    sqlite_place.where.with_name(f"{sqlite_place.where.name}.lock").write_text(noted)
    if not is_behind:
        Shelf(sqlite_place).store.close()
        return
    with pytest.raises(ConfigurationError) as caught:
        Shelf(sqlite_place)
    assert caught.value.reason == "DATABASE_BEHIND"


def test_every_commit_is_noted_beside_the_database(sqlite_shelf: Shelf) -> None:
    """Once it is made, and before it is acknowledged; a copy from before is refused."""
    sqlite_shelf.enrol("A")
    sqlite_shelf.store.erase()
    before = sqlite_shelf.path.read_bytes()
    sqlite_shelf.enrol("B")
    sqlite_shelf.store.close()
    sqlite_shelf.path.write_bytes(before)
    with pytest.raises(ConfigurationError) as caught:
        Shelf(sqlite_shelf.place)
    assert caught.value.reason == "DATABASE_BEHIND"


def test_the_number_of_a_commit_that_failed_is_not_counted_on(
    sqlite_shelf: Shelf,
) -> None:
    """The next one has the number after that which the database has."""

    def broken(_: sa.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    sqlite_shelf.enrol("A")
    before = number_of(sqlite_shelf)
    sa.event.listen(sqlite_shelf.writing, "commit", broken)
    with pytest.raises(DefectError):
        sqlite_shelf.enrol("B")
    sa.event.remove(sqlite_shelf.writing, "commit", broken)
    sqlite_shelf.store.log.note_members([])  # changes no row, and has no number
    sqlite_shelf.enrol("B")
    assert number_of(sqlite_shelf) == before + 1


def number_of(shelf: Shelf) -> int:
    """Return the number of the last commit, as the database has it."""
    with shelf.writing.connect() as connection:
        found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        return found
