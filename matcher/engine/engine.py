"""Galleries that change while they are searched.

gallery = segments that are sealed, oldest first + a small tail that takes additions

Each change makes a new tuple of segments, which later searches read; those that have
begun go on with theirs. An addition copies the tail, which is small; a removal copies
the marks of what is alive. Segments are
joined in the background, as in a log-structured merge tree, so that there are few
large ones: every call into FAISS costs its time whatever it scans.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import numpy as np

from matcher.engine.code import Code
from matcher.engine.probes import Asked, Coding, Probes
from matcher.engine.rotation import Rotation
from matcher.engine.segment import Segment, joined, whole_sets
from matcher.engine.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

# Copied with each addition, which takes longer the more there are.
TAIL_ROWS: Final = 2048
# Whole lists of `scan`, whose memory FAISS rounds up to a power of two. A million rows
# are four, so that one probe uses several cores.
SEGMENT_ROWS: Final = 1 << 18
# Removed rows cost time and memory from this share of a segment on.
MOST_REMOVED: Final = 0.25


Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Gallery:
    """What one search sees, from its beginning to its end."""

    coding: Coding
    sealed: tuple[Segment, ...]
    tail: Segment
    last_id: int
    has_sets: bool

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment that has rows."""
        return (*self.sealed, self.tail) if len(self.tail) else self.sealed


