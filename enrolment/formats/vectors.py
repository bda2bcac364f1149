"""One vector out of a `.npy` file, or out of bare little-endian float32 numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.npy import HeaderError, read_header

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

_MATRIX: Final = 2  # dimensions


def read_vector(file: BinaryIO, name: str, row: int | None) -> NDArray[np.floating]:
    """Return one vector of an open file.

    Args:
        file: at its start; it can be sought in.
        name: what it is called; a matrix or a vector of NumPy if it ends in `.npy`,
            else bare numbers.
        row: which row, from 0; may be None where there is only one.

    Raises:
        InvalidRequestError: the file holds no such vector.
    """
    if name.endswith(".npy"):
        return _from_npy(file, name, row)
    return _bare(file, name, row)


def choose_row(name: str, row: int | None, count: int) -> int:
    """Return the row wanted, if it is there and it is clear which.

    Raises:
        InvalidRequestError: it is not.
    """
    if row is None and count > 1:
        raise InvalidRequestError(
            "ROW_REQUIRED", f"`{name}` has {count} rows; say which with `--row`"
        )
    wanted = row or 0
    if not 0 <= wanted < count:
        raise InvalidRequestError(
            "NO_SUCH_ROW",
            f"there is no row {wanted} in `{name}`: its first is row 0, its last row"
            f" {count - 1}",
        )
    return wanted


def _from_npy(file: BinaryIO, name: str, row: int | None) -> NDArray[np.floating]:
    """Return a row of a NumPy file; nothing in it is ever unpickled."""
    try:
        header = read_header(file)
    except HeaderError as error:
        raise InvalidRequestError("NOT_NPY", f"`{name}` {error}") from error
    shape, dtype = header.shape, header.dtype
    if dtype.kind != "f" or header.by_column or len(shape) not in (1, _MATRIX):
        raise InvalidRequestError(
            "WRONG_ARRAY",
            f"`{name}` must have a vector or a matrix of floating-point numbers in C"
            f" order; it has `{dtype}` of shape `{shape}`",
        )
    count, dimension = shape if len(shape) == _MATRIX else (1, shape[0])
    _check_dimension(name, dimension)
    wanted = choose_row(name, row, count)
    size = dimension * dtype.itemsize
    try:
        file.seek(wanted * size, 1)
    except (OSError, OverflowError, ValueError):  # beyond what a file can be
        data = b""
    else:
        data = file.read(size)
    if len(data) != size:
        raise InvalidRequestError("FILE_CUT", f"`{name}` ends before its array does")
    return np.frombuffer(data, dtype)


def _bare(file: BinaryIO, name: str, row: int | None) -> NDArray[np.floating]:
    """Return a file of little-endian float32 numbers as one vector."""
    choose_row(name, row, 1)
    data = file.read(4 * limits.MAX_DIMENSION + 1)
    if len(data) % 4:
        raise InvalidRequestError(
            "WRONG_LENGTH",
            f"`{name}` is no vector of at most {limits.MAX_DIMENSION} little-endian"
            " float32 numbers; give one, a `.npy` or a `.npz`",
        )
    _check_dimension(name, len(data) // 4)
    return np.frombuffer(data, "<f4")


def _check_dimension(name: str, dimension: int) -> None:
    """Refuse what no template space can have."""
    if not limits.MIN_DIMENSION <= dimension <= limits.MAX_DIMENSION:
        raise InvalidRequestError(
            "WRONG_DIMENSION",
            f"`{name}` has vectors of {dimension} components; there are"
            f" {limits.MIN_DIMENSION} to {limits.MAX_DIMENSION}",
        )
