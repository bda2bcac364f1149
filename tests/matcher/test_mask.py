"""The mask on what was found: one path, and one exclusion more never tells more."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from biometrics import limits
from biometrics.disclosure import Answer, Outcome, Protection, decide
from biometrics.disclosure.agreements import Clause, Effect, Level, Purpose
from biometrics.disclosure.decision import Permission, SearchPlan
from biometrics.members import Member
from biometrics.store import Disclosed, SeenRecord
from biometrics.templates import Modality
from matcher.confirm import Hit
from matcher.telling import Asked, disclosed, learnable, told

NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
HOLDERS = [Member(f"XA{letter}") for letter in "ABCDEFG"]
REQUESTERS = [Member(code) for code in ("XBA", "XBB", "XBC")]
ENDS = [None, NOON, NOON + dt.timedelta(seconds=1)]


@st.composite
def hits(draw: st.DrawFn) -> Hit:
    """Draw a record that matches."""
    number = draw(st.integers(1, 10**6))
    expires_at = draw(st.sampled_from(ENDS))
    return Hit(
        holder=draw(st.sampled_from(HOLDERS)),
        record_id=number.to_bytes(16, "big"),
        lookup=number.to_bytes(32, "big"),
        protection=Protection(
            excluded=draw(st.frozensets(st.sampled_from(REQUESTERS))),
            expires_at=expires_at,
        ),
        seen=SeenRecord(
            template_id=number, record_tag=bytes(32), expires_at=expires_at
        ),
    )


@st.composite
def plans(draw: st.DrawFn) -> SearchPlan:
    """Draw at which level each holder answers."""
    levels = draw(st.tuples(*[st.sampled_from(Level)] * len(HOLDERS)))
    return SearchPlan(
        permissions=tuple(
            Permission(holder, level, clause(holder, level))
            for holder, level in zip(HOLDERS, levels, strict=True)
        )
    )


def clause(holder: Member, level: Level) -> Clause:
    """Return a clause, of which the answer takes no notice."""
    return Clause(
        holder=holder,
        requester=REQUESTERS[0],
        effect=Effect.PERMIT,
        purposes=frozenset({Purpose.VISA}),
        modalities=frozenset({Modality.FACE}),
        level=level,
        valid_from=NOON.date(),
        valid_until=NOON.date(),
        legal_basis="treaty",
        source=f"{holder}.toml:1",
    )


def answered(
    plan: SearchPlan,
    outcomes: dict[Member, Outcome],
    found: list[Hit],
    requester: Member,
) -> tuple[Answer, Disclosed]:
    """Return what the requester is told, and what that tells of."""
    learnt = learnable(found, requester, NOON)
    references = {
        holder: bytes(limits.REFERENCE_BYTES - 1) + b"1" for holder in HOLDERS
    }
    answer = decide(plan, told(outcomes, learnt), references)
    asked = Asked(requester, Purpose.VISA, Modality.FACE)
    return answer, disclosed(answer, learnt, asked, NOON, searched=frozenset())


def matches(answer: Answer) -> set[Member | None]:
    """Return of whom an answer says that there is a match; None for the region."""
    named = {each.holder for each in answer.holders if each.outcome is Outcome.MATCH}
    return named | ({None} if answer.regional is Outcome.MATCH else set())


some_hits = st.lists(
    hits(), min_size=1, max_size=6, unique_by=lambda hit: hit.record_id
)
some_outcomes = st.fixed_dictionaries(
    dict.fromkeys(
        HOLDERS,
        st.sampled_from([Outcome.NO_MATCH, Outcome.NO_MATCH, Outcome.NOT_COMPARABLE])
        | st.just(Outcome.UNAVAILABLE),
    )
)


@settings(max_examples=200)
@given(
    plan=plans(),
    outcomes=some_outcomes,
    found=some_hits,
    requester=st.sampled_from(REQUESTERS),
    data=st.data(),
)
def test_one_exclusion_more_never_tells_more(
    *,
    plan: SearchPlan,
    outcomes: dict[Member, Outcome],
    found: list[Hit],
    requester: Member,
    data: st.DataObject,
) -> None:
    """It takes matches and references or leaves them, and others see no difference."""
    place = data.draw(st.integers(0, len(found) - 1))
    hit = found[place]
    for other in REQUESTERS:
        protection = replace(hit.protection, excluded=hit.protection.excluded | {other})
        after = [*found]
        after[place] = replace(hit, protection=protection)
        before_told, before_of = answered(plan, outcomes, found, requester)
        after_told, after_of = answered(plan, outcomes, after, requester)
        assert matches(after_told) <= matches(before_told)
        assert set(after_of.records) <= set(before_of.records)
        assert {r.holder for r in after_of.references} <= {
            r.holder for r in before_of.references
        }
        if other != requester:
            assert (after_told, after_of) == (before_told, before_of)
        else:
            assert hit.seen not in after_of.records


@settings(max_examples=200)
@given(plans(), some_outcomes, some_hits, st.sampled_from(REQUESTERS))
def test_what_is_masked_is_as_if_it_had_not_been_found(
    plan: SearchPlan,
    outcomes: dict[Member, Outcome],
    found: list[Hit],
    requester: Member,
) -> None:
    """Excluded and expired records leave the answer of a search without them."""
    left = [
        hit
        for hit in found
        if requester not in hit.protection.excluded
        and hit.protection.expires_at != NOON
    ]
    whole = answered(plan, outcomes, found, requester)
    assert whole == answered(plan, outcomes, left, requester)
    if not left:
        assert whole[1] == Disclosed()
