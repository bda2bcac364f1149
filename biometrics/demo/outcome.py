"""What the demo found, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biometrics.demo.captures import Captures
    from biometrics.demo.people import People
    from biometrics.demo.tally import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What became of the rows of embeddings.

    Attributes:
        estimating: rows that estimate centring and threshold.
        enrolled: rows that are records.
        mated: rows to search with, of subjects who are enrolled.
        non_mated: rows to search with, of subjects who are not.
        unused: rows that the wanted number of records leaves over.
    """

    estimating: int
    enrolled: int
    mated: int
    non_mated: int
    unused: int

    @classmethod
    def of(cls, captures: Captures, people: People) -> Rows:
        """Count the rows."""
        estimating = int(captures.estimating.sum())
        mated, non_mated = len(people.mated), len(people.non_mated)
        used = estimating + people.records + mated + non_mated
        return cls(
            estimating=estimating,
            enrolled=people.records,
            mated=mated,
            non_mated=non_mated,
            unused=len(captures.subject) - used,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demo found.

    Attributes:
        records: how many records were enrolled.
        subjects: of how many subjects.
        rows: what became of every row that there was.
        shards: that galleries were in; None for one process.
        enrol_seconds: for all of them.
        threshold: of the template space, estimated on the other half.
        target_fpir: false positive identification rate that it was estimated for.
        asked: what each requester asked.
        refusals: searches of holders without an agreement: how many were refused,
            of how many.
    """

    records: int
    subjects: int
    rows: Rows
    dimension: int
    shards: int | None
    enrol_seconds: float
    threshold: float
    target_fpir: float
    asked: list[Asked]
    refusals: tuple[int, int]

    @property
    def wrong(self) -> int:
        """How many answers differ from the truth."""
        refused, of = self.refusals
        return sum(asked.wrong for asked in self.asked) + of - refused
