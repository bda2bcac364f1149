"""Counts the demo's answers against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biometrics.client import MatchAnswer
    from biometrics.demo.truth import Expected

# Two-sided 95 % of the standard normal distribution.
_Z = 1.959963984540054


@dataclass(slots=True)
class Rate:
    """So many of so many, with the interval that they support."""

    count: int = 0
    of: int = 0

    def interval(self) -> tuple[float, float]:
        """Return Wilson's score interval at 95 % (E. B. Wilson, JASA 22, 1927)."""
        if not self.of:
            return 0.0, 1.0
        p, n = self.count / self.of, self.of
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + (_Z / (2 * n)) ** 2)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(slots=True)
class Pair:
    """What one requester was told about one holder, against the truth.

    Attributes:
        level: what the agreement allows; None where nothing.
        searches: how many were answered.
        matches: how many of them were a match; unknown to all for `presence`.
        wrong: answers that differ from the truth.
        undecided: answers that rounding may decide; not among the wrong.
        kept_back: searches in which only protected records reached the threshold.
        false_positive: matches without a mate, of searches without one.
        false_negative: no-matches with a mate, of searches with one.
    """

    level: str | None
    searches: int = 0
    matches: int = 0
    wrong: int = 0
    undecided: int = 0
    kept_back: int = 0
    false_positive: Rate = field(default_factory=Rate)
    false_negative: Rate = field(default_factory=Rate)


@dataclass(slots=True)
class Asked:
    """Everything that one requester asked.

    Attributes:
        requester: member code.
        purpose: of all its searches.
        pairs: by holder.
        wrong_regional: regional outcomes that differ from the truth.
        regional_matches: regional outcomes that are a match.
        seconds: of each search, as the requester saw it.
    """

    requester: str
    purpose: str
    pairs: dict[str, Pair]
    wrong_regional: int = 0
    regional_matches: int = 0
    seconds: list[float] = field(default_factory=list)

    def count(self, answer: MatchAnswer, expected: Expected) -> None:
        """Count one answer."""
        self.regional_matches += answer.regional.value == "match"
        told = {a.holder: (a.outcome.value, bool(a.reference)) for a in answer.holders}
        for holder, pair in self.pairs.items():
            if pair.level is not None:
                self._count_holder(holder, pair, told, expected)
        is_decided = not expected.undecided
        extra = set(told) - set(expected.holders)
        if extra or (is_decided and answer.regional.value != expected.regional):
            self.wrong_regional += 1

    def _count_holder(
        self,
        holder: str,
        pair: Pair,
        told: dict[str, tuple[str, bool]],
        expected: Expected,
    ) -> None:
        """Count what was told about one holder; None where it must not be named."""
        said, right = told.get(holder), expected.holders.get(holder)
        pair.searches += 1
        pair.kept_back += holder in expected.kept_back
        if holder in expected.undecided:
            pair.undecided += 1
        elif said != right:
            pair.wrong += 1
        if said is None:
            return
        matched = said[0] == "match"
        pair.matches += matched
        if holder in expected.mates:
            pair.false_negative.of += 1
            pair.false_negative.count += not matched
        else:
            pair.false_positive.of += 1
            pair.false_positive.count += matched

    @property
    def wrong(self) -> int:
        """How many answers differ from the truth."""
        return self.wrong_regional + sum(pair.wrong for pair in self.pairs.values())
