"""The leak budget: how often a requester may feel for one record.

Yes and no add up. Whoever asks with probes that lie about the threshold of a record
learns a little of its template with each answer, whichever it is. So a search whose
score for a record is *near* the threshold is counted, for that requester and that
record; beyond so many in thirty days, the record is frozen: for that requester it is as
if it were not there, at every score.

Pure: bands, counts and what follows from them. What is counted is kept by
`biometrics.store`, and measured with by `benchmarks/attack_reconstruction.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.calibration import Threshold


@dataclass(frozen=True, slots=True)
class Band:
    """Where a template matches, and where it is near.

    Attributes:
        low: score from which it is near.
        threshold: score from which it matches.
        high: score from which it is near no more.
    """

    low: float
    threshold: float
    high: float

    @classmethod
    def without(cls, threshold: float) -> Self:
        """Return a band in which nothing is near."""
        return cls(threshold, threshold, threshold)

    @classmethod
    def about(cls, threshold: Threshold, chance: float) -> Self:
        """Return the band of a template space.

        `NEAR_DECADES` of the false match rate to either side, where a calibration tells
        how many of them a step of score is. Elsewhere, and at the least,
        `NEAR_DEVIATIONS` of the scores of what has nothing to do with each other: what
        a probe that is made anew at random moves by. And never more than twice that.

        Args:
            threshold: of the calibration, as it is today.
            chance: standard deviation of those scores, of the space.
        """
        half = limits.NEAR_DEVIATIONS * chance
        if threshold.decade is not None:
            most = limits.NEAR_DEVIATIONS_AT_MOST * chance
            half = min(max(half, limits.NEAR_DECADES * threshold.decade), most)
        cosine = threshold.cosine
        # Less than half of the threshold tells little, and costs the scan much.
        return cls(max(cosine - half, cosine / 2), cosine, cosine + half)

    def is_near(self, score: float) -> bool:
        """Say whether a score is near the threshold, at either side of it."""
        return self.low <= score < self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one requester and one record.

    Attributes:
        own: near searches of this requester's that were told, in thirty days.
        everybodys: those of all requesters.
        is_frozen: whether the record is as if it were not there for this one.
    """

    own: int = 0
    everybodys: int = 0
    is_frozen: bool = False

    def has_room(self, more: int) -> bool:
        """Say whether so many near searches more can be told."""
        return (
            not self.is_frozen
            and self.own + more <= limits.NEAR_SEARCHES_TOLD
            and self.everybodys + more <= limits.NEAR_SEARCHES_TOLD_TO_ALL
        )


_UNKNOWN: Final = Standing()


@dataclass(slots=True)
class Tally:
    """What the questions of one request take from the budget, in their order.

    A batch is counted as if its probes had come one after the other: else its last
    would be told what its first have used up.
    """

    standings: Mapping[bytes, Standing]
    near: dict[bytes, int] = field(default_factory=dict)
    frozen: set[bytes] = field(default_factory=set)

    def take(self, record: bytes, *, is_near: bool) -> bool:
        """Count a search of a record; say whether it may be told.

        One that is near and finds no room freezes the record, and is not told itself.
        """
        standing = self.standings.get(record, _UNKNOWN)
        if standing.is_frozen or record in self.frozen:
            return False
        if is_near:
            taken = self.near.get(record, 0) + 1
            if not standing.has_room(taken):
                self.frozen.add(record)
                return False
            self.near[record] = taken
        return True


def is_enumeration(*, matches: int, near: int, today: int, before: int) -> bool:
    """Say whether what a requester was told looks like going through a gallery.

    Args:
        matches: that it was told of one holder, in thirty days.
        near: how many of them were near the threshold.
        today: how many of them it was told today.
        before: how many of these before this answer; told of once a day.
    """
    are_strangers = near >= limits.NEAR_MATCHES_ALERTED and 2 * near > matches
    return are_strangers or before < limits.MATCHES_A_DAY_ALERTED <= today
