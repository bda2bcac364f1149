"""A database that an earlier version has written goes on where it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from store.shelf import START, XAA, XBB, XCC, Shelf, digest

from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError
from biometrics.sealed import NewGalleryKey
from biometrics.store import inspect_store, open_store, upgrade
from biometrics.store.backups import restoring, write_copy
from biometrics.store.moment import moment_of
from biometrics.store.rows import ChangeKind

KILLS = int(os.environ.get("MIGRATION_KILLS", "2"))
SEED = int(os.environ.get("MIGRATION_SEED", "0"))
MOST_SECONDS_TO_LIVE = 0.5
UPGRADE = """\
import sys, time
from pathlib import Path
from biometrics.clock import SystemClock
from biometrics.store import open_store
print("ready", flush=True)
open_store(Path(sys.argv[1]), SystemClock())
time.sleep(60)
"""
FIRST = ("first_schema.py",)
SECOND = (*FIRST, "withdrawn_templates.py")
FILL = """
    ATTACH '{now}' AS now;
    DELETE FROM counter;
    INSERT INTO counter SELECT * FROM now.counter;
    INSERT INTO gallery_key SELECT * FROM now.gallery_key;
    INSERT INTO gallery SELECT * FROM now.gallery;
    INSERT INTO tombstone SELECT member, lookup, withdrawn_at FROM now.tombstone;
    INSERT INTO template SELECT * FROM now.template;
    INSERT INTO reply SELECT * FROM now.reply;
    INSERT INTO record SELECT number, record_id, member, lookup, content_digest,
        reference_key_id, reference_wrapped_key, reference_ciphertext, generation,
        excluded, legal_basis, enrolled_at, expires_at, record_tag
        FROM now.record JOIN now.protection ON record_number = number;
    INSERT INTO change SELECT {change} FROM now.change;
"""
OF_CHANGES = {FIRST: "position, kind, member, record_id", SECOND: "*"}
# On PostgreSQL, where columns have no order that counts.
TO_SECOND = """
    ALTER TABLE tombstone DROP COLUMN reason;
    ALTER TABLE record DROP COLUMN replaced_at;
    DROP INDEX record_expiry;
    ALTER TABLE record ADD COLUMN excluded text, ADD COLUMN record_tag bytea;
    UPDATE record SET excluded = p.excluded, record_tag = p.record_tag
        FROM protection p WHERE record_number = number;
    ALTER TABLE record ALTER COLUMN excluded SET NOT NULL,
        ALTER COLUMN record_tag SET NOT NULL;
    DROP TABLE protection;
    DROP TABLE agreement;
    DROP TABLE comparison;
    DROP TABLE custody;
    DROP TABLE membership;
    DROP TABLE erasure;
    DROP TABLE signing_key;
    DROP TABLE log_head;
    DROP TABLE log_leaf;
    DROP TABLE log_tile;
    DROP TABLE log_key;
    DROP TABLE cosignature;
    DROP INDEX template_of_key;
    DROP INDEX record_of_key;
    DROP TABLE near_search;
    DROP TABLE frozen_record;
    DROP TABLE alert;
    DROP TABLE quota_use;
    DROP TABLE follow_up_record;
    DROP TABLE follow_up;
    DROP TABLE front_end_key;
    DROP TABLE front_end;
    DROP TABLE turn;
    ALTER TABLE reference DROP COLUMN purpose, DROP COLUMN modality;
    ALTER TABLE reference_record DROP COLUMN lookup;
    UPDATE alembic_version SET version_num = '0002';
"""
TO_FIRST = """
    ALTER TABLE change DROP COLUMN first_template, DROP COLUMN templates;
    UPDATE alembic_version SET version_num = '0001';
