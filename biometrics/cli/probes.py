"""One probe out of a file: `.npz`, `.npy`, or the bare numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.arrays import read_npz
from enrolment.formats.npy import HeaderError, read_header

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

_BLOCK_ROWS: Final = 512
_MATRIX: Final = 2  # dimensions


def read_probe(path: Path, row: int | None) -> NDArray[np.floating]:
    """Return one vector of a file.

    Args:
        path: `.npz` with an array `embedding`; `.npy`, a vector or a matrix; or a
            file of any other name with little-endian float32 numbers and no more.
        row: which row, from 0; may be None where there is only one.

    Raises:
        InvalidRequestError: the file cannot be read, or has no such row.
    """
    try:
        if path.suffix == ".npz":
            return _from_npz(path, row)
        with path.open("rb") as file:
            return (
                _from_npy(path, file, row)
                if path.suffix == ".npy"
                else _bare(path, file, row)
            )
    except OSError as error:
        raise InvalidRequestError(
            "FILE_NOT_READ",
            f"`{path}` cannot be read: {(error.strerror or 'unknown').lower()}",
        ) from error


def _from_npz(path: Path, row: int | None) -> NDArray[np.floating]:
    """Return a row of an array file."""
    file = read_npz(path)
    wanted = _row_of(path, row, file.count)
    for start, block in file.rows(_BLOCK_ROWS):
        if wanted < start + len(block):
            return np.array(block[wanted - start])
    raise AssertionError("the file has as many rows as it says")


def _from_npy(path: Path, file: IO[bytes], row: int | None) -> NDArray[np.floating]:
    """Return a row of a NumPy file; nothing in it is ever unpickled."""
    try:
        header = read_header(file)
    except HeaderError as error:
        raise InvalidRequestError("NOT_NPY", f"`{path}` {error}") from error
    shape, dtype = header.shape, header.dtype
    if dtype.kind != "f" or header.by_column or len(shape) not in (1, _MATRIX):
        raise InvalidRequestError(
            "WRONG_ARRAY",
            f"`{path}` must have a vector or a matrix of floating-point numbers in C"
            f" order; it has `{dtype}` of shape `{shape}`",
        )
    count, dimension = shape if len(shape) == _MATRIX else (1, shape[0])
    _check_dimension(path, dimension)
    wanted = _row_of(path, row, count)
    size = dimension * dtype.itemsize
    file.seek(wanted * size, 1)
    data = file.read(size)
    if len(data) != size:
        raise InvalidRequestError("FILE_CUT", f"`{path}` ends before its array does")
    return np.frombuffer(data, dtype)


def _bare(path: Path, file: IO[bytes], row: int | None) -> NDArray[np.floating]:
    """Return a file of little-endian float32 numbers as one vector."""
    _row_of(path, row, 1)
    data = file.read(4 * limits.MAX_DIMENSION + 1)
    if len(data) % 4:
        raise InvalidRequestError(
            "WRONG_LENGTH",
            f"`{path}` is no vector of at most {limits.MAX_DIMENSION} little-endian"
            " float32 numbers; give one, a `.npy` or a `.npz`",
        )
    _check_dimension(path, len(data) // 4)
    return np.frombuffer(data, "<f4")


def _check_dimension(path: Path, dimension: int) -> None:
    """Refuse what no template space can have."""
    if not limits.MIN_DIMENSION <= dimension <= limits.MAX_DIMENSION:
        raise InvalidRequestError(
            "WRONG_DIMENSION",
            f"`{path}` has vectors of {dimension} components; there are"
            f" {limits.MIN_DIMENSION} to {limits.MAX_DIMENSION}",
        )


def _row_of(path: Path, row: int | None, count: int) -> int:
    """Return the row wanted, if it is there and it is clear which."""
    if row is None and count > 1:
        raise InvalidRequestError(
            "ROW_REQUIRED", f"`{path}` has {count} rows; say which with `--row`"
        )
    wanted = row or 0
    if not 0 <= wanted < count:
        raise InvalidRequestError(
            "NO_SUCH_ROW",
            f"there is no row {wanted} in `{path}`: its first is row 0, its last row"
            f" {count - 1}",
        )
    return wanted
