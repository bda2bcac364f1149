"""The header of a NumPy array inside a zip archive, read strictly.

NumPy parses it (numpy.lib.format, versions 1.0 and 2.0) and never sees the elements:
their type must be one of a few plain ones, so that nothing is ever unpickled.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Final

from numpy.lib import format as npy

if TYPE_CHECKING:
    import numpy as np

_READERS: Final = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
_MAX_HEADER_BYTES: Final = 4096  # of plain types; usually 118
# Kinds of plain elements and their most bytes; users of texts bound them further.
_PLAIN: Final = {"f": 8, "i": 8, "u": 8, "U": 4_000_000, "S": 1_000_000}
# What NumPy raises on damage, by trial on headers with every byte changed in turn.
_DAMAGE: Final = (
    *(ValueError, TypeError, SyntaxError, KeyError, TokenError, EOFError),
    *(MemoryError, RecursionError),  # of a deep literal, by Python's documentation
)


class HeaderError(Exception):
    """The header is damaged, or not of an array that can be read here."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an array's header says.

    Attributes:
        dtype: of the elements, with their byte order.
        shape: of the array.
        by_column: whether the first index varies fastest.
        length: bytes of magic, version and header; the elements follow.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    by_column: bool
    length: int

    @property
    def data_bytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> Header:
    """Read a header and leave the file at the first element.

    Raises:
        HeaderError: it is damaged, or the elements are Python objects or structures.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files by Python 2, and old type names
            read = _READERS[npy.read_magic(file)]
            shape, by_column, dtype = read(file, max_header_size=_MAX_HEADER_BYTES)
    except _DAMAGE as error:
        raise HeaderError(
            "is no NumPy array of version 1 or 2, or has a damaged header"
        ) from error
    if not 0 < dtype.itemsize <= _PLAIN.get(dtype.kind, 0):
        raise HeaderError(
            "has elements that are neither numbers nor texts; Python objects are never"
            " read: write numbers, or `array.astype(str)`"
        )
    if any(type(size) is not int or size < 0 for size in shape):
        raise HeaderError("has a size that is none")
    return Header(dtype, shape, by_column and len(shape) > 1, file.tell())
