"""Probes made ready for one gallery: turned as it is, with the cuts for its codes.

To make one costs some 25 us at 512-d, so it is done once for all segments.

A probe is a vector, or a set of them. What a gallery has under one id may be a set as
well. A set is found where so many of the probe's vectors find one of its own each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from matcher.engine.code import DEVIATIONS, DEVIATIONS_OF_SETS

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
class Asked:
    """What one probe asks of a gallery.

    Attributes:
        vectors: float32 (m, dimension), of unit length.
        threshold: exact inner product from which a vector is found.
        low: that from which one of the best few should be as well; not of a set.
        least: how many of the vectors have to find one of a set's; 0 where the probe
            is one vector, and so is what it may find.
    """

    vectors: NDArray[np.float32]
    threshold: float
    low: float
    least: int = 0


@dataclass(frozen=True, slots=True)
class Probes:
    """What a segment is searched with: p probes, of q vectors together.

    Attributes:
        turned: float32 (q, padded).
        coarse: (q,), cuts of coarse scores as FAISS rounds them.
        fine: (q,), cuts of fine scores made from such.
        near: (q,), fine scores from which the best few are returned as well.
        sizes: (p,), vectors of each probe, which stand together.
        least: (p,), how many of them have to find one of a set's.
        are_sets: whether they are sets, rather than one vector each.
    """

    turned: NDArray[np.float32]
    coarse: NDArray[np.float64]
    fine: NDArray[np.float64]
    near: NDArray[np.float64]
    sizes: NDArray[np.intp]
    least: NDArray[np.intp]
    are_sets: bool

    def __len__(self) -> int:
        """Return how many probes there are."""
        return len(self.sizes)

    @classmethod
    def of(  # noqa: PLR0917 - the last two for sets alone
        cls,
        coding: Coding,
        vectors: NDArray[np.float32],
        thresholds: NDArray[np.float64],
        lows: NDArray[np.float64] | None = None,
        sizes: NDArray[np.intp] | None = None,
        least: NDArray[np.intp] | None = None,
    ) -> Self:
        """Make probes ready.

        Args:
            coding: of the gallery.
            vectors: (q, dimension), of unit length.
            thresholds: (q,), exact inner products from which a row must be returned.
            lows: (q,), those from which one of the best few should be; left out, none
                below the threshold.
            sizes: (p,), of how many vectors each probe is; left out, of one each.
            least: (p,), how many of them have to find one of a set's, likewise.
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
        most = math.inf
        if sizes is not None:
            # Half steps of any sign add up to less, nearly always.
            rounding *= DEVIATIONS / math.sqrt(3 * shape.subvectors)
            most = DEVIATIONS_OF_SETS
        coarse = code.coarse.cut(thresholds, shape.padded, most)
        near = np.full(len(turned), np.inf)
        if lows is not None:
            # At the low end every other one is enough, and nearer nearly all are seen:
            # what shapes a probe looks at one row a hundred times.
            near = code.fine.kept * lows
            coarse = np.minimum(coarse, code.coarse.kept * lows)
        ones = np.ones(len(turned), np.intp)
        return cls(
            turned=turned,
            coarse=coarse - rounding,
            fine=code.fine.cut(thresholds, shape.padded, most) - rounding,
            near=near,
            sizes=ones if sizes is None else sizes,
            least=ones if least is None else least,
            are_sets=sizes is not None,
        )

    @classmethod
    def asking(cls, coding: Coding, asked: Sequence[Asked]) -> Self:
        """Make ready what probes ask of a gallery; all are sets, or none is."""
        vectors = np.concatenate([each.vectors for each in asked])
        sizes = np.array([len(each.vectors) for each in asked], np.intp)
        thresholds = np.array([each.threshold for each in asked])
        lows = np.array([each.low for each in asked])
        if not any(each.least for each in asked):
            return cls.of(coding, vectors, thresholds, lows)
        least = np.array([each.least for each in asked], np.intp)
        each_one = np.repeat(thresholds, sizes)
        return cls.of(coding, vectors, each_one, None, sizes, least)

    def apart(self) -> list[Self]:
        """Return each probe alone, as a view of these."""
        if len(self) == 1:
            return [self]
        ends = np.cumsum(self.sizes).tolist()
        return [
            type(self)(
                turned=self.turned[start:end],
                coarse=self.coarse[start:end],
                fine=self.fine[start:end],
                near=self.near[start:end],
                sizes=self.sizes[n : n + 1],
                least=self.least[n : n + 1],
                are_sets=self.are_sets,
            )
            for n, (start, end) in enumerate(pairwise([0, *ends]))
        ]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all probes of several, for one gallery, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            turned=np.concatenate([part.turned for part in parts]),
            coarse=np.concatenate([part.coarse for part in parts]),
            fine=np.concatenate([part.fine for part in parts]),
            near=np.concatenate([part.near for part in parts]),
            sizes=np.concatenate([part.sizes for part in parts]),
            least=np.concatenate([part.least for part in parts]),
            are_sets=parts[0].are_sets,
        )

    def borne_out(
        self, whose: NDArray[np.intp], ids: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which of the vectors' findings are of what enough of them found.

        Args:
            whose: (n,), which vector found something, ascending.
            ids: (n,), what it found.
        """
        probe = self.probe_of(whose)
        # Once for each vector, however many of a set it finds.
        order = np.lexsort((whose, ids, probe))
        probes, found, by = probe[order], ids[order], whose[order]
        is_next = np.ones(len(order), np.bool_)  # set
        is_next[1:] = (np.diff(probes) != 0) | (np.diff(found) != 0)
        is_new = is_next.copy()  # vector of it
        is_new[1:] |= np.diff(by) != 0
        number = np.cumsum(is_next) - 1
        votes = np.bincount(number, weights=is_new)
        borne = np.empty(len(order), np.bool_)
        borne[order] = votes[number] >= self.least[probes]
        return borne

    def probe_of(self, whose: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return of which probe vectors are."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)[whose]
