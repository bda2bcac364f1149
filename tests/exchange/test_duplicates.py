"""A holder finds out whom it has enrolled twice, and nobody else does."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, SPACE, World, at_cosine, face, record, unit

from biometrics import limits
from biometrics.client import Record, Template
from biometrics.clock import UTC, ManualClock
from biometrics.errors import InvalidRequestError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.client import DuplicateInfo


def look(world: World, *references: str) -> dict[str, DuplicateInfo]:
    """Return what some records of XAA's resemble."""
    return {r.reference: r for r in world.enroller("XAA").duplicates(references)}


def test_records_of_one_person_resemble_one_another(world: World) -> None:
    """By any of their templates, and only of one's own; none resembles itself."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("first", unit(1), unit(2)))
    enroller.enrol(record("second", at_cosine(unit(2), 0.8)))
    enroller.enrol(record("third", at_cosine(unit(1), 0.8), at_cosine(unit(2), 0.8, 5)))
    enroller.enrol(record("alone", unit(4)))
    enroller.enrol(record("protected", at_cosine(unit(4), 0.9), excluded=("XBB",)))
    world.enroller("XRA").enrol(record("foreign", unit(4)))
    told = look(world, "first", "second", "alone", "foreign", "none")
    assert {r: (set(t.others), t.count, t.outcome) for r, t in told.items()} == {
        "first": ({"second", "third"}, 2, "compared"),
        "second": ({"first", "third"}, 2, "compared"),
        "alone": ({"protected"}, 1, "compared"),
        "foreign": (set(), 0, "not-enrolled"),
        "none": (set(), 0, "not-enrolled"),
    }
    enroller.withdraw("second")
    assert look(world, "first")["first"].others == ("third",)
    assert look(world, "second")["second"].outcome == "not-enrolled"


def test_only_the_same_finger_is_compared(world: World) -> None:
    """As in a search."""
    for reference, position in (
        ("left", "left-index"),
        ("right", "right-index"),
        ("again", "left-index"),
    ):
        finger = Template(space="tiny-finger", position=position, vector=unit(10))
        world.enroller("XAA").enrol(Record(reference=reference, templates=(finger,)))
    told = look(world, "left", "right")
    assert [t.others for t in told.values()] == [("again",), ()]


def test_who_may_ask_and_how_much(world: World) -> None:
    """An enroller, for itself, so many at once."""
    with pytest.raises(RefusedError) as caught:
        world.client("XAA").duplicates(["first"])
    assert caught.value.reason == "WRONG_ROLE"
    for references in ([], ["x"] * (limits.MAX_DUPLICATES_ASKED + 1), [""]):
        with pytest.raises(InvalidRequestError):
            world.enroller("XAA").duplicates(references)


def test_of_many_some_are_named_and_all_counted(world: World) -> None:
    """A broken extractor that always gives the same must not flood anybody."""
    most = limits.MAX_DUPLICATES_TOLD
    for number in range(most + 3):
        world.enroller("XAA").enrol(record(f"same-{number}", unit(20)))
    told = look(world, "same-0")["same-0"]
    assert (len(told.others), told.count) == (most, most + 2)
    assert "same-0" not in told.others


def test_what_has_expired_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as the one nor as the other; nor is what is locked."""
    monkeypatch.setattr(limits, "DISPOSE_SECONDS", 3600.0)
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        ends = clock.now() + dt.timedelta(days=1)
        enroller = world.enroller("XAA")
        enroller.enrol(record("stays", unit(1)))
        enroller.enrol(record("ends", unit(1), expires_at=ends))
        assert look(world, "stays")["stays"].others == ("ends",)
        clock.advance(dt.timedelta(days=1))
        told = look(world, "stays", "ends")
        assert [(t.outcome, t.others) for t in told.values()] == [
            ("compared", ()),
            ("not-enrolled", ()),
        ]
        world.stop()
        key = world.root / "keys/XAA.key"
        key.rename(key.with_suffix(".away"))
        world.start()
        with pytest.raises(UnavailableError, match="are locked"):
            world.enroller("XAA").duplicates(["stays"])


def test_a_load_writes_down_what_resembles_and_enrols_all_the_same(
    world: World, tmp_path: Path
) -> None:
    """The file is its owner's; the exit code is that of the load."""
    vectors = np.stack([unit(40), unit(41), at_cosine(unit(40), 0.8)])
    names = np.array(["load-0", "load-1", "load-2"])
    np.savez(tmp_path / "gallery.npz", embedding=vectors, reference=names)
    found = tmp_path / "found.jsonl"
    command = [
        *(sys.executable, "-m", "biometrics.cli", "--profile"),
        *(str(world.profile_file("XAA", "enroller")), "enrol"),
        *(str(tmp_path / "gallery.npz"), "--space", SPACE, "--json"),
        *("--duplicates", str(found)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["enrolled"] == 3
    assert document["duplicates"] == {"compared": 3, "found": 2, "not_compared": 0}
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert lines == [
        {"reference": "load-0", "resembles": ["load-2"], "count": 1},
        {"reference": "load-2", "resembles": ["load-0"], "count": 1},
    ]
    assert found.stat().st_mode & 0o777 == 0o600
    told = world.client("XCC").match(face(unit(41)), purpose="border-check")
    assert told.regional == "match"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    dry = [*command[:-1], str(tmp_path / "other.jsonl"), "--dry-run"]
    assert subprocess.run(dry, capture_output=True, check=False).returncode == 2
