"""Searches decided by the engine's candidates, and exhaustively."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.exactness_pairs import mates
from matcher.engine import Engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.kit.galleries import Gallery

BATCH: Final = 256
_BORDERLINE: Final = 1e-6  # as far from the threshold a decision is counted apart
_RECHECKED: Final = 1e-5  # a float32 product is nearer than this to float64's


@dataclass(slots=True)
class Decisions:
    """What was decided at one threshold, and how often otherwise than exhaustively."""

    searches: int = 0
    found: int = 0
    candidates: int = 0
    differing: int = 0
    borderline: int = 0


class Arena:
    """A gallery that has lived, searched by the engine and exhaustively."""

    def __init__(self, gallery: Gallery, options: Any) -> None:
        """Enrol piece by piece, remove some, and compact."""
        self._gallery, self._random = gallery, np.random.default_rng(options.seed)
        self._rows = gallery.vectors(options.records)
        self._engine: Engine[str] = Engine()
        self._engine.make("all", dimension=gallery.dimension, seed=bytes(32))
        ids = np.arange(options.records, dtype=np.int64)
        ends = np.sort(self._random.integers(0, options.records, 20))
        for piece in np.split(ids, ends):
            self._engine.add("all", piece, self._rows[piece])
        self._removed = self._random.permutation(ids)[: options.records // 20]
        half = len(self._removed) // 2
        self._engine.remove("all", self._removed[:half])
        self._engine.compact("all", most_removed=0)
        self._engine.remove("all", self._removed[half:])

    def probes(self, threshold: float, number: int) -> NDArray[np.float32]:
        """Return a batch: strangers, mates about the threshold, mates anywhere."""
        half = BATCH // 2
        strangers = self._gallery.non_mated(half, number)
        cosines = self._random.uniform(0, 1, BATCH - half)
        near = len(cosines) // 2
        cosines[:near] = threshold + self._random.uniform(-1e-3, 1e-3, near)
        rows = self._rows[self._random.integers(0, len(self._rows), len(cosines))]
        others = np.roll(strangers, 1, axis=0)[: len(cosines)]
        return np.concatenate([strangers, mates(rows, others, cosines)])

    def search(
        self, probes: NDArray[np.float32], counted: Decisions, at: float
    ) -> None:
        """Decide in both ways, and count."""
        answers = self._engine.search("all", probes, np.full(len(probes), at))
        whose = np.repeat(np.arange(len(probes)), list(map(len, answers)))
        rows = np.concatenate(answers)
        found = np.zeros((len(probes), len(self._rows)), np.bool_)
        found[whose, rows] = self._exact(probes, whose, rows) >= at
        scores = probes @ self._rows.T
        scores[:, self._removed] = -1
        wanted = scores >= at
        near = np.nonzero(np.abs(scores - at) < _RECHECKED)
        exact = self._exact(probes, *near)
        wanted[near] = exact >= at
        apart = np.zeros_like(found)
        apart[near] = np.abs(exact - at) <= _BORDERLINE
        counted.searches += len(probes)
        counted.found += int(wanted.sum())
        counted.candidates += len(rows)
        counted.borderline += int(apart.any(axis=1).sum())
        counted.differing += int(((found != wanted) & ~apart).any(axis=1).sum())

    def _exact(
        self, probes: NDArray[np.float32], whose: NDArray[Any], rows: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the inner products of some pairs, in float64."""
        scores = np.empty(len(rows))
        for start in range(0, len(rows), BATCH):
            some = slice(start, start + BATCH)
            one = probes[whose[some]].astype(np.float64)
            scores[some] = np.einsum("rd,rd->r", one, self._rows[rows[some]])
        return scores
