"""A database that an earlier version has written goes on where it was."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from store.shelf import START, Shelf, definitions, edit

from biometrics.clock import ManualClock
from biometrics.store import inspect_store, open_store, upgrade
from biometrics.store.rows import ChangeKind

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TO_FIRST_SCHEMA = """
    DROP TABLE agreement;
    ALTER TABLE change DROP COLUMN first_template;
    ALTER TABLE change DROP COLUMN templates;
    UPDATE alembic_version SET version_num = '0001';
"""


def make_by_first_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty database as the first version did."""
    folder = path.with_name("migrations")
    shutil.copytree(upgrade._MIGRATIONS, folder)
    for script in (folder / "versions").glob("*.py"):
        if script.name != "first_schema.py":
            script.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "_MIGRATIONS", folder)
        open_store(path, ManualClock(START)).close()


def test_a_database_of_the_first_schema_is_followed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its withdrawals name no templates; those after the upgrade do."""
    shelf = Shelf(tmp_path / "exchange.sqlite")
    a, b, c = (
        shelf.record(reference, spaces=("face-a", "face-b")) for reference in "ABC"
    )
    shelf.begin_enrol(a, b, c).result(30)
    shelf.withdraw("B")
    kept = shelf.store.journal.changes(0, 3)
    shelf.store.close()
    edit(shelf.path, TO_FIRST_SCHEMA)
    make_by_first_schema(tmp_path / "first.sqlite", monkeypatch)
    assert definitions(shelf.path) == definitions(tmp_path / "first.sqlite")
    with inspect_store(shelf.path) as found:
        assert found is None  # the next start will bring it up to date

    shelf.store = open_store(shelf.path, shelf.clock)
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
    shelf.store.close()
