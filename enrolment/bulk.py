"""The records of many files as one stream, cut into batches that one message takes.

It reads from the files and knows neither client nor wire. Whatever is wrong with a
record or with a file is a refusal in its place, and what follows is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, Unreadable, VectorSample
from enrolment.preflight import record_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from biometrics.errors import Fault
    from enrolment.formats.source import Source
    from enrolment.gather import Gathered

# Names, numbers and frames of a record and of a template, at their largest.
_RECORD_BYTES: Final = 4 * (
    limits.MAX_REFERENCE_CHARACTERS + limits.MAX_LEGAL_BASIS_CHARACTERS
) + 8 * (limits.MAX_EXCLUDED_REQUESTERS + 8)
_TEMPLATE_BYTES: Final = limits.MAX_NAME_CHARACTERS + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What stands in a file next.

    Attributes:
        file: which.
        item: a record, or why there is none.
        bytes_read: how much is read of all files behind it.
    """

    file: Path
    item: Found | Unreadable
    bytes_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A record that is not enrolled, or all that is left of a file.

    Attributes:
        file: where it stands.
        number: which record of the file, from 0; None for the file as a whole.
        reference: of the record, or empty if that is not known.
        by: who refused it, `file` or `exchange`.
        faults: everything that is wrong, by field.
    """

    file: Path
    number: int | None
    reference: str = field(repr=False)
    by: str = "file"
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive records of the stream, those refused among them.

    Attributes:
        start: number of the first in the stream, from 0.
        records: those to send, each with the file that it stands in.
        refused: the others.
        bytes_read: how much is read of all files behind the batch.
    """

    start: int
    records: tuple[tuple[Path, Found], ...] = field(repr=False)
    refused: tuple[Refused, ...]
    bytes_read: int

    @property
    def end(self) -> int:
        """Number of the record that follows in the stream."""
        return self.start + len(self.records) + len(self.refused)


def read_batches(
    gathered: Gathered,
    fits: Callable[[Source], None],
    *,
    start: int = 0,
    extract: Callable[[Iterator[Read]], Iterator[Read]] = iter,
    faults: Callable[[Found], Sequence[Fault]] = record_faults,
) -> Iterator[Batch]:
    """Yield the records of files from `start` on, a batch at a time.

    Args:
        gathered: the files.
        fits: raises what is wrong with a file as a whole, if anything.
        start: the first record wanted, from 0; where the files are the same, records
            have the same numbers.
        extract: puts templates in the place of pictures; by default they stay.
        faults: returns what is wrong with a record.

    Raises:
        InvalidRequestError: there are fewer records than `start`.
    """
    cutter = _Cutter(start, faults)
    for read in extract(_from(start, gathered, fits)):
        yield from cutter.add(read)
    yield from cutter.rest(sum(gathered.sizes))


def _from(
    start: int, gathered: Gathered, fits: Callable[[Source], None]
) -> Iterator[Read]:
    """Yield what stands in files, from record `start` on.

    Raises:
        InvalidRequestError: there are fewer records.
    """
    done = number = 0
    for path, size in zip(gathered.files, gathered.sizes, strict=True):
        for share, item in _items(path, fits):
            if number >= start:
                yield Read(file=path, item=item, bytes_read=done + int(share * size))
            number += 1
        done += size
    if number < start:
        raise InvalidRequestError(
            "WRONG_START",
            f"there is no record {start}: there are {number}, from record 0 on",
        )


def _items(
    path: Path, fits: Callable[[Source], None]
) -> Iterator[tuple[float, Found | Unreadable]]:
    """Yield the records of a file; the last may be what ended it."""
    try:
        source = open_source(path)
        fits(source)
        for block in source.blocks():
            for item in block.items:
                yield block.share, item
    except InvalidRequestError as error:
        yield 1.0, Unreadable(number=None, faults=error.faults)


class _Cutter:
    """Gathers records until they are a batch."""

    def __init__(self, start: int, faults: Callable[[Found], Sequence[Fault]]) -> None:
        """Begin before the record `start`."""
        self._start = start
        self._faults = faults
        self._records: list[tuple[Path, Found]] = []
        self._refused: list[Refused] = []
        self._bytes = 0

    def add(self, read: Read) -> Iterator[Batch]:
        """Add a record; yield the batch before it, if it has no room there."""
        item = read.item
        faults = item.faults if isinstance(item, Unreadable) else self._faults(item)
        if isinstance(item, Found) and not faults:
            size = _size(item)
            full = len(self._records) == limits.BULK_RECORDS_PER_CHUNK
            if full or self._bytes + size > limits.BULK_BYTES_PER_CHUNK:
                yield from self.rest(read.bytes_read)
            self._records.append((read.file, item))
            self._bytes += size
            return
        if len(self._refused) == limits.BULK_RECORDS_PER_CHUNK:
            yield from self.rest(read.bytes_read)
        self._refused.append(
            Refused(
                file=read.file,
                number=item.number,
                reference=item.reference,
                faults=tuple(faults),
            )
        )

    def rest(self, bytes_read: int) -> Iterator[Batch]:
        """Yield what is gathered as a batch, if anything is."""
        batch = Batch(
            start=self._start,
            records=tuple(self._records),
            refused=tuple(self._refused),
            bytes_read=bytes_read,
        )
        self._start = batch.end
        self._records, self._refused, self._bytes = [], [], 0
        if batch.end > batch.start:
            yield batch


def _size(found: Found) -> int:
    """Return how many bytes a record has in a message, at most."""
    return _RECORD_BYTES + sum(
        _TEMPLATE_BYTES
        + (
            4 * len(sample.vector)
            if isinstance(sample, VectorSample)
            else limits.MINUTIAE_BYTES
        )
        for sample in found.samples
    )
