"""Prohibitions that go and that come between two versions, whatever is permitted.

What is permitted today may hide them: a code that was mistyped in a prohibition takes
nothing away from anybody, until somebody permits more.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from biometrics.disclosure.clauses import Clause, Effect
from biometrics.disclosure.compare import stretches, turns

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from biometrics.disclosure.agreements import Agreements
    from biometrics.disclosure.clauses import Purpose
    from biometrics.members import Member
    from biometrics.templates import Modality


@dataclass(frozen=True, slots=True, kw_only=True)
class ProhibitionDifference:
    """What one version forbids by a clause, and the other by none.

    Attributes:
        holder: whose galleries it is about.
        requester: who is forbidden to search them; None for everybody.
        purpose: why.
        modality: with what.
        comes: whether the new version forbids it, and not the old one.
        first: first day of the difference.
        last: last day; None if it does not end.
    """

    holder: Member
    requester: Member | None
    purpose: Purpose
    modality: Modality
    comes: bool
    first: dt.date
    last: dt.date | None


def prohibition_differences(
    old: Agreements, new: Agreements, first_day: dt.date
) -> list[ProhibitionDifference]:
    """Return every prohibition that goes or comes, from `first_day` on.

    They stand in the order of holder, requester, purpose and modality; what is
    forbidden everybody stands first of a holder.
    """
    found: list[ProhibitionDifference] = []
    forbidden = [
        clause
        for version in (old, new)
        for clause in version.clauses
        if clause.effect is Effect.FORBID
    ]
    questions = {
        (clause.holder, clause.requester, *search)
        for clause in forbidden
        for search in product(clause.purposes, clause.modalities)
    }
    for holder, requester, purpose, modality in sorted(questions, key=_place):
        about = (holder, requester, purpose, modality)
        before, after = _prohibitions(old, about), _prohibitions(new, about)
        told = (
            (day, _change(requester, before, after, day))
            for day in turns([*before, *after], first_day)
        )
        found += (
            ProhibitionDifference(
                holder=holder,
                requester=requester,
                purpose=purpose,
                modality=modality,
                comes=comes,
                first=first,
                last=last,
            )
            for comes, first, last in stretches(told)
            if comes is not None
        )
    return found


def forbidden_pairs(
    agreements: Agreements,
    members: Collection[Member],
    searches: Collection[tuple[Purpose, Modality]],
    day: dt.date,
) -> set[tuple[Member, Member]]:
    """Return each (holder, requester) for which a clause forbids all of `searches`."""
    return {
        (holder, requester)
        for holder, requester in product(members, members)
        if all(
            any(
                clause.is_valid_on(day)
                for clause in _prohibitions(agreements, (holder, requester, *search))
            )
            for search in searches
        )
    }


_About = tuple["Member", "Member | None", "Purpose", "Modality"]


def _place(about: _About) -> tuple[str, ...]:
    """Return where a question stands."""
    holder, requester, purpose, modality = about
    return holder.code, requester.code if requester else "", purpose, modality


def _prohibitions(agreements: Agreements, about: _About) -> list[Clause]:
    """Return the clauses that forbid a question, by name or to everybody."""
    return [c for c in agreements.about(*about) if c.effect is Effect.FORBID]


def _change(
    requester: Member | None, before: list[Clause], after: list[Clause], day: dt.date
) -> bool | None:
    """Return whether a prohibition comes on a day, or goes; None for neither.

    One that stands in the words of another version, such as for everybody, stays.
    """
    old = {clause.requester for clause in before if clause.is_valid_on(day)}
    new = {clause.requester for clause in after if clause.is_valid_on(day)}
    if requester in old and not new:
        return False
    if requester in new and not old:
        return True
    return None
