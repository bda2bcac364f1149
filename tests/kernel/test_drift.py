"""A drift is found where it is one, and hardly ever where it is none."""

from __future__ import annotations

import numpy as np
import pytest

from biometrics import limits
from biometrics.calibration import Drift, FpirClass

PROMISED = FpirClass.HUNDREDTH.rate


def found_after(rate: float, seed: int, most: int) -> int | None:
    """Return after how many searches a drift is found, of at most so many."""
    drift = Drift(PROMISED)
    for number, match in enumerate(np.random.default_rng(seed).random(most) < rate):
        if drift.take(is_match=bool(match)):
            assert (drift.is_found, drift.searches) == (True, number + 1)
            return number + 1
    assert not drift.is_found
    return None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_promise_that_is_kept_is_not_doubted(share: float):
    """At its very limit there is one false alarm in a million searches, or fewer."""
    assert [found_after(share * PROMISED, seed, 20_000) for seed in range(5)] == (
        [None] * 5
    )


@pytest.mark.parametrize(("times", "most"), [(4, 2_000), (10, 400)])
def test_a_promise_that_is_broken_is_found_out(times: int, most: int):
    """Within a day of searches, and the sooner the worse it is broken."""
    found = [found_after(times * PROMISED, seed, most) for seed in range(5)]
    assert all(found)


def test_what_was_well_for_long_is_no_credit():
    """A drift is found as soon as if nothing had been searched for before."""
    drift = Drift(PROMISED)
    for _ in range(10_000):
        drift.take(is_match=False)
    matches = 0
    while not drift.is_found:
        drift.take(is_match=True)
        matches += 1
    assert limits.DRIFT_TIMES**matches >= limits.DRIFT_SEARCHES
    assert matches == 10
    assert (drift.searches, drift.matches) == (10_010, 10)


def test_it_is_told_once():
    """And stays."""
    drift = Drift(PROMISED)
    told = [drift.take(is_match=True) for _ in range(30)]
    assert told.count(True) == 1
    assert drift.is_found
    assert not drift.take(is_match=False)
    assert drift.is_found
