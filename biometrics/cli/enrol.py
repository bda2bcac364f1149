"""`biometrics enrol`: put a file of records in."""

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.exits import Exit
from biometrics.cli.load import Load, RefusalFile, refusal_document
from biometrics.cli.output import (
    counted,
    print_json,
    print_line,
    print_note,
    print_table,
)
from biometrics.cli.progress import LoadProgress
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.cli.terms import Terms
from biometrics.client import Chunk, ExchangeClient
from biometrics.clock import UTC, SystemClock
from biometrics.errors import ExchangeError
from enrolment.bulk import cut_rows
from enrolment.formats.arrays import read_npz


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
            help="New file for every refused record, one JSON object a line; made when"
            " the first is refused. It carries references: handle it as you handle"
            " FILE.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Enrol the records of a file.

    A refused record does not stop the others. Whatever stops a load, run the same
    command again: what is there already is recognised and not enrolled twice, and
    what was withdrawn since is refused. Exits with 0 if every record is enrolled,
    and with 1 if some are not.
    """
    terms = Terms(
        space=space,
        position=position,
        excluded=tuple(exclude or ()),
        legal_basis=legal_basis,
        expires_at=_end_of(expires),
    )
    clock = SystemClock()
    with (
        connect(context, profile) as exchange,
        RefusalFile(refused) if refused else nullcontext() as refusals,
    ):
        rows = read_npz(file)
        chunks = map(terms.chunk, cut_rows(rows, start=start))
        terms.check(rows, exchange.spaces(), clock.now())
        begun = clock.monotonic()
        load = Load(start, refusals.write if refusals else None)
        report = _Report(load, rows.count, refusals)
        try:
            _run(exchange, chunks, load, rows.count - start)
        except ExchangeError:
            load.stopped = True
            if load.acknowledged:
                report.show(clock.monotonic() - begun, as_json=as_json)
            raise
        report.show(clock.monotonic() - begun, as_json=as_json)
    if load.stopped or load.refused:
        raise typer.Exit(Exit.UNFINISHED)


def _run(
    exchange: ExchangeClient, chunks: Iterator[Chunk], load: Load, total: int
) -> None:
    """Enrol every chunk; Ctrl-C stops between two acknowledgements."""
    with (
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


@dataclass(frozen=True, slots=True)
class _Report:
    """What became of a load, for people or for a program."""

    load: Load
    count: int
    refusals: RefusalFile | None

    def show(self, seconds: float, *, as_json: bool) -> None:
        """Print it, and after a stop how to go on."""
        if as_json:
            print_json(self._document(seconds))
            return
        self._show_counts(seconds)
        if self.load.refused:
            self._show_refusals()
        if self.load.stopped:
            self._say_where()

    def _say_where(self) -> None:
        """Say how far the load came and how to go on."""
        is_made = self.refusals is not None and self.refusals.is_made
        other = " with another file for `--refused`" if is_made else ""
        print_note(
            f"stopped after {self.load.next_row:,} of {counted(self.count, 'row')}. Run"
            f" the same command again{other} to go on; what is enrolled is not enrolled"
            f" twice. With `--start {self.load.next_row}` it begins where it stopped"
        )

    def _document(self, seconds: float) -> dict[str, object]:
        """Return what a program is told; references only stand in the refusal file."""
        load = self.load
        return {
            "rows": self.count,
            "acknowledged": load.acknowledged,
            "enrolled": load.enrolled,
            "already_enrolled": load.known,
            "refused": load.refused,
            "stopped": load.stopped,
            "next_row": load.next_row,
            "seconds": round(seconds, 3),
            "refusals": [refusal_document(each, named=False) for each in load.refusals],
        }

    def _show_counts(self, seconds: float) -> None:
        """Print how many records came to what."""
        load = self.load
        rate = load.acknowledged / seconds if seconds else 0.0
        print_line(
            f"{load.enrolled:,} enrolled, {load.known:,} there already,"
            f" {load.refused:,} refused, in {seconds:,.1f} s ({rate:,.0f} a second)"
        )

    def _show_refusals(self) -> None:
        """Print the first refusals."""
        # A reference may be seen by the operator who has the file, and by no log.
        named = sys.stdout.isatty()
        shown = self.load.refusals[: limits.MAX_REFUSALS_SHOWN]
        print_table(
            ("row", "reference", "why"),
            [
                (
                    str(each.row),  # as `--start` takes it
                    each.reference if named else "hidden; use --refused",
                    "; ".join(f"{f.field}: {f.message}" for f in each.faults),
                )
                for each in shown
            ],
            texts=("why",),
        )
        if more := self.load.refused - len(shown):
            told = "" if self.refusals else "; `--refused FILE.jsonl` takes all"
            print_line(f"and {more:,} more{told}")
