"""What an answer tells: of whom the requester learns, and what is stored with that.

Who protects a record, has frozen it or let it expire takes it out of what is learnt, on
one path with what was not found: nothing after it knows the difference.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from biometrics import limits
from biometrics.disclosure import Outcome, may_learn
from biometrics.members import Member
from biometrics.store import Disclosed, NewReference

if TYPE_CHECKING:
    from biometrics.audit import Mention
    from biometrics.disclosure import Answer, Purpose
    from biometrics.store import Taken
    from biometrics.templates import Modality
    from matcher.confirm import Hit

Learnt = Mapping[Member, Sequence["Hit"]]


def learnable(
    hits: Sequence[Hit],
    requester: Member,
    now: dt.datetime,
    frozen: Collection[bytes] = (),
) -> Learnt:
    """Return the hits, by holder, that the requester may learn of."""
    learnt: dict[Member, list[Hit]] = {}
    for hit in hits:
        is_frozen = hit.record_id in frozen
        if may_learn(hit.protection, requester=requester, now=now, is_frozen=is_frozen):
            learnt.setdefault(hit.holder, []).append(hit)
    return learnt


def told(outcomes: Mapping[Member, Outcome], learnt: Learnt) -> dict[Member, Outcome]:
    """Return the outcomes after comparison; only a holder that was searched matches."""
    return {
        holder: Outcome.MATCH
        if outcome is Outcome.NO_MATCH and holder in learnt
        else outcome
        for holder, outcome in outcomes.items()
    }


class Asked(NamedTuple):
    """Who asked for what: a reference is good for just that."""

    requester: Member
    purpose: Purpose
    modality: Modality


def disclosed(
    answer: Answer,
    learnt: Learnt,
    asked: Asked,
    now: dt.datetime,
    *,
    searched: frozenset[Member],
) -> Disclosed:
    """Return what an answer tells of: it may be stored while just this stands.

    Args:
        answer: to one question.
        learnt: the hits of which the requester learns by it.
        asked: who asked for what.
        now: the moment by which it was decided.
        searched: the holders with whose records was compared.
    """
    expires_at = now + dt.timedelta(days=limits.REFERENCE_LIFE_DAYS)
    return Disclosed(
        searched=searched,
        records=tuple(hit.seen for hits in learnt.values() for hit in hits),
        references=tuple(
            NewReference(
                reference_digest=hashlib.sha256(named.reference).digest(),
                holder=named.holder,
                requester=asked.requester,
                purpose=asked.purpose.value,
                modality=asked.modality.value,
                records={hit.record_id: hit.lookup for hit in learnt[named.holder]},
                expires_at=expires_at,
            )
            for named in answer.holders
            if named.reference
        ),
    )


def all_disclosed(
    found: Sequence[Disclosed], mentions: Iterable[Mention], taken: Taken
) -> Disclosed:
    """Return what all answers of a request tell of.

    Args:
        found: what each does.
        mentions: what the log tells of them.
        taken: what they take from the leak budget and from quotas.
    """
    return Disclosed(
        searched=frozenset(holder for each in found for holder in each.searched),
        records=tuple(record for each in found for record in each.records),
        references=tuple(given for each in found for given in each.references),
        mentions=tuple(mentions),
        taken=taken,
    )
