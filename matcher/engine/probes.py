"""Probes made ready for one gallery: turned as it is, with the cuts for its codes.

To make one costs some 25 us at 512-d, so it is done once for all segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matcher.engine.code import Code
    from matcher.engine.rotation import Rotation

_LARGEST_LOOK_UP: Final = 255  # FAISS sums whole numbers of 8 bits


@dataclass(frozen=True, slots=True)
class Coding:
    """How one gallery is coded: its code and its secret rotation."""

    code: Code
    rotation: Rotation


@dataclass(frozen=True, slots=True)
class Probes:
    """What a segment is searched with.

    Attributes:
        turned: float32 (q, padded).
        coarse: (q,), cuts of coarse scores as FAISS rounds them.
        fine: (q,), cuts of fine scores made from such.
        floor: (q,), the lowest coarse score that any row can have; FAISS takes no cut
            below it.
    """

    turned: NDArray[np.float32]
    coarse: NDArray[np.float64]
    fine: NDArray[np.float64]
    floor: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        coding: Coding,
        vectors: NDArray[np.float32],
        thresholds: NDArray[np.float64],
    ) -> Self:
        """Make probes ready.

        Args:
            coding: of the gallery.
            vectors: (q, dimension), of unit length.
            thresholds: (q,), exact inner products from which a row must be returned.
        """
        code, shape = coding.code, coding.code.shape
        turned = coding.rotation.turn(vectors)
        pieces = turned.reshape(len(turned), shape.subvectors, shape.length)
        tables = np.matmul(code.centroids, pieces.transpose(0, 2, 1))  # (q, 16, m)
        lowest = tables.min(axis=1)
        # FAISS rounds each entry of its look-up tables to one of 256 steps between the
        # lowest and the highest; a sum is off by at most half a step for each table.
        step = (tables.max(axis=1) - lowest).max(axis=1) / _LARGEST_LOOK_UP
        rounding = step.astype(np.float64) * (shape.subvectors / 2)
        return cls(
            turned=turned,
            coarse=code.coarse.cut(thresholds, shape.padded) - rounding,
            fine=code.fine.cut(thresholds, shape.padded) - rounding,
            floor=lowest.sum(axis=1, dtype=np.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Probes]) -> Self:
        """Return all probes of several, for one gallery, in their order."""
        return cls(
            turned=np.concatenate([part.turned for part in parts]),
            coarse=np.concatenate([part.coarse for part in parts]),
            fine=np.concatenate([part.fine for part in parts]),
            floor=np.concatenate([part.floor for part in parts]),
        )
