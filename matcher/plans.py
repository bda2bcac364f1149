"""Whom questions may be asked of, found out once for all that are asked alike.

Who asks, for what, of whom, on which day, by which version of the agreements and under
which calibrations: all that decides is what a plan is kept by. So none outlives what it
was made from, and a plan that is kept is the plan that would be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.disclosure import plan_search
from matcher.budget import clauses_by_use
from matcher.proof import promise_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from biometrics.calibration import FpirClass
    from biometrics.disclosure import Agreements, Purpose, SearchPlan
    from biometrics.members import Member
    from biometrics.templates import Modality
    from matcher.budget import Uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that decides on whom a question may be asked of, but the agreements.

    Attributes:
        requester: who asks.
        purpose: why.
        modalities: of the probe's templates.
        today: the day, in UTC.
        holders: that the requester names; empty for all permitted.
        excluded: that the probe is marked for.
        established: the classes that the calibrations support.
    """

    requester: Member
    purpose: Purpose
    modalities: tuple[Modality, ...]
    today: dt.date
    holders: frozenset[Member]
    excluded: frozenset[Member]
    established: frozenset[FpirClass]


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom a question may be asked of, and what follows from that alone.

    Attributes:
        search: the plan itself.
        uses: from which quotas it takes.
        promised: what each holder promises of errors.
    """

    search: SearchPlan
    uses: Uses
    promised: Mapping[Member, str]


@lru_cache(limits.PLANS_KNOWN)
def plan(agreements: Agreements, wanted: Wanted) -> Plan:
    """Return whom a question may be asked of.

    Args:
        agreements: in force; they never change, a new version is another value.
        wanted: the rest of what decides.

    Raises:
        RefusedError: as `plan_search`; that is found out anew each time.
    """
    found = plan_search(
        agreements,
        requester=wanted.requester,
        purpose=wanted.purpose,
        modalities=wanted.modalities,
        today=wanted.today,
        holders=wanted.holders,
        excluded=wanted.excluded,
        established=wanted.established,
    )
    promised = {p.holder: promise_of(p, wanted.established) for p in found.permissions}
    return Plan(found, clauses_by_use(found), promised)
