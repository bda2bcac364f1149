"""Error rates of the searches that a calibration was measured by (ISO/IEC 19795-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from enrolment.calibrate.searches import NO_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from biometrics.calibration import FpirClass
    from enrolment.calibrate.measure import Measured


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors among trials, and the 95 % interval of their rate (Clopper, Pearson)."""

    errors: int
    trials: int

    @property
    def value(self) -> float | None:
        """The rate; None without a trial."""
        return self.errors / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends: everything, without a trial."""
        if not self.trials:
            return 0.0, 1.0
        found = stats.binomtest(self.errors, self.trials).proportion_ci()
        return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class Slice:
    """Rates at one threshold of some of the searches.

    Attributes:
        by: `all`, `gallery size`, `group` or `member`.
        name: which of those.
        fpir: non-mated searches that match somebody.
        fnir: mated searches that do not match their own; without a trial where no one
            has a second capture.
    """

    by: str
    name: str
    fpir: Rate
    fnir: Rate


def slices(measured: Measured, fpir: FpirClass) -> Iterator[Slice]:
    """Yield the rates at the threshold of a class for what was searched."""
    found, threshold = measured.searches, measured.threshold(fpir)
    nobody = Rate(0, 0)
    fnir = _fnir(found.mated, threshold)
    yield Slice("all", "", _fpir(found.maxima[-1], threshold), fnir)
    for size, maxima in zip(found.sizes[:-1], found.maxima[:-1], strict=True):
        if size:
            yield Slice("gallery size", f"{size:,}", _fpir(maxima, threshold), nobody)
    groups = np.array([capture.group for capture in found.probes])
    for name in np.unique(groups):
        if name:
            chosen = groups == name
            rate = _fpir(found.maxima[-1][chosen], threshold)
            yield Slice("group", str(name), rate, _fnir(found.mated[chosen], threshold))
    if len(found.by_member) > 1:
        for member, maxima in sorted(found.by_member.items()):
            yield Slice("member", member, _fpir(maxima, threshold), nobody)


def _fpir(maxima: NDArray[np.float64], threshold: float) -> Rate:
    """Return how many search maxima reach the threshold."""
    return Rate(int((maxima >= threshold).sum()), len(maxima))


def _fnir(mated: NDArray[np.float64], threshold: float) -> Rate:
    """Return how many mated searches stay below the threshold."""
    scores = mated[mated > NO_SCORE]
    return Rate(int((scores < threshold).sum()), len(scores))
