"""`biometrics extract`: make templates of pictures, without an exchange."""

import io
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from biometrics.cli.exits import Exit
from biometrics.cli.extraction import (
    ModelOption,
    ProcessesOption,
    SheetOption,
    check_sheet,
    write_sheet,
)
from biometrics.cli.load import Load, RefusalFile
from biometrics.cli.new_file import check_new, write_new_file
from biometrics.cli.output import counted, print_note
from biometrics.cli.progress import LoadProgress
from biometrics.cli.report import Report
from biometrics.cli.session import JsonOption
from biometrics.clock import SystemClock
from biometrics.errors import Fault, InvalidRequestError
from enrolment.bulk import Read, read_batches
from enrolment.extractors.choice import FACE, FINGERPRINT, Choice, choose, model_choice
from enrolment.extractors.stage import Extraction
from enrolment.extractors.workers import default_count
from enrolment.extractors.written import TemplateFolder
from enrolment.formats.finger import FingerView
from enrolment.formats.opening import is_manifest
from enrolment.formats.pictures import is_picture
from enrolment.formats.source import Source, Unreadable, VectorSample
from enrolment.gather import gather
from enrolment.preflight import record_faults


def extract(  # noqa: PLR0913 - the options of the command
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures, manifests that name pictures, and folders of them.",
            metavar="PATH...",
        ),
    ],
    *,
    to: Annotated[
        Path, typer.Option(help="New folder for the templates.", metavar="FOLDER")
    ],
    extractor: Annotated[
        str | None,
        typer.Option(
            help=f"`{FACE}` or `{FINGERPRINT}`; or give `--model`.", metavar="NAME"
        ),
    ] = None,
    model: ModelOption = None,
    processes: ProcessesOption = None,
    contact_sheet: SheetOption = None,
    centre: Annotated[
        Path | None,
        typer.Option(
            help="New file for the mean of all vectors, which a template space may"
            " name as its `centre_file`.",
            metavar="FILE.npy",
        ),
    ] = None,
    refused: Annotated[
        Path | None,
        typer.Option(
            help="New file for every refused picture, one JSON object a line, with"
            " references.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make templates of pictures, and enrol nothing.

    The folder can be enrolled, and only you can read it. Neither a refused picture nor
    a damaged file stops the others. Exits with 0 if every picture gave a template, and
    with 1 if some did not.
    """
    choice = _choose(extractor, model)
    check_sheet(contact_sheet)
    if centre is not None:
        check_new(centre, "the centre", "--centre")
    clock = SystemClock()
    gathered = gather(paths)
    with (
        RefusalFile(refused) if refused else nullcontext() as refusals,
        Extraction(
            lambda: choice,
            processes or default_count(),
            sheet=contact_sheet is not None,
        ) as extraction,
        TemplateFolder(to) as folder,
    ):
        load = Load(0, refusals.write if refusals else None)
        report = Report(
            load,
            refusals,
            gathered.passed,
            None,
            is_dry=True,
            extraction=extraction,
            told="extracted",
        )
        begun = clock.monotonic()
        bar = LoadProgress("extracting", sum(gathered.sizes), clock, "pictures")
        with bar:
            for batch in read_batches(
                gathered,
                _check_kind,
                extract=lambda items: extraction(map(_without_templates, items)),
                faults=record_faults,
            ):
                for _, found in batch.records:
                    folder.add(found)
                load.add_valid(batch)
                bar.show(load)
        report.show(clock.monotonic() - begun, as_json=as_json)
        write_sheet(contact_sheet, extraction)
    if centre is not None:
        _write_centre(centre, folder)
    if load.refused:
        raise typer.Exit(Exit.UNFINISHED)


def _choose(extractor: str | None, model: Path | None) -> Choice:
    """Return the extractor that the options name.

    Raises:
        InvalidRequestError: they name none, or two.
        ConfigurationError: it is not installed, or its file is wrong.
    """
    if (extractor is None) is (model is None):
        raise InvalidRequestError(
            "ONE_EXTRACTOR", "give one of `--extractor NAME` and `--model FILE.toml`"
        )
    return model_choice(model) if model else choose(extractor or "", None, None)


def _check_kind(source: Source) -> None:
    """Refuse a file that has templates already."""
    if is_picture(source.path.name) or is_manifest(source.path):
        return
    told = f"is no picture but a {source.kind}, which `biometrics enrol` takes as it is"
    fault = Fault(field=str(source.path), reason="NO_PICTURE", message=told)
    raise InvalidRequestError.of([fault])


def _without_templates(read: Read) -> Read:
    """Return a record of a manifest, refused where it has templates already."""
    item = read.item
    if isinstance(item, Unreadable):
        return read
    told = "is no picture; `biometrics enrol` takes it as it is"
    faults = tuple(
        Fault(field=f"templates[{place}]", reason="NO_PICTURE", message=told)
        for place, sample in enumerate(item.samples)
        if isinstance(sample, VectorSample | FingerView)
    )
    if not faults:
        return read
    refused = Unreadable(number=item.number, reference=item.reference, faults=faults)
    return replace(read, item=refused)


def _write_centre(path: Path, folder: TemplateFolder) -> None:
    """Write the mean of all vectors.

    Raises:
        InvalidRequestError: there are none.
        ConfigurationError: the file cannot be made.
    """
    if folder.total is None:
        raise InvalidRequestError("NO_VECTOR", "--centre: there is no vector")
    data = io.BytesIO()
    np.save(data, (folder.total / folder.vectors).astype(np.float32))
    write_new_file(path, data.getvalue())
    print_note(f"`{path}` has the mean of {counted(folder.vectors, 'vector')}")
