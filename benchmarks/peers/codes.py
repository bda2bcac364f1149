"""Short codes scanned whole, the best k by code decided on the vectors.

Galleries of `benchmarks.kit` are turned at random already, so no rotation is put before
the codes, as one would for an extractor's vectors: that flatters them a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmarks.peers.base import NEAREST, Peer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FaissRaBitQ", "FaissSignBits"]


class FaissRaBitQ(Peer):
    """FAISS IndexRaBitQFastScan: one bit a component and two factors.

    Gao and Long, "RaBitQ", SIGMOD 2024. It has no search by range.
    """

    needs: ClassVar[tuple[str, ...]] = ("faiss",)
    kind: ClassVar[str] = "codes"

    def __init__(self, threads: int, nearest: int = NEAREST) -> None:
        """Name it.

        Args:
            threads: that it may use.
            nearest: how many of the best by code are decided.
        """
        super().__init__(f"FAISS RaBitQ fast scan, k={nearest}", threads)
        self._nearest = nearest

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Find the centre, and code all vectors."""
        import faiss  # noqa: PLC0415

        metric = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexRaBitQFastScan(vectors.shape[1], metric)
        self._index.train(vectors)
        self._index.add(vectors)

    def propose(
        self, probes: NDArray[np.float32], _threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the best by code, whatever the threshold."""
        _, rows = self._index.search(probes, min(self._nearest, self._index.ntotal))
        return list(rows)

    def bytes_per_template(self) -> float:
        """Return the bytes of a code with its factors."""
        return float(self._index.code_size)

    def close(self) -> None:
        """Let the codes go."""
        super().close()
        del self._index


class FaissSignBits(Peer):
    """FAISS IndexBinaryFlat over the signs of the components, by Hamming distance."""

    needs: ClassVar[tuple[str, ...]] = ("faiss",)
    kind: ClassVar[str] = "codes"

    def __init__(self, threads: int, nearest: int = NEAREST) -> None:
        """Name it.

        Args:
            threads: that it may use.
            nearest: how many of the nearest by Hamming distance are decided.
        """
        super().__init__(f"FAISS sign bits, k={nearest}", threads)
        self._nearest = nearest

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Take all signs, in blocks so that no second gallery is held."""
        import faiss  # noqa: PLC0415

        self._index = faiss.IndexBinaryFlat(vectors.shape[1])
        for start in range(0, len(vectors), 1 << 16):
            self._index.add(np.packbits(vectors[start : start + (1 << 16)] > 0, axis=1))

    def propose(
        self, probes: NDArray[np.float32], _threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest by Hamming distance, whatever the threshold."""
        signs = np.packbits(probes > 0, axis=1)
        _, rows = self._index.search(signs, min(self._nearest, self._index.ntotal))
        return list(rows)

    def bytes_per_template(self) -> float:
        """Return the bytes of a code."""
        return float(self._index.code_size)

    def close(self) -> None:
        """Let the codes go."""
        super().close()
        del self._index
