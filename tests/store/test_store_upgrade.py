"""A database that an earlier version has written goes on where it was."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from store.shelf import START, Shelf

from biometrics.clock import ManualClock
from biometrics.store import inspect_store, open_store, upgrade
from biometrics.store.rows import ChangeKind

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from store.places import Place

TO_FIRST_SCHEMA = """
    ALTER TABLE change DROP COLUMN first_template;
    ALTER TABLE change DROP COLUMN templates;
    UPDATE alembic_version SET version_num = '0001';
"""


def make_by_first_schema(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make an empty database as the first version did."""
    shutil.copytree(upgrade._MIGRATIONS, folder)
    for script in (folder / "versions").glob("*.py"):
        if script.name != "first_schema.py":
            script.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "_MIGRATIONS", folder)
        open_store(place.where, ManualClock(START)).close()


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
    shelf.store.close()
    shelf.place.edit(TO_FIRST_SCHEMA)
    first = shelf.place.other("first")
    make_by_first_schema(first, tmp_path / "migrations", monkeypatch)
    assert shelf.place.definitions() == first.definitions()
    with inspect_store(shelf.place.where) as found:
        assert found is None  # the next start will bring it up to date

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
    shelf.store.close()
