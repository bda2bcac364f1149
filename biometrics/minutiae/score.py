"""Compares two sets of minutiae: lays one over the other, and counts what meets.

1. Pairs of minutiae whose surroundings are most alike each propose how to lay the first
   print over the second: a turn and a move, without scaling.
2. For each proposal, minutiae meet that lie close and point alike, each with at most
   one other. How close is close grows with the distance from the proposing pair, since
   skin stretches.
3. What meets is summed, weighted by how closely and how alike the surroundings are, and
   divided by how many could have met: those in the part that both prints show.
4. The best proposal's is what the prints have in common.
5. Nor is the score more than their *vouchers* bear: the surroundings of `VOUCHERS`
   minutiae of the first print have to be as alike to some of the second's as
   `least_cosine` of the score says.

The last is what an index can search for, so that no print that would match is lost to
it: whoever scores s is found by looking for that cosine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.minutiae.descriptor import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOUCHERS: Final = 4
_PROPOSALS: Final = 24
# Fewer where both have more than some sixty minutiae, or a comparison of the largest
# would take a hundred times as long.
_FEWEST_PROPOSALS: Final = 4
_PAIRS: Final = 24 * 64 * 64  # of minutiae, over all proposals
_CLOSE: Final = 14.0  # pixels at 500 an inch: one ridge and a half
_STRETCH: Final = 0.06  # pixels more, for each from the proposing pair
_ALIKE: Final = np.cos(np.radians(25))
# Of so few that could meet, chance lets all meet.
_FEWEST: Final = 12
_MARGIN: Final = 10.0  # pixels around a print's minutiae that it shows as well
# Cosine of the vouchers for a score of 0, and more for each of score: by measurement,
# where it costs mates next to nothing at the thresholds of galleries of any size.
_COSINE: Final = 0.45
_SLOPE: Final = 0.5


def least_cosine(score: float) -> float:
    """Return from which cosine on surroundings vouch for a score."""
    return _COSINE + _SLOPE * score


def most_vouched(cosine: float) -> float:
    """Return the score up to which surroundings of a cosine vouch."""
    return (cosine - _COSINE) / _SLOPE


@dataclass(frozen=True, slots=True)
class Print:
    """A print, ready to be compared.

    Attributes:
        minutiae: (n, 3), see `descriptor.describe`.
        vectors: float32 (n, dimension), of unit length.
    """

    minutiae: NDArray[np.float64] = field(repr=False, compare=False)
    vectors: NDArray[np.float32] = field(repr=False, compare=False)

    @classmethod
    def of(cls, minutiae: NDArray[np.float64]) -> Print:
        """Describe minutiae."""
        return cls(minutiae, describe(minutiae))


def score(one: Print, other: Print, *, least: float = 0.0) -> float:
    """Return how alike two prints are, 0 to about 1; half a millisecond, at most ten.

    It is not quite the same the other way round.

    Args:
        one: the probe.
        other: what it is compared with.
        least: below which it does not matter how alike they are: then what is returned
            is below it too.
    """
    if min(len(one.minutiae), len(other.minutiae)) < VOUCHERS:
        return 0.0
    alike = _alike(one, other)
    vouched = _vouched(alike)
    if vouched <= 0 or vouched < least:
        return vouched
    return min(_in_common(one.minutiae, other.minutiae, alike), vouched)


def apart(one: Print, other: Print) -> tuple[float, float]:
    """Return what two prints have in common, and the most that is vouched for.

    The lesser is their score. Both have as many minutiae as take to vouch.
    """
    alike = _alike(one, other)
    return _in_common(one.minutiae, other.minutiae, alike), _vouched(alike)


def _alike(one: Print, other: Print) -> NDArray[np.float64]:
    """Return how alike the surroundings of each minutia are to those of each other."""
    alike: NDArray[np.float64] = one.vectors.astype(np.float64) @ other.vectors.T
    return alike


def _vouched(alike: NDArray[np.float64]) -> float:
    """Return the most that surroundings vouch for, 0 at least."""
    best = np.partition(alike.max(axis=1), -VOUCHERS)[-VOUCHERS]
    return max(most_vouched(float(best)), 0.0)


def _in_common(
    one: NDArray[np.float64], other: NDArray[np.float64], alike: NDArray[np.float64]
) -> float:
    """Return what two prints have in common; see the module."""
    many = max(min(_PROPOSALS, _PAIRS // alike.size), _FEWEST_PROPOSALS)
    many = min(many, alike.size)  # all pairs there are
    best = np.argpartition(-alike, many - 1, axis=None)[:many]
    from_, to = np.unravel_index(best, alike.shape)
    here, there = one[:, 0] + 1j * one[:, 1], other[:, 0] + 1j * other[:, 1]
    between = np.exp(1j * (other[None, :, 2] - one[:, None, 2]))
    turn = between[from_, to][:, None]
    around = here[None, :] - here[from_, None]
    laid = around * turn + there[to, None]
    back = (there[None, :] - there[to, None]) * np.conj(turn) + here[from_, None]
    reach = _CLOSE + _STRETCH * np.abs(around)
    apart = np.abs(laid[:, :, None] - there)
    apart /= reach[:, :, None]
    met = np.clip(1 - apart**2, 0, None)
    angle = (between * np.conj(turn)[:, :, None]).real
    angle -= _ALIKE
    angle /= 1 - _ALIKE
    met *= np.clip(angle, 0, None, out=angle)
    met *= np.clip(alike, 0, None)
    shown = np.minimum(_shown(laid, there), _shown(back, here))
    return float((_one_to_one(met) / np.maximum(shown, _FEWEST)).max())


def _shown(
    laid: NDArray[np.complex128], places: NDArray[np.complex128]
) -> NDArray[np.int64]:
    """Return how many of the minutiae laid over a print lie where it shows some."""
    inside = np.ones(laid.shape, np.bool_)
    for mine, its in ((laid.real, places.real), (laid.imag, places.imag)):
        inside &= (mine >= its.min() - _MARGIN) & (mine <= its.max() + _MARGIN)
    count: NDArray[np.int64] = inside.sum(axis=1)
    return count


def _one_to_one(met: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over pairs each of which is the best of both, by proposal."""
    second, first = met.argmax(axis=2), met.argmax(axis=1)
    proposals = np.arange(len(met))[:, None]
    own = np.arange(met.shape[1])[None]
    mutual = first[proposals, second] == own
    summed: NDArray[np.float64] = np.where(mutual, met[proposals, own, second], 0).sum(
        axis=1
    )
    return summed
