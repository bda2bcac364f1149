"""One probe out of a file: `.npz`, or what holds bare vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from enrolment.formats.arrays import read_npz
from enrolment.formats.files import open_regular
from enrolment.formats.vectors import choose_row, read_vector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_ROWS: Final = 512


def read_probe(path: Path, row: int | None) -> NDArray[np.floating]:
    """Return one vector of a file.

    Args:
        path: `.npz` with an array `embedding`; `.npy`, a vector or a matrix; or a
            file of any other name with little-endian float32 numbers and no more.
        row: which row, from 0; may be None where there is only one.

    Raises:
        InvalidRequestError: the file cannot be read, or has no such row.
    """
    if path.suffix == ".npz":
        return _from_npz(path, row)
    with open_regular(path) as file:
        return read_vector(file, str(path), row)


def _from_npz(path: Path, row: int | None) -> NDArray[np.floating]:
    """Return a row of an array file."""
    file = read_npz(path)
    wanted = choose_row(str(path), row, file.count)
    for start, block in file.rows(_BLOCK_ROWS):
        if wanted < start + len(block):
            return np.array(block[wanted - start])
    raise AssertionError("the file has as many rows as it says")
