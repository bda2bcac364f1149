"""Manifests: lists of records whose templates lie in files beside them.

CSV has a header of column names and a line for each template; lines with the same
reference that follow one another are one record. JSONL has a line for each record:
`{"reference": ..., "templates": [{"file": ...}]}`. Both may say when a record
`expires`, and are UTF-8. A wrong line is
refused in its place and the next one read. Files are opened beneath the manifest's
folder only, see `files`.
"""

import csv
import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.templates import Position
from enrolment.formats.expiry import read_expiry
from enrolment.formats.files import open_beneath, open_regular
from enrolment.formats.image import ImageSample
from enrolment.formats.persons import holds_a_person, read_person
from enrolment.formats.pictures import is_picture, read_picture
from enrolment.formats.source import (
    Block,
    Found,
    PictureSample,
    Sample,
    Unreadable,
    VectorSample,
)
from enrolment.formats.vectors import read_vector

_COLUMNS: Final = frozenset(
    {"reference", "file", "row", "space", "position", "quality", "expires"}
)
_REQUIRED: Final = frozenset({"reference", "file"})
_NUMBERS: Final = ("row", "quality")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Template(_Part):
    """One template of a record: where it lies, and what it is."""

    file: Annotated[str, Field(min_length=1, max_length=limits.MAX_PATH_CHARACTERS)]
    row: Annotated[int, Field(ge=0, lt=limits.MAX_ARRAY_ROWS)] | None = None
    space: Annotated[str, Field(max_length=limits.MAX_NAME_CHARACTERS)] | None = None
    position: Annotated[Position, Field(strict=False)] | None = None
    quality: Annotated[int, Field(ge=0, le=limits.MAX_QUALITY)] | None = None


class _Record(_Part):
    """One record of a JSONL manifest."""

    reference: str
    expires: str | None = None
    templates: Annotated[
        list[_Template],
        Field(min_length=1, max_length=limits.MAX_TEMPLATES_PER_RECORD),
    ]


@dataclass(frozen=True, slots=True)
class _Line:
    """What one line says, or all that is wrong with it."""

    number: int
    reference: str
    templates: tuple[_Template, ...]
    faults: tuple[Fault, ...]
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest; see `source.Source`."""

    path: Path
    kind: str
    dimension: int | None = None

    def blocks(self) -> Iterator[Block]:
        """Yield the records, a block at a time; see `source.Source`."""
        with open_regular(self.path) as file:
            size = max(os.fstat(file.fileno()).st_size, 1)
            if self.path.suffix.lower() == ".jsonl":
                records: Iterable[list[_Line]] = ([each] for each in _json_lines(file))
            else:
                records = _grouped(_csv_lines(file, str(self.path)))
            items: list[Found | Unreadable] = []
            held = 0
            for number, lines in enumerate(records):
                items.append(self._record(number, lines))
                held += _held(items[-1])
                if (
                    len(items) == limits.MANIFEST_RECORDS_PER_BLOCK
                    or held > limits.MANIFEST_BYTES_PER_BLOCK
                ):
                    yield Block(share=min(file.tell() / size, 1.0), items=tuple(items))
                    items, held = [], 0
            yield Block(share=1.0, items=tuple(items))

    def _record(self, number: int, lines: list[_Line]) -> Found | Unreadable:
        """Return the record that some lines are about, with its samples."""
        faults = [fault for line in lines for fault in line.faults]
        samples: list[Sample] = []
        wanted = [(line.number, each) for line in lines for each in line.templates]
        most = limits.MAX_TEMPLATES_PER_RECORD
        if len(wanted) > most:
            message = f"more than {most} templates of one record"
            faults.append(_fault(lines[0].number, "", "WRONG_COUNT", message))
        expires_at = _expiry(lines, faults)
        held = 0
        for place, template in wanted if len(wanted) <= most else ():
            try:
                found = self._samples(template)
            except InvalidRequestError as error:
                faults.append(_fault(place, "file", error.reason, error.message))
                continue
            held += sum(map(_image_bytes, found))
            if held > limits.MAX_TRANSACTION_BYTES:
                told = f"more than {limits.MAX_TRANSACTION_BYTES} bytes of one record"
                faults.append(_fault(place, "file", "RECORD_TOO_LARGE", told))
                break
            samples += found
        if faults:
            return Unreadable(
                number=number, reference=lines[0].reference, faults=tuple(faults)
            )
        return Found(
            number=number,
            reference=lines[0].reference,
            samples=tuple(samples),
            expires_at=expires_at,
        )

    def _samples(self, template: _Template) -> list[Sample]:
        """Read what one template's file holds."""
        with open_beneath(self.path.parent, template.file) as file:
            if is_picture(template.file):
                return [
                    PictureSample(
                        data=read_picture(file, template.file),
                        space=template.space,
                        position=template.position,
                        quality=template.quality,
                    )
                ]
            if holds_a_person(template.file):
                return [*read_person(file, template.file).samples]
            vector = read_vector(file, template.file, template.row)
        return [
            VectorSample(
                vector=vector,
                space=template.space,
                position=template.position,
                quality=template.quality,
            )
        ]


def _held(item: Found | Unreadable) -> int:
    """Return how many bytes of images a record holds."""
    return sum(map(_image_bytes, item.samples)) if isinstance(item, Found) else 0


def _image_bytes(sample: Sample) -> int:
    """Return how many bytes of an image or of a picture a sample is."""
    return len(sample.data) if isinstance(sample, ImageSample | PictureSample) else 0


