"""The code of one dimension: its centroids, its measured error, and the cuts.

A vector is coded twice. *Coarse*: the nearest of 16 centroids for each sub-vector, 4
bits, which the scan reads. *Fine*: the sign of what that leaves, 1 bit a component,
read for the few that pass the coarse cut. The fine score of a code is the coarse one
plus `amplitude` times the inner product of the probe with those signs.

A cut is the lowest score that a vector *exactly at* the threshold may have: below the
mean by so many standard deviations of the measured error. It depends on the threshold
and the dimension alone, since a random rotation makes every pair of vectors alike but
for their cosine.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from matcher.engine.shape import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At each of the two cuts. 4.75 deviations would be 1e-6 of a normal distribution; the
# error's tail is a little heavier, so that 4.26 missed 1.4 to 2.0 times its 1e-5.
DEVIATIONS: Final = 5.3
# How many times as far the tails of the coarse and of the fine error reach, by the
# length of a sub-vector. A component beyond the outermost centroid is off by more than
# any other; where each has a code of its own, such are nearly all of the error. Of a
# million pairs at each dimension and threshold the farthest were at 11.2 and 16.0
# deviations for one component, at 5.1 and 5.7 for two; of 131,000 pairs, at 4.7 and 5.4
# for three, at 4.6 and 5.2 for four; beyond that it is near normal.
_TAILS: Final = {1: (2.3, 3.2), 2: (1.1, 1.25), 3: (1.0, 1.2), 4: (1.0, 1.15)}
_NORMAL: Final = (1.0, 1.0)
# At most, of vectors of a set: a set is found by several, each of which is rarely just
# at its threshold, so that one in ten thousand of those that are may be lost. Farther,
# so many pass that have nothing to do with the probe that all takes several times as
# long. Of 200,000 pairs at 128 dimensions one in ten thousand was farther by the fine
# error, and hardly any by the coarse one.
DEVIATIONS_OF_SETS: Final = 7.0


@dataclass(frozen=True, slots=True)
class Error:
    """What a code keeps of a random unit vector, as `recipe.measure` found it.

    Attributes:
        kept: mean inner product of the code with the vector.
        spread: its standard deviation.
        stray: root mean square length of the code across the vector.
        tail: how many times as far as a normal one's its tail reaches.
    """

    kept: float
    spread: float
    stray: float
    tail: float = 1.0

    def cut(
        self,
        thresholds: NDArray[np.float64],
        dimension: int,
        most: float = math.inf,
    ) -> NDArray[np.float64]:
        """Return the lowest score of vectors whose cosine is the threshold.

        Less so many deviations of the error as its tail reaches, or `most`.

        With probe = t * vector + sqrt(1 - t^2) * other, the score is t times what is
        kept along the vector, and sqrt(1 - t^2) times a component of what strays: of
        `dimension - 1` directions, one.
        """
        along = thresholds * self.spread
        across = (1 - thresholds**2).clip(0.0) * self.stray**2 / (dimension - 1)
        deviation = np.sqrt(along**2 + across)
        reach = min(DEVIATIONS * self.tail, most)
        return thresholds * self.kept - reach * deviation


@dataclass(frozen=True, slots=True)
class Code:
    """How vectors of one dimension are coded.

    Attributes:
        shape: how they are laid out.
        centroids: float32 (16, length), of vectors of unit length.
        amplitude: weight of one sign.
        coarse: error of the coarse code.
        fine: error of both together.
        widest: greatest distance of two centroids.
    """

    shape: Shape
    centroids: NDArray[np.float32]
    amplitude: float
    coarse: Error
    fine: Error
    widest: float

    @staticmethod
    @cache
    def book() -> dict[str, Any]:
        """Return the codebook that `recipe` made."""
        book: dict[str, Any] = json.loads(_text())
        return book

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, dimension: int) -> Self:
        """Return the code for a dimension of 2 to 4096."""
        shape = Shape.of(dimension)
        book = cls.book()
        measured = book["errors"][str(shape.padded)]
        tails = _TAILS.get(shape.length, _NORMAL)
        coarse, fine = (
            Error(kept, spread, stray, tail)
            for (kept, spread, stray), tail in zip(measured, tails, strict=True)
        )
        unit = np.sqrt(shape.padded)
        centroids = np.array(book["centroids"][str(shape.length)]) / unit
        apart = centroids[:, None] - centroids
        return cls(
            shape=shape,
            centroids=centroids.astype(np.float32),
            amplitude=book["amplitudes"][str(shape.length)] / unit,
            coarse=coarse,
            fine=fine,
            widest=float(np.linalg.norm(apart, axis=2).max()),
        )


def codebook_digest() -> str:
    """Return what tells this codebook from any other."""
    return hashlib.sha256(_text().encode()).hexdigest()


def _text() -> str:
    return resources.files("matcher.engine").joinpath("codebook.json").read_text()
