"""Files as blocks of templates of one template space, with whom each is of.

A record is one person's, and its reference says whose: two with the same reference, in
whichever files, are of one person. An `.npz` may say so by an array `subject` in the
place of `reference`, and have `group` and `member`, texts that rates are told by.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.minutiae.layout import pack
from biometrics.templates import Kind
from enrolment.formats.archive import open_archive
from enrolment.formats.arrays import read_npz
from enrolment.formats.finger import FingerView
from enrolment.formats.opening import open_source
from enrolment.formats.source import Unreadable, VectorSample
from enrolment.preflight import minutiae_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.templates import Position, TemplateSpace
    from enrolment.formats.source import Block as ReadBlock
    from enrolment.formats.source import Found

_LABELS: Final = ("subject", "reference", "group", "member")
_ROWS: Final = 4096  # of an array at once; 64 MiB at 4096-d
NONE: Final = ""  # a label that a file does not give


class Capture(NamedTuple):
    """What a file says of one template."""

    subject: str
    reference: str
    group: str
    member: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some captures, and what is known of each.

    Attributes:
        templates: (n, ...), as `TemplateSpace.room` has them and the exchange makes
            them.
        captures: (n,), in the same order.
        share: how much of all files is read behind them, 0 to 1.
    """

    templates: NDArray[Any]
    captures: list[Capture]
    share: float


