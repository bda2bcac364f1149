"""Every template compared in float32: what all others are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from benchmarks.peers.base import SLACK, Peer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FaissFlat", "NumpyProduct"]

# Scores of a block stay in the cache: 2 MiB with 32 probes.
_BLOCK: Final = 16_384


class NumpyProduct(Peer):
    """NumPy's matrix product, block by block, on as many threads as the run's."""

    kind: ClassVar[str] = "exhaustive float32"

    def __init__(self, threads: int) -> None:
        """Name it."""
        super().__init__("NumPy product", threads)

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Have no index: the vectors are it."""
        self._gallery = vectors

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return every row at or above the threshold."""
        hits = [
            np.argwhere(self._scores(block, probes) >= threshold - SLACK)
            + np.array((start, 0))
            for start, block in self._blocks()
        ]
        rows, numbers = np.concatenate(hits).T
        return [rows[numbers == number] for number in range(len(probes))]

    def bytes_per_template(self) -> float:
        """Return the bytes of a vector."""
        return float(self._gallery[0].nbytes)

    def close(self) -> None:
        """Let the vectors go."""
        super().close()
        del self._gallery

    def _blocks(self) -> list[tuple[int, NDArray[np.float32]]]:
        """Return the gallery in blocks, each with its first row."""
        starts = range(0, len(self._gallery), _BLOCK)
        return [(start, self._gallery[start : start + _BLOCK]) for start in starts]

    @staticmethod
    def _scores(
        block: NDArray[np.float32], probes: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return (n, q) cosines; for one probe as a product with a vector."""
        if len(probes) == 1:
            return (block @ probes[0])[:, None]
        return block @ probes.T


class FaissFlat(Peer):
    """FAISS IndexFlatIP, its search by range."""

    needs: ClassVar[tuple[str, ...]] = ("faiss",)
    kind: ClassVar[str] = "exhaustive float32"

    def __init__(self, threads: int) -> None:
        """Name it."""
        super().__init__("FAISS IndexFlatIP", threads)

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Add all vectors: FAISS keeps a copy."""
        import faiss  # noqa: PLC0415

        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return every row at or above the threshold."""
        ends, _, rows = self._index.range_search(probes, threshold - SLACK)
        return np.split(rows, ends[1:-1].astype(np.int64))

    def bytes_per_template(self) -> float:
        """Return the bytes of a vector."""
        return float(self._index.code_size)

    def close(self) -> None:
        """Let the copy go."""
        super().close()
        del self._index
