"""Whoever varies one picture is told of, and then refused; nobody else is."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, at_cosine, face, record, unit

from biometrics import limits
from biometrics.clock import UTC, ManualClock
from biometrics.errors import ExhaustedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALERTED, TOLD = 3, 6
BORDER = {"purpose": "border-check", "holders": ["XAA"]}
PICTURE = unit(50)


@pytest.fixture
def clock() -> ManualClock:
    """The exchange's time."""
    return ManualClock(dt.datetime.now(UTC))


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> Iterator[World]:
    """An exchange that answers few near-duplicate probes, and one record."""
    monkeypatch.setattr(limits, "ALIKE_ALERTED", ALERTED)
    monkeypatch.setattr(limits, "ALIKE_TOLD", TOLD)
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        world.enroller("XAA").enrol(record("somebody", unit(1)))
        yield world


def search(world: World, seed: int, who: str = "XBB", **more: object) -> str:
    """Return what a variation of the picture, of somebody who is not there, finds."""
    probe = face(at_cosine(PICTURE, 0.95, 1000 + seed))
    answer = world.client(who).match(probe, **BORDER, **more)  # type: ignore[arg-type]
    return answer.holders[0].outcome.value


def alerts(world: World, member: str, role: str = "auditor") -> list[tuple[str, int]]:
    """Return what a member is told of."""
    return [(a.kind, a.count) for a in world.client(member, role).alerts()]


def test_variations_far_from_every_record_are_told_and_then_refused(
    world: World, clock: ManualClock
) -> None:
    """To both sides, since it depends on the requester's probes alone; for a day."""
    request_id = uuid.uuid4()
    assert search(world, 0, request_id=request_id) == "no-match"
    assert {search(world, seed) for seed in range(1, TOLD)} == {"no-match"}
    with pytest.raises(ExhaustedError) as caught:
        search(world, TOLD)
    assert caught.value.reason == "PROBE_VARIED"
    told = [("varied", TOLD - ALERTED)]
    assert alerts(world, "XAA") == alerts(world, "XBB") == told
    assert search(world, 0, request_id=request_id) == "no-match"
    assert search(world, 3) == "no-match"  # sent again unchanged, it learns nothing
    assert search(world, TOLD, who="XCC") == "no-match"
    clock.advance(dt.timedelta(seconds=limits.ALIKE_SECONDS))
    assert search(world, TOLD + 1) == "no-match"


def test_a_batch_of_variations_is_refused_whole(world: World) -> None:
    """As one for which a quota has no room."""
    probes = [face(at_cosine(PICTURE, 0.95, 1000 + n)) for n in range(TOLD + 1)]
    with pytest.raises(ExhaustedError) as caught:
        world.client("XBB").match_many(probes, **BORDER)
    assert caught.value.reason == "PROBE_VARIED"


def test_people_who_come_again_are_found_again(world: World) -> None:
    """A few times a day each, and whoever else comes in between."""
    for _ in range(2):
        for number in range(1, 9):
            probe = face(at_cosine(unit(number), 0.8, 1000 + number))
            answer = world.client("XBB").match(probe, **BORDER)
            assert answer.regional.value == ("match" if number == 1 else "no-match")
    assert alerts(world, "XAA") == []
