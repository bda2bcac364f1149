"""Contenders timed in turns, so that what else the machine does falls on them alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["Ratio", "Timings", "paired"]

_REST_SECONDS: Final = 0.03  # OpenBLAS spins for some 20 ms
_LONG_SECONDS: Final = 0.5
_RESAMPLES: Final = 2000
_LIKELY: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long one took as another: median, and its 95 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each contender took in each round, in seconds."""

    seconds: Mapping[str, NDArray[np.float64]]

    def median(self, name: str) -> float:
        """Return a contender's median, in seconds."""
        return float(np.median(self.seconds[name]))

    def ratio(self, name: str, beside: str, seed: int = 0) -> Ratio:
        """Return the median over rounds of how many times as long `name` took.

        The interval is of resampled rounds: it has the scatter of this run on this
        machine, not that between machines.
        """
        ratios = self.seconds[name] / self.seconds[beside]
        random = np.random.default_rng(seed)
        drawn = random.choice(ratios, (_RESAMPLES, len(ratios)))
        low, high = np.quantile(np.median(drawn, axis=1), _LIKELY)
        return Ratio(float(np.median(ratios)), float(low), float(high))


def paired(
    contenders: Mapping[str, Callable[[int], object]],
    rounds: int,
    *,
    seed: int = 0,
) -> Timings:
    """Time every contender once a round, the order drawn anew each round.

    Before a turn that is timed come a rest, until threads of the one before have ceased
    to wait by spinning, and a search that is not timed, so that all find their index in
    the cache as far as it fits there, as in a service that searches all the time. One
    that takes long has no use for it, and goes without.

    Args:
        contenders: each is called with the number of a round, so that all of them
            search for the same probes in it, and with the one before to warm up.
        rounds: that are kept.
        seed: of the orders.
    """
    random = np.random.default_rng(seed)
    names = list(contenders)
    seconds = {name: np.empty(rounds) for name in names}
    last = dict.fromkeys(names, 0.0)
    for number in range(rounds):
        for name in random.permutation(names):
            time.sleep(_REST_SECONDS)
            if last[name] < _LONG_SECONDS:
                contenders[name](number - 1)
            begun = time.perf_counter()
            contenders[name](number)
            last[name] = seconds[name][number] = time.perf_counter() - begun
    return Timings(seconds)
