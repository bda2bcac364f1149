"""What is known of error rates, for those who are to rely on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.calibration import FpirClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from biometrics.calibration import Calibrations
    from biometrics.disclosure import Clause
    from biometrics.templates import Modality, TemplateSpace, TemplateSpaces


@dataclass(frozen=True, slots=True)
class Rates:
    """Calibrations, held against what the exchange holds.

    Attributes:
        spaces: of the exchange.
        calibrations: theirs.
        comparisons: returns how many a search has at present, by name of the space.
    """

    spaces: TemplateSpaces
    calibrations: Calibrations
    comparisons: Callable[[str], int]

    def established(self, space: TemplateSpace) -> set[FpirClass]:
        """Return the classes that are established in a space at present."""
        calibration = self.calibrations.of(space.name)
        told = calibration.thresholds(self.comparisons(space.name))
        return {fpir for fpir, each in told.items() if each.is_established}

    def in_any(self, modality: Modality) -> set[FpirClass]:
        """Return the classes that are established in some space of a modality."""
        spaces = [space for space in self.spaces if space.modality is modality]
        return {fpir for space in spaces for fpir in self.established(space)}

    def shortfalls(
        self, clause: Clause, modality: Modality | None = None
    ) -> Iterator[str]:
        """Yield, space by space, why a permission permits nothing there.

        Args:
            clause: of an agreement.
            modality: of the spaces; all that it covers if None.
        """
        for space in self.spaces:
            is_asked = modality in {None, space.modality}
            if not is_asked or space.modality not in clause.modalities:
                continue
            if clause.promise.is_kept(self.established(space)):
                continue
            fpir = clause.promise.fpir
            why = self.calibrations.of(space.name).shortfall(fpir)
            yield (
                f"`{clause.source}` permits nothing in `{space.name}`: it demands a"
                f" measured FPIR of {fpir}, and {why}"
            )

    def used(self) -> dict[str, tuple[int, int]]:
        """Return how many comparisons a search has, and up to how many it may have.

        By space, of those in which some class is established at all.
        """
        reaches = {e.space: max(map(e.reach, FpirClass)) for e in self.calibrations}
        return {
            space: (self.comparisons(space), reach)
            for space, reach in reaches.items()
            if reach
        }

    def outgrown(self) -> list[str]:
        """Return a note for each calibration that the exchange has outgrown."""
        used = self.used()
        return [
            f"calibration of {each.space}, of {each.dated}: supports up to"
            f" {used[each.space][1]:,} comparisons, and a search has more: no FPIR is"
            " established until it is calibrated again"
            for each in self.calibrations
            if each.space in used and used[each.space][1] < used[each.space][0]
        ]

    def unkept(self, clauses: Iterable[Clause]) -> list[str]:
        """Return a note for each clause and space of which the promise is not kept."""
        return [text for clause in clauses for text in self.shortfalls(clause)]
