"""Laws of the decision, on small random worlds, against an oracle of its own."""

import datetime as dt
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from biometrics import limits
from biometrics.calibration import EVERY_CLASS, FpirClass, Promise
from biometrics.disclosure.agreements import (
    Agreements,
    Clause,
    Effect,
    Level,
    Purpose,
)
from biometrics.disclosure.decision import Permission, explain, permit, plan_search
from biometrics.errors import RefusedError
from biometrics.members import Member
from biometrics.templates import Modality

MEMBERS = [Member(code) for code in ("XAA", "XBB", "XCC", "XDD")]
PURPOSES = [Purpose.VISA, Purpose.BORDER_CHECK]
MODALITIES = [Modality.FACE, Modality.IRIS]
DAYS = [dt.date(2026, 1, day) for day in (1, 2, 3, 4)]
Question = tuple[Member, Member, Purpose, Modality, dt.date]
QUESTIONS: list[Question] = list(product(MEMBERS, MEMBERS, PURPOSES, MODALITIES, DAYS))

days = st.sampled_from(DAYS)
some_purposes = st.frozensets(st.sampled_from(PURPOSES), min_size=1)
some_modalities = st.frozensets(st.sampled_from(MODALITIES), min_size=1)
lines = st.integers(1, 9).map(lambda line: f"agreements.toml:{line}")
promises = st.builds(
    Promise, fpir=st.sampled_from(FpirClass), measured_only=st.booleans()
)
pairs = st.permutations(MEMBERS).map(lambda order: tuple(order[:2]))


@st.composite
def permits(draw: st.DrawFn):
    """Draw a permission."""
    holder, requester = draw(pairs)
    start, end = sorted([draw(days), draw(days)])
    return Clause(
        holder=holder,
        requester=requester,
        effect=Effect.PERMIT,
        purposes=draw(some_purposes),
        modalities=draw(some_modalities),
        level=draw(st.sampled_from(Level)),
        valid_from=start,
        valid_until=end,
        legal_basis="treaty",
        source=draw(lines),
        promise=draw(promises),
    )


@st.composite
def forbids(draw: st.DrawFn):
    """Draw a prohibition, for one requester or for everybody."""
    holder, requester = draw(pairs)
    start, end = sorted([draw(days), draw(days)])
    return Clause(
        holder=holder,
        requester=draw(st.sampled_from([requester, None])),
        effect=Effect.FORBID,
        purposes=draw(some_purposes),
        modalities=draw(some_modalities),
        level=None,
        valid_from=draw(st.sampled_from([start, None])),
        valid_until=draw(st.sampled_from([end, None])),
        legal_basis="reason",
        source=draw(lines),
    )


classes = st.frozensets(st.sampled_from(FpirClass))
worlds = st.lists(permits() | permits() | forbids(), max_size=12)


def ask(
    agreements: Agreements,
    question: Question,
    established: frozenset[FpirClass] = EVERY_CLASS,
):
    """Return what the product decides on one question."""
    holder, requester, purpose, modality, today = question
    return permit(
        agreements,
        holder=holder,
        requester=requester,
        purpose=purpose,
        modality=modality,
        today=today,
        established=established,
    )


def oracle(
    clauses: list[Clause],
    question: Question,
    established: frozenset[FpirClass] = EVERY_CLASS,
):
    """Return the level that plain reading gives, or None; slow and obvious."""
    holder, requester, purpose, modality, today = question
    best = None
    for clause in clauses:
        if clause.holder != holder or clause.requester not in (requester, None):
            continue
        if purpose not in clause.purposes or modality not in clause.modalities:
            continue
        if clause.valid_from is not None and today < clause.valid_from:
            continue
        if clause.valid_until is not None and today > clause.valid_until:
            continue
        if clause.effect == Effect.FORBID:
            return None
        if clause.promise.measured_only and clause.promise.fpir not in established:
            continue
        order = ["presence", "holder", "reference"]
        level = order.index(clause.level.value)
        best = level if best is None else max(best, level)
    return best


