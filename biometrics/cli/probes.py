"""One probe out of a file: `.npz`, what holds bare vectors, or a record of minutiae."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.errors import InvalidRequestError
from enrolment.formats.arrays import read_npz
from enrolment.formats.files import open_regular
from enrolment.formats.finger import FingerView
from enrolment.formats.persons import holds_a_person, open_person
from enrolment.formats.source import VectorSample
from enrolment.formats.vectors import choose_row, read_vector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_ROWS: Final = 512


def read_probe(path: Path, row: int | None) -> VectorSample | FingerView:
    """Return one vector of a file, or the minutiae of one print.

    Args:
        path: `.npz` with an array `embedding`; `.npy`, a vector or a matrix; what holds
            the minutiae of one person; or a file of any other name with little-endian
            float32 numbers and no more.
        row: which row, from 0, or which view; may be None where there is only one.

    Raises:
        InvalidRequestError: the file cannot be read, or has no such row; or it shows a
            print that is none, or too little of one.
    """
    if holds_a_person(path.name):
        return _view(path, row)
    if path.suffix == ".npz":
        return VectorSample(vector=_from_npz(path, row))
    with open_regular(path) as file:
        return VectorSample(vector=read_vector(file, str(path), row))


def _view(path: Path, row: int | None) -> FingerView:
    """Return one view of a record."""
    views = [s for s in open_person(path).person.samples if isinstance(s, FingerView)]
    if not views:
        told = (
            f"`{path}` has no minutiae: enrol and search with what it is extracted to"
        )
        raise InvalidRequestError("NO_MINUTIAE", told)
    if row is None and len(views) > 1:
        raise InvalidRequestError(
            "ROW_REQUIRED",
            f"`{path}` has {len(views)} views of prints; say which with `--row`",
        )
    return views[choose_row(str(path), row, len(views))]


def _from_npz(path: Path, row: int | None) -> NDArray[np.floating]:
    """Return a row of an array file."""
    file = read_npz(path)
    wanted = choose_row(str(path), row, file.count)
    for start, block in file.rows(_BLOCK_ROWS):
        if wanted < start + len(block):
            return np.array(block[wanted - start])
    raise AssertionError("the file has as many rows as it says")
