"""The tail of search maxima: which score so few searches reach, give or take what.

Above a high level maxima follow a generalised Pareto distribution (Balkema and de Haan
1974; Pickands 1975), here fitted by L-moments (Hosking and Wallis 1987, Technometrics
29). People who resemble one another lie above any smooth tail, and no fit of the others
knows of them: where more searches were seen to reach a score than the fit expects, what
was seen counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD: Final = (
    "search maxima by exhaustive comparison; generalised Pareto tail of the highest"
    " tenth, 100 at least, by L-moments, or what was observed if that is higher;"
    " bootstrap by subject"
)
TAIL: Final = 0.1  # share of the maxima that is fitted
TAIL_LEAST: Final = 100  # fewer scatter; but at most half of them
INTERVAL: Final = 0.95
RESAMPLES: Final = 200
# Maxima between these quantiles say what is usual: above them stand look-alikes, failed
# captures, and people whom the truth holds twice.
_USUAL: Final = np.linspace(0.5, 0.97, 48)
_HEAVIEST: Final = -0.95  # at -1 there is no mean to fit by
_LEAST, _GREATEST = 1e-3, 1 - 1e-3  # a threshold is inside (0, 1)


def shares(fpir: float, growths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of searches may err, so that `fpir` do in grown galleries.

    P(nobody in g times the templates) = P(nobody) ** g, for more of the same people.
    """
    wanted: NDArray[np.float64] = -np.expm1(math.log1p(-fpir) / growths)
    return wanted


def quantiles(
    maxima: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the scores that these shares of searches reach.

    Args:
        maxima: greatest score of each non-mated search, at least 20.
        wanted: shares, in (0, 1).
    """
    ordered = np.sort(maxima)
    count = len(ordered)
    behind = min(max(round(TAIL * count), TAIL_LEAST), count // 2)
    level = ordered[-behind - 1]
    beyond = np.minimum(wanted * count / behind, 1.0)
    fitted = level + _excess(ordered[-behind:] - level, beyond)
    seen = ordered[count - 1 - np.floor(wanted * count).astype(int)]
    found: NDArray[np.float64] = np.clip(np.maximum(fitted, seen), _LEAST, _GREATEST)
    return found


def _excess(
    excesses: NDArray[np.float64], beyond: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far above the level so small shares of the excesses lie."""
    mean, spread = stats.lmoment(excesses, order=[1, 2], standardize=False)
    if spread <= 0:  # all alike
        return np.full(len(beyond), mean)
    # Of Hosking and Wallis, SciPy's with the other sign; not of the heaviest of all.
    shape = max(mean / spread - 2, _HEAVIEST)
    found: NDArray[np.float64] = stats.genpareto.isf(
        beyond, -shape, scale=mean * (1 + shape)
    )
    return found


def intervals(
    maxima: NDArray[np.float64],
    subject: NDArray[np.int64],
    wanted: NDArray[np.float64],
    *,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of the interval of each quantile, by bootstrap of people.

    Searches of one person are alike, so that people are drawn, each with all of theirs.
    """
    random = np.random.default_rng((seed, 3))
    people, whose = np.unique(subject, return_inverse=True)
    drawn = [
        quantiles(
            np.repeat(
                maxima,
                np.bincount(
                    random.integers(len(people), size=len(people)),
                    minlength=len(people),
                )[whose],
            ),
            wanted,
        )
        for _ in range(RESAMPLES)
    ]
    outside = (1 - INTERVAL) / 2
    low, high = np.quantile(drawn, [outside, 1 - outside], axis=0)
    return low, high


def expected_above(
    maxima: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how many of the searches would reach each score if all were usual.

    By a Gumbel distribution through the middle of the maxima (Gumbel 1958), which is
    above the tail of cosines: it doubts nobody too early.
    """
    reduced = -np.log(-np.log(_USUAL))
    scale, location = np.polyfit(reduced, np.quantile(maxima, _USUAL), 1)
    fitted = stats.gumbel_r(location, max(float(scale), 1e-9))
    expected: NDArray[np.float64] = len(maxima) * fitted.sf(scores)
    return expected
