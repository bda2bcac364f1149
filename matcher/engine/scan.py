"""Coarse codes in FAISS's fast-scan layout: all that is known of FAISS is here.

`IndexIVFPQFastScan` with one list and no residual has a range search, which the plain
`IndexPQFastScan` lacks, at the same speed. What it does not say, found by trying:

* an index must not be added to while it is searched, so every change makes a new one;
* a range below the lowest score that its tables can have finds nothing at all;
* `merge_from` corrupts memory, so that blocks of codes are copied instead;
* `reconstruct_n` and `sa_decode` leave unwritten what they return, so that rows are
  taken out of the blocks here.

A block has 32 rows, and 32 bytes for each pair of sub-vectors: 16 for the first of the
pair, then 16 for the second. The low half of a byte is of one of the first 16 rows, the
high half of that which comes 16 later; those rows are in the order of `_ORDER`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from matcher.engine.code import Code

# Blocks of codes are laid out as this version does it, and as no other promises to.
LAYOUT: Final = f"faiss-{faiss.__version__}"
BLOCK_ROWS: Final = 32
_BITS: Final = 4
_HALF: Final = 16  # rows, and what 4 bits are shifted by
_LOW: Final = 0x0F
_ORDER: Final = np.arange(_HALF).reshape(2, -1).T.reshape(-1)  # 0, 8, 1, 9, 2, ...


class CoarseCodes:
    """Coarse codes of turned vectors, in rows; never changed."""

    __slots__ = ("_index",)

    # Its stubs know neither what Python's wrappers return nor what `downcast` does.
    _index: Any

    def __init__(self, index: Any) -> None:  # noqa: ANN401
        """Wrap an index that nobody else changes."""
        self._index = index

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._index.ntotal)

    @classmethod
    def empty(cls, code: Code) -> Self:
        """Return codes without rows."""
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
        return cls(index)

    def grown(self, vectors: NDArray[np.float32]) -> Self:
        """Return these codes with rows for turned vectors (n, padded) after them."""
        index = faiss.clone_index(self._index)
        index.add(vectors)
        return type(self)(index)

    def search(
        self, probes: NDArray[np.float32], cut: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
        """Return every row whose score is at or above a cut, in no order.

        Args:
            probes: turned, (q, padded).
            cut: not below the lowest score that any of the probes can have.

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

    def vectors(self) -> NDArray[np.float32]:
        """Return what the codes say, (n, padded)."""
        said: NDArray[np.float32] = self._index.pq.decode(self.rows())
        return said

    def rows(self) -> NDArray[np.uint8]:
        """Return the codes row by row, (n, subvectors / 2)."""
        blocks = self.blocks()
        # Of each block and pair: first or second of it, and then the byte.
        pairs = blocks.shape[1] // BLOCK_ROWS
        both = blocks.reshape(len(blocks), pairs, 2, _HALF)
        first, second = both[:, :, 0], both[:, :, 1]
        early = (first & _LOW) | (second & _LOW) << _BITS
        late = first >> _BITS | (second & ~np.uint8(_LOW))
        rows = np.empty((len(blocks), 2, _HALF, pairs), np.uint8)
        rows[:, 0, _ORDER] = early.swapaxes(1, 2)
        rows[:, 1, _ORDER] = late.swapaxes(1, 2)
        return rows.reshape(-1, pairs)[: len(self)]

    def of_rows(self, rows: NDArray[np.uint8]) -> Self:
        """Return codes of the same kind from `rows()` of any."""
        count, width = rows.shape
        padded = np.zeros((-(-count // BLOCK_ROWS), 2, _HALF, width), np.uint8)
        padded.reshape(-1, width)[:count] = rows
        early = padded[:, 0, _ORDER].swapaxes(1, 2)
        late = padded[:, 1, _ORDER].swapaxes(1, 2)
        first = (early & _LOW) | (late & _LOW) << _BITS
        second = early >> _BITS | (late & ~np.uint8(_LOW))
        return self.of_blocks(np.stack([first, second], axis=2), count)

    def blocks(self) -> NDArray[np.uint8]:
        """Return a copy of the codes, (blocks, bytes), as FAISS lays them out."""
        lists = _lists(self._index)
        blocks = -(-len(self) // BLOCK_ROWS)
        flat = faiss.rev_swig_ptr(lists.get_codes(0), blocks * lists.block_size)
        return np.array(flat, np.uint8).reshape(blocks, lists.block_size)

    def of_blocks(self, blocks: NDArray[np.uint8], rows: int) -> Self:
        """Return codes of the same kind from blocks of which `rows` rows count.

        Args:
            blocks: ceil(rows / 32) of them, of any shape, as from `blocks()` of the
                same version.
            rows: how many.
        """
        index = faiss.clone_index(self._index)
        lists = _lists(index)
        lists.resize(0, rows)
        size = -(-rows // BLOCK_ROWS) * lists.block_size
        faiss.rev_swig_ptr(lists.get_codes(0), size)[:] = blocks.reshape(-1)
        faiss.rev_swig_ptr(lists.get_ids(0), rows)[:] = np.arange(rows)
        index.ntotal = rows
        return type(self)(index)


def use_one_thread() -> None:
    """Keep FAISS to the calling thread.

    FAISS keeps the number for each thread: a pool of ours times a pool of its own
    would fight for the cores.
    """
    faiss.omp_set_num_threads(1)


def _lists(index: Any) -> Any:  # noqa: ANN401
    """Return where an index has its codes."""
    return faiss.downcast_InvertedLists(index.invlists)
