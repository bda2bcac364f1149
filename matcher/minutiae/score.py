"""Compares two sets of minutiae: lays one over the other, and counts what meets.

1. Pairs of minutiae whose surroundings are most alike each propose how to lay the first
   print over the second: a turn and a move, without scaling.
2. For each proposal, minutiae meet that lie close and point alike, each with at most
   one other. How close is close grows with the distance from the proposing pair, since
   skin stretches.
3. What meets is summed, weighted by how closely and how alike the surroundings are, and
   divided by how many could have met: those in the part that both prints show.
4. The best proposal's score is the prints'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from matcher.minutiae.descriptor import describe, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROPOSALS: Final = 24
_CLOSE: Final = 14.0  # pixels at 500 an inch: one ridge and a half
_STRETCH: Final = 0.06  # pixels more, for each from the proposing pair
_ALIKE: Final = np.radians(25)
# Of so few that could meet, chance lets all meet.
_FEWEST: Final = 12
_MARGIN: Final = 10.0  # pixels around a print's minutiae that it shows as well


@dataclass(frozen=True, slots=True)
class Print:
    """A print, ready to be compared.

    Attributes:
        minutiae: (n, 3), see `descriptor.describe`.
        vectors: (n, dimension), of unit length.
    """

    minutiae: NDArray[np.float64] = field(repr=False, compare=False)
    vectors: NDArray[np.float64] = field(repr=False, compare=False)

    @classmethod
    def of(cls, minutiae: NDArray[np.float64], centre: NDArray[np.float64]) -> Print:
        """Describe minutiae; about a millisecond for forty."""
        return cls(minutiae, unit(describe(minutiae), centre))


def score(one: Print, other: Print) -> float:
    """Return how alike two prints are, 0 to about 1; some milliseconds.

    It is not quite the same the other way round. A print without minutiae is like
    none.
    """
    if not len(one.minutiae) or not len(other.minutiae):
        return 0.0
    alike = one.vectors @ other.vectors.T
    best = np.argsort(-alike, axis=None, kind="stable")[:_PROPOSALS]
    from_, to = np.unravel_index(best, alike.shape)
    turn = other.minutiae[to, 2] - one.minutiae[from_, 2]
    laid = _laid(one.minutiae, from_, turn, other.minutiae[to])
    back = _laid(other.minutiae, to, -turn, one.minutiae[from_])
    reach = _CLOSE + _STRETCH * np.linalg.norm(
        one.minutiae[None, :, :2] - one.minutiae[from_, None, :2], axis=2
    )
    apart = np.linalg.norm(laid[:, :, None] - other.minutiae[None, None, :, :2], axis=3)
    turned = one.minutiae[None, :, 2] + turn[:, None]
    between = _angle(turned[:, :, None] - other.minutiae[None, None, :, 2])
    met = np.clip(1 - (apart / reach[..., None]) ** 2, 0, None)
    met *= np.clip(1 - (between / _ALIKE) ** 2, 0, None)
    met *= np.clip(alike, 0, 1)
    shown = np.minimum(_shown(laid, other.minutiae), _shown(back, one.minutiae))
    return float((_one_to_one(met) / np.maximum(shown, _FEWEST)).max())


def _laid(
    minutiae: NDArray[np.float64],
    from_: NDArray[np.intp],
    turn: NDArray[np.float64],
    to: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return where minutiae come to lie, by each proposal.

    Returns:
        (proposals, n, 2).
    """
    around = minutiae[None, :, :2] - minutiae[from_, None, :2]
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x = around[..., 0] * cosine - around[..., 1] * sine
    y = around[..., 0] * sine + around[..., 1] * cosine
    return np.stack([x, y], axis=2) + to[:, None, :2]


def _shown(
    laid: NDArray[np.float64], minutiae: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many of the minutiae laid over a print lie where it shows some."""
    least = minutiae[:, :2].min(axis=0) - _MARGIN
    most = minutiae[:, :2].max(axis=0) + _MARGIN
    inside = ((laid >= least) & (laid <= most)).all(axis=2)
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


def _angle(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an angle's size, 0 to pi."""
    return np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
