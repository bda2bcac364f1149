"""What became of a bulk load, for people or for a program."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.cli.load import refusal_document
from biometrics.cli.output import (
    counted,
    print_json,
    print_line,
    print_note,
    print_table,
)

if TYPE_CHECKING:
    from collections import Counter

    from biometrics.cli.duplicates import DuplicateFile
    from biometrics.cli.load import Load, RefusalFile
    from biometrics.errors import Fault
    from enrolment.bulk import Refused
    from enrolment.extractors.stage import Extraction


@dataclass(frozen=True, slots=True)
class Report:
    """A load, and how it is told.

    Attributes:
        load: what became of it.
        refusals: the file of refused records, if one was asked for.
        passed: files in folders that are passed over, by the end of their names.
        duplicates: the file of duplicates, if one was asked for.
        is_dry: whether nothing was to be sent.
        extraction: of pictures, where there can be some.
        told: what became of records that were not sent.
    """

    load: Load
    refusals: RefusalFile | None
    passed: Counter[str]
    duplicates: DuplicateFile | None
    is_dry: bool
    extraction: Extraction | None = None
    told: str = "in order"

    def show(self, seconds: float, *, as_json: bool) -> None:
        """Print it, and after a stop how to go on."""
        if as_json:
            print_json(self._document(seconds))
            return
        self._show_counts(seconds)
        if self.load.refused:
            self._show_refusals()
            self._show_failures()
        if self.load.stopped:
            self._say_where()

    def _say_where(self) -> None:
        """Say how far the load came and how to go on."""
        is_made = self.refusals is not None and self.refusals.is_made
        other = " with another file for `--refused`" if is_made else ""
        print_note(
            f"stopped after {counted(self.load.next_record, 'record')}. Run the same"
            f" command again{other} to go on: what is enrolled, some of what was under"
            " way beyond these too, is not enrolled twice."
            f" With `--start {self.load.next_record}` it begins where it stopped"
        )

    def _document(self, seconds: float) -> dict[str, object]:
        """Return what a program is told; references only stand in the refusal file."""
        load = self.load
        return {
            "dry_run": self.is_dry,
            "settled": load.settled,
            "enrolled": 0 if self.is_dry else load.enrolled,
            "valid": load.enrolled if self.is_dry else None,
            "already_enrolled": load.known,
            "refused": load.refused,
            "stopped": load.stopped,
            "next_record": load.next_record,
            "seconds": round(seconds, 3),
            "passed_over": dict(self.passed),
            "pictures": self.extraction.pictures if self.extraction else 0,
            "duplicates": None
            if self.duplicates is None
            else {
                "compared": self.duplicates.compared,
                "found": self.duplicates.found,
                "not_compared": self.duplicates.left,
            },
            "failures": [
                {**failure._asdict(), "count": count}
                for failure, count in load.failures.most_common()
            ],
            "refusals": [refusal_document(each, named=False) for each in load.refusals],
        }

    def _show_counts(self, seconds: float) -> None:
        """Print how many records came to what."""
        load = self.load
        rate = load.settled / seconds if seconds else 0.0
        told = (
            f"{load.enrolled:,} {self.told}"
            if self.is_dry
            else f"{load.enrolled:,} enrolled, {load.known:,} there already"
        )
        print_line(
            f"{told}, {load.refused:,} refused, in {seconds:,.1f} s"
            f" ({rate:,.0f} a second)"
        )
        if (extraction := self.extraction) and extraction.pictures:
            print_line(
                f"{counted(extraction.pictures, 'picture')} by"
                f" {extraction.processes} processes,"
                f" {extraction.pictures / max(seconds, 1e-3):,.1f} a second"
            )
        if found := self.duplicates:
            print_line(
                f"{found.found:,} of {counted(found.compared, 'record')} that were"
                f" compared resemble another of your own; {found.left:,} could not be"
                " compared"
            )
        for suffix, count in self.passed.most_common():
            print_note(f"passed over in folders: {count:,} of {suffix}")

    def _show_refusals(self) -> None:
        """Print the first refusals."""
        # A reference may be seen by the operator who has the file, and by no log.
        named = sys.stdout.isatty()
        shown = self.load.refusals[: limits.MAX_REFUSALS_SHOWN]
        print_table(
            ("file", "record", "reference", "why"),
            [
                (
                    str(each.file),
                    "-" if each.number is None else str(each.number),
                    each.reference if named else "hidden; use --refused",
                    "; ".join(_told(each, fault) for fault in each.faults),
                )
                for each in shown
            ],
            texts=("file", "why"),
        )
        if more := self.load.refused - len(shown):
            told = "" if self.refusals else "; `--refused FILE.jsonl` takes all"
            print_line(f"and {more:,} more{told}")

    def _show_failures(self) -> None:
        """Print how many records failed, by file, by who refused them, and why."""
        failures = self.load.failures.most_common()
        print_table(
            ("failures to enrol in", "refused by", "reason", "records"),
            [
                (failure.file, failure.by, failure.reason, count)
                for failure, count in failures[: limits.MAX_REFUSALS_SHOWN]
            ],
            texts=("failures to enrol in",),
        )


def _told(refused: Refused, fault: Fault) -> str:
    """Return a fault as one text; the file stands beside it."""
    where = fault.field.removeprefix(str(refused.file)).removeprefix(":")
    return f"{where}: {fault.message}" if where else fault.message