def told(permission: Permission | None):
    """Return how much a permission tells: 0 for none."""
    return 0 if permission is None else 1 + permission.level.rank


@settings(max_examples=60)
@given(worlds, classes)
def test_decision_agrees_with_a_plain_reading_of_the_clauses(
    clauses: list[Clause], established: frozenset[FpirClass]
):
    """Every question of a small world has the answer of the naive oracle."""
    agreements = Agreements(clauses)
    for question in QUESTIONS:
        permission = ask(agreements, question, established)
        expected = oracle(clauses, question, established)
        assert (permission and permission.level.rank) == expected
        if permission is not None:
            assert permission.holder == question[0]
            assert permission.clause in clauses
            assert permission.clause.level is permission.level


@settings(max_examples=40)
@given(worlds, forbids())
def test_one_prohibition_more_never_tells_more(
    clauses: list[Clause], prohibition: Clause
):
    """Adding a forbid takes or leaves, and never gives."""
    before, after = Agreements(clauses), Agreements([*clauses, prohibition])
    for question in QUESTIONS:
        assert told(ask(after, question)) <= told(ask(before, question))


@settings(max_examples=40)
@given(worlds, permits(), st.integers(0, 12))
def test_one_permission_less_never_tells_more(
    clauses: list[Clause], permission: Clause, place: int
):
    """Removing a permit takes or leaves, and never gives."""
    before = Agreements([*clauses[:place], permission, *clauses[place:]])
    after = Agreements(clauses)
    for question in QUESTIONS:
        assert told(ask(after, question)) <= told(ask(before, question))


@settings(max_examples=40)
@given(worlds, classes, st.sampled_from(FpirClass))
def test_one_class_more_never_tells_less(
    clauses: list[Clause], established: frozenset[FpirClass], more: FpirClass
):
    """A better calibration gives or leaves, and never takes."""
    agreements = Agreements(clauses)
    for question in QUESTIONS:
        before = ask(agreements, question, established)
        assert told(ask(agreements, question, established | {more})) >= told(before)


# Six holders, so that a group of unnamed ones begins and ceases to be answered.
GROUP = [Member(f"XP{letter}") for letter in "ABCDEF"]
in_group = st.builds(
    lambda clause, holder, level: replace(
        clause,
        holder=holder,
        requester=MEMBERS[0],
        level=level,
        purposes=frozenset(PURPOSES),
        modalities=frozenset(MODALITIES),
        valid_from=DAYS[0],
        valid_until=DAYS[-1],
    ),
    permits(),
    st.sampled_from(GROUP),
    st.sampled_from([Level.PRESENCE, Level.PRESENCE, Level.HOLDER]),
)
group_worlds = st.builds(
    lambda first, more: [
        *(replace(first, holder=holder, level=Level.PRESENCE) for holder in GROUP[:5]),
        *more,
    ],
    in_group,
    st.lists(in_group, max_size=4),
)


def searched(clauses: list[Clause], holders: frozenset[Member]):
    """Return the level at each holder that a search by the first member reaches."""
    try:
        plan = plan_search(
            Agreements(clauses),
            requester=MEMBERS[0],
            purpose=PURPOSES[0],
            modalities=[MODALITIES[0]],
            today=DAYS[1],
            holders=holders,
            excluded=frozenset(),
            established=EVERY_CLASS,
        )
    except RefusedError:
        return {}
    return {each.holder: each.level for each in plan.permissions}


@settings(max_examples=100)
@given(
    group_worlds,
    forbids(),
    st.sampled_from(GROUP),
    st.frozensets(st.sampled_from(GROUP), max_size=2),
)
def test_one_prohibition_more_never_makes_a_search_reach_further(
    clauses: list[Clause],
    prohibition: Clause,
    holder: Member,
    holders: frozenset[Member],
):
    """Nor tell more at a holder that it reaches, whoever is named."""
    prohibition = replace(prohibition, holder=holder, requester=None)
    before = searched(clauses, holders)
    after = searched([*clauses, prohibition], holders)
    assert after.keys() <= before.keys()
    assert all(after[each] <= before[each] for each in after)


