"""Pairs at exactly the threshold: coded, searched for, and counted if lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from matcher.engine import Coding, Probes, Segment
from matcher.engine.code import DEVIATIONS, Code
from matcher.engine.rotation import Rotation
from matcher.engine.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.kit.galleries import Gallery
    from matcher.engine.code import Error

_ROWS: Final = 512  # of a gallery
_ROTATIONS: Final = 4  # of the same rows
_PROBES: Final = 4  # for a row, threshold and rotation
BLOCK_PAIRS: Final = _ROWS * _ROTATIONS * _PROBES


@dataclass(slots=True)
class Losses:
    """What became of pairs at one threshold.

    Attributes:
        pairs: how many.
        coarse: how many the coarse cut lost.
        fine: how many passed it and were lost by the fine one.
        margins: least distance of each score above its cut, in standard deviations;
            the cut without what it allows for FAISS's rounding.
    """

    pairs: int = 0
    coarse: int = 0
    fine: int = 0
    margins: list[float] = field(default_factory=lambda: [math.inf, math.inf])

    def add(self, other: Losses) -> None:
        """Count others too."""
        self.pairs += other.pairs
        self.coarse += other.coarse
        self.fine += other.fine
        self.margins = list(map(min, self.margins, other.margins))


class Rows:
    """Some rows, coded, and the mates that are made for them."""

    def __init__(self, vectors: NDArray[np.float32], seed: bytes) -> None:
        """Code the rows under a rotation of their own."""
        dimension = vectors.shape[1]
        self._code = Code.of(dimension)
        coding = Coding(self._code, Rotation(seed, Shape.of(dimension)))
        ids = np.arange(len(vectors), dtype=np.int64)
        self._segment = Segment.empty(coding).grown(ids, vectors)
        padded = self._code.shape.padded
        bits = np.unpackbits(self._segment.signs, axis=1, count=padded)
        weight = np.float32(self._code.amplitude)
        self._coarse = self._segment.coarse.vectors()
        self._fine = self._coarse + weight * (2 * bits.astype(np.float32) - 1)

    def search(self, vectors: NDArray[np.float32], threshold: float) -> Losses:
        """Search for as many probes as rows, each exactly at the threshold to its."""
        thresholds = np.full(len(vectors), threshold)
        probes = Probes.of(self._segment.coding, vectors, thresholds)
        lost = self._missing(probes)
        coarse = 0
        if lost:
            anything = np.full(len(vectors), -np.inf)
            coarse = self._missing(replace(probes, fine=anything))
        margins = [
            self._margin(probes.turned, self._coarse, self._code.coarse, threshold),
            self._margin(probes.turned, self._fine, self._code.fine, threshold),
        ]
        return Losses(len(vectors), coarse, lost - coarse, margins)

    def _missing(self, probes: Probes) -> int:
        """Return how many probes do not find the row of their number."""
        found = self._segment.search(probes)
        return sum(row not in ids for row, ids in enumerate(found))

    def _margin(
        self,
        turned: NDArray[np.float32],
        said: NDArray[np.float32],
        error: Error,
        threshold: float,
    ) -> float:
        """Return the least distance of a score above its cut, in deviations."""
        (cut,) = error.cut(np.array([threshold]), self._code.shape.padded)
        deviation = (threshold * error.kept - cut) / (DEVIATIONS * error.tail)
        lowest = np.einsum("rd,rd->r", turned, said).min()
        return float((lowest - cut) / deviation)


def mates(
    rows: NDArray[np.float32],
    others: NDArray[np.float32],
    cosines: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return for each row a probe of some cosine, in the plane of it and another."""
    row, other = rows.astype(np.float64), others.astype(np.float64)
    other -= np.einsum("rd,rd->r", row, other)[:, None] * row
    across = np.sqrt(1 - cosines**2) / np.linalg.norm(other, axis=1)
    made: NDArray[np.float64] = cosines[:, None] * row + across[:, None] * other
    return made.astype(np.float32)


def pairs_of(
    gallery: Gallery, thresholds: Sequence[float], number: int
) -> list[Losses]:
    """Return what becomes of one block of pairs, at each threshold."""
    vectors = gallery.non_mated(_ROWS, 2 * number)
    others = gallery.non_mated(_ROWS, 2 * number + 1)
    losses = [Losses() for _ in thresholds]
    for turn in range(_ROTATIONS):
        seed = number.to_bytes(16, "big") + turn.to_bytes(16, "big")
        rows = Rows(vectors, seed)
        for probe in range(_PROBES):
            along = np.roll(others, _PROBES * turn + probe, axis=0)
            for threshold, counted in zip(thresholds, losses, strict=True):
                probes = mates(vectors, along, np.full(_ROWS, threshold))
                counted.add(rows.search(probes, threshold))
    return losses
