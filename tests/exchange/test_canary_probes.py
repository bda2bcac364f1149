"""The exchange searches for nobody by itself, and tells where it matches too often."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fused import FINGERS, calibration
from world import AGREEMENTS, DIMENSION, SPACE, SPACES, World, record, unit

from biometrics import limits
from matcher.canary_probes import CanaryProbes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# As if faces had been calibrated on others: every third stranger reaches this.
LOW = "\n".join(
    "cosine = 0.02" if line.startswith("cosine = 0") else line
    for line in calibration(SPACE, fusion=False).splitlines()
)


class Watched(World):
    """A world whose spaces say how people are spread; it keeps its canary probes."""

    def start(self) -> None:
        """Write the spread, and serve."""
        np.save(self.root / "spread.npy", np.eye(DIMENSION))
        text = SPACES.replace(
            f"dimension = {DIMENSION}",
            f'dimension = {DIMENSION}\nspread_file = "spread.npy"',
        )
        (self.root / "spaces.toml").write_text(text)
        super().start()


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[CanaryProbes]:
    """Those of the exchange, which searches a hundred times a second."""
    made: list[CanaryProbes] = []
    asked = CanaryProbes.search

    async def search(self: CanaryProbes) -> list[str]:
        made[:] = [self]
        return await asked(self)

    monkeypatch.setattr(CanaryProbes, "search", search)
    monkeypatch.setattr(limits, "CANARY_PROBE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 0.01)
    return made


@pytest.fixture
def world(tmp_path: Path, probes: list[CanaryProbes]) -> Iterator[Watched]:
    """An exchange in which faces have drifted and fingers have not."""
    assert not probes
    calibrations = {SPACE: LOW, FINGERS: calibration(FINGERS)}
    with Watched(tmp_path, agreements=AGREEMENTS, calibrations=calibrations) as world:
        yield world


def wait_for(probes: list[CanaryProbes], space: str, searches: int) -> None:
    """Wait until so many searches were made in a space."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        drifts = probes[0].drifts if probes else {}
        if space in drifts and drifts[space].searches >= searches:
            return
        time.sleep(0.01)
    pytest.fail("too few canary probes were searched with")


def test_what_matches_too_often_is_told_to_everybody_and_nobody_is_named(
    world: Watched, probes: list[CanaryProbes], caplog: pytest.LogCaptureFixture
) -> None:
    """To auditors, by the log, and of the one space; no search is logged or counted."""
    for number in range(3):
        world.enroller("XAA").enrol(record(f"r{number}", unit(number)))
    before = world.client("XAA", "auditor").checkpoint().note
    wait_for(probes, SPACE, 60)
    assert probes[0].drifted() == [SPACE]
    for member in ("XAA", "XCC"):
        (alert,) = world.client(member, "auditor").alerts()
        told = (alert.kind, alert.space, alert.holder, alert.requester, alert.count)
        assert told == ("drift", SPACE, "", "", 1)
    assert "match more often than is promised" in caplog.text
    assert caplog.text.count("match more often") == 1
    assert world.client("XAA", "auditor").checkpoint().note == before
    assert world.client("XAA", "auditor").reviews() == ()


def test_what_keeps_its_promise_is_told_of_nobody(
    tmp_path: Path, probes: list[CanaryProbes]
) -> None:
    """At the right threshold hardly any stranger is found."""
    calibrations = {SPACE: calibration(SPACE), FINGERS: calibration(FINGERS)}
    with Watched(tmp_path, agreements=AGREEMENTS, calibrations=calibrations) as world:
        for number in range(3):
            world.enroller("XAA").enrol(record(f"r{number}", unit(number)))
        wait_for(probes, SPACE, 60)
        assert probes[0].drifts.keys() == {SPACE}  # nobody has a finger there
        assert world.client("XAA", "auditor").alerts() == ()


def test_nothing_is_watched_that_was_not_measured(
    tmp_path: Path, probes: list[CanaryProbes]
) -> None:
    """A threshold that promises nothing cannot break it."""
    with Watched(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        end = time.monotonic() + 10
        while not probes and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        assert probes[0].drifts == {}


def test_they_wait_while_others_search(
    world: Watched, probes: list[CanaryProbes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that runs holds them up, until it has been long."""
    world.enroller("XAA").enrol(record("r", unit(1)))
    wait_for(probes, SPACE, 1)
    precedence = probes[0].precedence
    with precedence.searching():
        time.sleep(0.1)  # what had begun ends
        held = probes[0].drifts[SPACE].searches
        time.sleep(0.3)
        assert probes[0].drifts[SPACE].searches == held
        monkeypatch.setattr(limits, "CANARY_YIELD_SECONDS", 0.01)
    wait_for(probes, SPACE, held + 3)
