"""`biometrics enrol`: put a file of records in."""

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.exits import Exit
from biometrics.cli.load import Load, refusal_document, refusal_file
from biometrics.cli.output import print_json, print_line, print_note, print_table
from biometrics.cli.progress import LoadProgress
from biometrics.cli.session import JsonOption, ProfileOption, load_profile
from biometrics.client import Chunk, ExchangeClient, Profile, Record, Template
from biometrics.clock import UTC, SystemClock
from biometrics.errors import ExchangeError
from enrolment.bulk import RowChunk, cut_rows
from enrolment.formats.arrays import read_npz


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What all records of a load have in common."""

    space: str
    position: str
    excluded: tuple[str, ...]
    legal_basis: str
    expires_at: dt.datetime | None

    def chunk(self, rows: RowChunk) -> Chunk:
        """Return rows as records under these terms."""
        records = tuple(
            Record(
                reference=reference,
                templates=(
                    Template(space=self.space, position=self.position, vector=vector),
                ),
                excluded=self.excluded,
                legal_basis=self.legal_basis,
                expires_at=self.expires_at,
            )
            for reference, vector in zip(rows.references, rows.vectors, strict=True)
        )
        return Chunk(records=records, start=rows.start)


def enrol(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="`.npz` with the arrays `embedding` and `reference`.", metavar="FILE"
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
            help="Last day, in UTC, on which searches find the records.",
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
        int, typer.Option(help="Begin at this row, from 0.", metavar="N", min=0)
    ] = 0,
    refused: Annotated[
        Path | None,
        typer.Option(
            help="New file for every refused record, one JSON object a line. It"
            " carries references: handle it as you handle FILE.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Enrol the records of a file.

    A refused record does not stop the others. Whatever stops a load, run the same
    command again: what is enrolled already is recognised and not enrolled twice.
    Exits with 0 if every record is enrolled, and with 1 if some are not.
    """
    terms = _Terms(
        space=space,
        position=position,
        excluded=tuple(exclude or ()),
        legal_basis=legal_basis,
        expires_at=_end_of(expires),
    )
    told = load_profile(context, profile)
    rows = read_npz(file)
    chunks = map(terms.chunk, cut_rows(rows, start=start))
    clock = SystemClock()
    begun = clock.monotonic()
    with refusal_file(refused) as tell:
        load = Load(start, tell)
        try:
            _run(told, chunks, load, rows.count - start)
        except ExchangeError:
            if load.acknowledged:
                _say_where(load, rows.count)
            raise
    seconds = clock.monotonic() - begun
    if as_json:
        print_json(_document(load, rows.count, seconds))
    else:
        _show(load, seconds)
    if load.stopped:
        _say_where(load, rows.count)
    if load.stopped or load.refused:
        raise typer.Exit(Exit.UNFINISHED)


def _run(profile: Profile, chunks: Iterator[Chunk], load: Load, total: int) -> None:
    """Enrol every chunk; Ctrl-C stops between two acknowledgements."""
    with (
        ExchangeClient(profile) as exchange,
        LoadProgress(total) as progress,
        closing(exchange.enrol_many(chunks)) as outcomes,
    ):
        try:
            for outcome in outcomes:
                load.add(outcome)
                progress.show(load)
        except KeyboardInterrupt:
            load.stopped = True


def _end_of(day: dt.datetime | None) -> dt.datetime | None:
    """Return the last moment of a day in UTC."""
    return None if day is None else dt.datetime.combine(day, dt.time.max, UTC)


def _say_where(load: Load, count: int) -> None:
    """Say how far a load came and how to go on."""
    print_note(
        f"stopped: {load.next_row:,} of {count:,} rows are done. Run the same command"
        " again to go on; what is enrolled is not enrolled twice. With `--start"
        f" {load.next_row}` it begins where it stopped"
    )


def _document(load: Load, count: int, seconds: float) -> dict[str, object]:
    """Return what a program is told; references only stand in the refusal file."""
    return {
        "rows": count,
        "acknowledged": load.acknowledged,
        "enrolled": load.enrolled,
        "already_enrolled": load.known,
        "refused": load.refused,
        "stopped": load.stopped,
        "next_row": load.next_row,
        "seconds": round(seconds, 3),
        "refusals": [refusal_document(each, named=False) for each in load.refusals],
    }


def _show(load: Load, seconds: float) -> None:
    """Print what became of a load, for people."""
    rate = load.acknowledged / seconds if seconds else 0.0
    print_line(
        f"{load.enrolled:,} enrolled, {load.known:,} enrolled before,"
        f" {load.refused:,} refused, in {seconds:,.1f} s ({rate:,.0f} a second)"
    )
    if not load.refused:
        return
    # A reference may be seen by the operator who has the file, and by no log.
    named = sys.stdout.isatty()
    shown = load.refusals[: limits.MAX_REFUSALS_SHOWN]
    print_table(
        ("row", "reference", "why"),
        [
            (
                each.row,
                each.reference if named else "(terminal only)",
                "; ".join(f"{fault.field}: {fault.message}" for fault in each.faults),
            )
            for each in shown
        ],
    )
    if load.refused > len(shown):
        print_line(
            f"and {load.refused - len(shown):,} more; `--refused FILE.jsonl` takes all"
        )
