"""A zip archive of NumPy arrays, read in blocks; nothing in it is ever unpickled.

Damage of every sort becomes an `InvalidRequestError` that names the file, as the
caller did, and the array.
"""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.files import cause_of
from enrolment.formats.npy import Header, HeaderError, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED: Final = (
    "is damaged, encrypted or no `.npz` archive; write it again with `numpy.savez`"
)
# What `zipfile` raises on archives that are damaged, encrypted or too new.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive, and translate whatever goes wrong with reading it.

    Raises:
        InvalidRequestError: it cannot be read, now or while it is open.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = Counter(archive.namelist())
            if (
                len(names) > limits.MAX_ARRAY_MEMBERS
                or max(names.values(), default=1) > 1
            ):
                raise _refusal(
                    path,
                    "WRONG_MEMBERS",
                    f"must have at most {limits.MAX_ARRAY_MEMBERS} arrays, each once",
                )
            yield Archive(path, archive, [])
    except OSError as error:
        if error.errno == errno.EINVAL:  # the directory points to before the file
            raise _refusal(path, "FILE_DAMAGED", _DAMAGED) from error
        told = cause_of(error)
        raise _refusal(path, "UNREADABLE_FILE", f"cannot be read: {told}") from error
    except _DAMAGE as error:
        raise _refusal(path, "FILE_DAMAGED", _DAMAGED) from error


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive, and what was found wrong with its arrays."""

    path: Path
    _zip: zipfile.ZipFile
    faults: list[Fault]

    def has(self, name: str) -> bool:
        """Say whether there is an array of that name."""
        return _member(name) in self._zip.namelist()

    def refuse(self, name: str, reason: str, message: str) -> None:
        """Note a fault of an array."""
        where = f"{self.path}:{name}"
        self.faults.append(Fault(field=where, reason=reason, message=message))

    def header(self, name: str) -> Header | None:
        """Return an array's header, if the array can be read."""
        if not self.has(name):
            self.refuse(name, "MISSING_ARRAY", "there is no array of this name; add it")
            return None
        member = self._zip.getinfo(_member(name))
        if member.compress_type not in _COMPRESSIONS:
            self.refuse(
                name, "WRONG_COMPRESSION", "must be stored as it is, or deflated"
            )
            return None
        try:
            with self._zip.open(member) as file:
                header = read_header(file)
        except HeaderError as error:
            self.refuse(name, "WRONG_ARRAY", str(error))
            return None
        if member.file_size != header.length + header.data_bytes:
            self.refuse(
                name,
                "WRONG_SIZE",
                f"holds {member.file_size - header.length} bytes of elements where"
                f" shape and type need {header.data_bytes}",
            )
            return None
        return header

    def elements(
        self, name: str, header: Header, rows: int
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the number of a first row, and the block of up to `rows` from there.

        Holds one block at a time, unless the array is in Fortran order.

        Raises:
            InvalidRequestError: the header is no longer the one that was read.
        """
        with self._zip.open(_member(name)) as file:
            try:
                same = read_header(file) == header
            except HeaderError:
                same = False
            if not same:
                raise _refusal(self.path, "FILE_CHANGED", "has changed; start again")
            yield from _blocks(file, header, rows)

    def run_through(self, name: str) -> None:
        """Read an array once, so that its checksum is compared."""
        with self._zip.open(_member(name)) as file:
            while file.read(limits.ARRAY_PIECE_BYTES):
                pass


def _member(name: str) -> str:
    """Return the name of an array in the archive."""
    return f"{name}.npy"


def _refusal(path: Path, reason: str, message: str) -> InvalidRequestError:
    """Return an error about the archive as a whole."""
    fault = Fault(field=str(path), reason=reason, message=message)
    return InvalidRequestError.of([fault])


def _blocks(
    file: IO[bytes], header: Header, rows: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield blocks of rows of the elements that follow in the file.

    Raises:
        EOFError: the elements end too early.
    """
    count, *rest = header.shape
    if header.by_column:
        whole = np.frombuffer(_read(file, header.data_bytes), header.dtype)
        whole = whole.reshape(header.shape, order="F")
        for start in range(0, count, rows):
            yield start, whole[start : start + rows]
        return
    row_bytes = header.data_bytes // count
    for start in range(0, count, rows):
        size = min(rows, count - start)
        block = np.frombuffer(_read(file, size * row_bytes), header.dtype)
        yield start, block.reshape(size, *rest)


def _read(file: IO[bytes], size: int) -> bytes:
    """Return exactly `size` bytes."""
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data
