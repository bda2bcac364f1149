"""Coarse codes in FAISS's fast-scan layout: all that is known of FAISS is here.

`IndexIVFPQFastScan` without residuals has a range search, which the plain
`IndexPQFastScan` lacks, at the same speed. What it does not say, found by trying:

* an index must not be added to while it is searched, so every change makes a new one;
* a range below the lowest score that its tables can have finds nothing at all;
* `merge_from` corrupts memory, `reconstruct_n` and `sa_decode` leave unwritten what
  they return. So rows are put into blocks, and taken out of them, here.

A block has 32 rows, and 32 bytes for each pair of sub-vectors: 16 for the first of the
pair, then 16 for the second. The low half of a byte is of one of the first 16 rows, the
high half of that which comes 16 later; those rows are in the order of `_ORDER`. Another
version may do otherwise: it is looked at before the first block is made.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from matcher.engine.code import Code
from matcher.engine.pages import ask_for_large_pages

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

BLOCK_ROWS: Final = 32
# Scanned for all probes before the next: 2 MiB, which stay in a core's cache. A batch
# of 16 takes 0.87 of the time that one long list takes on one core, 0.94 on two.
LIST_ROWS: Final = 1 << 15
_SAMPLE_DIMENSION: Final = 128
_SAMPLE_CUT: Final = 0.1
_BITS: Final = 4
_HALF: Final = 16  # rows, and what 4 bits are shifted by
_LOW: Final = 0x0F
_TOLD: Final = threading.local()
_ORDER: Final = np.arange(_HALF).reshape(2, -1).T.reshape(-1)  # 0, 8, 1, 9, 2, ...


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

    @classmethod
    def of_rows(cls, code: Code, rows: NDArray[np.uint8]) -> Self:
        """Return codes from rows (n, subvectors / 2), as `rows` returns them."""
        _check_layout()
        return cls(code, _filled_index(code, rows) if len(rows) else _empty_index(code))

    def grown(self, rows: NDArray[np.uint8]) -> Self:
        """Return these codes with rows (n, subvectors / 2) after them, as `coded` does.

        Whole blocks stay as they are, so that a row takes as long however many there
        are, and none is coded again.
        """
        if self._index.nlist > 1:
            return self.of_rows(self._code, np.concatenate([self.rows(), rows]))
        _check_layout()
        index = faiss.clone_index(self._index)
        _append(index, rows)
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

    def coded(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return turned vectors (n, padded) as rows of codes (n, subvectors / 2)."""
        rows: NDArray[np.uint8] = self._index.pq.compute_codes(vectors)
        return rows

    def said(self, rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what rows of codes say, (n, padded)."""
        vectors: NDArray[np.float32] = self._index.pq.decode(rows)
        return vectors

    def vectors(self) -> NDArray[np.float32]:
        """Return what all rows say, (n, padded)."""
        return self.said(self.rows())

    def rows(self) -> NDArray[np.uint8]:
        """Return the codes row by row, (n, subvectors / 2)."""
        lists = _lists(self._index)
        return np.concatenate(
            [
                _rows_of(_blocks(lists, number))[: lists.list_size(number)]
                for number in range(self._index.nlist)
            ]
        )


def _blocks_of(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows in blocks, as bytes of any shape."""
    count, width = rows.shape
    padded = np.zeros((-(-count // BLOCK_ROWS), 2, _HALF, width), np.uint8)
    padded.reshape(-1, width)[:count] = rows
    early = padded[:, 0, _ORDER].swapaxes(1, 2)
    late = padded[:, 1, _ORDER].swapaxes(1, 2)
    first = (early & _LOW) | (late & _LOW) << _BITS
    second = early >> _BITS | (late & ~np.uint8(_LOW))
    return np.stack([first, second], axis=2)


def _rows_of(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the rows (32 n, subvectors / 2) of blocks (n, bytes)."""
    # Of each block and pair: first or second of it, and then the byte.
    pairs = blocks.shape[1] // BLOCK_ROWS
    both = blocks.reshape(len(blocks), pairs, 2, _HALF)
    first, second = both[:, :, 0], both[:, :, 1]
    early = (first & _LOW) | (second & _LOW) << _BITS
    late = first >> _BITS | (second & ~np.uint8(_LOW))
    rows = np.empty((len(blocks), 2, _HALF, pairs), np.uint8)
    rows[:, 0, _ORDER] = early.swapaxes(1, 2)
    rows[:, 1, _ORDER] = late.swapaxes(1, 2)
    return rows.reshape(-1, pairs)


def _empty_index(code: Code, lists: int = 1) -> Any:  # noqa: ANN401
    """Return an index without rows; every search goes through all of its lists."""
    shape = code.shape
    everything = faiss.IndexFlatIP(shape.padded)
    everything.add(np.zeros((lists, shape.padded), np.float32))
    index = faiss.IndexIVFPQFastScan(
        everything,
        shape.padded,
        lists,
        shape.subvectors,
        _BITS,
        faiss.METRIC_INNER_PRODUCT,
        BLOCK_ROWS,
    )
    index.nprobe = lists
    index.by_residual = False
    centroids = np.tile(code.centroids, (shape.subvectors, 1))
    faiss.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
    index.pq.sync_transposed_centroids()  # to code takes 0.7 of the time by these
    index.is_trained = True
    return index


def _filled_index(code: Code, rows: NDArray[np.uint8]) -> Any:  # noqa: ANN401
    """Return an index with rows of codes, in lists of `LIST_ROWS`."""
    starts = range(0, len(rows), LIST_ROWS)
    index = _empty_index(code, len(starts))
    lists = _lists(index)
    for number, start in enumerate(starts):
        some = rows[start : start + LIST_ROWS]
        lists.resize(number, len(some))
        blocks = _blocks(lists, number)
        blocks[:] = _blocks_of(some).reshape(blocks.shape)
        ids = faiss.rev_swig_ptr(lists.get_ids(number), len(some))
        ids[:] = np.arange(start, start + len(some))
    index.ntotal = len(rows)
    whole = range(len(rows) // LIST_ROWS)  # what is smaller does not fill a large page
    ask_for_large_pages([_blocks(lists, number) for number in whole])
    return index


def _append(index: Any, rows: NDArray[np.uint8]) -> None:  # noqa: ANN401
    """Put rows of codes after those that an index of one list has."""
    lists = _lists(index)
    before, after = index.ntotal, index.ntotal + len(rows)
    whole, begun = divmod(before, BLOCK_ROWS)
    lists.resize(0, after)
    blocks = _blocks(lists, 0)[whole:]
    # The others' place in the block that was begun is left to them: it is zero here, as
    # what follows them is there.
    apart = np.zeros((begun, rows.shape[1]), np.uint8)
    more = _blocks_of(np.concatenate([apart, rows])).reshape(blocks.shape)
    if begun:
        more[0] |= blocks[0]
    blocks[:] = more
    faiss.rev_swig_ptr(lists.get_ids(0), after)[before:] = np.arange(before, after)
    index.ntotal = after


def _blocks(lists: Any, number: int) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return the codes of one list, (blocks, bytes), where they lie."""
    blocks = -(-lists.list_size(number) // BLOCK_ROWS)
    if not blocks:
        return np.zeros((0, lists.block_size), np.uint8)
    flat = faiss.rev_swig_ptr(lists.get_codes(number), blocks * lists.block_size)
    there: NDArray[np.uint8] = flat.reshape(blocks, lists.block_size)
    return there


def _lists(index: Any) -> Any:  # noqa: ANN401
    """Return where an index has its codes."""
    return faiss.downcast_InvertedLists(index.invlists)


@cache
def _check_layout() -> None:
    """Compare what FAISS makes of some vectors with what is made of their codes here.

    Raises:
        RuntimeError: they differ; with this version a mate would not be found.
    """
    code, rows = Code.of(_SAMPLE_DIMENSION), BLOCK_ROWS + 1
    vectors = np.random.default_rng(0).standard_normal((rows, _SAMPLE_DIMENSION))
    units = (vectors / np.sqrt(_SAMPLE_DIMENSION)).astype(np.float32)
    index = _empty_index(code)
    index.add(units)
    theirs = CoarseCodes(code, index)
    ours = CoarseCodes(code, _filled_index(code, theirs.rows()))
    same = np.array_equal(theirs.rows(), theirs.coded(units))
    found = zip(
        ours.search(units, _SAMPLE_CUT), theirs.search(units, _SAMPLE_CUT), strict=True
    )
    for here, there in found:
        same = same and np.array_equal(np.asarray(here), np.asarray(there))
    if not same:
        raise RuntimeError(
            f"FAISS {faiss.__version__} lays out codes in a way that is not known here;"
            " install the version before"
        )


def use_one_thread() -> None:
    """Keep FAISS to the calling thread.

    FAISS keeps the number for each thread: a pool of ours times a pool of its own
    would fight for the cores. It is told once a thread, since every call into it waits
    for the interpreter's lock.
    """
    if not hasattr(_TOLD, "one"):
        faiss.omp_set_num_threads(1)
        _TOLD.one = True
