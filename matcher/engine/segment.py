"""Some rows of a gallery, coded: what one worker scans in one call.

Nothing in it ever changes, so it is read without a lock. Rows are removed by another
segment with the same codes in its place: a search that has begun goes on with the one
it has, and finds what was removed meanwhile. So it finds of a vector that was replaced
what it was or what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

from matcher.engine.code import codebook_digest
from matcher.engine.scan import CoarseCodes, use_one_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from matcher.engine.probes import Coding, Probes

# Rows compared at once: the arrays for them stay within a core's cache.
_ROWS_AT_ONCE: Final = 256
# Of the rows that fail the fine cut and are near it, so many are candidates all the
# same, so that what is opened is bounded and whoever feels for a row is seen.
NEAREST: Final = 8
# Of a set, so many vectors are looked for at once: if each finds every row, that takes
# some 300 MB for a moment.
_VECTORS_AT_ONCE: Final = 32
# Pairs of a probe's vectors and rows that pass the coarse cuts: those that the
# largest print has with a whole segment of honest ones are a half of that.
MOST_ALIKE: Final = 1 << 19
_NONE: Final = np.zeros(0, np.int64)


# Of each row found: which probe, its score, which row.
_Found: TypeAlias = tuple[
    "NDArray[np.intp]", "NDArray[np.float32]", "NDArray[np.int64]"
]


def layout() -> str:
    """Return what codes depend on beside the vectors and the seed of the rotation.

    The number is one more with each change of what `Segment.arrays` holds, or of how a
    seed turns vectors: old codes must not be searched with probes turned otherwise.
    """
    return f"1 {codebook_digest()}"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Coded rows, in ascending order of their ids.

    Attributes:
        coding: of the gallery.
        ids: int64 (n,); rows of one id are a set, which is whole in one segment.
        coarse: the codes that are scanned.
        signs: uint8 (n, padded / 8): a bit a component, packed.
        alive: bool (n,); False for what was removed.
        origin: the same of all segments with these codes, whatever is removed of them.
    """

    coding: Coding
    ids: NDArray[np.int64]
    coarse: CoarseCodes
    signs: NDArray[np.uint8]
    alive: NDArray[np.bool_]
    origin: object = field(default_factory=object, repr=False)

    @classmethod
    def empty(cls, coding: Coding) -> Self:
        """Return a segment without rows."""
        width = -(-coding.code.shape.padded // 8)
        return cls(
            coding=coding,
            ids=np.zeros(0, np.int64),
            coarse=CoarseCodes.empty(coding.code),
            signs=np.zeros((0, width), np.uint8),
            alive=np.zeros(0, np.bool_),
        )

    def __len__(self) -> int:
        """Return the number of rows, removed ones included."""
        return len(self.ids)

    @property
    def count(self) -> int:
        """How many ids a search can find."""
        living = self.ids[self.alive]
        return int(np.count_nonzero(np.diff(living))) + bool(len(living))

    @property
    def worn(self) -> int:
        """How many rows were removed."""
        return len(self) - int(np.count_nonzero(self.alive))

    def grown(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Segment:
        """Return a segment with more rows, coded.

        Args:
            ids: (n,), ascending, above those that are there; of a set, all rows.
            vectors: (n, dimension), of unit length.
        """
        use_one_thread()
        turned = self.coding.rotation.turn(vectors)
        codes = self.coarse.coded(turned)
        signs = np.packbits(turned > self.coarse.said(codes), axis=1)
        return Segment(
            coding=self.coding,
            ids=np.concatenate([self.ids, ids]),
            coarse=self.coarse.grown(codes),
            signs=np.concatenate([self.signs, signs]),
            alive=np.concatenate([self.alive, np.ones(len(ids), np.bool_)]),
        )

    def without(self, ids: NDArray[np.int64]) -> Segment:
        """Return the segment less some ids; itself if it has none of them."""
        rows = self.rows_of(ids)
        if not self.alive[rows].any():
            return self
        alive = self.alive.copy()
        alive[rows] = False
        return replace(self, alive=alive)

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Return ids, coarse codes and signs as bytes, (n, width) each."""
        ids = self.ids.astype("<i8").view(np.uint8).reshape(len(self), 8)
        return ids, self.coarse.rows(), self.signs

    @classmethod
    def of_bytes(cls, coding: Coding, rows: int, content: bytearray) -> Self:
        """Return the segment whose `arrays` are the content, one after another.

        Args:
            coding: of the gallery that it was of.
            rows: how many it has; all of them are alive.
            content: is copied and not kept: a view of its ids and signs would keep the
                codes in memory twice.
        """
        shape = coding.code.shape
        everything = np.frombuffer(content, np.uint8)
        ends = np.cumsum([8 * rows, shape.subvectors // 2 * rows])
        ids, codes, signs = np.split(everything, ends)
        return cls(
            coding=coding,
            ids=ids.view("<i8").astype(np.int64),
            coarse=CoarseCodes.of_rows(
                coding.code, codes.reshape(rows, shape.subvectors // 2)
            ),
            signs=signs.reshape(rows, -(-shape.padded // 8)).copy(),
            alive=np.ones(rows, np.bool_),
        )

    @staticmethod
    def size(coding: Coding, rows: int) -> int:
        """Return how many bytes the `arrays` of so many rows are."""
        shape = coding.code.shape
        return rows * (8 + shape.subvectors // 2 + -(-shape.padded // 8))

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the rows that hold any of some ids, removed ones included."""
        if not len(self.ids):
            return np.zeros(0, np.intp)
        ids = np.unique(ids)
        first = np.searchsorted(self.ids, ids)
        counts = np.searchsorted(self.ids, ids, side="right") - first
        # The rows from each first one on, one after another.
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        rows: NDArray[np.intp] = np.repeat(first, counts) + within
        return rows

    def search(self, probes: Probes) -> list[NDArray[np.int64]]:
        """Return the candidates of each probe; see `candidates`.

        Raises:
            ValueError: to one of them too much is alike.
        """
        found = [ids for ids in self.candidates(probes) if ids is not None]
        if len(found) < len(probes):
            raise ValueError("too much is alike to a probe")
        return found

    def candidates(self, probes: Probes) -> list[NDArray[np.int64] | None]:
        """Return, for each probe, the ids of its candidates, in no order.

        Beside all that pass its cuts, they are the best `NEAREST` of those near them.
        None of a set to which more is alike than of any print is.
        """
        use_one_thread()
        # 1. Those that pass the probe's own coarse cut, and are still there.
        flooded = np.zeros(len(probes), np.bool_)
        if probes.are_sets:  # most are of sets that too few vectors have found
            (whose, scores, rows), flooded = self._passed_of_sets(probes)
            borne = probes.borne_out(whose, self.ids[rows])
            whose, scores, rows = whose[borne], scores[borne], rows[borne]
        else:
            whose, scores, rows = self._passed(probes.turned, probes.coarse)
            if not len(rows):  # so it is of most small segments
                return [_NONE for _ in range(len(probes))]
        # 2. Those that pass the fine cut.
        scores = scores + self._of_signs(probes.turned, whose, rows)
        passed = scores >= probes.fine[whose]
        near = ~passed & (scores >= probes.near[whose])
        if near.any():
            passed |= _nearest(near, whose, scores)
        whose, ids = whose[passed], self.ids[rows[passed]]
        if probes.are_sets:
            found = zip(_once(probes, whose, ids), flooded, strict=True)
            return [None if is_flooded else ids for ids, is_flooded in found]
        bounds = np.searchsorted(whose, np.arange(len(probes) + 1))
        return [ids[start:end] for start, end in pairwise(bounds)]

    def _passed(self, turned: NDArray[np.float32], cuts: NDArray[np.float64]) -> _Found:
        """Return what passes the coarse cuts of some vectors, and is still there."""
        whose, scores, rows = self._scan(turned, cuts)
        passed = (scores >= cuts[whose]) & self.alive[rows]
        return whose[passed], scores[passed], rows[passed]

    def _passed_of_sets(self, probes: Probes) -> tuple[_Found, NDArray[np.bool_]]:
        """Return what `_passed` does of sets, and of which probes that is too much.

        A few vectors at a time: whoever makes all of a print's alike, and enrols such,
        has each of them find every row. Nothing is returned of those.
        """
        count = np.zeros(len(probes), np.int64)
        of = probes.probe_of(np.arange(len(probes.turned)))
        found: list[_Found] = [(np.zeros(0, np.intp), np.zeros(0, np.float32), _NONE)]
        for start in range(0, len(of), _VECTORS_AT_ONCE):
            some = slice(start, start + _VECTORS_AT_ONCE)
            if (count[of[some]] > MOST_ALIKE).all():
                continue
            whose, scores, rows = self._passed(probes.turned[some], probes.coarse[some])
            whose += start
            count += np.bincount(of[whose], minlength=len(probes))
            kept = count[of[whose]] <= MOST_ALIKE
            found.append((whose[kept], scores[kept], rows[kept]))
        flooded = count > MOST_ALIKE
        whose, scores, rows = (
            np.concatenate(each) for each in zip(*found, strict=True)
        )
        kept = ~flooded[of[whose]]
        return (whose[kept], scores[kept], rows[kept]), flooded

    def _scan(self, turned: NDArray[np.float32], cuts: NDArray[np.float64]) -> _Found:
        """Return whose, score and row of all that may pass the coarse cuts."""
        is_low = cuts <= 0
        if not is_low.any():
            return self.coarse.search(turned, float(cuts.min()))
        # Of a threshold so low most pass, and FAISS takes no cut below all its sums.
        high, low = np.flatnonzero(~is_low), np.flatnonzero(is_low)
        found = [self._score(turned[low])]
        if len(high):
            cut = float(cuts[high].min())
            found.append(self.coarse.search(turned[high], cut))
        parts = zip(found, (low, high), strict=False)
        whose = np.concatenate([which[whose] for (whose, _, _), which in parts])
        scores = np.concatenate([scores for _, scores, _ in found])
        rows = np.concatenate([rows for _, _, rows in found])
        order = np.argsort(whose, kind="stable")
        return whose[order], scores[order], rows[order]

    def _score(self, turned: NDArray[np.float32]) -> _Found:
        """Return the scores of all rows."""
        codes = self.coarse.rows()
        scores = np.empty((len(turned), len(self)), np.float32)
        for start in range(0, len(self), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            scores[:, some] = turned @ self.coarse.said(codes[some]).T
        rows = np.tile(np.arange(len(self)), len(turned))
        whose = np.repeat(np.arange(len(turned)), len(self))
        return whose, scores.reshape(-1), rows

    def _of_signs(
        self,
        turned: NDArray[np.float32],
        whose: NDArray[np.intp],
        rows: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return what the signs of some rows add to the scores of some probes.

        Args:
            turned: (q, padded).
            whose: (n,), which of them each is for, ascending.
            rows: (n,).
        """
        added = np.empty(len(rows), np.float32)
        bounds = np.searchsorted(whose, np.arange(len(turned) + 1)).tolist()
        # A product with one probe takes a third of the time of one row by row.
        for vector, (start, end) in zip(turned, pairwise(bounds), strict=True):
            for first in range(start, end, _ROWS_AT_ONCE):
                some = slice(first, min(first + _ROWS_AT_ONCE, end))
                signs = self.signs[rows[some]]
                bits = np.unpackbits(signs, axis=1, count=len(vector))
                added[some] = bits.astype(np.float32) @ vector
        # Of +1 and -1: twice the sum where a bit is set, less the whole sum.
        added *= 2
        added -= turned.sum(axis=1)[whose]
        added *= self.coding.code.amplitude
        return added


def _once(
    probes: Probes, whose: NDArray[np.intp], ids: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Return for each probe the sets that enough of its vectors have found."""
    borne = probes.borne_out(whose, ids)
    probe, found = probes.probe_of(whose[borne]), ids[borne]
    return [np.unique(found[probe == number]) for number in range(len(probes))]


def _nearest(
    near: NDArray[np.bool_], whose: NDArray[np.intp], scores: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return of the near rows the best few of each probe.

    Args:
        near: (n,), which rows are.
        whose: (n,), of which probe each is, ascending.
        scores: (n,).
    """
    rows = np.flatnonzero(near)
    order = rows[np.lexsort((-scores[rows], whose[rows]))]
    of_each = whose[order]
    place = np.arange(len(order)) - np.searchsorted(of_each, of_each)
    best = np.zeros(len(near), np.bool_)
    best[order[place < NEAREST]] = True
    return best


def joined(segments: Sequence[Segment], most_rows: int) -> list[Segment]:
    """Return the living rows of neighbouring segments, in as few as can be.

    Args:
        segments: one or more, oldest first.
        most_rows: of each that is returned; no set has more.
    """
    use_one_thread()
    coding = segments[0].coding
    # Read once: rows may be removed meanwhile, which the caller makes up for.
    living = [segment.alive.copy() for segment in segments]

    def of_living(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
        pairs = zip(arrays, living, strict=True)
        return np.concatenate([array[alive] for array, alive in pairs])

    ids = of_living(segment.ids for segment in segments)
    codes = of_living(segment.coarse.rows() for segment in segments)
    signs = of_living(segment.signs for segment in segments)
    ends = [0]
    while ends[-1] < len(ids):
        ends.append(whole_sets(ids, ends[-1], most_rows))
    return [
        Segment(
            coding=coding,
            ids=ids[start:end].copy(),
            coarse=CoarseCodes.of_rows(coding.code, codes[start:end]),
            signs=signs[start:end].copy(),
            alive=np.ones(end - start, np.bool_),
        )
        for start, end in pairwise(ends)
    ]


def whole_sets(ids: NDArray[np.int64], start: int, most_rows: int) -> int:
    """Return the end of as many rows as there may be, without cutting through a set.

    It is `start` itself where not even the first set has room.
    """
    end = start + most_rows
    if end >= len(ids):
        return len(ids)
    return int(np.searchsorted(ids, ids[end]))
