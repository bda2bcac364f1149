"""`biometrics inspect`: what files hold, without an exchange."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from biometrics import limits
from biometrics.cli.exits import Exit
from biometrics.cli.output import (
    counted,
    fault_documents,
    print_json,
    print_line,
    print_table,
)
from biometrics.cli.session import JsonOption
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.finger import FingerView
from enrolment.formats.image import ImageSample
from enrolment.formats.opening import open_source
from enrolment.formats.source import (
    Found,
    PictureSample,
    Sample,
    Unreadable,
    VectorSample,
)
from enrolment.gather import gather
from enrolment.preflight import NO_EXTRACTOR, NOT_EXTRACTED, record_faults

_OURS: Final = frozenset({NO_EXTRACTOR, NOT_EXTRACTED})


@dataclass(slots=True)
class _Contents:
    """What a file holds.

    Attributes:
        file: where it is.
        kind: format and edition; empty if it could not be opened.
        records: how many can be read and have no fault.
        samples: how many templates of what sort they have.
        minutiae: how many minutiae, of all views.
        faulty: how many records have faults, and one for a file that breaks off.
        faults: the first of them, with the record's number.
    """

    file: Path
    kind: str = ""
    records: int = 0
    samples: Counter[str] = field(default_factory=Counter)
    minutiae: int = 0
    faulty: int = 0
    faults: list[tuple[int | None, Fault]] = field(default_factory=list)

    def add(self, item: Found | Unreadable) -> None:
        """Count a record."""
        if isinstance(item, Unreadable):
            self.refuse(item.number, item.faults)
            return
        # That nothing here takes images, or extracts, is no fault of the file.
        faults = tuple(f for f in record_faults(item) if f.reason not in _OURS)
        if faults:
            self.refuse(item.number, faults)
            return
        self.records += 1
        for sample in item.samples:
            self.samples[_sort(sample)] += 1
            if isinstance(sample, FingerView):
                self.minutiae += len(sample.minutiae)

    def refuse(self, number: int | None, faults: Sequence[Fault]) -> None:
        """Take note of what is wrong."""
        self.faulty += 1
        room = limits.MAX_REFUSALS_SHOWN - len(self.faults)
        self.faults += [(number, fault) for fault in faults[: max(room, 0)]]

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "file": str(self.file),
            "format": self.kind or None,
            "records": self.records,
            "templates": dict(self.samples),
            "minutiae": self.minutiae,
            "faulty": self.faulty,
            "faults": [
                {"record": number, **document}
                for (number, fault) in self.faults
                for document in fault_documents([fault])
            ],
        }


def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files, and folders of files.",
            metavar="PATH...",
            readable=False,  # one that is not is told of beside the others
        ),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what files hold: format, records, templates and faults.

    Reads every byte, and no exchange is needed. References are not shown. Exits with 0
    if nothing is wrong, and with 1 if something is.
    """
    gathered = gather(paths)
    told = [_look_into(path) for path in gathered.files]
    if as_json:
        print_json({"files": [each.document() for each in told]})
    else:
        _show(told)
    if any(each.faulty for each in told):
        raise typer.Exit(Exit.UNFINISHED)


def _look_into(path: Path) -> _Contents:
    """Read a file from end to end."""
    contents = _Contents(path)
    try:
        source = open_source(path)
        contents.kind = source.kind
        for block in source.blocks():
            for item in block.items:
                contents.add(item)
    except InvalidRequestError as error:
        contents.refuse(None, error.faults)
    return contents


def _show(told: list[_Contents]) -> None:
    """Print what files hold, and then what is wrong with them."""
    print_table(
        ("file", "format", "records", "templates", "faulty"),
        [
            (
                str(each.file),
                each.kind or "not readable",
                each.records,
                [f"{count:,} {sort}" for sort, count in each.samples.most_common()],
                each.faulty,
            )
            for each in told
        ],
        texts=("file", "format", "templates"),
    )
    faults = [(each.file, *fault) for each in told for fault in each.faults]
    shown = faults[: limits.MAX_REFUSALS_SHOWN]
    if shown:
        print_line("")
        print_table(
            ("file", "record", "field", "what is wrong"),
            [
                (
                    str(file),
                    "-" if number is None else str(number),
                    fault.field,
                    fault.message,
                )
                for file, number, fault in shown
            ],
            texts=("file", "field", "what is wrong"),
        )
    records = {(file, number) for file, number, _ in shown}
    if more := sum(each.faulty for each in told) - len(records):
        print_line(f"and {counted(more, 'faulty record')} more")


def _sort(sample: Sample) -> str:
    """Return what sort of template a sample is."""
    where = sample.position or "no position"
    if isinstance(sample, VectorSample):
        return f"vectors of {len(sample.vector)}, {where}"
    if isinstance(sample, PictureSample):
        return f"pictures, {where}"
    if isinstance(sample, ImageSample):
        return f"images ({sample.coding}), {where}"
    return f"views of minutiae, {where}"
