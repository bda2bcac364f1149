"""Coarse codes in FAISS's fast-scan layout: all that is known of FAISS is here.

`IndexIVFPQFastScan` with one list and no residual has a range search, which the plain
`IndexPQFastScan` lacks, at the same speed. What it does not say, found by trying:

* an index must not be added to while it is searched, so every change makes a new one;
* a range below the lowest score that its tables can have finds nothing at all;
* `merge_from` corrupts memory, so that blocks of codes are copied instead;
* `reconstruct_n` does so too unless it begins with the first row.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from numpy.typing import NDArray

    from matcher.engine.code import Code

# Blocks of codes are laid out as this version does it, and as no other promises to.
LAYOUT: Final = f"faiss-{faiss.__version__}"
BLOCK_ROWS: Final = 32
_BITS: Final = 4
_LIBC: Final = ctypes.CDLL(None)
_MADV_HUGEPAGE: Final = 14  # of Linux; `mmap` does not name it everywhere
_PIECE_ROWS: Final = 4096  # decoded at once: 8 MiB at 512-d


class CoarseCodes:
    """Coarse codes of turned vectors, in rows; never changed."""

    __slots__ = ("_code", "_index")

    # Its stubs know neither what Python's wrappers return nor what `downcast` does.
    _index: Any

    def __init__(self, code: Code, index: Any) -> None:  # noqa: ANN401
        """Wrap an index that nobody else changes."""
        self._code = code
        self._index = index

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._index.ntotal)

    @classmethod
    def empty(cls, code: Code) -> Self:
        """Return codes without rows."""
        return cls(code, _empty_index(code))

    def grown(self, pieces: Iterable[NDArray[np.float32]]) -> Self:
        """Return these codes with rows for turned vectors (n, padded) after them."""
        index = faiss.clone_index(self._index)
        for vectors in pieces:
            index.add(vectors)
        return type(self)(self._code, index)

    def search(
        self, probes: NDArray[np.float32], cut: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
        """Return every row whose score is at or above a cut, in no order.

        Args:
            probes: turned, (q, padded).
            cut: above 0; some centroid is on the other side of any probe, so that the
                lowest sum is below.

        Returns:
            For each row found: which probe, its score, which row.
        """
        bounds, scores, rows = self._index.range_search(
            probes, np.nextafter(np.float32(cut), np.float32(-np.inf))
        )
        whose = np.repeat(np.arange(len(probes)), np.diff(bounds.astype(np.intp)))
        return whose, scores, rows

    def decoded(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the coarse codes of turned vectors say of them, (n, padded)."""
        quantiser = self._index.pq
        said: NDArray[np.float32] = quantiser.decode(quantiser.compute_codes(vectors))
        return said

    def pieces(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield some rows at a time and what their codes say, (n, padded).

        The codes of what they say are the same codes again.
        """
        blocks, step = self.blocks(), _PIECE_ROWS // BLOCK_ROWS
        for start in range(0, len(self), _PIECE_ROWS):
            rows = slice(start, min(start + _PIECE_ROWS, len(self)))
            count = rows.stop - start
            first = start // BLOCK_ROWS
            some = _filled_index(self._code, blocks[first : first + step], count)
            yield rows, some.reconstruct_n(0, count)

    def blocks(self) -> NDArray[np.uint8]:
        """Return a copy of the codes, (blocks, bytes), as FAISS lays them out."""
        lists = _lists(self._index)
        blocks = -(-len(self) // BLOCK_ROWS)
        flat = faiss.rev_swig_ptr(lists.get_codes(0), blocks * lists.block_size)
        return np.array(flat).reshape(blocks, lists.block_size)

    @classmethod
    def of_blocks(cls, code: Code, blocks: NDArray[np.uint8], rows: int) -> Self:
        """Return codes from blocks of which `rows` rows count.

        Args:
            code: that they are in.
            blocks: of ceil(rows / 32) blocks, from `blocks()` of the same version.
            rows: how many.
        """
        return cls(code, _filled_index(code, blocks, rows))


def _filled_index(code: Code, blocks: NDArray[np.uint8], rows: int) -> Any:  # noqa: ANN401
    """Return an index with the codes of some blocks."""
    index = _empty_index(code)
    lists = _lists(index)
    lists.resize(0, rows)
    size = -(-rows // BLOCK_ROWS) * lists.block_size
    _prefer_huge_pages(int(lists.get_codes(0)), size)
    faiss.rev_swig_ptr(lists.get_codes(0), size)[:] = blocks.reshape(-1)
    faiss.rev_swig_ptr(lists.get_ids(0), rows)[:] = np.arange(rows)
    index.ntotal = rows
    return index


def _empty_index(code: Code) -> Any:  # noqa: ANN401
    """Return an index without rows; its one list takes everything."""
    shape = code.shape
    everything = faiss.IndexFlatIP(shape.padded)
    everything.add(np.zeros((1, shape.padded), np.float32))
    index = faiss.IndexIVFPQFastScan(
        everything,
        shape.padded,
        1,
        shape.subvectors,
        _BITS,
        faiss.METRIC_INNER_PRODUCT,
        BLOCK_ROWS,
    )
    index.by_residual = False
    centroids = np.tile(code.centroids, (shape.subvectors, 1))
    faiss.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
    index.is_trained = True
    return index


def use_one_thread() -> None:
    """Keep FAISS to the calling thread.

    FAISS keeps the number for each thread: a pool of ours times a pool of its own
    would fight for the cores.
    """
    faiss.omp_set_num_threads(1)


def _lists(index: Any) -> Any:  # noqa: ANN401
    """Return where an index has its codes."""
    return faiss.downcast_InvertedLists(index.invlists)


def _prefer_huge_pages(address: int, size: int) -> None:
    """Ask for pages of 2 MiB before memory is first used, where the system has them.

    A lone probe reads every code once, and then waits for addresses more than for
    bytes: it takes three quarters of the time.
    """
    if (madvise := getattr(_LIBC, "madvise", None)) is not None:
        start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        length = max(address + size - start, 0)
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_HUGEPAGE)
