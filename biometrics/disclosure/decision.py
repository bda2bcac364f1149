"""The decision: who may search what, and what they learn from it.

Pure and total: values in, values out; no clock, no file, no log. Default deny,
and a prohibition beats every permission. Refusals depend on agreements alone and
all read the same; what depends on a person's data is never a refusal.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.calibration import EVERY_CLASS, Promise
from biometrics.disclosure.agreements import Level
from biometrics.errors import DefectError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from biometrics.calibration import FpirClass
    from biometrics.disclosure.agreements import Agreements, Clause, Purpose
    from biometrics.members import Member
    from biometrics.templates import Modality, Position


@dataclass(frozen=True, slots=True)
class Permission:
    """What one holder lets the requester of one search learn, and by which clauses.

    `clause` decides on the level. `further` permit the other modalities of a probe that
    has several, and tell no less.
    """

    holder: Member
    level: Level
    clause: Clause
    further: tuple[Clause, ...] = ()

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Every clause that it takes."""
        return (self.clause, *self.further)

    @property
    def promise(self) -> Promise:
        """How often a search by it may match a stranger: the strictest of them all."""
        if not self.further:
            return self.clause.promise
        promises = [clause.promise for clause in self.clauses]
        return Promise(
            fpir=min((each.fpir for each in promises), key=lambda fpir: fpir.rate),
            measured_only=any(each.measured_only for each in promises),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one search is permitted or not, in words.

    `decided_by` is file and line of the clause, empty where none applies.
    """

    permission: Permission | None
    decided_by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """The holders to search, by code; never empty."""

    permissions: tuple[Permission, ...]


class Outcome(Enum):
    """What came out of a search."""

    MATCH = "match"
    NO_MATCH = "no-match"
    UNAVAILABLE = "unavailable"
    NOT_COMPARABLE = "not-comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Who must not learn of a record, and until when anybody may.

    Attributes:
        excluded: requesters that never learn of it.
        expires_at: from this moment on nobody does; None if it does not expire.
        is_canary: whether the record is nobody's, and nobody ever learns of it.
    """

    excluded: frozenset[Member]
    expires_at: dt.datetime | None
    is_canary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderAnswer:
    """What one named holder answers; the reference is empty, or goes with a match.

    Raises:
        DefectError: the reference has another length than `limits.REFERENCE_BYTES`,
            or there is no match.
    """

    holder: Member
    outcome: Outcome
    reference: bytes

    def __post_init__(self) -> None:
        """Check that a reference says nothing but a match."""
        if self.reference and (
            self.outcome is not Outcome.MATCH
            or len(self.reference) != limits.REFERENCE_BYTES
        ):
            raise DefectError(
                "WRONG_REFERENCE",
                f"a reference is {limits.REFERENCE_BYTES} bytes and goes with a match",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the requester learns; it has no place for a score or a person.

    `regional` is over every holder searched, `holders` are the named ones, by code.
    `fallback` are the positions beside its own that the probe asked to be compared
    with, whatever matched.
    """

    regional: Outcome
    holders: tuple[HolderAnswer, ...]
    fallback: tuple[Position, ...] = ()


def permit(  # noqa: PLR0913 - the whole question
    agreements: Agreements,
    *,
    holder: Member,
    requester: Member,
    purpose: Purpose,
    modality: Modality,
    today: dt.date,
    established: Collection[FpirClass] = EVERY_CLASS,
) -> Permission | None:
    """Return what the holder lets the requester learn on that day, or None.

    A prohibition beats every permission; of several permissions the one that tells
    most counts, and of equal ones the first in the file. A permission whose promise
    cannot be kept permits nothing. Where no clause applies the answer is no.

    `established` are the classes that the calibration of the space supports now; left
    out where agreements are read without an exchange, and then none is doubted.
    """
    for clause in agreements.about(holder, requester, purpose, modality):
        if clause.is_valid_on(today) and clause.promise.is_kept(established):
            return _permission(clause)
    return None


def _permission(clause: Clause) -> Permission | None:
    if clause.level is None:  # so it forbids
        return None
    return Permission(clause.holder, clause.level, clause)


def explain(  # noqa: PLR0913 - the whole question
    agreements: Agreements,
    *,
    holder: Member,
    requester: Member,
    purpose: Purpose,
    modality: Modality,
    today: dt.date,
    established: Collection[FpirClass] = EVERY_CLASS,
) -> Explanation:
    """Return what `permit` returns, with the clause that decides and why.

    It cites clauses: show it to their holder and their requester only.
    """
    search = f"a search of {holder} by {requester} for `{purpose}` with `{modality}`"
    clauses = agreements.about(holder, requester, purpose, modality)
    broken = ""
    for clause in clauses:
        if not clause.is_valid_on(today):
            continue
        if not clause.promise.is_kept(established):
            broken += (
                f"; `{clause.source}` would, but demands a measured FPIR of"
                f" {clause.promise.fpir}, which no calibration supports now"
            )
            continue
        permission = _permission(clause)
        told = (
            f"forbids {search}, whatever else permits it; reason"
            if permission is None
            else f"permits {search} at level `{permission.level}`,"
            f" {permission.promise}, {clause.quota_per_day:,} searches a day; legal"
            " basis"
        )
        text = f"`{clause.source}` {told}: {clause.legal_basis}"
        return Explanation(permission=permission, decided_by=clause.source, text=text)
    text = f"no clause permits {search} on {today}: refused by default{broken}"
    if holder == requester:
        text += "; a member's own gallery is not searched"
    outdated = (c for c in clauses if c.level is not None and not c.is_valid_on(today))
    for clause in [*outdated][:1]:
        text += f"; `{clause.source}` covers it, but only"
        text += f" from {clause.valid_from} until {clause.valid_until}"
    return Explanation(permission=None, decided_by="", text=text)


def refusal() -> RefusedError:
    """Return the one refusal of a search, the same whatever its cause.

    A holder that refuses cannot be told from one that is not in the exchange.
    """
    return RefusedError(
        "NOT_PERMITTED",
        "no agreement permits this search as it is asked; list yours with"
        " AgreementService.ListAgreements or `biometrics agreements list`, and name"
        " only holders whose level is `holder` or `reference`, or none; a probe that is"
        " marked for holders needs others to be compared with",
    )


def not_established() -> RefusedError:
    """Return the refusal of what would be permitted if its FPIR were established.

    It depends on agreements and calibrations alone, which the requester can list.
    """
    return RefusedError(
        "FPIR_NOT_ESTABLISHED",
        "agreements permit this search only at a measured false positive rate, which"
        " the calibration of the template space does not support for what the exchange"
        " holds today: `biometrics agreements explain`, `biometrics spaces list`",
    )


def plan_search(  # noqa: PLR0913 - the whole question
    agreements: Agreements,
    *,
    requester: Member,
    purpose: Purpose,
    modalities: Collection[Modality],
    today: dt.date,
    holders: frozenset[Member],
    excluded: frozenset[Member],
    established: Collection[FpirClass],
) -> SearchPlan:
    """Return the holders to search for one probe.

    The group of unnamed holders is searched as a whole or not at all. Without those
    that the probe is marked for it would be another group, and whoever subtracts the
    outcomes of two groups learns that of a single holder.

    Args:
        agreements: the clauses of every holder.
        requester: who asks; never searched itself.
        purpose: why.
        modalities: of the probe's templates; a holder has to permit all of them.
        today: the day, in UTC.
        holders: the holders that the requester names; empty for all permitted.
        excluded: the holders that the probe is marked for, named or not; never
            searched.
        established: the classes that the calibrations of the probe's spaces support for
            as many comparisons as the exchange makes today.

    Raises:
        RefusedError: a named holder is not permitted, or only at `presence`, or
            nothing is permitted at all, or only what the probe is marked for; one
            text for all. Another where it is only the promised FPIR that cannot be
            kept.
    """

    def permitted(classes: Collection[FpirClass]) -> SearchPlan | None:
        found = [
            reduce(
                _both,
                (
                    permit(
                        agreements,
                        holder=holder,
                        requester=requester,
                        purpose=purpose,
                        modality=modality,
                        today=today,
                        established=classes,
                    )
                    for modality in modalities
                ),
            )
            for holder in sorted(holders or agreements.holders_for(requester))
        ]
        return _plan([each for each in found if each is not None], holders, excluded)

    plan = permitted(established)
    if plan is None:
        raise not_established() if permitted(EVERY_CLASS) else refusal()
    return plan


def _both(one: Permission | None, other: Permission | None) -> Permission | None:
    """Return what a holder permits of two modalities together, or None.

    It tells no more than the one that tells least, and is permitted only if both are: a
    search is of one person, and half of it would be another search.
    """
    if one is None or other is None:
        return None
    least, more = one, other
    if other.level.rank < one.level.rank:
        least, more = other, one
    further = (*least.further, *more.clauses)
    others = tuple(each for each in further if each is not least.clause)
    return Permission(least.holder, least.level, least.clause, others)


def _plan(
    permissions: list[Permission],
    holders: frozenset[Member],
    excluded: frozenset[Member],
) -> SearchPlan | None:
    """Return whom to search by these permissions, or None."""
    named = [each for each in permissions if each.level is not Level.PRESENCE]
    if holders and len(named) != len(holders):
        return None
    # A small group would name its holders by their common outcome, and one that lacks
    # a holder would name that one by the difference.
    unnamed = {each.holder for each in permissions} - {each.holder for each in named}
    is_large = len(unnamed) >= limits.MIN_PRESENCE_HOLDERS
    group = permissions if is_large and unnamed.isdisjoint(excluded) else named
    searched = [each for each in group if each.holder not in excluded]
    return SearchPlan(permissions=tuple(searched)) if searched else None


_NEVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


def may_learn(
    protection: Protection,
    *,
    requester: Member,
    now: dt.datetime,
    is_frozen: bool = False,
) -> bool:
    """Say whether the requester may learn of a record at all.

    All causes are always evaluated, so that none shows in the time it takes.
    """
    excluded = requester in protection.excluded
    expired = now >= (protection.expires_at or _NEVER)
    return not (excluded | expired | is_frozen | protection.is_canary)


def decide(
    plan: SearchPlan,
    outcomes: Mapping[Member, Outcome],
    references: Mapping[Member, bytes],
    fallback: tuple[Position, ...] = (),
) -> Answer:
    """Return what the requester learns from the outcomes.

    Args:
        plan: the holders that were to be searched.
        outcomes: the outcome by holder, after `may_learn`. One that is missing is
            UNAVAILABLE, never NO_MATCH; one outside the plan is ignored.
        references: reference by holder; used only where the level allows it and
            there is a match.
        fallback: positions beside its own that the probe was compared with.

    Raises:
        DefectError: a reference to be given has a wrong length.
    """
    named, unnamed, answers = [], [], []
    for permission in plan.permissions:
        outcome = outcomes.get(permission.holder, Outcome.UNAVAILABLE)
        if permission.level is Level.PRESENCE:
            unnamed.append(outcome)
            continue
        named.append(outcome)
        given = permission.level is Level.REFERENCE and outcome is Outcome.MATCH
        reference = references.get(permission.holder, b"") if given else b""
        answers.append(
            HolderAnswer(holder=permission.holder, outcome=outcome, reference=reference)
        )
    answers.sort(key=lambda answer: answer.holder.code)
    regional = _regional(named, unnamed)
    return Answer(regional=regional, holders=tuple(answers), fallback=fallback)


_STRONGEST_FIRST: Final = (Outcome.MATCH, Outcome.UNAVAILABLE, Outcome.NO_MATCH)


def _regional(named: list[Outcome], unnamed: list[Outcome]) -> Outcome:
    """Return the outcome over all holders.

    The unnamed count only as a group that is large enough, for else their common
    outcome would name one. If one of them is UNAVAILABLE so is the whole, or else
    the outage would show by whether there is a match.
    """
    counted = [each for each in unnamed if each is not Outcome.NOT_COMPARABLE]
    if len(counted) < limits.MIN_PRESENCE_HOLDERS:
        counted = []
    if Outcome.UNAVAILABLE in counted:
        return Outcome.UNAVAILABLE
    for outcome in _STRONGEST_FIRST:  # no set: to hash them takes longer than to look
        if outcome in named or outcome in counted:
            return outcome
    return Outcome.NOT_COMPARABLE
