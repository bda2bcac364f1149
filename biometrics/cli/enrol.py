"""`biometrics enrol`: put the records of files in."""

import datetime as dt
import gc
from collections.abc import Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.duplicates import DuplicateFile
from biometrics.cli.exits import Exit
from biometrics.cli.extraction import (
    ModelOption,
    ProcessesOption,
    SheetOption,
    check_sheet,
    extraction_for,
    write_sheet,
)
from biometrics.cli.load import Load, RefusalFile
from biometrics.cli.progress import LoadProgress
from biometrics.cli.report import Report
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.cli.terms import Terms
from biometrics.client import Chunk, ChunkOutcome, ExchangeClient
from biometrics.clock import SystemClock
from biometrics.errors import ExchangeError, InvalidRequestError
from enrolment.bulk import Batch, read_batches
from enrolment.formats.expiry import end_of_day
from enrolment.gather import gather


def enrol(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files, and folders of files: `.npz`, `.parquet`, `.arrow`, `.csv`,"
            " `.jsonl` or pictures; `.an2`, `.fmr` or `.cbeff` of one person each.",
            metavar="PATH...",
            readable=False,  # one that is not is refused as a file, beside the others
        ),
    ],
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    position: Annotated[
        str, typer.Option(help="Such as `right-thumb`.", metavar="WORD")
    ] = "face",
    legal_basis: Annotated[
        str, typer.Option(help="Legal basis of the enrolment.", metavar="TEXT")
    ] = "",
    expires: Annotated[
        dt.datetime | None,
        typer.Option(
            help="Last day, in UTC, on which searches find the records, unless their"
            " file says.",
            formats=["%Y-%m-%d"],
            metavar="DATE",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Member that must never learn of these records; repeat for more.",
            metavar="CODE",
        ),
    ] = None,
    start: Annotated[
        int, typer.Option(help="Begin at this record, from 0.", metavar="N", min=0)
    ] = 0,
    refused: Annotated[
        Path | None,
        typer.Option(
            help="New file for every refused record, one JSON object a line; made when"
            " the first is refused. It carries references: handle it as you handle"
            " the files.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    duplicates: Annotated[
        Path | None,
        typer.Option(
            help="Compare each record with all others of your own, once it is enrolled,"
            " and write down which resemble another: new file, one JSON object a line,"
            " with references. It stops no record, and takes a search for each"
            " template.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    model: ModelOption = None,
    processes: ProcessesOption = None,
    contact_sheet: SheetOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read and check everything, without an exchange."
        ),
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Enrol the records of files.

    Pictures are extracted here, by what makes the templates of the space; a picture's
    reference is its name without the end, unless a manifest says. Pictures never leave
    this computer.

    Neither a refused record nor a damaged file stops the others. Whatever stops a load,
    run the same command again: what is there already is recognised and not enrolled
    twice, and what was withdrawn since is refused. Exits with 0 if every record is
    enrolled, and with 1 if some are not.
    """
    terms = Terms(
        space=space,
        position=position,
        excluded=tuple(exclude or ()),
        legal_basis=legal_basis,
        expires_at=None if expires is None else end_of_day(expires.date()),
    )
    # Each record makes a few objects that no cycle holds.
    gc.set_threshold(limits.OBJECTS_BETWEEN_COLLECTIONS)
    clock = SystemClock()
    check_sheet(contact_sheet)
    with (
        nullcontext() if dry_run else connect(context, profile) as exchange,
        RefusalFile(refused) if refused else nullcontext() as refusals,
        _duplicate_file(duplicates, dry_run=dry_run) as found,
        ExitStack() as parts,
    ):
        gathered = gather(paths)
        spaces = exchange.spaces() if exchange else None
        terms.check(spaces, clock.now())
        extraction = parts.enter_context(
            extraction_for(
                space, spaces or (), model, processes, sheet=contact_sheet is not None
            )
        )
        batches = read_batches(
            gathered,
            lambda source: terms.fits(source, spaces),
            start=start,
            extract=extraction if exchange else iter,
        )
        load = Load(start, refusals.write if refusals else None)
        report = Report(
            load,
            refusals,
            gathered.passed,
            found,
            is_dry=dry_run,
            extraction=extraction,
        )
        begun = clock.monotonic()
        bar = LoadProgress(
            "checking" if dry_run else "enrolling", sum(gathered.sizes), clock
        )
        try:
            with bar, _stopping(load):
                if exchange:
                    sent = _sent(batches, load, terms)
                    for outcome in _enrol(exchange, sent, found):
                        load.add(outcome)
                        bar.show(load)
                else:
                    _check(batches, load, bar)
        except ExchangeError:
            load.stopped = True
            if load.settled:
                report.show(clock.monotonic() - begun, as_json=as_json)
            raise
        if load.is_unread and not load.stopped:
            raise InvalidRequestError.of(
                [fault for each in load.refusals for fault in each.faults]
            )
        report.show(clock.monotonic() - begun, as_json=as_json)
        write_sheet(contact_sheet, extraction)
    if load.stopped or load.refused:
        raise typer.Exit(Exit.UNFINISHED)


def _duplicate_file(
    path: Path | None, *, dry_run: bool
) -> AbstractContextManager[DuplicateFile | None]:
    """Return the file of duplicates, if one is asked for.

    Raises:
        ConfigurationError: it cannot be made.
        InvalidRequestError: nothing is to be enrolled.
    """
    if path is None:
        return nullcontext()
    if dry_run:
        raise InvalidRequestError(
            "NOTHING_TO_COMPARE",
            "--duplicates: records are compared once they are enrolled, which"
            " `--dry-run` does not do; give one of them",
        )
    return DuplicateFile(path)


@contextmanager
def _stopping(load: Load) -> Iterator[None]:
    """Take Ctrl-C for a wish to stop."""
    try:
        yield
    except KeyboardInterrupt:
        load.stopped = True


def _sent(batches: Iterator[Batch], load: Load, terms: Terms) -> Iterator[Chunk]:
    """Yield what is to be sent of each batch."""
    for batch in batches:
        load.begin(batch)
        if batch.records:
            yield terms.chunk(batch)


def _enrol(
    exchange: ExchangeClient, chunks: Iterator[Chunk], found: DuplicateFile | None
) -> Iterator[ChunkOutcome]:
    """Enrol every chunk; yield what became of each, and look for duplicates then."""
    with closing(exchange.enrol_many(chunks)) as outcomes:
        for outcome in outcomes:
            yield outcome
            if found is not None:
                found.look(exchange, outcome)


def _check(batches: Iterator[Batch], load: Load, bar: LoadProgress) -> None:
    """Read every batch, and send nothing."""
    for batch in batches:
        load.add_valid(batch)
        bar.show(load)
