"""The header of a NumPy array inside a zip archive, parsed strictly.

Format: numpy.lib.format, versions 1.0 and 2.0. The type of the elements must be one
of a few plain ones, so that nothing in a file is ever unpickled.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import IO, Final

import numpy as np

_MAGIC: Final = b"\x93NUMPY"
# Version: bytes of the field that gives the length of the header.
_LENGTH_BYTES: Final = {b"\x01\x00": 2, b"\x02\x00": 4}
_MAX_HEADER_BYTES: Final = 4096  # of plain types; usually 118
_PLAIN: Final = re.compile(r"[<>|=]?([fiu][1248]|[US][1-9][0-9]{0,5})")
# What `literal_eval` raises on a text that is no literal, by its documentation.
_NO_LITERAL: Final = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


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
    start = file.read(len(_MAGIC) + 2)
    width = _LENGTH_BYTES.get(start[len(_MAGIC) :])
    if not start.startswith(_MAGIC) or width is None:
        raise HeaderError("is no NumPy array of version 1 or 2")
    size = int.from_bytes(file.read(width), "little")
    if size > _MAX_HEADER_BYTES:
        raise HeaderError(f"has a header of {size} bytes; at most {_MAX_HEADER_BYTES}")
    text = file.read(size)
    if len(text) != size:
        raise HeaderError("ends inside its header")
    try:
        fields = ast.literal_eval(text.decode("ascii").strip())
    except _NO_LITERAL as error:
        raise HeaderError("has a damaged header") from error
    return _parse(fields, len(start) + width + size)


def _parse(fields: object, length: int) -> Header:
    """Return the header of these fields."""
    if not isinstance(fields, dict) or set(fields) != {
        "descr",
        "fortran_order",
        "shape",
    }:
        raise HeaderError("has a damaged header")
    descr, by_column, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    if not isinstance(by_column, bool) or not _is_shape(shape):
        raise HeaderError("has a damaged header")
    if not isinstance(descr, str) or not _PLAIN.fullmatch(descr):
        raise HeaderError(
            "has elements that are neither numbers nor texts; Python objects are never"
            " read: write numbers, or `array.astype(str)`"
        )
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise HeaderError("has elements of an unknown type") from error
    return Header(dtype, shape, by_column and len(shape) > 1, length)


def _is_shape(shape: object) -> bool:
    """Say whether it is a tuple of sizes."""
    return isinstance(shape, tuple) and all(
        type(size) is int and size >= 0 for size in shape
    )
