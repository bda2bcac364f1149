"""An array file's rows, cut into chunks that one message takes.

Pure: it reads from the file and knows neither client nor wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from enrolment.formats.arrays import ArrayFile


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChunk:
    """Consecutive rows of a file.

    Attributes:
        start: number of the first row, from 0.
        references: the holder's reference of each row.
        vectors: float32 (rows, dimension), as the file has them.
    """

    start: int
    references: tuple[str, ...] = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)


def cut_rows(file: ArrayFile, *, start: int = 0) -> Iterator[RowChunk]:
    """Return the rows from `start` on, in chunks.

    Chunks begin at the same rows wherever one starts, but for the first.

    Args:
        file: an array file with references.
        start: the first row wanted, from 0.

    Raises:
        InvalidRequestError: the file has no references, or fewer rows than `start`.
    """
    if file.references is None:
        raise InvalidRequestError(
            "NO_REFERENCES",
            f"`{file.path}` has no array `reference`; add one of texts, as many as"
            " rows, each the opaque reference that the record is enrolled under",
        )
    if not 0 <= start <= file.count:
        raise InvalidRequestError(
            "WRONG_START",
            f"there is no row {start} in `{file.path}`: its first is row 0, its last"
            f" row {file.count - 1}",
        )
    return _cut(file, file.references, start)


def _cut(file: ArrayFile, references: list[str], start: int) -> Iterator[RowChunk]:
    """Yield the chunks of a file that is in order."""
    for first, block in file.rows(limits.BULK_RECORDS_PER_CHUNK):
        end = first + len(block)
        if end <= start:
            continue
        begin = max(first, start)
        yield RowChunk(
            start=begin,
            references=tuple(references[begin:end]),
            vectors=block[begin - first :],
        )