@dataclass(slots=True)
class Captures:
    """Reads files, and counts what it could not use; may be read again.

    Attributes:
        paths: the files, each in a format that `enrol` reads.
        space: template space of their templates.
        position: where they were taken; those that say another are passed over.
        refused: by reason, how many records had no usable template.
        passed: templates of other spaces or positions.
    """

    paths: Sequence[Path]
    space: TemplateSpace
    position: Position
    refused: Counter[str] = field(default_factory=Counter)
    passed: int = 0

    def blocks(self) -> Iterator[Block]:
        """Yield what can be used, a block at a time.

        Raises:
            InvalidRequestError: a file cannot be read, or has another dimension.
        """
        self.refused.clear()
        self.passed = 0
        read = self._prints if self.space.kind is Kind.MINUTIAE else self._vectors_of
        for number, path in enumerate(self.paths):
            for share, templates, captures in read(path):
                done = (number + share) / len(self.paths)
                yield Block(templates, captures, done)

    def _vectors_of(
        self, path: Path
    ) -> Iterator[tuple[float, NDArray[Any], list[Capture]]]:
        """Yield the vectors of a file."""
        reader = _array_rows if path.suffix.lower() == ".npz" else self._records
        for share, rows, captures in reader(path):
            if rows.shape[1:] != (self.space.dimension,):
                raise _wrong_dimension(path, rows, self.space)
            vectors, usable = self._unit(rows)
            kept = [c for c, good in zip(captures, usable, strict=True) if good]
            yield share, vectors, kept

    def _prints(
        self, path: Path
    ) -> Iterator[tuple[float, NDArray[Any], list[Capture]]]:
        """Yield the minutiae of a file.

        Raises:
            InvalidRequestError: it holds vectors, or cannot be read.
        """
        source = open_source(path)
        if source.dimension is not None:
            told = f"`{path}` has vectors where `{self.space.name}` is of minutiae"
            raise InvalidRequestError("WRONG_KIND", told)
        for block in source.blocks():
            found = list(self._views(block, path.stem))
            room = self.space.room(len(found))
            for place, (view, _) in enumerate(found):
                room[place] = pack(view.laid())
            yield block.share, room, [capture for _, capture in found]

    def _views(
        self, block: ReadBlock, member: str
    ) -> Iterator[tuple[FingerView, Capture]]:
        """Yield the prints of this position that can be used."""
        for item in block.items:
            if isinstance(item, Unreadable):
                self.refused[item.faults[0].reason] += 1
                continue
            for sample in item.samples:
                if not isinstance(sample, FingerView) or (
                    sample.position not in {None, self.position.value}
                ):
                    self.passed += 1
                elif fault := minutiae_fault(sample):
                    self.refused[fault.reason] += 1
                else:
                    name = item.reference
                    yield sample, Capture(name, name, NONE, member)

    def _unit(
        self, rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return usable rows centred and of unit length, and which those are."""
        wide = rows.astype(np.float64)
        finite = np.isfinite(wide).all(axis=1)
        wide[~finite] = 0.0
        least = limits.MIN_NORM * np.maximum(1.0, np.linalg.norm(wide, axis=1))
        wide -= self.space.centre
        norms = np.linalg.norm(wide, axis=1)
        usable = finite & (norms >= least)
        self.refused["NOT_FINITE"] += int((~finite).sum())
        self.refused["ZERO_VECTOR"] += int((finite & ~usable).sum())
        unit = (wide[usable] / norms[usable, None]).astype(np.float32)
        return unit, usable

    def _records(
        self, path: Path
    ) -> Iterator[tuple[float, NDArray[np.float32], list[Capture]]]:
        """Yield the vectors of a manifest or table."""
        for block in open_source(path).blocks():
            rows: list[NDArray[np.floating]] = []
            captures: list[Capture] = []
            for item in block.items:
                if isinstance(item, Unreadable):
                    self.refused[item.faults[0].reason] += 1
                    continue
                for vector in self._vectors(item):
                    rows.append(vector)
                    name = item.reference
                    captures.append(Capture(name, name, NONE, path.stem))
            if rows:
                yield block.share, _stacked(path, rows, self.space), captures

    def _vectors(self, record: Found) -> Iterator[NDArray[np.floating]]:
        """Yield the vectors of a record that are of this space and position."""
        for sample in record.samples:
            if not isinstance(sample, VectorSample) or (
                sample.space not in {None, self.space.name}
                or sample.position not in {None, self.position.value}
            ):
                self.passed += 1
                continue
            yield sample.vector


def _array_rows(
    path: Path,
) -> Iterator[tuple[float, NDArray[np.float32], list[Capture]]]:
    """Yield the rows of an archive, with the labels that it has."""
    with open_archive(path) as archive:
        there = [name for name in _LABELS if archive.has(name)]
    if not {"subject", "reference"} & set(there):
        message = (
            f"`{path}` says of no row whom it is of; add an array `subject` or"
            " `reference` of texts or integers, as many as rows"
        )
        raise InvalidRequestError("NO_REFERENCES", message)
    file = read_npz(path, texts=there)
    texts = {name: file.texts(name) for name in there}
    subject = texts.get("subject", texts.get("reference", []))
    reference = texts.get("reference", [str(row) for row in range(file.count)])
    nothing = [NONE] * file.count
    group = texts.get("group", nothing)
    member = texts.get("member", [path.stem] * file.count)
    for start, rows in file.rows(_ROWS):
        part = slice(start, start + len(rows))
        labels = (subject[part], reference[part], group[part], member[part])
        captures = list(map(Capture, *labels))
        yield (start + len(rows)) / file.count, rows, captures


def _stacked(
    path: Path, rows: Iterable[NDArray[np.floating]], space: TemplateSpace
) -> NDArray[np.float32]:
    """Return vectors as rows.

    Raises:
        InvalidRequestError: one has another dimension.
    """
    found = list(rows)
    for row in found:
        if len(row) != space.dimension:
            raise _wrong_dimension(path, row[None, :], space)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(found).astype(np.float32)


def _wrong_dimension(
    path: Path, rows: NDArray[np.floating], space: TemplateSpace
) -> InvalidRequestError:
    """Return the error of a file of another space."""
    return InvalidRequestError(
        "WRONG_DIMENSION",
        f"`{path}` has vectors of {rows.shape[1]} components where `{space.name}` has"
        f" {space.dimension}",
    )
