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
        near: (q,), fine scores from which the best few are returned as well.
    """

    turned: NDArray[np.float32]
    coarse: NDArray[np.float64]
    fine: NDArray[np.float64]
    near: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        coding: Coding,
        vectors: NDArray[np.float32],
        thresholds: NDArray[np.float64],
        lows: NDArray[np.float64] | None = None,
    ) -> Self:
        """Make probes ready.

        Args:
            coding: of the gallery.
            vectors: (q, dimension), of unit length.
            thresholds: (q,), exact inner products from which a row must be returned.
            lows: (q,), those from which one of the best few should be; left out, none
                below the threshold.
        """
        code, shape = coding.code, coding.code.shape
        turned = coding.rotation.turn(vectors)
        pieces = turned.reshape(len(turned), shape.subvectors, shape.length)
        lengths = np.sqrt(np.einsum("qmk,qmk->qm", pieces, pieces))
        # FAISS rounds each entry of its look-up tables to one of 256 steps between the
        # lowest and the highest; a sum is off by at most half a step for each table.
        # No table spans more than the probe's part is long and centroids are apart.
        step = lengths.max(axis=1) * (code.widest / _LARGEST_LOOK_UP)
        rounding = step.astype(np.float64) * (shape.subvectors / 2)
        coarse = code.coarse.cut(thresholds, shape.padded)
        near = np.full(len(turned), np.inf)
        if lows is not None:
            # At the low end every other one is enough, and nearer nearly all are seen:
            # what shapes a probe looks at one row a hundred times.
            near = code.fine.kept * lows
            coarse = np.minimum(coarse, code.coarse.kept * lows)
        return cls(
            turned=turned,
            coarse=coarse - rounding,
            fine=code.fine.cut(thresholds, shape.padded) - rounding,
            near=near,
        )

    def apart(self) -> list[Probes]:
        """Return each probe alone, as a view of these."""
        return [
            Probes(self.turned[one], self.coarse[one], self.fine[one], self.near[one])
            for one in (slice(n, n + 1) for n in range(len(self.turned)))
        ]

    @classmethod
    def joined(cls, parts: Sequence[Probes]) -> Self:
        """Return all probes of several, for one gallery, in their order."""
        return cls(
            turned=np.concatenate([part.turned for part in parts]),
            coarse=np.concatenate([part.coarse for part in parts]),
            fine=np.concatenate([part.fine for part in parts]),
            near=np.concatenate([part.near for part in parts]),
        )
