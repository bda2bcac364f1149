"""The cosine at which searches of people who are not enrolled err as often as promised.

FPIR (ISO/IEC 19795-1) is the share of non-mated searches that return anyone. It is a
statement about *search maxima*, the best score of each such search, so those are what
is sampled here: never pairs, whose tail is another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = ["Threshold", "search_maxima", "threshold_for"]

_TAIL: Final = 0.1  # share of the maxima that a Pareto tail is fitted to
_TAIL_LEAST: Final = 100  # fewer than so many exceedances fit no shape
_EULER: Final = 0.5772156649015329
_LIKELY: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, and how well the sample supports it.

    Attributes:
        cosine: the estimate.
        low: lower end of its 95 % interval, by bootstrap of the searches.
        high: upper end.
        method: the tail that was fitted.
        searches: how many maxima it was fitted to.
        beyond: searches times FPIR; below 1 the figure is an extrapolation.
    """

    cosine: float
    low: float
    high: float
    method: str
    searches: int
    beyond: float


def search_maxima(
    blocks: Iterable[NDArray[np.float32]], probes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the best cosine of each probe in a gallery given block by block.

    Args:
        blocks: each float32 (n, d), of unit length.
        probes: float32 (q, d), of unit length, of people who are not in the gallery.
    """
    best = np.full(len(probes), -1.0, np.float32)
    for block in blocks:
        np.maximum(best, (block @ probes.T).max(axis=0), out=best)
    return best


def threshold_for(
    maxima: NDArray[np.float32],
    fpir: float = 1e-3,
    *,
    growth: float = 1.0,
    resamples: int = 200,
    seed: int = 0,
) -> Threshold:
    """Return the cosine at which the share `fpir` of non-mated searches err.

    With 1,000 maxima or more, a generalised Pareto tail is fitted to the highest tenth
    by probability-weighted moments (Hosking and Wallis 1987, Technometrics 29); with
    fewer, a Gumbel distribution to all of them by L-moments. The maxima must be of
    independent probes, none of whom has a mate in the gallery: a single unlabelled mate
    moves the tail.

    Against the 1e-3 of 30,000 searches of 20,000 x 512-d, isotropic and at effective
    dimension 180: Pareto on 3,000 is right on average, standard deviation .003 and
    .006, its interval covers 9 of 10; Gumbel on 300 is .008 and .016 too high, as the
    tail of cosines is lighter, and its interval does not say so: for short runs only.

    What it supports: an FPIR down to about 3 over the number of searches (3,000 for
    1e-3), for the gallery that was searched, or one a few times as large of the same
    people (`growth`). What it does not: more than tenfold growth; another population;
    or an FPIR far below one over the number of searches, where the interval shows the
    scatter of the sample but not the error of the shape.

    Args:
        maxima: best cosine of each non-mated search.
        fpir: share of such searches that may err, above 0 and below .1.
        growth: records of the gallery that is meant over records of that searched.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    values = np.sort(maxima.astype(np.float64))
    # P(no error in g times the records) = P(no error) ** g
    share = -math.expm1(math.log1p(-fpir) / growth)
    has_tail = _TAIL * len(values) >= _TAIL_LEAST
    quantile = _pareto if has_tail else _gumbel
    random = np.random.default_rng(seed)
    low, high = _interval(values, share, quantile, random=random, resamples=resamples)
    return Threshold(
        cosine=quantile(values, share),
        low=low,
        high=high,
        method="generalised Pareto" if has_tail else "Gumbel",
        searches=len(values),
        beyond=len(values) * fpir,
    )


def _interval(
    values: NDArray[np.float64],
    share: float,
    quantile: Callable[[NDArray[np.float64], float], float],
    *,
    random: np.random.Generator,
    resamples: int,
) -> tuple[float, float]:
    """Return where the quantile lies in 95 % of resamples."""
    size = len(values)
    found = [
        quantile(np.sort(random.choice(values, size)), share) for _ in range(resamples)
    ]
    low, high = np.quantile(found, _LIKELY)
    return float(low), float(high)


def _pareto(values: NDArray[np.float64], share: float) -> float:
    """Return what the share of sorted values exceeds, by a tail on the highest ones."""
    count = int(_TAIL * len(values))
    start = values[-count - 1]
    excess = values[-count:] - start
    ranks = (np.arange(count) + 0.65) / count  # as Hosking and Wallis place them
    mean, weighted = excess.mean(), (excess * (1 - ranks)).mean()
    shape = 2 - mean / (mean - 2 * weighted)
    scale = 2 * mean * weighted / (mean - 2 * weighted)
    ratio = share * len(values) / count
    if abs(shape) < 1e-6:  # noqa: PLR2004
        return float(start - scale * math.log(ratio))
    return float(start + scale / shape * (ratio**-shape - 1))


def _gumbel(values: NDArray[np.float64], share: float) -> float:
    """Return what the share of sorted values exceeds, by a distribution of all."""
    size = len(values)
    weighted = (values * np.arange(size)).sum() / (size * (size - 1))
    scale = (2 * weighted - values.mean()) / math.log(2)
    location = values.mean() - _EULER * scale
    return float(location - scale * math.log(-math.log1p(-share)))
