"""How the scores of several templates of one person become one decision on a record.

*Fused*, where every space's calibration supports it: the likelihood ratios of the
templates are multiplied, and what is left to chance is one stranger in as many records
as the promise allows. That takes them to be independent of one another for two
different people: a finger's likeness to a stranger's must tell nothing of another
finger's, or of the face's. Templates of one record at one position are not: their
ratios are averaged, which is one on average for a stranger too, whatever they share.
So a sum of weights that reaches `least` is reached by one of as many strangers at
most, by Markov's inequality; see `biometrics.calibration.weights`.

*By the strictest single decision* elsewhere: a record matches if each of its templates
that can be compared does so alone, at the threshold for all comparisons together. One
who has only a finger there is decided by the finger.

Pure: scores in, decisions out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from biometrics import limits
from biometrics.calibration import FpirClass, rounded_up
from biometrics.disclosure import Band

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.calibration import Calibrations, Weights
    from biometrics.templates import TemplateSpace

# Cosines of one record's templates, by the number of the probe's that each was compared
# with. A number is missing where the record has nothing there; never are all.
Scores = Mapping[int, Sequence[float]]


class Lean(Enum):
    """As if every cosine were higher or lower by what is still near; see `Band`."""

    HIGHER = "higher"
    NOT = "not"
    LOWER = "lower"


class Rule(Protocol):
    """Decides on one record.

    Attributes:
        bands: for each template of the probe, from where on a record's is looked at: no
            record matches of which none of the templates reaches its threshold.
    """

    @property
    def bands(self) -> tuple[Band, ...]:
        """See above."""

    def matches(self, scores: Scores, lean: Lean = Lean.NOT) -> bool:
        """Say whether a record with these scores matches."""


@dataclass(frozen=True, slots=True)
class Strictest:
    """Every template has to match alone."""

    bands: tuple[Band, ...]

    def matches(self, scores: Scores, lean: Lean = Lean.NOT) -> bool:
        """Say whether a record with these scores matches."""
        return all(
            _led(max(found), self.bands[part], lean) >= self.bands[part].threshold
            for part, found in scores.items()
        )


@dataclass(frozen=True, slots=True)
class Fused:
    """The templates together have to weigh enough, and one of them to stand out.

    Attributes:
        bands: about the cosines that one stranger of all reaches: so few are opened.
        weights: of each template's space.
        least: what they have to weigh, in decades.
    """

    bands: tuple[Band, ...]
    weights: tuple[Weights, ...]
    least: float

    def matches(self, scores: Scores, lean: Lean = Lean.NOT) -> bool:
        """Say whether a record with these scores matches."""
        stands_out = False
        weight = 0.0
        for part, found in scores.items():
            band = self.bands[part]
            led = [_led(score, band, lean) for score in found]
            stands_out |= max(led) >= band.threshold
            ratios = [self.weights[part].ratio(score) for score in led]
            weight += math.log10(math.fsum(ratios) / len(ratios))
        return stands_out and weight >= self.least


def is_near(rule: Rule, scores: Scores) -> bool:
    """Say whether a record is near the threshold, at either side of it.

    It is where a little more of every score would decide otherwise, or a little less.
    """
    return rule.matches(scores, Lean.HIGHER) and not rule.matches(scores, Lean.LOWER)


def _led(score: float, band: Band, lean: Lean) -> float:
    """Return a score as it leans."""
    if lean is Lean.HIGHER:
        return score + (band.threshold - band.low)
    if lean is Lean.LOWER:
        return score - (band.high - band.threshold)
    return score


@dataclass(frozen=True, slots=True)
class Aim:
    """From where on a search for one person matches.

    Attributes:
        rules: by what is promised.
        established: promises that the calibrations are known to keep so.
        lowest: for each template of the probe, from where on it matches alone.
    """

    rules: Mapping[FpirClass, Rule]
    established: frozenset[FpirClass]
    lowest: tuple[float, ...]


class Aims:
    """From where on searches match, as the exchange grows; for many threads."""

    def __init__(
        self, calibrations: Calibrations, comparisons: Callable[[str], int]
    ) -> None:
        """Aim by `calibrations`, at what `comparisons` says of each space's size."""
        self._comparisons = comparisons

        @lru_cache(limits.AIMS_KNOWN)
        def aim(spaces: tuple[TemplateSpace, ...], sizes: tuple[int, ...]) -> Aim:
            names = [space.name for space in spaces]
            told = dict(zip(names, sizes, strict=True))
            return aim_at(spaces, calibrations, told.__getitem__)

        self._aim = aim

    def at(self, spaces: tuple[TemplateSpace, ...]) -> Aim:
        """Return from where on a search with templates of these spaces matches now."""
        sizes = tuple([rounded_up(self._comparisons(s.name)) for s in spaces])
        return self._aim(spaces, sizes)


def aim_at(
    spaces: Sequence[TemplateSpace],
    calibrations: Calibrations,
    comparisons: Callable[[str], int],
) -> Aim:
    """Return from where on a search matches that keeps its promise as a whole.

    Args:
        spaces: of the templates of the probe, in their order.
        calibrations: of every space.
        comparisons: returns how many the exchange can make in a space.
    """
    # Each in steps of its own, and so is their sum.
    sizes = {space.name: rounded_up(comparisons(space.name)) for space in spaces}
    own = {name: calibrations.thresholds(name, size) for name, size in sizes.items()}
    lowest = {name: min(t.cosine for t in told.values()) for name, told in own.items()}
    fused = _fused(spaces, calibrations, sizes) if len(spaces) > 1 else {}
    shared = own
    if len(sizes) > 1:
        # Each of them is one more search: together they err as one of all of these.
        every = sum(sizes.values())
        shared = {name: calibrations.of(name).thresholds(every) for name in sizes}
    rules: dict[FpirClass, Rule] = {}
    established = set()
    for fpir in FpirClass:
        is_known = all(told[fpir].is_established for told in own.values())
        if fpir in fused and is_known:
            rules[fpir] = fused[fpir]
        else:
            is_known = all(told[fpir].is_established for told in shared.values())
            rules[fpir] = Strictest(
                tuple(Band.about(shared[s.name][fpir], s.dimension) for s in spaces)
            )
        if is_known:
            established.add(fpir)
    return Aim(rules, frozenset(established), tuple(lowest[s.name] for s in spaces))


# No likeness: of so many standard deviations is the cosine of random directions often.
_NO_LIKENESS: Final = 2.0


def _fused(
    spaces: Sequence[TemplateSpace],
    calibrations: Calibrations,
    sizes: Mapping[str, int],
) -> dict[FpirClass, Fused]:
    """Return the rules by which templates are fused; none where they cannot be."""
    weights, bands = [], []
    for space in spaces:
        calibration = calibrations.of(space.name)
        size = sizes[space.name]
        if calibration.weights is None:
            return {}
        alone = calibration.weights.standing_out(size)
        if alone is None:
            return {}
        weights.append(calibration.weights)
        threshold = replace(
            calibration.at(FpirClass.HUNDREDTH, size),
            cosine=max(alone, _NO_LIKENESS / math.sqrt(space.dimension)),
        )
        bands.append(Band.about(threshold, space.dimension))
    every = math.log10(rounded_up(sum(sizes.values())))
    return {
        fpir: Fused(tuple(bands), tuple(weights), every - math.log10(fpir.rate))
        for fpir in FpirClass
    }
