"""What scores weigh: likelihood ratios, of a calibration's own searches.

Non-mated: steps of a quarter of a decade of the false match rate, at the safe end of
what is known: in the body by counts of pairs, in the tail by search maxima, as the
thresholds are. Mated: a kernel density of the scores with one's own (Silverman 1986),
and a share of captures that are as good as a stranger's, so that no failed capture
speaks against a person for ever. The ratio of the two is made to rise by pooling
neighbours (Ayer et al. 1955), as Bruemmer and du Preez calibrate likelihood ratios
(2006), which leaves the mean of strangers' ratios as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize, stats

from biometrics import limits
from biometrics.calibration import Weights, rarest_supported
from enrolment.calibrate import tail
from enrolment.calibrate.searches import BINS, NO_SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from biometrics.calibration import Evidence
    from enrolment.calibrate.searches import Searches

_STEP: Final = 0.25  # decades
_DIGITS: Final = 1e4  # steps are written with four, each to the safe side


def weigh(found: Searches, evidence: Evidence, seed: int) -> Weights | None:
    """Return what scores weigh; None where too few have a second capture.

    Args:
        found: the searches.
        evidence: what they amount to.
        seed: of what is drawn.
    """
    mated = found.mated[found.mated > NO_SCORE]
    if len(mated) < limits.LEAST_CALIBRATION_SUBJECTS:
        return None
    most = rarest_supported(evidence.subjects, evidence.comparisons)
    decades = np.arange(0.0, most, _STEP)
    cosines = _reached(found, evidence, decades, seed)
    # Where several steps begin at one cosine, the rarest of them is reached there.
    kept = np.append(np.diff(cosines) > 0, [True])
    decades, cosines = decades[kept], cosines[kept]
    if len(decades) < 2:  # noqa: PLR2004 - nothing is told apart
        return None
    decades[0], cosines[0] = 0.0, -1.0
    strangers = -np.diff(10.0**-decades, append=0.0)
    failed = 1 / (len(mated) + 1)
    mates = (1 - failed) * _mass(mated, cosines) + failed * strangers
    ratios = optimize.isotonic_regression(mates / strangers, weights=strangers).x
    weights = np.floor(np.log10(ratios) * _DIGITS) / _DIGITS
    return Weights(
        mates=len(mated),
        cosines=tuple(cosines.tolist()),
        decades=tuple(decades.tolist()),
        weights=tuple(weights.tolist()),
    )


def _reached(
    found: Searches, evidence: Evidence, decades: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Return which cosines two people's captures reach no more often than so."""
    rates = 10.0**-decades
    counts = found.pairs[::-1].cumsum()[::-1]  # at or above the beginning of each bin
    above = np.append(counts / counts[0], 0.0)
    # The first edge that so few are above, and none below it is safe.
    places = len(above) - np.searchsorted(above[::-1], rates, side="right")
    body = BINS[np.minimum(places, len(BINS) - 1)]
    body[0] = -1.0
    shares = -np.expm1(-rates * evidence.comparisons)
    in_tail = shares <= tail.TAIL
    if in_tail.any():
        _, high = tail.intervals(
            found.maxima[-1], found.subject, shares[in_tail], seed=seed
        )
        middle = tail.quantiles(found.maxima[-1], shares[in_tail])
        body[in_tail] = np.maximum(high, middle)
    reached: NDArray[np.float64] = np.maximum.accumulate(
        np.ceil(body * _DIGITS) / _DIGITS
    )
    return np.minimum(reached, 1 - 1 / _DIGITS)


def _mass(
    mated: NDArray[np.float64], cosines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which share of mated scores lies in each step, by a Gaussian kernel."""
    spread = min(
        float(mated.std()), float(np.subtract(*np.quantile(mated, [0.75, 0.25]))) / 1.34
    )
    width = max(0.9 * spread * len(mated) ** -0.2, 1e-3)
    below = stats.norm.cdf((cosines[:, None] - mated) / width).mean(axis=1)
    below[0] = 0.0  # all of the kernel counts, also below the least cosine
    mass: NDArray[np.float64] = np.diff(below, append=1.0)
    return mass
