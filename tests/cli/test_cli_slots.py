"""`biometrics slots measure`: how long answers are to be held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.cli.slots import suggested

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told
    from tests.pocket import Script

QUESTION = ("--space", "faces-v1", "--purpose", "border-check")


def test_searches_are_timed_and_a_slot_is_suggested(
    ask: Callable[..., Told], gallery: Callable[..., Path], script: Script
) -> None:
    """Every search is a real one, by its own request id."""
    more = ("--searches", 100, "--callers", 2)
    told = ask("slots", "measure", gallery(3), *QUESTION, *more, "--json")
    assert told.code == 0
    said = told.document
    assert (said["searches"], said["callers"]) == (100, 2)
    assert 0 < said["p50_ms"] <= said["p99_ms"] <= said["p99.9_ms"] <= said["most_ms"]
    assert said["slot_ms"] >= said["p99.9_ms"] or said["slot_ms"] == 1000
    assert len(script.requests) == 100 + 2 * 10
    assert len({request.request_id for request in script.requests}) == 120


def test_people_are_told_in_two_lines(
    ask: Callable[..., Told], gallery: Callable[..., Path]
) -> None:
    """What was measured, and what to write."""
    told = ask("slots", "measure", gallery(3), *QUESTION, "--searches", 100)
    assert told.out.startswith("100 searches, 1 at once, ms: p50 ")
    assert "suggested: [answers] slot_ms = " in told.out


@pytest.mark.parametrize(
    ("took", "slot"), [(0.5, 5), (4.0, 5), (4.1, 10), (12.0, 15), (5000.0, 1000)]
)
def test_a_slot_is_a_quarter_longer_in_whole_steps(took: float, slot: int) -> None:
    """And never longer than the settings take."""
    assert suggested(np.full(1000, took)) == slot


def test_one_slow_search_in_a_thousand_decides() -> None:
    """Not the slowest of all, and not the median."""
    took = np.r_[np.full(99_800, 2.0), np.full(200, 16.0)]
    assert suggested(took) == 20


def test_a_file_without_probes_is_refused(
    ask: Callable[..., Told], tmp_path: Path
) -> None:
    """There is nothing to ask about."""
    path = tmp_path / "empty.npz"
    np.savez(path, embedding=np.zeros((0, 16), np.float32))
    told = ask("slots", "measure", path, *QUESTION)
    assert told.code == 2
    assert "empty.npz" in told.err
