"""Neighbourhood graphs: quick where a near one is enough, blind to some of the mates.

Each visits more of the graph, and finds more, the greater its `effort` is (efSearch,
ef, expansion_search). The mate of a threshold search is often the only near one, so
that a graph that was walked past it cannot tell that it was there.

All have 24 links a node and layer and a construction effort of 100. One graph can be
searched with several efforts: `built` is the contender that has it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from benchmarks.kit.machine import resident_bytes
from benchmarks.peers.base import NEAREST, Peer

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["FaissHnsw", "HnswLib", "Usearch"]

_LINKS: Final = 24
_CONSTRUCTION: Final = 100


class _Graph(Peer):
    """What graphs have in common."""

    kind: ClassVar[str] = "graph"
    label: ClassVar[str]

    def __init__(self, threads: int, effort: int, built: Self | None = None) -> None:
        """Name it.

        Args:
            threads: that it may use.
            effort: how many candidates a walk keeps; at least NEAREST are.
            built: a contender before it, whose graph it searches.
        """
        super().__init__(f"{self.label}, ef={effort}", threads)
        self._effort, self._built = effort, built
        self._graph: Any = None
        self._bytes = 0.0

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Build the graph, or take the one that is built."""
        if self._built is not None and self._built._graph is not None:  # noqa: SLF001
            self._graph, self._bytes = self._built._graph, self._built._bytes  # noqa: SLF001
            return
        before = resident_bytes()
        self._graph = self.grow(vectors)
        self._bytes = (resident_bytes() - before) / len(vectors)

    @abstractmethod
    def grow(self, vectors: NDArray[np.float32]) -> Any:
        """Return the graph of a gallery."""

    def bytes_per_template(self) -> float:
        """Return what the process grew by while the graph was built."""
        return self._bytes

    def close(self) -> None:
        """Let the graph go."""
        super().close()
        self._graph = None


class FaissHnsw(_Graph):
    """FAISS IndexHNSWFlat."""

    needs: ClassVar[tuple[str, ...]] = ("faiss",)
    label: ClassVar[str] = "FAISS HNSW"

    def grow(self, vectors: NDArray[np.float32]) -> Any:
        """Return the graph of a gallery."""
        import faiss  # noqa: PLC0415

        metric = faiss.METRIC_INNER_PRODUCT
        graph = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, metric)
        graph.hnsw.efConstruction = _CONSTRUCTION
        graph.add(vectors)
        return graph

    def propose(
        self, probes: NDArray[np.float32], _threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest that a walk comes by."""
        self._graph.hnsw.efSearch = self._effort
        _, rows = self._graph.search(probes, NEAREST)
        return list(rows)


class Usearch(_Graph):
    """usearch's index, float32."""

    needs: ClassVar[tuple[str, ...]] = ("usearch",)
    label: ClassVar[str] = "usearch"

    def grow(self, vectors: NDArray[np.float32]) -> Any:
        """Return the graph of a gallery."""
        from usearch.index import Index  # noqa: PLC0415

        graph = Index(
            ndim=vectors.shape[1],
            metric="ip",
            dtype="f32",
            connectivity=_LINKS,
            expansion_add=_CONSTRUCTION,
        )
        graph.add(np.arange(len(vectors)), vectors, threads=self.threads)
        return graph

    def propose(
        self, probes: NDArray[np.float32], _threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest that a walk comes by."""
        self._graph.expansion_search = self._effort
        found = self._graph.search(probes, NEAREST, threads=self.threads)
        keys = found.keys.astype(np.int64)
        if len(probes) == 1:
            return [keys.reshape(-1)]
        # What a short answer leaves unset must not be read as a row.
        return [row[:count] for row, count in zip(keys, found.counts, strict=True)]


class HnswLib(_Graph):
    """hnswlib's index, float32."""

    needs: ClassVar[tuple[str, ...]] = ("hnswlib",)
    label: ClassVar[str] = "hnswlib"

    def grow(self, vectors: NDArray[np.float32]) -> Any:
        """Return the graph of a gallery."""
        import hnswlib  # noqa: PLC0415

        graph = hnswlib.Index("ip", vectors.shape[1])
        graph.init_index(len(vectors), M=_LINKS, ef_construction=_CONSTRUCTION)
        graph.add_items(vectors, num_threads=self.threads)
        return graph

    def propose(
        self, probes: NDArray[np.float32], _threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest that a walk comes by."""
        self._graph.set_ef(max(self._effort, NEAREST))
        rows, _ = self._graph.knn_query(probes, NEAREST, num_threads=self.threads)
        return list(rows.astype(np.int64))
