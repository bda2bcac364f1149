"""What every contender does: propose rows; one exact product decides for all alike."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NEAREST", "SLACK", "Peer"]

NEAREST: Final = 100  # asked of what can only be asked for the k nearest
SLACK: Final = 1e-6  # what a float32 product of unit vectors may be off, and more


class Peer(ABC):
    """One way to find every template at or above a threshold.

    A peer proposes; the product in `search` decides. So all contenders give the same
    answer but for what a peer failed to propose, and pay for it if they propose much.

    Attributes:
        needs: packages that it is made of.
        kind: what tables and plots group it by.
        confirmed: rows that were decided, in all searches so far.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str]

    def __init__(self, name: str, threads: int) -> None:
        """Name it, before anything is built or imported.

        Args:
            name: what tables call it.
            threads: that it may use, in building and in searching.
        """
        self.name = name
        self.threads = threads
        self.confirmed = 0

    def available(self) -> str | None:
        """Return why it cannot run here, None if it can."""
        lacking = [name for name in self.needs if not importlib.util.find_spec(name)]
        return f"not installed: {', '.join(lacking)}" if lacking else None

    def build(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Take a gallery.

        Args:
            ids: (n,).
            vectors: (n, d), of unit length; kept, not copied, for the decision.
        """
        self._ids, self._vectors = ids, vectors
        self.make(vectors)

    def search(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids at or above the threshold, ascending.

        Args:
            probes: (q, d), of unit length.
            threshold: a cosine.
        """
        proposed = self.propose(probes, threshold)
        return [
            self._decide(probe, rows, threshold)
            for probe, rows in zip(probes, proposed, strict=True)
        ]

    @abstractmethod
    def make(self, vectors: NDArray[np.float32]) -> None:
        """Build the index of a gallery, its rows numbered from 0."""

    @abstractmethod
    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return, for each probe, the rows to be decided; -1 is none."""

    @abstractmethod
    def bytes_per_template(self) -> float:
        """Return what the index holds a template, beside the vectors that decide."""

    def close(self) -> None:
        """Give back what the index holds."""
        del self._ids, self._vectors

    def _decide(
        self, probe: NDArray[np.float32], rows: NDArray[np.int64], threshold: float
    ) -> NDArray[np.int64]:
        """Return the ids of those rows which are at or above the threshold.

        In float32, and again in float64 where float32 could err.
        """
        rows = np.sort(rows[rows >= 0])
        self.confirmed += len(rows)
        near = self._vectors[rows] @ probe >= threshold - SLACK
        rows = rows[near]
        exact = self._vectors[rows].astype(np.float64) @ probe.astype(np.float64)
        return self._ids[rows[exact >= threshold]]
