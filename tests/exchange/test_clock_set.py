"""The machine's time of day is set by hours, forth and back, while it serves.

What is to last some seconds is measured by a clock that nobody sets. What goes by the
calendar follows the calendar, and is as before once that is right.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.clock import UTC
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOUR = dt.timedelta(hours=1)
AGE = dt.timedelta(days=2)  # of the certificates
SLOT_MS = 25
REFUSED = {"REVOCATIONS_UNKNOWN", "CERTIFICATE_EXPIRED", "CERTIFICATE_NOT_YET_VALID"}


class SetClock:
    """The machine's clock, whose time of day was set by `shift`."""

    def __init__(self) -> None:
        """Be right."""
        self.shift = dt.timedelta()

    def now(self) -> dt.datetime:
        """Return the time of day."""
        return dt.datetime.now(UTC) + AGE + self.shift

    def monotonic(self) -> float:
        """Return seconds that pass, whatever is set."""
        return time.monotonic()


@pytest.fixture
def clock() -> SetClock:
    """Return the exchange's clock."""
    return SetClock()


@pytest.fixture
def world(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """An exchange that looks often at its certificates and at what has expired."""
    monkeypatch.setattr(limits, "CERTIFICATES_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(limits, "DISPOSE_SECONDS", 0.02)
    with World(tmp_path, agreements=AGREEMENTS, clock=clock, slot_ms=SLOT_MS) as world:
        world.enroller("XRA").enrol(record("stays", unit(1)))
        yield world


def search(world: World, seed: int = 1, request_id: uuid.UUID | None = None) -> str:
    """Return how a search of XRA ends for XAA, or why it does not."""
    try:
        answer = world.client("XAA").match(
            face(unit(seed)),
            purpose="border-check",
            holders=["XRA"],
            request_id=request_id,
        )
    except ExchangeError as error:
        return error.reason
    return answer.holders[0].outcome


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes."""
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def serving(world: World) -> bool:
    """Say what health says of the whole."""
    assert world.exchange is not None
    return world.exchange._health.is_serving()


@pytest.mark.parametrize("hours", [-30, 6])
def test_searches_go_on_at_their_pace_and_replays_are_told(
    world: World, clock: SetClock, hours: int
):
    """Slots, deadlines and turns are no matter of the time of day."""
    before = uuid.uuid4()
    assert search(world, request_id=before) == "match"
    clock.shift = hours * HOUR
    begun = time.monotonic()
    after = uuid.uuid4()
    assert search(world, request_id=after) == "match"
    assert search(world, 2) == "no-match"
    assert 4 * SLOT_MS / 1000 <= time.monotonic() - begun < 5
    # Of this clock's last ten minutes; what another clock's had is answered anew.
    world.enroller("XRA").withdraw("stays")
    assert search(world, request_id=after) == "match"
    assert search(world, request_id=before) == "no-match"
    assert serving(world)


def test_what_expires_is_hidden_by_the_calendar_and_destroyed_by_no_wrong_one(
    world: World, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    """It is found again when the clock is right, and the log says why it waits."""
    ends = clock.now() + 3 * HOUR
    world.enroller("XRA").enrol(record("ends", unit(3), expires_at=ends))
    clock.shift = 6 * HOUR
    assert search(world, 3) == "no-match"
    until(lambda: "CLOCK_SET_AHEAD" in caplog.text)
    clock.shift = -6 * HOUR
    assert search(world, 3) == "match"
    clock.shift = dt.timedelta()
    assert search(world, 3) == "match"


def test_certificates_end_by_the_calendar_and_count_again_once_it_is_right(
    world: World, clock: SetClock
):
    """Nobody is let in by a wrong clock, and no restart is needed after it."""
    assert search(world) == "match"
    for days in (40, -40):
        clock.shift = dt.timedelta(days=days)
        assert search(world) in REFUSED
        until(lambda: not serving(world))
        clock.shift = dt.timedelta()
        until(lambda: serving(world))
        assert search(world) == "match"
