"""Two versions side by side, by full enumeration: who would learn more, who less.

Every question of every pair of members is decided under both, on every day on which
the answer to it can change; nothing is inferred from the texts.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import product, zip_longest
from typing import TYPE_CHECKING, Final, TypeVar

from biometrics import limits
from biometrics.disclosure.clauses import Level, Purpose
from biometrics.disclosure.decision import permit
from biometrics.members import Member
from biometrics.templates import Modality

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from biometrics.calibration import Promise
    from biometrics.disclosure.agreements import Agreements, Clause
    from biometrics.disclosure.decision import Permission

T = TypeVar("T")
# Holder, requester, purpose and modality of a search.
Question = tuple[Member, Member, Purpose, Modality]

_DAY: Final = dt.timedelta(days=1)
_SEARCHES: Final = tuple(product(Purpose, Modality))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one requester would learn from one holder, where the versions differ.

    Attributes:
        requester: who asks.
        holder: who is asked.
        purpose: why.
        modality: with what.
        before: what the old version lets it learn; None for nothing.
        after: what the new one does.
        promise_before: how often the old version lets a stranger match; None likewise.
        promise_after: how often the new one does.
        quota_before: how many searches a day the old version permits; None likewise.
        quota_after: how many the new one does.
        first: first day of the difference.
        last: last day; None if it does not end.
    """

    requester: Member
    holder: Member
    purpose: Purpose
    modality: Modality
    before: Level | None
    after: Level | None
    promise_before: Promise | None
    promise_after: Promise | None
    quota_before: int | None
    quota_after: int | None
    first: dt.date
    last: dt.date | None

    @property
    def is_of_a_group(self) -> bool:
        """Whether it takes the holder into a group of unnamed ones, or out of it."""
        return (self.before is Level.PRESENCE) is not (self.after is Level.PRESENCE)

    @property
    def tells_more(self) -> bool:
        """Whether the new version tells more, not less; of one level, more often."""
        return _weight(self.after, self.promise_after, self.quota_after) > _weight(
            self.before, self.promise_before, self.quota_before
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """A group of unnamed holders that becomes large enough to be answered, or ceases.

    Attributes:
        requester: who asks.
        purpose: why.
        modality: with what.
        before: how many holders permit it at `presence` under the old version.
        after: how many under the new one.
        first: first day of the difference.
        last: last day; None if it does not end.
    """

    requester: Member
    purpose: Purpose
    modality: Modality
    before: int
    after: int
    first: dt.date
    last: dt.date | None

    @property
    def tells_more(self) -> bool:
        """Whether the new version answers, where the old one did not."""
        return _is_answered(self.after)


def named_members(*versions: Agreements) -> tuple[Member, ...]:
    """Return every member that a clause names, by code.

    Whoever is not among them neither permits anything nor is permitted anything.
    """
    named = {
        member
        for version in versions
        for clause in version.clauses
        for member in (clause.holder, clause.requester)
        if member is not None
    }
    return tuple(sorted(named))


def differences(
    old: Agreements, new: Agreements, members: Collection[Member], first_day: dt.date
) -> list[Difference]:
    """Return every difference from `first_day` on.

    They stand in the order of requester, holder, purpose, modality and day.
    """
    found: list[Difference] = []
    for requester, holder, (purpose, modality) in product(members, members, _SEARCHES):
        question = (holder, requester, purpose, modality)
        mentioned = (*old.about(*question), *new.about(*question))
        told = (
            (day, (_told(old, question, day), _told(new, question, day)))
            for day in turns(mentioned, first_day)
        )
        found += (
            Difference(
                requester=requester,
                holder=holder,
                purpose=purpose,
                modality=modality,
                before=before[0],
                after=after[0],
                promise_before=before[1],
                promise_after=after[1],
                quota_before=before[2],
                quota_after=after[2],
                first=first,
                last=last,
            )
            for (before, after), first, last in stretches(told)
            if before != after
        )
    return found


def group_differences(
    old: Agreements, new: Agreements, members: Collection[Member], first_day: dt.date
) -> list[GroupDifference]:
    """Return where a group of unnamed holders begins or ceases to be answered."""
    found: list[GroupDifference] = []
    for requester, (purpose, modality) in product(members, _SEARCHES):
        questions = [(h, requester, purpose, modality) for h in members]
        mentioned = [
            clause
            for version, question in product((old, new), questions)
            for clause in version.about(*question)
        ]
        told = (
            (day, (_unnamed(old, questions, day), _unnamed(new, questions, day)))
            for day in turns(mentioned, first_day)
        )
        found += (
            GroupDifference(
                requester=requester,
                purpose=purpose,
                modality=modality,
                before=before,
                after=after,
                first=first,
                last=last,
            )
            for (before, after), first, last in stretches(told)
            if _is_answered(before) is not _is_answered(after)
        )
    return found


def strongest(
    agreements: Agreements,
    members: Collection[Member],
    searches: Sequence[tuple[Purpose, Modality]],
    day: dt.date,
) -> dict[tuple[Member, Member], Level]:
    """Return by (holder, requester) the most that any of `searches` tells on a day.

    Pairs that learn nothing are left out.
    """
    found: dict[tuple[Member, Member], Level] = {}
    for holder, requester in product(members, members):
        levels = [
            told
            for search in searches
            if (told := level(agreements, (holder, requester, *search), day))
        ]
        if levels:
            found[holder, requester] = max(levels)
    return found


def level(agreements: Agreements, question: Question, day: dt.date) -> Level | None:
    """Return how much one question tells on a day, or None for nothing."""
    permission = _permission(agreements, question, day)
    return permission.level if permission else None


def _told(
    agreements: Agreements, question: Question, day: dt.date
) -> tuple[Level | None, Promise | None, int | None]:
    """Return how much one question tells on a day, of whom, and how often."""
    permission = _permission(agreements, question, day)
    if permission is None:
        return None, None, None
    return permission.level, permission.promise, permission.clause.quota_per_day


def _permission(
    agreements: Agreements, question: Question, day: dt.date
) -> Permission | None:
    """Return what permits one question on a day."""
    holder, requester, purpose, modality = question
    return permit(
        agreements,
        holder=holder,
        requester=requester,
        purpose=purpose,
        modality=modality,
        today=day,
    )


def _weight(
    told: Level | None, promise: Promise | None, quota: int | None
) -> tuple[float, ...]:
    """Return how much is told; least for nothing."""
    if told is None or promise is None or quota is None:
        return ()
    return told.rank, *promise.laxity, quota


def _unnamed(
    agreements: Agreements, questions: Iterable[Question], day: dt.date
) -> int:
    """Return how many holders permit a search at `presence` on a day."""
    return sum(level(agreements, each, day) is Level.PRESENCE for each in questions)


def _is_answered(holders: int) -> bool:
    """Say whether so many unnamed holders are answered together."""
    return holders >= limits.MIN_PRESENCE_HOLDERS


def turns(clauses: Iterable[Clause], first_day: dt.date) -> list[dt.date]:
    """Return `first_day`, and each later day on which one of `clauses` turns."""
    days = {first_day}
    for clause in clauses:
        if clause.valid_from is not None and clause.valid_from > first_day:
            days.add(clause.valid_from)
        until = clause.valid_until or dt.date.max
        if first_day <= until < dt.date.max:
            days.add(until + _DAY)
    return sorted(days)


def stretches(
    told: Iterable[tuple[dt.date, T]],
) -> Iterator[tuple[T, dt.date, dt.date | None]]:
    """Yield what is told, day by day, with its first and last day."""
    turns: list[tuple[dt.date, T]] = []
    for day, what in told:
        if not turns or turns[-1][1] != what:
            turns.append((day, what))
    for (first, what), after in zip_longest(turns, turns[1:]):
        yield what, first, after[0] - _DAY if after else None
