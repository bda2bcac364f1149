"""Whom a question may be asked of: kept by all that decides on it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from biometrics import limits
from biometrics.calibration import FpirClass, Promise
from biometrics.disclosure import Agreements, Clause, Effect, Level, Purpose
from biometrics.errors import RefusedError
from biometrics.members import Member
from biometrics.templates import Modality
from matcher.budget import quotas_of
from matcher.plans import Wanted, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

XAA, XBB, XCC = (Member(code) for code in ("XAA", "XBB", "XCC"))
DAY = dt.date(2026, 6, 1)
WANTED = Wanted(
    requester=XBB,
    purpose=Purpose.VISA,
    modalities=(Modality.FACE,),
    today=DAY,
    holders=frozenset(),
    excluded=frozenset(),
    established=frozenset(FpirClass),
)


def clause(holder: Member, quota: int = 100, **more: object) -> Clause:
    """Return a permission of a holder's for XBB, on one day."""
    said = {
        "requester": XBB,
        "effect": Effect.PERMIT,
        "purposes": frozenset({Purpose.VISA}),
        "modalities": frozenset({Modality.FACE}),
        "level": Level.HOLDER,
        "valid_from": DAY,
        "valid_until": DAY,
        "legal_basis": "a treaty",
        "source": f"{holder}.toml:4",
        "promise": Promise(measured_only=True),
    }
    return Clause(holder=holder, quota_per_day=quota, **(said | more))  # type: ignore[arg-type]


def holders(agreements: Agreements, **changed: object) -> list[Member]:
    """Return whom a question may be asked of, one that differs from `WANTED`."""
    wanted = replace(WANTED, **changed)  # type: ignore[arg-type]
    return [p.holder for p in plan(agreements, wanted).search.permissions]


BOTH = Agreements([clause(XAA), clause(XCC)])


@pytest.mark.parametrize(
    "changed",
    [
        {"requester": XCC},
        {"purpose": Purpose.BORDER_CHECK},
        {"modalities": (Modality.FINGERPRINT,)},
        {"today": DAY + dt.timedelta(1)},
        {"holders": frozenset({XBB})},
        {"excluded": frozenset({XAA, XCC})},
        {"established": frozenset()},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_decides_is_asked_for_again(changed: Mapping[str, object]) -> None:
    """Nobody is asked by a plan for another question, nor by that of yesterday."""
    assert holders(BOTH) == [XAA, XCC]
    with pytest.raises(RefusedError):
        holders(BOTH, **changed)
    assert holders(BOTH) == [XAA, XCC]


def test_another_version_of_the_agreements_has_plans_of_its_own() -> None:
    """Also one that says the same."""
    assert holders(BOTH) == [XAA, XCC]
    assert holders(Agreements([clause(XCC)])) == [XCC]
    with pytest.raises(RefusedError):
        holders(Agreements([]))
    again = Agreements(BOTH.clauses)
    assert plan(again, WANTED) is not plan(BOTH, WANTED)
    assert plan(again, WANTED) is plan(again, replace(WANTED))


def test_quotas_of_several_questions_are_added_up() -> None:
    """Each agreement once a question, and all of them together."""
    one = plan(BOTH, WANTED)
    other = plan(BOTH, replace(WANTED, holders=frozenset({XAA})))
    found = quotas_of([one.uses, other.uses, one.uses])
    assert {(quota.use, quota.searches, quota.most) for quota, _ in found} == {
        (limits.ALL_AGREEMENTS, 3, limits.MAX_SEARCHES_PER_DAY),
        (clause(XAA).use, 3, 100),
        (clause(XCC).use, 2, 100),
    }
    assert [len(clauses) for _, clauses in found] == [0, 1, 1]


def test_the_least_of_several_quotas_counts() -> None:
    """Where two lines are about the same purposes and modalities."""
    for_all = clause(XAA, 7, source="XAA.toml:9", promise=Promise())
    agreements = Agreements([clause(XAA, level=Level.REFERENCE), for_all])
    measured, unmeasured = (
        plan(agreements, replace(WANTED, established=frozenset(classes))).uses
        for classes in (FpirClass, ())
    )
    assert sorted(q.most for q, _ in quotas_of([unmeasured])) == [7, 1_000_000]
    ((_, none), (least, clauses)) = quotas_of([measured, unmeasured])
    assert (least.searches, least.most, len(clauses)) == (2, 7, 2)
    assert none == ()