@settings(max_examples=100)
@given(group_worlds, st.data(), st.frozensets(st.sampled_from(GROUP), max_size=2))
def test_one_permission_less_never_makes_a_search_reach_further(
    clauses: list[Clause], data: st.DataObject, holders: frozenset[Member]
):
    """Nor tell more at a holder that it reaches, though a group may fall apart.

    One case is apart: see the test below.
    """
    place = data.draw(st.integers(0, len(clauses) - 1))
    fewer = [*clauses[:place], *clauses[place + 1 :]]
    holder = clauses[place].holder
    assume(not (_is_named(clauses, holder) and _is_unnamed(fewer, holder)))
    before, after = searched(clauses, holders), searched(fewer, holders)
    assert after.keys() <= before.keys()
    assert all(after[each] <= before[each] for each in after)


def _level_of(clauses: list[Clause], holder: Member) -> Level | None:
    """Return what the holder lets the first member learn."""
    question = (holder, MEMBERS[0], PURPOSES[0], MODALITIES[0], DAYS[1])
    permission = ask(Agreements(clauses), question)
    return permission.level if permission else None


def _is_named(clauses: list[Clause], holder: Member) -> bool:
    return _level_of(clauses, holder) not in (None, Level.PRESENCE)


def _is_unnamed(clauses: list[Clause], holder: Member) -> bool:
    return _level_of(clauses, holder) is Level.PRESENCE


def test_who_falls_back_to_presence_joins_the_group():
    """One permission less, and a group of five is answered where four were not.

    This follows from answering groups only: of the holder itself less is told, and of
    the others what they have agreed to. `diff` tells it in a line of its own.
    """

    def clause(number: int, level: Level) -> Clause:
        return Clause(
            holder=GROUP[number],
            requester=MEMBERS[0],
            effect=Effect.PERMIT,
            purposes=frozenset(PURPOSES),
            modalities=frozenset(MODALITIES),
            level=level,
            valid_from=DAYS[0],
            valid_until=DAYS[-1],
            legal_basis="treaty",
            source="agreements.toml:1",
        )

    unnamed = [clause(number, Level.PRESENCE) for number in range(5)]
    named = clause(0, Level.HOLDER)
    assert searched([*unnamed, named], frozenset()) == {GROUP[0]: Level.HOLDER}
    assert searched(unnamed, frozenset()) == dict.fromkeys(GROUP[:5], Level.PRESENCE)


@settings(max_examples=40)
@given(st.data())
def test_order_of_clauses_changes_nothing(data: st.DataObject):
    """Any permutation gives the same clauses, decisions and citations."""
    clauses = data.draw(worlds)
    agreements = Agreements(clauses)
    shuffled = Agreements(data.draw(st.permutations(clauses)))
    assert shuffled.clauses == agreements.clauses
    for question in QUESTIONS:
        assert ask(shuffled, question) == ask(agreements, question)


@settings(max_examples=40)
@given(worlds)
def test_explanation_never_differs_from_the_decision(clauses: list[Clause]):
    """What explain reports is what permit decides, and it cites a real clause."""
    agreements = Agreements(clauses)
    sources = {clause.source for clause in clauses}
    for question in QUESTIONS:
        holder, requester, purpose, modality, today = question
        explanation = explain(
            agreements,
            holder=holder,
            requester=requester,
            purpose=purpose,
            modality=modality,
            today=today,
        )
        permission = ask(agreements, question)
        assert explanation.permission == permission
        if permission is not None:
            assert explanation.decided_by == permission.clause.source
        assert explanation.decided_by in {"", *sources}
        assert explanation.decided_by in explanation.text


