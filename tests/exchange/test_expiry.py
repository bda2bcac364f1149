"""Records that have expired are disposed of: out for good, for that reason."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, record, unit

from biometrics import limits
from biometrics.clock import UTC, ManualClock
from biometrics.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENDS = dt.timedelta(days=1)
DATABASE = "data/exchange.sqlite"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An exchange that sweeps all the time, two records at once."""
    monkeypatch.setattr(limits, "DISPOSE_SECONDS", 0.02)
    monkeypatch.setattr(limits, "DISPOSED_AT_ONCE", 2)
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        yield world


def references(world: World) -> list[str]:
    """Return what XAA has enrolled."""
    return [one.reference for one in world.enroller("XAA").records()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes."""
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def expire(world: World) -> None:
    """Let a day go by."""
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(ENDS)


def test_what_has_expired_is_taken_out_for_good(world: World) -> None:
    """All of it, and nothing else; its references are never used again."""
    enroller, ends = world.enroller("XAA"), world.clock.now() + ENDS
    for number in range(5):
        enroller.enrol(record(f"ends-{number}", unit(number), expires_at=ends))
    later = ends + ENDS
    enroller.enrol(record("stays", unit(5)))
    enroller.enrol(record("ends-later", unit(6), expires_at=later))
    expire(world)
    until(lambda: references(world) == ["stays", "ends-later"])
    (gallery,) = enroller.galleries()
    assert (gallery.records, gallery.state) == (2, "ready")
    receipt = enroller.withdraw("ends-0")
    assert (receipt.reason, receipt.removed) == ("expired", ())
    assert receipt.withdrawn_at >= ends
    with pytest.raises(ConflictError) as caught:
        enroller.enrol(record("ends-1", unit(1)))
    assert caught.value.reason == "REFERENCE_WITHDRAWN"


def test_a_row_that_was_edited_is_left_alone_and_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever edits a moment makes nobody disappear, and stops no other's end."""
    enroller, ends = world.enroller("XAA"), world.clock.now() + ENDS
    enroller.enrol(record("edited", unit(1), expires_at=ends + ENDS))
    enroller.enrol(record("ends", unit(2), expires_at=ends))
    with sqlite3.connect(world.root / DATABASE) as database:
        database.execute("UPDATE record SET expires_at = 1 WHERE number = 1")
    database.close()
    expire(world)
    until(lambda: references(world) == ["edited"])
    until(lambda: "rows of 1 records" in caplog.text)


def test_what_is_held_and_what_went_is_counted(world: World) -> None:
    """By month, and by reason and month."""
    enroller, now = world.enroller("XAA"), world.clock.now()
    enroller.enrol(record("ends", unit(1), expires_at=now + ENDS))
    enroller.enrol(record("goes", unit(2)))
    enroller.enrol(record("stays", unit(3)))
    far = now.replace(year=now.year + 5, month=2, day=28)
    enroller.enrol(record("far", unit(4), unit(5), expires_at=far))
    for years in (21, 100):
        ends = far.replace(year=now.year + years)
        enroller.enrol(record(f"later-{years}", unit(years), expires_at=ends))
    enroller.withdraw("goes")
    expire(world)
    until(lambda: "ends" not in references(world))
    summary = world.enroller("XAA").summary()
    assert (summary.lasting, summary.expired, summary.later) == (1, 0, 2)
    assert summary.expiring == {f"{far:%Y-%m}": 1}
    assert summary.disposed == {
        "withdrawn": {f"{now:%Y-%m}": 1},
        "expired": {f"{now + ENDS:%Y-%m}": 1},
    }
    assert summary.counted_at == world.clock.now()
    nothing = world.enroller("XRA").summary()
    assert (nothing.lasting, nothing.expiring, nothing.disposed) == (0, {}, {})


def test_who_may_match_is_what_the_agreements_say_today(world: World) -> None:
    """Of one's own records, every clause weighed."""
    told = {
        (each.requester, each.modality, each.purpose, each.level)
        for each in world.enroller("XAA").permissions()
    }
    assert told == {
        (requester, modality, purpose, level)
        for modality in ("face", "fingerprint")
        for requester, purpose, level in (
            ("XBB", "border-check", "holder"),
            ("XCC", "border-check", "reference"),
            ("XRA", "asylum-and-protection", "holder"),
        )
    }