def _expiry(lines: list[_Line], faults: list[Fault]) -> dt.datetime | None:
    """Return when the record of some lines expires, or append why that is not clear."""
    first, *others = lines
    for line in others:
        if line.expires != first.expires and not line.faults:
            message = "all lines of one record must say the same"
            faults.append(_fault(line.number, "expires", "WRONG_TIME", message))
    if first.expires is None:
        return None
    try:
        return read_expiry(first.expires)
    except InvalidRequestError as error:
        faults.append(_fault(first.number, "expires", error.reason, error.message))
        return None


def open_csv(path: Path) -> Manifest:
    """Return the source of a CSV manifest.

    Raises:
        InvalidRequestError: it cannot be read, or has another header.
    """
    with open_regular(path) as file:
        _read_header(file, str(path))
    return Manifest(path, "CSV manifest")


def open_jsonl(path: Path) -> Manifest:
    """Return the source of a JSONL manifest.

    Raises:
        InvalidRequestError: it cannot be read.
    """
    with open_regular(path):
        pass
    return Manifest(path, "JSONL manifest")


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it is whole; of an endless one only the start."""
    most = limits.MAX_MANIFEST_LINE_BYTES
    while line := file.readline(most + 1):
        whole = len(line) <= most
        while not line.endswith(b"\n") and (rest := file.readline(most)):
            line = line[:1] + rest[-1:]  # of what is too long, only its end matters
        yield line, whole


def _read_header(file: BinaryIO, name: str) -> list[str]:
    """Read the column names of a CSV manifest."""
    line, whole = next(_lines(file), (b"", True))
    try:
        (columns,) = csv.reader([line.decode("utf-8-sig")], strict=True)
    except (ValueError, csv.Error):
        columns = []
    wrong = (
        not whole
        or len(set(columns)) != len(columns)
        or not _REQUIRED <= set(columns) <= _COLUMNS
    )
    if wrong:
        message = (
            "the first line must name the columns `reference` and `file`, and of"
            " `row`, `space`, `position`, `quality` and `expires` those that there are,"
            " each once"
        )
        fault = Fault(field=f"{name}:line[1]", reason="WRONG_HEADER", message=message)
        raise InvalidRequestError.of([fault])
    return columns


def _csv_lines(file: BinaryIO, name: str) -> Iterator[_Line]:
    """Yield what each line of a CSV manifest says."""
    columns = _read_header(file, name)
    for number, (line, whole) in enumerate(_lines(file), 2):
        if line.strip():
            yield _csv_line(columns, line, number) if whole else _too_long(number)


def _csv_line(columns: list[str], line: bytes, number: int) -> _Line:
    """Return what a line of a CSV manifest says."""
    try:
        (cells,) = csv.reader([line.decode().rstrip("\r\n")], strict=True)
    except (ValueError, csv.Error):
        return _refused(number, "WRONG_LINE", "is no line of CSV in UTF-8")
    if len(cells) != len(columns):
        told = f"{len(cells)} cells where the header has {len(columns)}"
        return _refused(number, "WRONG_LINE", told)
    said: dict[str, Any] = {k: v for k, v in zip(columns, cells, strict=True) if v}
    reference, expires = said.pop("reference", ""), said.pop("expires", None)
    for name in _NUMBERS:
        if (text := said.get(name, "")).isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 - digits
            said[name] = int(text)
    try:
        template = _Template.model_validate(said)
        return _Line(number, reference, (template,), (), expires)
    except ValidationError as error:
        return _Line(number, reference, (), _faults(number, error))


def _json_lines(file: BinaryIO) -> Iterator[_Line]:
    """Yield what each line of a JSONL manifest says."""
    for number, (line, whole) in enumerate(_lines(file), 1):
        if line.strip():
            yield _json_line(line, number) if whole else _too_long(number)


def _json_line(line: bytes, number: int) -> _Line:
    """Return what a line of a JSONL manifest says."""
    try:
        said = json.loads(line.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        message = "is no JSON in UTF-8 that names each key once"
        return _refused(number, "WRONG_LINE", message)
    try:
        record = _Record.model_validate(said)
    except ValidationError as error:
        named = said.get("reference") if isinstance(said, dict) else None
        reference = named if isinstance(named, str) else ""
        return _Line(number, reference, (), _faults(number, error))
    templates = tuple(record.templates)
    return _Line(number, record.reference, templates, (), record.expires)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON whose keys are all different."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _grouped(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    """Yield lines that follow one another and name the same reference.

    Of a run beyond the bound only the first lines are kept, which is one too many.
    """
    most = limits.MAX_TEMPLATES_PER_RECORD + 1
    for reference, run in groupby(lines, key=attrgetter("reference")):
        kept: list[_Line] = []
        for line in run:
            if not reference:
                yield [line]
            elif len(kept) < most:
                kept.append(line)
        if kept:
            yield kept


def _too_long(number: int) -> _Line:
    """Return the refusal of a line that is too long."""
    most = limits.MAX_MANIFEST_LINE_BYTES
    return _refused(number, "LINE_TOO_LONG", f"is longer than {most} bytes")


def _refused(number: int, reason: str, message: str) -> _Line:
    """Return a line that says nothing but what is wrong with it."""
    return _Line(number, "", (), (_fault(number, "", reason, message),))


def _faults(number: int, error: ValidationError) -> tuple[Fault, ...]:
    """Return what is wrong with the values of a line."""
    return tuple(
        _fault(
            number,
            ".".join(str(part) for part in each["loc"]),
            "WRONG_VALUE",
            each["msg"][:1].lower() + each["msg"][1:],
        )
        for each in error.errors(include_url=False, include_input=False)[
            : limits.MAX_FAULTS_TOLD
        ]
    )


def _fault(number: int, field: str, reason: str, message: str) -> Fault:
    """Return a fault of a line, the first being line 1."""
    where = f"line[{number}].{field}" if field else f"line[{number}]"
    return Fault(field=where, reason=reason, message=message)
