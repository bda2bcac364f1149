"""One target for each reader: any bytes give records or one refusal, and no more.

The property tests of the readers and the fuzzer drive the same targets.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.extractors.picture import decode
from enrolment.formats.files import open_regular
from enrolment.formats.minutiae import read_minutiae
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, Unreadable, VectorSample
from enrolment.formats.vectors import read_vector
from enrolment.preflight import record_faults

if TYPE_CHECKING:
    from collections.abc import Callable

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
FOLDER: Final = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
atexit.register(shutil.rmtree, FOLDER)
np.save(
    FOLDER / "v.npy", np.ones((2, limits.MIN_DIMENSION), np.float32)
)  # of manifests


def read_file(suffix: str, data: bytes) -> list[Found | Unreadable]:
    """Return what a file with this content gives; its end may be a refusal."""
    path = FOLDER / f"fuzzed{suffix}"
    path.write_bytes(data)
    items: list[Found | Unreadable] = []
    share = 0.0
    try:
        for block in open_source(path).blocks():
            assert share <= block.share <= 1.0
            share = block.share
            items += block.items
    except InvalidRequestError as error:
        assert error.faults
        assert all(fault.reason.isupper() and fault.message for fault in error.faults)
        items.append(Unreadable(number=None, faults=error.faults))
    whole = [item for item in items if item.number is not None]
    assert [item.number for item in whole] == list(range(len(whole)))
    for item in whole:
        if isinstance(item, Unreadable):
            assert item.faults
            continue
        record_faults(item)
        for sample in item.samples:
            if isinstance(sample, VectorSample):
                assert sample.vector.ndim == 1
                assert sample.vector.dtype.kind == "f"
    return items


def read_bare(name: str, data: bytes) -> None:
    """Read a file of one vector."""
    path = FOLDER / name
    path.write_bytes(data)
    try:
        with open_regular(path) as file:
            vector = read_vector(file, name, None)
    except InvalidRequestError:
        return
    assert isinstance(vector, np.ndarray)
    assert limits.MIN_DIMENSION <= len(vector) <= limits.MAX_DIMENSION


def read_finger(data: bytes) -> None:
    """Read a record of finger minutiae."""
    try:
        record = read_minutiae(data)
    except InvalidRequestError as error:
        assert len(error.faults) == 1
        return
    for view in record.views:
        assert all(each.x < view.width for each in view.minutiae)
        assert all(each.y < view.height for each in view.minutiae)


def read_picture(data: bytes) -> None:
    """Decode a picture."""
    try:
        picture = decode(data)
    except InvalidRequestError as error:
        assert error.reason.isupper()
        assert error.message
        return
    assert picture.pixels.dtype == np.uint8
    height, width, channels = picture.pixels.shape
    assert channels == 3
    assert min(height, width) >= limits.MIN_PICTURE_SIDE
    assert height * width <= limits.MAX_PICTURE_PIXELS


TARGETS: Final[dict[str, Callable[[bytes], object]]] = {
    "npz": partial(read_file, ".npz"),
    "npy": partial(read_bare, "vector.npy"),
    "bare": partial(read_bare, "vector.f32"),
    "parquet": partial(read_file, ".parquet"),
    "arrow": partial(read_file, ".arrow"),
    "csv": partial(read_file, ".csv"),
    "jsonl": partial(read_file, ".jsonl"),
    "fmr": read_finger,
    "picture": read_picture,
    "itl": partial(read_file, ".an2"),
    "cbeff": partial(read_file, ".cbeff"),
}
