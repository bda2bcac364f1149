"""Exhaustive float32 inner product by FAISS: the reference engine.

A gallery is a tuple of immutable segments that is replaced as a whole, so that
searches read it without a lock while it changes. Neighbouring segments of like
size are joined as in a log-structured merge tree, so that n single additions
copy each vector about log2(n) times.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import faiss
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

# What float32 sums of at most 4,096 products of unit vectors may lose:
# |error| <= d * 2**-24 = 2.4e-4.
ROUNDING: Final = 2.5e-4
# Probes in one call to FAISS: from 20 on it multiplies blocks by BLAS, whose
# result array for all pairs must stay small.
PROBES_PER_CALL: Final = 16


@dataclass(frozen=True, slots=True)
class _Segment:
    """Vectors that never change, in the order of their ids."""

    ids: NDArray[np.int64]
    index: faiss.IndexFlatIP

    @classmethod
    def of(cls, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> _Segment:
        if (np.diff(ids) < 0).any():
            order = np.argsort(ids)
            ids, vectors = ids[order], vectors[order]
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        return cls(ids, index)

    def vectors(self) -> NDArray[np.float32]:
        """Return a copy of the vectors, (n, d)."""
        return np.asarray(self.index.reconstruct_n(0, len(self.ids)), np.float32)


@dataclass(frozen=True, slots=True)
class _Gallery:
    """What one search sees, from its beginning to its end."""

    segments: tuple[_Segment, ...] = ()
    removed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def count(self) -> int:
        return sum(len(segment.ids) for segment in self.segments) - len(self.removed)


class ExhaustiveEngine:
    """Compares every probe with every vector; see `Engine` for the contract."""

    def __init__(self) -> None:
        """Start without galleries."""
        self._galleries: dict[Hashable, _Gallery] = {}
        self._changing = threading.Lock()

    def add(
        self, gallery: Hashable, ids: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> None:
        """Add vectors; on return every later search sees them."""
        with self._changing:
            now = self._galleries.get(gallery, _Gallery())
            self._galleries[gallery] = _joined(now, ids, vectors)

    def remove(self, gallery: Hashable, ids: NDArray[np.int64]) -> None:
        """Remove vectors; on return no search finds them."""
        with self._changing:
            now = self._galleries.get(gallery, _Gallery())
            held = [ids[_is_in(ids, segment.ids)] for segment in now.segments]
            gone = np.union1d(now.removed, np.concatenate([ids[:0], *held]))
            self._galleries[gallery] = replace(now, removed=gone)

    def drop(self, gallery: Hashable) -> None:
        """Forget a gallery and all its vectors."""
        with self._changing:
            self._galleries.pop(gallery, None)

    def count(self, gallery: Hashable) -> int:
        """Return the number of vectors in a gallery."""
        return self._galleries.get(gallery, _Gallery()).count()

    def holds(self, gallery: Hashable, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the gallery can find now."""
        now = self._galleries.get(gallery, _Gallery())
        held = np.zeros(len(ids), np.bool_)
        for segment in now.segments:
            held |= _is_in(ids, segment.ids)
        return held & ~_is_in(ids, now.removed)

    def search(
        self, gallery: Hashable, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids of its candidates."""
        # FAISS keeps this number per thread: a pool of ours times a pool of its
        # own would fight for the cores.
        faiss.omp_set_num_threads(1)
        now = self._galleries.get(gallery, _Gallery())
        found: list[list[NDArray[np.int64]]] = [[] for _ in probes]
        for segment in now.segments:
            for start in range(0, len(probes), PROBES_PER_CALL):
                block = probes[start : start + PROBES_PER_CALL]
                bounds, _, rows = segment.index.range_search(
                    block, threshold - ROUNDING
                )
                for i in range(len(block)):
                    rows_of_probe = rows[bounds[i] : bounds[i + 1]]
                    found[start + i].append(segment.ids[rows_of_probe])
        return [_without(parts, now.removed) for parts in found]


def _is_in(ids: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of `ids` are in `among`, which is in ascending order."""
    if not len(among):
        return np.zeros(len(ids), np.bool_)
    places = np.minimum(np.searchsorted(among, ids), len(among) - 1)
    found: NDArray[np.bool_] = among[places] == ids
    return found


def _without(
    parts: list[NDArray[np.int64]], removed: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return all ids of `parts` that were not removed."""
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return ids[~_is_in(ids, removed)]


def _joined(
    gallery: _Gallery, ids: NDArray[np.int64], vectors: NDArray[np.float32]
) -> _Gallery:
    """Return the gallery with the vectors, segments of like size joined."""
    segments, removed = list(gallery.segments), gallery.removed
    while segments and len(segments[-1].ids) <= 2 * len(ids):
        last = segments.pop()
        is_gone = _is_in(last.ids, removed)
        removed = removed[~_is_in(removed, last.ids)]
        ids = np.concatenate([last.ids[~is_gone], ids])
        vectors = np.concatenate([last.vectors()[~is_gone], vectors])
    if len(ids):
        segments.append(_Segment.of(ids, vectors))
    return _Gallery(tuple(segments), removed)