@settings(max_examples=60)
@given(worlds, st.frozensets(st.sampled_from(MEMBERS)))
def test_plan_holds_exactly_what_is_permitted_or_refuses(
    clauses: list[Clause], holders: frozenset[Member]
):
    """A plan never has a holder that permit denies, and refusals read the same."""
    agreements = Agreements(clauses)
    for requester, purpose, modality, today in product(
        MEMBERS, PURPOSES, MODALITIES, DAYS
    ):
        expected = [
            permission
            for holder in MEMBERS
            if (not holders or holder in holders)
            and (
                permission := ask(
                    agreements, (holder, requester, purpose, modality, today)
                )
            )
            and permission.level is not Level.PRESENCE
        ]
        # Three other members can never make a group of unnamed ones.
        assert len(MEMBERS) - 1 < limits.MIN_PRESENCE_HOLDERS
        refused = not expected or (holders and len(expected) != len(holders))
        search = partial(
            plan_search,
            agreements,
            requester=requester,
            purpose=purpose,
            modalities=[modality],
            today=today,
            holders=holders,
            excluded=frozenset(),
            established=EVERY_CLASS,
        )
        if refused:
            with pytest.raises(RefusedError):
                search()
        else:
            assert list(search().permissions) == expected


@settings(max_examples=60)
@given(worlds, classes)
def test_several_modalities_together_never_tell_more_than_each(
    clauses: list[Clause], established: frozenset[FpirClass]
):
    """A holder is asked if it permits all, at the least level and strictest promise."""
    agreements = Agreements(clauses)
    for requester, purpose in product(MEMBERS, PURPOSES):
        try:
            plan = plan_search(
                agreements,
                requester=requester,
                purpose=purpose,
                modalities=MODALITIES,
                today=DAYS[1],
                holders=frozenset(),
                excluded=frozenset(),
                established=established,
            )
        except RefusedError:
            continue
        for found in plan.permissions:
            alone = [
                ask(
                    agreements,
                    (found.holder, requester, purpose, modality, DAYS[1]),
                    established,
                )
                for modality in MODALITIES
            ]
            granted = [each for each in alone if each is not None]
            assert len(granted) == len(MODALITIES)
            assert found.level == min(each.level for each in granted)
            rates = [each.promise.fpir.rate for each in granted]
            assert found.promise.fpir.rate == min(rates)
            assert set(found.clauses) == {each.clause for each in granted}


@settings(max_examples=60)
@given(worlds, *[st.frozensets(st.sampled_from(MEMBERS))] * 2, st.sampled_from(MEMBERS))
def test_one_mark_more_never_searches_more(
    clauses: list[Clause],
    holders: frozenset[Member],
    marked: frozenset[Member],
    more: Member,
):
    """A probe is compared at its holders but those it is marked for, level and all."""
    agreements = Agreements(clauses)

    def search(requester: Member, excluded: frozenset[Member]) -> set[Permission]:
        try:
            made = plan_search(
                agreements,
                requester=requester,
                purpose=PURPOSES[0],
                modalities=[MODALITIES[0]],
                today=DAYS[1],
                holders=holders,
                excluded=excluded,
                established=EVERY_CLASS,
            )
        except RefusedError:
            return set()
        return set(made.permissions)

    for requester in MEMBERS:
        whole = search(requester, frozenset())
        before, after = search(requester, marked), search(requester, marked | {more})
        assert before == {each for each in whole if each.holder not in marked}
        assert after == {each for each in before if each.holder != more}


@given(permits(), days)
def test_last_day_counts_and_the_next_does_not(clause: Clause, end: dt.date):
    """A permission holds on its last day, in UTC, and not on the day after."""
    clause = replace(clause, valid_from=DAYS[0], valid_until=end)
    agreements = Agreements([clause])
    (purpose, *_), (modality, *_) = clause.purposes, clause.modalities
    question = (clause.holder, clause.requester, purpose, modality)
    assert ask(agreements, (*question, end)) is not None
    assert ask(agreements, (*question, end + dt.timedelta(days=1))) is None
    assert ask(agreements, (*question, DAYS[0])) is not None
    assert ask(agreements, (*question, DAYS[0] - dt.timedelta(days=1))) is None
