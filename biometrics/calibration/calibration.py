"""The thresholds of a template space, and how far they are known to keep a promise."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.calibration.promise import FpirClass, rounded_up
from biometrics.errors import DefectError
from biometrics.templates import Basis

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

    from biometrics.calibration.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a calibration was measured by.

    Attributes:
        searches: non-mated searches whose greatest scores were taken.
        subjects: people whose probes those were; only people are independent.
        comparisons: templates that each of them was compared with.
        interval: probability that the interval of each threshold covers it.
    """

    searches: int
    subjects: int
    comparisons: int
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A threshold for one class, up to some number of comparisons.

    Attributes:
        fpir: the class.
        comparisons: of a search, a power of two; None for however many.
        cosine: the threshold, in (0, 1): the safe end of its interval, if it has one.
        estimate: what is most likely the threshold; None if it was not measured.
        low: other end of the interval, likewise.
        is_established: whether what was measured supports it.
    """

    fpir: FpirClass
    comparisons: int | None
    cosine: float
    estimate: float | None = None
    low: float | None = None
    is_established: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a search matches, and whether the promised FPIR is established there.

    `decade` is the step of cosine there by which the false match rate falls to a tenth;
    None where it was not measured.
    """

    cosine: float
    is_established: bool
    decade: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The thresholds of one template space; `file.parse_calibration` checks them.

    Attributes:
        space: name of the template space.
        definition: identity of the space that it was made for; None if it is for any
            of that name.
        basis: what it rests on.
        dated: day, in UTC.
        method: how it was made, in words.
        evidence: what it was measured by; None if it was not.
        rows: by class, then comparisons ascending; at least one of each class.
        digest: SHA-256 of the file, in hexadecimal.
        weights: by which a score is weighed beside those of other templates of the same
            person; None if nobody has measured them.
    """

    space: str
    definition: str | None
    basis: Basis
    dated: dt.date
    method: str
    evidence: Evidence | None
    rows: tuple[Row, ...]
    digest: str
    weights: Weights | None = None

    def at(self, fpir: FpirClass, comparisons: int) -> Threshold:
        """Return the threshold of a search of so many comparisons.

        It changes only where `comparisons` passes a power of two. Beyond the last row
        that row's holds on, and nothing is established.
        """
        row = self._row(fpir, comparisons)
        is_established = row.is_established and _reach(row) >= rounded_up(comparisons)
        return Threshold(row.cosine, is_established, self._decade(comparisons))

    def _row(self, fpir: FpirClass, comparisons: int) -> Row:
        """Return the row of a search of so many comparisons; the last one beyond it."""
        rows = [row for row in self.rows if row.fpir is fpir]
        place = bisect_left([_reach(row) for row in rows], rounded_up(comparisons))
        return rows[min(place, len(rows) - 1)]

    def _decade(self, comparisons: int) -> float | None:
        """Return by how much the estimates of two classes are apart, a decade.

        At one number of comparisons the false match rate is proportional to FPIR.
        """
        ends = FpirClass.HUNDREDTH, FpirClass.TEN_THOUSANDTH
        loose, strict = (self._row(fpir, comparisons).estimate for fpir in ends)
        if loose is None or strict is None or strict <= loose:
            return None
        return (strict - loose) / math.log10(ends[0].rate / ends[1].rate)

    def thresholds(self, comparisons: int) -> dict[FpirClass, Threshold]:
        """Return the thresholds of a search of so many comparisons, by class."""
        return {fpir: self.at(fpir, comparisons) for fpir in FpirClass}

    def reach(self, fpir: FpirClass) -> int:
        """Return up to how many comparisons a class is established; 0 for none."""
        return max(
            (
                row.comparisons
                for row in self.rows
                if row.fpir is fpir and row.is_established and row.comparisons
            ),
            default=0,
        )

    def shortfall(self, fpir: FpirClass) -> str:
        """Say why a class is not established; never how much the exchange holds."""
        if self.basis is not Basis.MEASURED or self.evidence is None:
            return f"the calibration of `{self.space}` is `{self.basis}`"
        reach = self.reach(fpir)
        if not reach:
            return (
                f"the calibration of `{self.space}` rests on"
                f" {self.evidence.subjects:,} subjects' searches, too few for {fpir}"
            )
        return (
            f"the calibration of `{self.space}` supports {fpir} up to {reach:,}"
            " comparisons, and a search has more"
        )


class Calibrations:
    """The calibration of every template space of an exchange."""

    def __init__(self, calibrations: Iterable[Calibration]) -> None:
        """Hold them, each by the name of its space."""
        self._by_space: Mapping[str, Calibration] = {
            each.space: each for each in calibrations
        }
        # The last that were asked for, of each space: galleries grow slowly.
        self._last: dict[str, tuple[int, dict[FpirClass, Threshold]]] = {}

    def __iter__(self) -> Iterator[Calibration]:
        """Iterate in the order they were given in."""
        return iter(self._by_space.values())

    def of(self, space: str) -> Calibration:
        """Return the calibration of a space.

        Raises:
            DefectError: there is none; a start without it is refused.
        """
        found = self._by_space.get(space)
        if found is None:
            raise DefectError("NOT_CALIBRATED", f"`{space}` has no calibration")
        return found

    def thresholds(self, space: str, comparisons: int) -> Mapping[FpirClass, Threshold]:
        """Return the thresholds of a search of so many comparisons, by class.

        Raises:
            DefectError: the space has no calibration.
        """
        asked, found = self._last.get(space, (-1, {}))
        if asked != comparisons:
            found = self.of(space).thresholds(comparisons)
            self._last[space] = comparisons, found
        return found


def _reach(row: Row) -> float:
    """Return up to how many comparisons a row holds."""
    return float("inf") if row.comparisons is None else row.comparisons
