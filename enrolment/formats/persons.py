"""Files that hold the samples of one person, and no reference: their name is it.

Alone, and in a manifest, which gives them a reference of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.cbeff import read_cbeff
from enrolment.formats.files import open_regular
from enrolment.formats.itl import read_transaction
from enrolment.formats.itl_images import read_type_4, read_type_10, read_type_14
from enrolment.formats.itl_minutiae import read_type_9
from enrolment.formats.minutiae import read_minutiae
from enrolment.formats.source import Block, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from enrolment.formats.finger import FingerView
    from enrolment.formats.image import ImageSample
    from enrolment.formats.itl import ItlRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What such a file holds.

    Attributes:
        kind: format and edition, for people.
        samples: one or more.
    """

    kind: str
    samples: tuple[FingerView | ImageSample, ...]


@dataclass(frozen=True, slots=True)
class PersonFile:
    """Such a file as a source; see `source.Source`."""

    path: Path
    person: Person
    dimension: None = None

    @property
    def kind(self) -> str:
        """Format and edition."""
        return self.person.kind

    def blocks(self) -> Iterator[Block]:
        """Yield the one record; see `source.Source`."""
        found = Found(number=0, reference=self.path.stem, samples=self.person.samples)
        yield Block(share=1.0, items=(found,))


def holds_a_person(name: str) -> bool:
    """Say whether a file is such a one, by the end of its name."""
    return _ending(name) in _READERS


def read_person(file: BinaryIO, name: str) -> Person:
    """Return what an open file holds.

    Args:
        file: at its start.
        name: what it is called, which says what it is.

    Raises:
        InvalidRequestError: it is not that; the faults name the fields.
    """
    read, most = _READERS[_ending(name)]
    data = file.read(most + 1)
    if len(data) > most:
        message = f"is larger than {most} bytes"
        fault = Fault(field="", reason="FILE_TOO_LARGE", message=message)
        raise InvalidRequestError.of([fault])
    return read(data)


def open_person(path: Path) -> PersonFile:
    """Open such a file and read it.

    Raises:
        InvalidRequestError: it is not what its name says.
    """
    with open_regular(path) as file:
        try:
            return PersonFile(path, read_person(file, path.name))
        except InvalidRequestError as error:
            faults = [
                Fault(
                    field=f"{path}:{fault.field}" if fault.field else str(path),
                    reason=fault.reason,
                    message=fault.message,
                )
                for fault in error.faults
            ]
            raise InvalidRequestError.of(faults) from error


def _ending(name: str) -> str:
    """Return the end of a name, as it tells the format."""
    return f".{name.rpartition('.')[2].lower()}"


def _read_fmr(data: bytes) -> Person:
    """Read a record of ISO/IEC 19794-2."""
    record = read_minutiae(data)
    kind = f"ISO/IEC 19794-2:{record.edition} finger minutiae"
    return Person(kind=kind, samples=record.views)


def _read_cbeff(data: bytes) -> Person:
    """Read a CBEFF wrapper."""
    return Person(kind="CBEFF of ISO/IEC 19794-2", samples=read_cbeff(data))


def _read_itl(data: bytes) -> Person:
    """Read a transaction of ANSI/NIST-ITL, with all that is wrong in its records."""
    transaction = read_transaction(data)
    faults: list[Fault] = []
    samples: list[FingerView | ImageSample] = []
    views: Counter[int] = Counter()
    for record in transaction.records:
        try:
            if record.type == _MINUTIAE:
                view = read_type_9(record, views)
                samples.append(view)
            elif record.type in _IMAGES:
                samples.append(_IMAGES[record.type](record))
        except InvalidRequestError as error:
            faults += error.faults
    if not samples and not faults:
        message = "has no record of type 4, 9, 10 or 14, which are those that are read"
        faults.append(Fault(field="records", reason="NO_SAMPLES", message=message))
    if faults:
        raise InvalidRequestError.of(faults)
    kind = f"ANSI/NIST-ITL transaction, version {transaction.version}"
    return Person(kind=kind, samples=tuple(samples))


_MINUTIAE: Final = 9
_IMAGES: Final[Mapping[int, Callable[[ItlRecord], ImageSample]]] = {
    4: read_type_4,
    10: read_type_10,
    14: read_type_14,
}
_ITL: Final = (_read_itl, limits.MAX_TRANSACTION_BYTES)
_CBEFF: Final = (_read_cbeff, limits.MAX_BIR_BYTES)
_READERS: Final[Mapping[str, tuple[Callable[[bytes], Person], int]]] = {
    ".fmr": (_read_fmr, limits.MAX_MINUTIAE_BYTES),
    ".an2": _ITL,
    ".eft": _ITL,
    ".nist": _ITL,
    ".cbeff": _CBEFF,
    ".bir": _CBEFF,
}
PERSON_ENDINGS: Final = frozenset(_READERS)