"""
BACK = {SECOND: TO_SECOND, FIRST: TO_SECOND + TO_FIRST}


def put_back(
    shelf: Shelf,
    scripts: tuple[str, ...],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Close a store, and leave its rows in a database as an earlier version made it."""
    earlier = shelf.place.other("earlier")
    shutil.copytree(upgrade._MIGRATIONS, folder)
    for script in (folder / "versions").glob("*.py"):
        if script.name not in scripts:
            script.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "_MIGRATIONS", folder)
        open_store(earlier.where, ManualClock(START)).close()
    shelf.store.close()
    if isinstance(earlier.where, Path):
        earlier.edit(FILL.format(now=shelf.path, change=OF_CHANGES[scripts]))
        earlier.where.rename(shelf.path)
        shelf.path.with_name(f"{shelf.path.name}.lock").unlink()  # of the later one
    else:
        shelf.place.edit(BACK[scripts])
        assert shelf.place.definitions() == earlier.definitions()
    with inspect_store(shelf.place.where) as found:
        assert found is None  # the next start will bring it up to date


def test_a_database_of_the_first_schema_is_followed_on(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its withdrawals name no templates; those after the upgrade do."""
    a, b, c = (
        shelf.record(reference, spaces=("face-a", "face-b")) for reference in "ABC"
    )
    shelf.begin_enrol(a, b, c).result(30)
    shelf.withdraw("B")
    kept = shelf.store.journal.changes(0, 3)
    put_back(shelf, FIRST, tmp_path / "scripts", monkeypatch)

    shelf.store = open_store(shelf.place.where, shelf.clock)
    assert shelf.store.journal.changes(0, 3) == kept
    (old,) = shelf.store.journal.changes(3, 10)
    assert (old.kind, old.record_id) == (ChangeKind.WITHDRAWN, b.record_id)
    assert old.withdrawn == range(0)
    assert shelf.store.journal.entry(4) == b.record_id
    shelf.withdraw("C")
    shelf.enrol("D")
    shelf.withdraw("D")
    later = shelf.store.journal.changes(4, 10)
    assert [change.withdrawn for change in later] == [
        range(5, 7),
        range(0),
        range(7, 8),
    ]
    assert set(shelf.store.journal.templates(range(1, 9))) == {1, 2}


@pytest.mark.parametrize("scripts", [FIRST, SECOND])
def test_records_of_an_earlier_schema_keep_their_protection(
    shelf: Shelf,
    tmp_path: Path,
    scripts: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They exclude whom they excluded, by the same tag, and can be set anew."""
    hidden = shelf.record("A", excluded=frozenset({XBB, XCC}))
    shelf.begin_enrol(hidden, shelf.record("B", spaces=("face-a", "face-b"))).result(30)
    kept = shelf.store.journal.changes(0, 2)
    shown = shelf.store.register.records(XAA, 0, 10)
    put_back(shelf, scripts, tmp_path / "scripts", monkeypatch)

    shelf.store = open_store(shelf.place.where, shelf.clock)
    assert shelf.store.journal.changes(0, 2) == kept
    assert shelf.store.register.records(XAA, 0, 10) == shown
    assert shelf.enrol("B").reply == b"already-enrolled"
    shelf.protect("A", XBB)
    shelf.withdraw("B")
    stored = shelf.store.journal.templates([1, 2, 3])
    assert set(stored) == {1}
    assert (stored[1].excluded, stored[1].record_tag) == ({XBB}, digest("A from XBB"))
    assert shelf.count("protection") == 1
    made = shelf.place.other("made")
    open_store(made.where, ManualClock(START)).close()
    assert shelf.place.definitions() == made.definitions()


@pytest.mark.parametrize("scripts", [FIRST, SECOND])
def test_a_copy_of_an_earlier_schema_is_restored_up_to_date(
    shelf: Shelf,
    tmp_path: Path,
    scripts: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the numbers that were given out, and not where there is something."""
    shelf.enrol("A", "B")
    kept = shelf.store.journal.changes(0, 2)
    put_back(shelf, scripts, tmp_path / "scripts", monkeypatch)
    folder = tmp_path / "copy"
    folder.mkdir()
    moment = write_copy(shelf.place.where, folder)
    assert moment.position == 2
    other = shelf.place.other("restored")
    with restoring(other.where, folder, moment.schema) as connection:
        assert moment_of(connection) == moment
    with (
        pytest.raises(ConfigurationError) as caught,
        restoring(other.where, folder, moment.schema),
    ):
        pass
    assert caught.value.reason == "DATABASE_EXISTS"
    with (
        pytest.raises(ConfigurationError) as caught,
        restoring(shelf.place.other("none").where, folder, "9999"),
    ):
        pass
    assert caught.value.reason == "NEWER_SCHEMA"
    store = open_store(other.where, shelf.clock)
    assert store.journal.changes(0, 2) == kept
    assert other.definitions() == made_now(shelf)
    shelf.store = store
    key = store.keys.add_gallery_key(
        NewGalleryKey(
            member=XAA,
            gallery="face-b",
            epoch=1,
            wrapped=b"w" * 72,
            commitment=b"c" * 32,
            created_at=START,
        )
    )
    assert key.key_id == shelf.key_id + 1


def made_now(shelf: Shelf) -> set[tuple[str, str, str]]:
    """Return the definitions of a database that is made today."""
    made = shelf.place.other("made")
    open_store(made.where, ManualClock(START)).close()
    return made.definitions()


def test_an_upgrade_leaves_no_second_copy_of_a_key(
    sqlite_shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is withdrawn after it is in no file once its bytes were erased."""
    shelf = sqlite_shelf
    references = [f"R{n}" for n in range(300)]
    shelf.enrol(*references)
    put_back(shelf, SECOND, tmp_path / "scripts", monkeypatch)
    shelf.store = open_store(shelf.place.where, shelf.clock)
    for reference in references[1::2]:
        shelf.withdraw(reference)
    assert shelf.store.erase()
    content = shelf.path.read_bytes()
    copies = [
        content.count(b"key of " + digest(f"reference {reference}") * 2)
        for reference in references
    ]
    assert copies == [1, 0] * 150


def upgrade_and_be_killed(path: Path, seconds: float) -> None:
    """Bring a database up to date in a process of its own, and kill that."""
    process = subprocess.Popen(
        [sys.executable, "-c", UPGRADE, str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_kill_in_an_upgrade_loses_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as it was or up to date, and the next start brings it there."""
    if not isinstance(shelf.place.where, Path):
        pytest.skip("the same migrations, each in one transaction of the server")
    random = np.random.default_rng(SEED)
    shelf.enrol("A", "B", "C")
    shelf.withdraw("B")
    kept = shelf.store.register.records(XAA, 0, 10)
    put_back(shelf, FIRST, tmp_path / "scripts", monkeypatch)
    earlier = shelf.path.read_bytes()
    for seconds in random.uniform(0, MOST_SECONDS_TO_LIVE, KILLS):
        for path in shelf.path.parent.glob(f"{shelf.path.name}*"):
            path.unlink()
        shelf.path.write_bytes(earlier)
        upgrade_and_be_killed(shelf.path, float(seconds))
        with open_store(shelf.path, shelf.clock) as store:
            assert store.register.records(XAA, 0, 10) == kept
            assert set(store.journal.templates(range(1, 4))) == {1, 3}


def test_a_log_that_was_restored_before_keeps_its_name(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number then, and what follows it is told apart by its first leaf."""
    folder = tmp_path / "scripts"
    shutil.copytree(upgrade._MIGRATIONS, folder)
    for script in (folder / "versions").glob("*.py"):
        if script.read_text().partition('revision = "')[2][:4] > "0009":
            script.unlink()
    earlier = shelf.place.other("earlier")
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "_MIGRATIONS", folder)
        open_store(earlier.where, ManualClock(START)).close()
    earlier.edit("UPDATE log_head SET life = 2, members = 'XAA'")
    with open_store(earlier.where, ManualClock(START)) as store:
        assert store.log.head().life == "2"
        assert store.cosignatures.notes() == []
        store.log.note_members([XAA])  # as it was told before
        assert store.log.head().size == 0
