"""Some rows of a gallery, coded: what one worker scans in one call.

Codes never change; only the mark that a row is alive can be taken from it, which a
search that has begun may or may not see. So a segment is read without a lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from matcher.engine.code import codebook_digest
from matcher.engine.scan import BLOCK_ROWS, LAYOUT, CoarseCodes, use_one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matcher.engine.probes import Coding, Probes

# Rows compared at once: the arrays for them stay within a core's cache.
_ROWS_AT_ONCE: Final = 1024


def layout() -> str:
    """Return the version of what `Segment.arrays` holds beside the vectors."""
    return f"1 {LAYOUT} {codebook_digest()}"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Coded rows, in ascending order of their ids.

    Attributes:
        coding: of the gallery.
        ids: int64 (n,).
        coarse: the codes that are scanned.
        signs: uint8 (n, padded / 8): a bit a component, packed.
        alive: bool (n,); False for what was removed.
    """

    coding: Coding
    ids: NDArray[np.int64]
    coarse: CoarseCodes
    signs: NDArray[np.uint8]
    alive: NDArray[np.bool_]

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
        """How many rows a search can find."""
        return int(np.count_nonzero(self.alive))

    def grown(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Segment:
        """Return a segment with more rows, coded.

        Args:
            ids: (n,), ascending, above those that are there.
            vectors: (n, dimension), of unit length.
        """
        use_one_thread()
        turned = self.coding.rotation.turn(vectors)
        signs = np.packbits(turned > self.coarse.decoded(turned), axis=1)
        return Segment(
            coding=self.coding,
            ids=np.concatenate([self.ids, ids]),
            coarse=self.coarse.grown(turned),
            signs=np.concatenate([self.signs, signs]),
            alive=np.concatenate([self.alive, np.ones(len(ids), np.bool_)]),
        )

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Return copies of ids, coarse codes and signs, as bytes in rows or blocks."""
        ids = self.ids.astype("<i8").view(np.uint8)
        return ids, self.coarse.blocks(), self.signs

    @classmethod
    def of_bytes(cls, coding: Coding, rows: int, content: bytearray) -> Self:
        """Return the segment whose `arrays` are the content, one after another.

        Args:
            coding: of the gallery that it was of.
            rows: how many it has; all of them are alive.
            content: is copied and not kept: a view of its ids and signs would keep the
                codes in memory twice.
        """
        width = -(-coding.code.shape.padded // 8)
        ids = np.frombuffer(content, "<i8", rows).astype(np.int64)
        blocks = np.frombuffer(
            content, np.uint8, len(content) - rows * (8 + width), ids.nbytes
        )
        signs = np.frombuffer(
            content, np.uint8, rows * width, len(content) - rows * width
        )
        empty = CoarseCodes.empty(coding.code)
        return cls(
            coding=coding,
            ids=ids,
            coarse=empty.of_blocks(blocks, rows),
            signs=signs.reshape(rows, width).copy(),
            alive=np.ones(rows, np.bool_),
        )

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the rows that hold any of some ids, removed ones included."""
        if not len(self.ids):
            return np.zeros(0, np.intp)
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        held: NDArray[np.bool_] = self.ids[places] == ids
        return places[held]

    def search(self, probes: Probes) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids of its candidates, in no order."""
        use_one_thread()
        whose, scores, rows = self._scan(probes)
        # 1. Those that pass the probe's own coarse cut, and are still there.
        passed = (scores >= probes.coarse[whose]) & self.alive[rows]
        whose, scores, rows = whose[passed], scores[passed], rows[passed]
        # 2. Those that pass the fine cut.
        scores = scores + self._of_signs(probes.turned, whose, rows)
        passed = scores >= probes.fine[whose]
        whose, ids = whose[passed], self.ids[rows[passed]]
        bounds = np.searchsorted(whose, np.arange(len(probes.turned) + 1))
        return [ids[start:end] for start, end in pairwise(bounds)]

    def _scan(
        self, probes: Probes
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
        """Return whose, score and row of all that may pass the coarse cuts."""
        cut = probes.coarse.min()
        if cut > probes.floor.max():
            return self.coarse.search(probes.turned, float(cut))
        # A threshold so low that everything may pass: FAISS could not say so.
        whose = np.repeat(np.arange(len(probes.turned)), len(self))
        rows = np.tile(np.arange(len(self)), len(probes.turned))
        scores = probes.turned @ self.coarse.vectors().T
        return whose, scores.reshape(-1), rows

    def _of_signs(
        self,
        turned: NDArray[np.float32],
        whose: NDArray[np.intp],
        rows: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return what the signs of some rows add to the scores of some probes."""
        added = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            bits = np.unpackbits(
                self.signs[rows[some]], axis=1, count=self.coding.code.shape.padded
            )
            probes = turned[whose[some]]
            added[some] = np.einsum("rd,rd->r", 2 * bits.astype(np.float32) - 1, probes)
        added *= self.coding.code.amplitude
        return added


def joined(segments: Sequence[Segment]) -> Segment:
    """Return the living rows of neighbouring segments, at least one, as one segment.

    Codes are moved as they are where no row is left out and every segment but the last
    is of whole blocks; otherwise they are made anew from what they say, which is
    slower and gives the same codes.
    """
    use_one_thread()
    first = segments[0]
    alive = np.concatenate([segment.alive for segment in segments])
    is_whole = all(len(segment) % BLOCK_ROWS == 0 for segment in segments[:-1])
    if alive.all() and is_whole:
        blocks = np.concatenate([segment.coarse.blocks() for segment in segments])
        coarse = first.coarse.of_blocks(blocks, len(alive))
    else:
        coarse = CoarseCodes.empty(first.coding.code)
        for segment in segments:
            coarse = coarse.grown(segment.coarse.vectors()[segment.alive])
    return Segment(
        coding=first.coding,
        ids=np.concatenate([segment.ids for segment in segments])[alive],
        coarse=coarse,
        signs=np.concatenate([segment.signs for segment in segments])[alive],
        alive=np.ones(np.count_nonzero(alive), np.bool_),
    )
