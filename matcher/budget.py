"""What one request takes from the leak budget and from quotas; see `disclosure.budget`.

Quotas depend on agreements alone: whoever has spent one is told so, before any probe is
compared. The leak budget depends on records, and nobody is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.disclosure import Level, Tally, may_learn
from biometrics.errors import ExhaustedError
from biometrics.store import NearSearch, QuotaUse, Taken

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from biometrics.disclosure import Clause, SearchPlan
    from biometrics.members import Member
    from matcher.confirm import Confirmed, Hit

# By what is counted, see `QuotaUse`: the clauses that set how much, or none.
Uses = Mapping[bytes, "tuple[Clause, ...]"]


@dataclass(slots=True)
class Spending:
    """What the questions of one request take, one after the other.

    Attributes:
        requester: who asks.
        now: by which it is judged what has expired.
        tally: of near searches.
    """

    requester: Member
    now: dt.datetime
    tally: Tally
    _seen: dict[bytes, Hit] = field(default_factory=dict)
    _unnamed: set[bytes] = field(default_factory=set)
    _matches: dict[bytes, Member] = field(default_factory=dict)
    _hidden: list[Member] = field(default_factory=list)
    _canaries: list[Member] = field(default_factory=list)
    _answers: list[tuple[Member, bool]] = field(default_factory=list)

    def hidden(self, confirmed: Confirmed, plan: SearchPlan) -> frozenset[bytes]:
        """Count one question; return the records found that must not be told.

        What protects a record from the requester keeps it from being counted too: a
        review of it would tell that it is there.
        """
        named = {p.holder for p in plan.permissions if p.level is not Level.PRESENCE}
        hits = {hit.record_id for hit in confirmed.hits}
        hidden = set()
        told: dict[Member, bool] = {}
        self._canaries += {h.holder for h in confirmed.hits if h.protection.is_canary}
        for each in (*confirmed.hits, *confirmed.misses):
            record = each.record_id
            if not may_learn(each.protection, requester=self.requester, now=self.now):
                continue
            self._seen[record] = each
            if each.holder not in named:
                self._unnamed.add(record)
            if not self.tally.take(record, is_near=each.is_near):
                hidden.add(record)
                self._hidden += [each.holder] if record in hits else []
            elif record in hits:
                self._matches[record] = each.holder
                told[each.holder] = each.is_near and told.get(each.holder, True)
        self._answers += told.items()
        return frozenset(hidden)

    def taken(
        self,
        questions: Sequence[Uses],
        varied: Iterable[Member],
        random_bytes: Callable[[int], bytes],
    ) -> Taken:
        """Return what all questions take together.

        Args:
            questions: what those take from that were compared.
            varied: holders asked with a probe that many of its requester's resemble.
            random_bytes: what cases are named by.
        """
        return Taken(
            matches=self._matches,
            answers=tuple(self._answers),
            near=tuple(
                NearSearch(
                    record_id=record,
                    holder=self._seen[record].holder,
                    is_named=record not in self._unnamed,
                    told=self.tally.near.get(record, 0),
                    freezes=record in self.tally.frozen,
                    case_id=random_bytes(limits.CASE_BYTES),
                )
                for record in sorted(self.tally.near.keys() | self.tally.frozen)
            ),
            hidden=tuple(self._hidden),
            canaries=tuple(self._canaries),
            varied=tuple(varied),
            quotas=tuple(quota for quota, _ in quotas_of(questions)),
        )


def clauses_by_use(plan: SearchPlan) -> Uses:
    """Return the quotas that a question takes from, each with the clauses that set it.

    That of all agreements together is set by none.
    """
    uses: dict[bytes, dict[str, Clause]] = {limits.ALL_AGREEMENTS: {}}
    for permission in plan.permissions:
        for clause in permission.clauses:
            uses.setdefault(clause.use, {})[clause.source] = clause
    return {use: tuple(clauses.values()) for use, clauses in uses.items()}


def quotas_of(
    questions: Sequence[Uses],
) -> list[tuple[QuotaUse, tuple[Clause, ...]]]:
    """Return what questions take from each quota, and the clauses that set it."""
    searches = Counter(use for uses in questions for use in uses)
    every: dict[bytes, tuple[Clause, ...]] = {}
    for uses in questions:
        for use, clauses in uses.items():
            known = every.setdefault(use, clauses)
            if known is not clauses:
                by_source = {clause.source: clause for clause in (*known, *clauses)}
                every[use] = tuple(by_source.values())
    return [
        (QuotaUse(use=use, searches=searches[use], most=_most(clauses)), clauses)
        for use, clauses in every.items()
    ]


def _most(clauses: Sequence[Clause]) -> int:
    """Return what clauses permit on a day; of all agreements, what everybody may."""
    return min(
        (clause.quota_per_day for clause in clauses),
        default=limits.MAX_SEARCHES_PER_DAY,
    )


def refuse_spent(
    questions: Sequence[Uses],
    spent: Mapping[bytes, int],
    *,
    now: dt.datetime,
    renews: dt.datetime,
) -> None:
    """Refuse what a quota has no room for.

    Args:
        questions: what those take from that are to be compared.
        spent: what was taken today, by use.
        now: this moment.
        renews: when that ends.

    Raises:
        ExhaustedError: with the agreement, where its holder is named.
    """
    for quota, clauses in quotas_of(questions):
        left = max(quota.most - spent.get(quota.use, 0), 0)
        if quota.searches <= left:
            continue
        if not clauses:
            whose = "a requester's of all agreements together"
        elif any(clause.level is Level.PRESENCE for clause in clauses):
            whose = "of an agreement whose holder is not named"
        else:
            whose = f"of the agreement with {clauses[0].holder}"
        raise ExhaustedError(
            "QUOTA_SPENT",
            f"the quota {whose} is {quota.most:,} searches a day; {left:,} are left and"
            f" {quota.searches:,} were asked for: it renews at"
            f" {renews:%Y-%m-%d %H:%M} UTC; ask for fewer, or name other holders",
            retry_after=max((renews - now).total_seconds(), 0.0),
        )