class Engine(Generic[Name]):
    """Galleries of unit vectors, searched by inner product; safe for many threads.

    A search returns every vector whose exact inner product with the probe is at or
    above the threshold, but for one in a million exactly at it, and may return others:
    the caller decides exactly. It returns no vector whose removal had returned before
    the search began. Ids are ascending: each addition's are above all before it.

    Vectors under one id are a set: found where enough of a probe's vectors find one
    each, see `probes`, and removed as one.
    """

    def __init__(self) -> None:
        """Start without galleries."""
        self._galleries: dict[Name, _Gallery] = {}
        self._changing = threading.Lock()
        self._compacting = threading.Lock()

    def make(
        self, gallery: Name, *, dimension: int, seed: bytes, has_sets: bool = False
    ) -> None:
        """Make an empty gallery, if there is none of that name.

        Args:
            gallery: its name.
            dimension: of its vectors, 2 to 4096.
            seed: 32 secret bytes, which its rotation is made from.
            has_sets: whether it may have several vectors under one id.
        """
        with self._changing:
            if gallery not in self._galleries:
                rotation = Rotation(seed, Shape.of(dimension))
                coding = Coding(Code.of(dimension), rotation)
                empty = Segment.empty(coding)
                self._galleries[gallery] = _Gallery(coding, (), empty, -1, has_sets)

    def __contains__(self, gallery: Name) -> bool:
        """Say whether there is a gallery of that name."""
        return gallery in self._galleries

    def names(self) -> list[Name]:
        """Return the names of all galleries."""
        return list(self._galleries)

    def add(
        self, gallery: Name, ids: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> None:
        """Add vectors; on return every later search sees them.

        Args:
            gallery: which; it must have been made.
            ids: (n,), ascending, above every id that the gallery ever had; the same for
                all vectors of a set, of which there are `TAIL_ROWS` at most.
            vectors: (n, dimension), of unit length.

        Raises:
            ValueError: the ids are not; nothing was added.
        """
        with self._changing:
            now = self._galleries[gallery]
            step = 0 if now.has_sets else 1
            if len(ids) and (ids[0] <= now.last_id or (np.diff(ids) < step).any()):
                raise ValueError("ids must be ascending, and above those before")
            start = 0
            while start < len(ids):
                end = whole_sets(ids, start, TAIL_ROWS - len(now.tail))
                if end == start:
                    if not len(now.tail):
                        raise ValueError(f"a set has more than {TAIL_ROWS} vectors")
                    now = _sealed(now)
                    continue
                tail = now.tail.grown(ids[start:end], vectors[start:end])
                now, start = _with_tail(now, tail), end
            self._galleries[gallery] = now

    def load(self, gallery: Name, segments: Iterable[Segment]) -> None:
        """Put segments into a gallery that was made and has no vectors.

        Args:
            gallery: which.
            segments: of its own coding, ids ascending throughout.

        Raises:
            ValueError: they overlap, or the gallery is not empty.
        """
        with self._changing:
            now = self._galleries[gallery]
            if now.segments:
                raise ValueError("the gallery is not empty")
            for segment in segments:
                if segment.ids[0] <= now.last_id:
                    raise ValueError("segments overlap")
                sealed = (*now.sealed, segment)
                now = replace(now, sealed=sealed, last_id=int(segment.ids[-1]))
            self._galleries[gallery] = now

    def remove(self, gallery: Name, ids: NDArray[np.int64]) -> None:
        """Remove vectors; no later search finds them. Unknown ids are ignored."""
        with self._changing:
            now = self._galleries.get(gallery)
            if now is not None:
                sealed = tuple(segment.without(ids) for segment in now.sealed)
                tail = now.tail.without(ids)
                self._galleries[gallery] = replace(now, sealed=sealed, tail=tail)

    def drop(self, gallery: Name) -> None:
        """Forget a gallery: its rotation and all its codes."""
        with self._changing:
            self._galleries.pop(gallery, None)

    def take(self, other: Engine[Name]) -> None:
        """Have the galleries of another engine, each in the place of one's own.

        Searches that have begun go on with what was there. The other engine MUST NOT be
        used any more.
        """
        with self._changing:
            self._galleries.update(other._galleries)

    def coding(self, gallery: Name) -> Coding:
        """Return how a gallery that was made is coded."""
        return self._galleries[gallery].coding

    def parts(self, gallery: Name) -> tuple[Segment, ...]:
        """Return what makes up a gallery now; nothing if there is none."""
        now = self._galleries.get(gallery)
        return () if now is None else now.segments

    def last_id(self, gallery: Name) -> int:
        """Return the greatest id that a gallery ever had; -1 if it had none."""
        now = self._galleries.get(gallery)
        return -1 if now is None else now.last_id

    def count(self, gallery: Name) -> int:
        """Return the number of ids in a gallery; 0 if there is none."""
        return sum(segment.count for segment in self.parts(gallery))

    def holds(self, gallery: Name, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the gallery can find now."""
        held = np.zeros(len(ids), np.bool_)
        for segment in self.parts(gallery):
            rows = segment.rows_of(ids)
            held |= np.isin(ids, segment.ids[rows[segment.alive[rows]]])
        return held

    def search(
        self,
        gallery: Name,
        vectors: NDArray[np.float32],
        thresholds: NDArray[np.float64],
    ) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids of its candidates, on the calling thread.

        Args:
            gallery: which gallery; one that does not exist has no candidates.
            vectors: (q, dimension), of unit length.
            thresholds: (q,), exact inner products from which a vector is returned.
        """
        now = self._galleries.get(gallery)
        if now is None:
            return [np.zeros(0, np.int64) for _ in vectors]
        return _found(now, Probes.of(now.coding, vectors, thresholds))

    def ask(self, gallery: Name, asked: Sequence[Asked]) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids of its candidates, on the calling thread.

        Args:
            gallery: which gallery; one that does not exist has no candidates.
            asked: what each asks.
        """
        now = self._galleries.get(gallery)
        if now is None:
            return [np.zeros(0, np.int64) for _ in asked]
        return _found(now, Probes.asking(now.coding, asked))

    def compact(self, gallery: Name, *, most_removed: float = MOST_REMOVED) -> None:
        """Join small segments and leave out what was removed, while searches go on.

        Args:
            gallery: which.
            most_removed: share of removed rows that a segment may keep; 0 for none.
        """
        with self._compacting:
            self._compact_tail(gallery, most_removed)
            while (now := self._galleries.get(gallery)) is not None and (
                run := _to_join(now.sealed, most_removed)
            ):
                old = now.sealed[run]
                self._replace(gallery, old, joined(old, SEGMENT_ROWS))

    def _compact_tail(self, gallery: Name, most_removed: float) -> None:
        """Leave out of the tail what was removed; it is small."""
        with self._changing:
            now = self._galleries.get(gallery)
            if now is not None and _is_worn(now.tail, most_removed):
                made = joined([now.tail], TAIL_ROWS)
                tail = made[0] if made else Segment.empty(now.coding)
                self._galleries[gallery] = replace(now, tail=tail)

    def _replace(
        self, gallery: Name, old: Sequence[Segment], new: Sequence[Segment]
    ) -> None:
        """Put segments where others were, less what was removed meanwhile."""
        with self._changing:
            now = self._galleries.get(gallery)
            if now is None:  # dropped
                return
            origins = [segment.origin for segment in now.sealed]
            if old[0].origin not in origins:  # made anew
                return
            start = origins.index(old[0].origin)
            end = start + len(old)
            gone = np.concatenate([s.ids[~s.alive] for s in now.sealed[start:end]])
            made = [segment.without(gone) for segment in new]
            sealed = (*now.sealed[:start], *made, *now.sealed[end:])
            self._galleries[gallery] = replace(now, sealed=sealed)


def _found(gallery: _Gallery, probes: Probes) -> list[NDArray[np.int64]]:
    """Return the ids of each probe's candidates, in all segments."""
    found = [part.search(probes) for part in gallery.segments]
    return [
        np.concatenate([np.zeros(0, np.int64), *(ids[number] for ids in found)])
        for number in range(len(probes))
    ]


def _with_tail(gallery: _Gallery, tail: Segment) -> _Gallery:
    """Return the gallery with another tail, sealed if it is full."""
    grown = replace(gallery, tail=tail, last_id=int(tail.ids[-1]))
    return _sealed(grown) if len(tail) == TAIL_ROWS else grown


def _sealed(gallery: _Gallery) -> _Gallery:
    """Return the gallery with an empty tail."""
    return replace(gallery, sealed=gallery.segments, tail=Segment.empty(gallery.coding))


def _is_worn(segment: Segment, most_removed: float) -> bool:
    """Say whether too many of a segment's rows were removed."""
    return segment.worn > most_removed * len(segment)


def _to_join(sealed: Sequence[Segment], most_removed: float) -> slice | None:
    """Return which neighbouring segments to join next, if any.

    One that has too many removed rows; or one with as many of those that follow as fit
    into one with it, if they double it or nearly fill it: so each row is moved about
    log2(SEGMENT_ROWS / TAIL_ROWS) times, and a hole that removals left is not closed by
    moving all that follow it.
    """
    for start, segment in enumerate(sealed):
        if _is_worn(segment, most_removed):
            return slice(start, start + 1)
        room = SEGMENT_ROWS - len(segment)
        more, end = 0, start + 1
        while end < len(sealed) and more + len(sealed[end]) <= room:
            more += len(sealed[end])
            end += 1
        if more >= min(len(segment), room * 3 // 4) > 0:
            return slice(start, end)
    return None
