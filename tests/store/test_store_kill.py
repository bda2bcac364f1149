"""kill -9 at any moment loses nothing that was acknowledged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from store.desk import Desk
from store.places import SqlitePlace
from store.shelf import XBB, Shelf, digest

from biometrics.store import FollowUpState
from biometrics.store.log_check import log_faults
from biometrics.store.rows import ChangeKind

if TYPE_CHECKING:
    from store.places import Place

KILLS = 4
AFTER = {
    "ask": FollowUpState.REQUESTED,
    "confirm": FollowUpState.CONFIRMED,
    "release": FollowUpState.RELEASED,
}


def write_and_kill(
    place: Place, turn: int, lines: int, name: str = "loop_writer.py"
) -> list[list[str]]:
    """Return what a writer acknowledged before it was killed after some lines."""
    script = Path(__file__).with_name(name)
    writer = subprocess.Popen(
        [sys.executable, str(script), str(place.where), str(turn)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    told = [writer.stdout.readline() for _ in range(lines)]
    writer.kill()
    told += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait(30) == -9
    return [line.split() for line in told if line.endswith("\n")]


def test_nothing_acknowledged_is_lost_by_kills(place: Place) -> None:
    """After each kill every enrolment told is there, and no withdrawn one is back."""
    told: dict[str, set[str]] = {
        kind: set() for kind in ("enrolled", "withdrawing", "withdrawn")
    }
    for turn in range(KILLS):
        for kind, *references in write_and_kill(place, turn, 5 + 37 * turn):
            told[kind].update(references)
        shelf = Shelf(place)
        with shelf.reading.connect() as connection:
            lookups = set(
                connection.exec_driver_sql("SELECT lookup FROM record").scalars()
            )
        kept = told["enrolled"] - told["withdrawing"]
        assert {digest(word) for word in kept} <= lookups
        assert not {digest(word) for word in told["withdrawn"]} & lookups
        assert len(told["withdrawing"] - told["withdrawn"]) <= turn + 1
        changes = shelf.store.journal.changes(0, 100_000)
        assert [change.position for change in changes] == list(
            range(1, shelf.store.journal.end() + 1)
        )
        live = {one.record_id for one in changes if one.kind is ChangeKind.ENROLLED}
        live -= {one.record_id for one in changes if one.kind is ChangeKind.WITHDRAWN}
        assert len(live) == len(lookups) == shelf.count("template")
        shelf.store.close()
    assert len(told["enrolled"]) > 100
    if not isinstance(place, SqlitePlace):
        return
    connection = sqlite3.connect(place.where)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_follow_up_is_as_far_as_its_last_step_after_a_kill(place: Place) -> None:
    """Or one step further, which was not acknowledged; and the log is whole."""
    told = write_and_kill(place, 0, 30, "loop_follow_ups.py")
    shelf = Shelf(place)
    states = {
        row.follow_up_id: row.state for row in shelf.store.follow_ups.requested(XBB)
    }
    done: dict[str, str] = {number: step for step, number in told}
    steps = [*AFTER, "read"]
    for number, step in done.items():
        state = states[digest(Desk(shelf, number).text)]
        after = [AFTER.get(each, FollowUpState.READ) for each in steps]
        assert state in after[steps.index(step) : steps.index(step) + 2]
        if step == "read":
            assert state is FollowUpState.READ
    assert list(log_faults(shelf.reading)) == []
    shelf.store.close()
