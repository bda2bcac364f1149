"""The exchange's own engine, behind the interface of its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from benchmarks.kit.machine import resident_bytes
from benchmarks.kit.scanning import Probe, Shelf, scanner_of
from benchmarks.peers.base import Peer
from biometrics.disclosure import Band
from matcher.engine import Engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ours"]

_GALLERY: Final = Shelf("benchmark")
_SEED: Final = bytes(32)  # of the rotation: fixed, so that runs can be compared
_BLOCK: Final = 1 << 16


class Ours(Peer):
    """The engine, with a scanner of as many threads as the run has.

    The cut of the coarse scan is for a mate exactly at the threshold, so nothing is
    proposed by rank. The decision is the one that all contenders have, on vectors in
    the clear; what opening sealed ones costs is another benchmark's question.
    """

    kind: ClassVar[str] = "ours"

    def __init__(self, threads: int) -> None:
        """Name it."""
        super().__init__("ours", threads)

    def available(self) -> str | None:
        """Return why it cannot run: a tree from before the engine had parts."""
        return None if hasattr(Engine, "parts") else "this tree has no engine of parts"

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Enrol all vectors in blocks, and merge what can be merged."""
        before = resident_bytes()
        self._engine = Engine()
        self._engine.make(_GALLERY, dimension=vectors.shape[1], seed=_SEED)
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK]
            ids = np.arange(start, start + len(block), dtype=np.int64)
            self._engine.add(_GALLERY, ids, block)
        self._engine.compact(_GALLERY)
        self._bytes = (resident_bytes() - before) / len(vectors)
        self._scanner = scanner_of(self._engine, self.threads)
        self._scanner.__enter__()

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the candidates of all parts."""
        waiting = [
            self._scanner.submit(Probe(probe), {_GALLERY: Band.without(threshold)})
            for probe in probes
        ]
        return [np.array(each.result()[_GALLERY], np.int64) for each in waiting]

    def bytes_per_template(self) -> float:
        """Return what the process grew by while the gallery was enrolled."""
        return self._bytes

    def close(self) -> None:
        """Let the engine go."""
        super().close()
        self._scanner.__exit__()
        del self._engine
