"""What an agreement promises of errors, and what it takes to keep that.

FPIR (ISO/IEC 19795-1) is the share of searches for persons who are not enrolled that
match somebody. A promise is about a search of everything that the exchange holds in a
template space: were it about the holders that a requester names, the threshold would
move with them, and whoever moves it learns scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Collection


class FpirClass(StrEnum):
    """The most that FPIR may be. A closed list: each is one more threshold to ask at.

    Three, so that a requester who is permitted the same search under all of them still
    learns no more of a score than between which of three thresholds it lies.
    """

    HUNDREDTH = "1e-2"
    THOUSANDTH = "1e-3"
    TEN_THOUSANDTH = "1e-4"

    @property
    def rate(self) -> float:
        """The rate as a number."""
        return float(self.value)


EVERY_CLASS: Final = frozenset(FpirClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How often a search for somebody who is not enrolled may match.

    Attributes:
        fpir: the class of the threshold.
        measured_only: whether the permission counts only in template spaces whose
            calibration was measured, and supports the class at today's size. Without
            it the threshold is kept to, and the rate may not be established.
    """

    fpir: FpirClass = FpirClass.THOUSANDTH
    measured_only: bool = False

    @property
    def laxity(self) -> tuple[float, bool]:
        """Order: what lets more searches match somebody is greater."""
        return self.fpir.rate, not self.measured_only

    def is_kept(self, established: Collection[FpirClass]) -> bool:
        """Say whether it can be kept where these classes are established."""
        return not self.measured_only or self.fpir in established

    def __str__(self) -> str:
        """Return it in words."""
        return f"FPIR {self.fpir}{', measured' if self.measured_only else ''}"


BY_DEFAULT: Final = Promise()  # of an agreement that says nothing of it


def rounded_up(comparisons: int) -> int:
    """Return the least power of two that is no less, and at least 1.

    Thresholds follow the size of the exchange in such steps, so that hardly any
    enrolment moves them; and they follow the greatest that it ever had, so that no
    withdrawal does.
    """
    return 1 << max(comparisons - 1, 0).bit_length()


def searches_needed(fpir: FpirClass) -> int:
    """Return how many independent non-mated searches support a class.

    None that erred in n bounds the rate by 3 / n at 95 %, the rule of three: Jovanovic
    and Levy, The American Statistician 51, 1997.
    """
    return round(limits.RULE_OF_THREE / fpir.rate)


def comparisons_supported(searched: int) -> int:
    """Return up to how many comparisons a calibration holds.

    Args:
        searched: comparisons of each search that it was measured by.
    """
    return limits.MAX_CALIBRATED_GROWTH * searched


def rarest_supported(subjects: int, searched: int) -> float:
    """Return how rare a false match a calibration knows of, in decades.

    Args:
        subjects: whose searches it was measured by.
        searched: comparisons of each of them.
    """
    rate = min(limits.RULE_OF_THREE / subjects, 1.0)
    return -math.log10(rate / comparisons_supported(searched))
