"""The decision, case by case: plans, refusals, explanations and answers."""

import datetime as dt
import inspect
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import product

import pytest

from biometrics import limits
from biometrics.calibration import EVERY_CLASS, FpirClass, Promise
from biometrics.disclosure.agreements import (
    Agreements,
    Clause,
    Effect,
    Level,
    Purpose,
    parse_version,
)
from biometrics.disclosure.decision import (
    HolderAnswer,
    Outcome,
    Protection,
    SearchPlan,
    decide,
    explain,
    may_learn,
    permit,
    plan_search,
    refusal,
)
from biometrics.errors import DefectError, RefusedError
from biometrics.members import Member
from biometrics.templates import Modality

TODAY = dt.date(2026, 6, 1)
NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
ASKER = Member("XZZ")
NAMED, CITED = Member("XAA"), Member("XBB")
UNNAMED = [Member(f"XP{letter}") for letter in "ABCDEF"]
MATCH, NO_MATCH = Outcome.MATCH, Outcome.NO_MATCH
UNAVAILABLE, NOT_COMPARABLE = Outcome.UNAVAILABLE, Outcome.NOT_COMPARABLE
REFERENCE = bytes(range(limits.REFERENCE_BYTES))


def permission(holder: Member, level: Level, requester: Member = ASKER):
    """Return a clause that permits one face search purpose for 2026."""
    return Clause(
        holder=holder,
        requester=requester,
        effect=Effect.PERMIT,
        purposes=frozenset({Purpose.VISA}),
        modalities=frozenset({Modality.FACE}),
        level=level,
        valid_from=dt.date(2026, 1, 1),
        valid_until=dt.date(2026, 12, 31),
        legal_basis="treaty, article 4",
        source=f"{holder}.toml:5",
    )


def prohibition(holder: Member, requester: Member | None):
    """Return a clause that forbids every face search for a visa, for ever."""
    return Clause(
        holder=holder,
        requester=requester,
        effect=Effect.FORBID,
        purposes=frozenset({Purpose.VISA}),
        modalities=frozenset({Modality.FACE}),
        level=None,
        valid_from=None,
        valid_until=None,
        legal_basis="under review",
        source=f"{holder}.toml:9",
    )


def plan(
    clauses: list[Clause],
    *holders: Member,
    today: dt.date = TODAY,
    requester: Member = ASKER,
    excluded: Collection[Member] = (),
    established: Collection[FpirClass] = (),
):
    """Return the plan of a face search for a visa."""
    return plan_search(
        Agreements(clauses),
        requester=requester,
        purpose=Purpose.VISA,
        modalities=[Modality.FACE],
        today=today,
        holders=frozenset(holders),
        excluded=frozenset(excluded),
        established=established,
    )


def told(clauses: list[Clause], holder: Member, today: dt.date = TODAY):
    """Return the explanation of a face search for a visa."""
    return explain(
        Agreements(clauses),
        holder=holder,
        requester=ASKER,
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=today,
    )


def searched(plan: SearchPlan):
    """Return the holders of a plan."""
    return [permission.holder for permission in plan.permissions]


def presence(count: int):
    """Return clauses of so many holders at the level presence."""
    return [permission(holder, Level.PRESENCE) for holder in UNNAMED[:count]]


def test_no_agreements_permit_nothing():
    """With no clause at all every question is answered no."""
    for purpose in Purpose:
        for modality in Modality:
            assert (
                permit(
                    Agreements([]),
                    holder=NAMED,
                    requester=ASKER,
                    purpose=purpose,
                    modality=modality,
                    today=TODAY,
                )
                is None
            )


def test_every_refusal_reads_the_same():
    """No cause of a refusal can be told from another."""
    mixed = [permission(NAMED, Level.HOLDER), *presence(5)]
    causes = {
        "no clause at all": ([], ()),
        "other named holder": (mixed, (NAMED, CITED)),
        "holder that no agreement knows": (mixed, (Member("XYY"),)),
        "holder at presence": (mixed, (UNNAMED[0],)),
        "holder that forbids": ([*mixed, prohibition(NAMED, ASKER)], (NAMED,)),
        "holder that forbids all": ([*mixed, prohibition(NAMED, None)], (NAMED,)),
        "too few at presence": (presence(4), ()),
        "the requester itself": (mixed, (ASKER,)),
    }
    texts = set()
    for clauses, holders in causes.values():
        with pytest.raises(RefusedError) as refused:
            plan(clauses, *holders)
        texts.add((refused.value.reason, refused.value.message, refused.value.faults))
    for marked in ([NAMED, UNNAMED[0]], [NAMED, *UNNAMED]):
        with pytest.raises(RefusedError) as refused:
            plan(mixed, excluded=marked)
        texts.add((refused.value.reason, refused.value.message, refused.value.faults))
    with pytest.raises(RefusedError) as late:
        plan(mixed, NAMED, today=dt.date(2027, 1, 1))
    texts.add((late.value.reason, late.value.message, late.value.faults))
    texts.add((refusal().reason, refusal().message, ()))
    assert len(texts) == 1
    (text,) = texts
    assert not any(member.code in text[1] for member in (NAMED, CITED, *UNNAMED))


def test_plan_without_names_takes_all_permitted_by_code():
    """Every permitted holder is searched, in the order of codes."""
    clauses = [permission(CITED, Level.REFERENCE), permission(NAMED, Level.HOLDER)]
    assert searched(plan(clauses)) == [NAMED, CITED]


def test_plan_with_names_takes_those_alone():
    """A holder that is not named is not searched."""
    clauses = [permission(CITED, Level.REFERENCE), permission(NAMED, Level.HOLDER)]
    assert searched(plan(clauses, CITED)) == [CITED]


@pytest.mark.parametrize(("count", "taken"), [(4, 0), (5, 5), (6, 6)])
def test_presence_counts_only_in_a_group(count: int, taken: int):
    """Fewer than five unnamed holders are left out, and the named are searched."""
    found = searched(plan([permission(NAMED, Level.HOLDER), *presence(count)]))
    assert found == [NAMED, *UNNAMED[:taken]]


def test_presence_takes_no_part_in_a_search_of_named_holders():
    """Naming a holder leaves the unnamed group out."""
    clauses = [permission(NAMED, Level.HOLDER), *presence(6)]
    assert searched(plan(clauses, NAMED)) == [NAMED]


@pytest.mark.parametrize("more", [[], [NAMED]])
def test_presence_holders_cannot_be_asked_by_name(more: list[Member]):
    """However many there are, and whoever is named beside them."""
    clauses = [*presence(6), permission(NAMED, Level.HOLDER)]
    with pytest.raises(RefusedError) as caught:
        plan(clauses, *UNNAMED, *more)
    assert caught.value.reason == "NOT_PERMITTED"


@pytest.mark.parametrize("names", [(), (NAMED, CITED)])
def test_a_marked_probe_is_not_compared_at_its_holders(names: tuple[Member, ...]):
    """Also where they are named, and whoever else is marked for."""
    clauses = [permission(CITED, Level.REFERENCE), permission(NAMED, Level.HOLDER)]
    for marked in ([CITED], [CITED, ASKER, Member("XYY")]):
        assert searched(plan(clauses, *names, excluded=marked)) == [NAMED]


def test_a_mark_makes_no_holder_permitted():
    """A named holder that permits nothing refuses the search, marked or not."""
    for marked in ([], [CITED]):
        with pytest.raises(RefusedError):
            plan([permission(NAMED, Level.HOLDER)], NAMED, CITED, excluded=marked)


@pytest.mark.parametrize("count", [5, 6])
def test_a_probe_marked_for_one_of_the_unnamed_is_compared_with_none(count: int):
    """A group without it could be subtracted from the whole, which would name it."""
    clauses = [permission(NAMED, Level.HOLDER), *presence(count)]
    assert searched(plan(clauses, excluded=[UNNAMED[0]])) == [NAMED]
    others = [CITED, NAMED, ASKER]
    assert searched(plan(clauses, excluded=others)) == UNNAMED[:count]


def test_presence_group_alone_can_be_searched():
    """Five unnamed holders make a plan without any named one."""
    assert searched(plan(presence(5))) == UNNAMED[:5]


def test_the_level_that_tells_most_wins():
    """Of several permissions the highest level counts, whatever their order."""
    clauses = [permission(NAMED, level) for level in Level]
    for order in (clauses, clauses[::-1]):
        assert plan(order).permissions[0].level is Level.REFERENCE


def test_explanation_of_a_permission_names_file_and_line():
    """It cites the clause, its level and its legal basis."""
    explanation = told([permission(NAMED, Level.HOLDER)], NAMED)
    assert explanation.decided_by == "XAA.toml:5"
    assert explanation.permission is not None
    assert explanation.text == (
        "`XAA.toml:5` permits a search of XAA by XZZ for `visa` with `face` at level"
        " `holder`, FPIR 1e-3, 20,000 searches a day; legal basis: treaty, article 4"
    )


@pytest.mark.parametrize("requester", [ASKER, None])
def test_explanation_of_a_prohibition_names_file_and_line(requester: Member | None):
    """It cites the clause that forbids, though another permits."""
    clauses = [permission(NAMED, Level.HOLDER), prohibition(NAMED, requester)]
    explanation = told(clauses, NAMED)
    assert explanation.decided_by == "XAA.toml:9"
    assert explanation.permission is None
    assert "forbids" in explanation.text
    assert explanation.text.endswith("reason: under review")


def test_prohibition_for_all_is_cited_where_nothing_was_permitted():
    """A forbid of `*` decides also for a requester that no clause names."""
    assert told([prohibition(NAMED, None)], NAMED).decided_by == "XAA.toml:9"


def test_explanation_of_silence_cites_no_clause():
    """Default deny has no line to cite."""
    explanation = told([], NAMED)
    assert explanation.decided_by == ""
    assert explanation.text == (
        "no clause permits a search of XAA by XZZ for `visa` with `face` on"
        " 2026-06-01: refused by default"
    )


def test_explanation_of_a_lapsed_permission_says_when_it_held():
    """A signer sees that the clause is there but out of its days."""
    clauses = [permission(NAMED, Level.HOLDER)]
    explanation = told(clauses, NAMED, today=dt.date(2027, 1, 1))
    assert explanation.decided_by == ""
    assert "`XAA.toml:5` covers it, but only from 2026-01-01" in explanation.text


def test_explanation_of_the_own_gallery():
    """A member that asks about itself is told that it is never searched."""
    assert "own gallery is not searched" in told([], ASKER).text


def test_explanation_takes_its_line_from_the_file():
    """The line is that of the table's header in the text that was read."""
    text = """version = 1
holder = "XAA"
revision = 1
dated = 2026-01-01T00:00:00Z

# [[permit]] in a comment is no clause
[[permit]]
requester = "XZZ"
purposes = ["visa"]
modalities = ["face"]
level = "holder"
valid_from = 2026-01-01
valid_until = 2026-12-31
legal_basis = "treaty"
"""
    clauses = parse_version(text, "agreements/XAA.toml").clauses
    assert told(clauses, NAMED).decided_by == "agreements/XAA.toml:7"


@pytest.mark.parametrize(
    ("excluded", "expires_at", "learns"),
    [
        ([], None, True),
        ([NAMED], None, True),
        ([ASKER], None, False),
        ([NAMED, ASKER], None, False),
        ([], NOON + dt.timedelta(microseconds=1), True),
        ([], NOON, False),
        ([], NOON - dt.timedelta(microseconds=1), False),
        ([ASKER], NOON - dt.timedelta(days=1), False),
        ([ASKER], NOON + dt.timedelta(days=1), False),
    ],
)
def test_protection_hides_excluded_and_expired_records(
    excluded: list[Member], expires_at: dt.datetime | None, *, learns: bool
):
    """An excluded requester learns nothing; nobody does from the expiry on."""
    protection = Protection(excluded=frozenset(excluded), expires_at=expires_at)
    assert may_learn(protection, requester=ASKER, now=NOON) is learns


def test_named_answers_follow_their_level():
    """A reference is given only for a match at the level reference."""
    made = plan([permission(CITED, Level.REFERENCE), permission(NAMED, Level.HOLDER)])
    references = dict.fromkeys([NAMED, CITED, ASKER], REFERENCE)
    answer = decide(made, {NAMED: MATCH, CITED: MATCH}, references)
    assert answer.regional is MATCH
    assert answer.holders == (
        HolderAnswer(holder=NAMED, outcome=MATCH, reference=b""),
        HolderAnswer(holder=CITED, outcome=MATCH, reference=REFERENCE),
    )


@pytest.mark.parametrize("outcome", [NO_MATCH, UNAVAILABLE, NOT_COMPARABLE])
def test_no_reference_without_a_match(outcome: Outcome):
    """A reference that is at hand stays unsaid where there is no match."""
    made = plan([permission(CITED, Level.REFERENCE)])
    answer = decide(made, {CITED: outcome}, {CITED: REFERENCE})
    assert answer.holders[0].reference == b""
    assert answer.regional is outcome


def test_answers_stand_in_the_order_of_codes():
    """The order of a plan tells nothing."""
    made = plan([permission(CITED, Level.HOLDER), permission(NAMED, Level.HOLDER)])
    turned = SearchPlan(permissions=made.permissions[::-1])
    answer = decide(turned, {}, {})
    assert [each.holder for each in answer.holders] == [NAMED, CITED]


def test_missing_outcome_is_an_outage():
    """A holder that did not answer is UNAVAILABLE, never NO_MATCH."""
    made = plan([permission(NAMED, Level.HOLDER), permission(CITED, Level.HOLDER)])
    answer = decide(made, {NAMED: NO_MATCH}, {})
    assert [each.outcome for each in answer.holders] == [NO_MATCH, UNAVAILABLE]
    assert answer.regional is UNAVAILABLE


def test_outcome_outside_the_plan_is_not_told():
    """A holder that was not to be searched cannot show in the answer."""
    made = plan([permission(NAMED, Level.HOLDER)])
    answer = decide(made, {NAMED: NO_MATCH, CITED: MATCH}, {CITED: REFERENCE})
    assert answer == decide(made, {NAMED: NO_MATCH}, {})


@pytest.mark.parametrize(
    ("named", "unnamed", "regional"),
    [
        (NO_MATCH, [NO_MATCH] * 5, NO_MATCH),
        (NO_MATCH, [MATCH] + [NO_MATCH] * 4, MATCH),
        (MATCH, [NO_MATCH] * 5, MATCH),
        (NOT_COMPARABLE, [NO_MATCH] * 5, NO_MATCH),
        (NOT_COMPARABLE, [NOT_COMPARABLE] * 5, NOT_COMPARABLE),
        (UNAVAILABLE, [NO_MATCH] * 5, UNAVAILABLE),
        (UNAVAILABLE, [MATCH] + [NO_MATCH] * 4, MATCH),
        # An outage among the unnamed hides everything, a named match too.
        (MATCH, [UNAVAILABLE] + [NO_MATCH] * 4, UNAVAILABLE),
        (NO_MATCH, [UNAVAILABLE, MATCH] + [NO_MATCH] * 3, UNAVAILABLE),
        # Only four can be compared: as if the group had not been searched.
        (NO_MATCH, [MATCH] * 4 + [NOT_COMPARABLE], NO_MATCH),
        (NO_MATCH, [UNAVAILABLE] * 4 + [NOT_COMPARABLE], NO_MATCH),
        (NOT_COMPARABLE, [MATCH] * 4 + [NOT_COMPARABLE], NOT_COMPARABLE),
        # Five of six can be compared: the group counts.
        (NO_MATCH, [MATCH] + [NO_MATCH] * 4 + [NOT_COMPARABLE], MATCH),
        (MATCH, [UNAVAILABLE] * 5 + [NOT_COMPARABLE], UNAVAILABLE),
    ],
)
def test_regional_outcome(named: Outcome, unnamed: list[Outcome], regional: Outcome):
    """The unnamed count as a large group or not at all; outages are told."""
    made = plan([permission(NAMED, Level.HOLDER), *presence(len(unnamed))])
    outcomes = {NAMED: named, **dict(zip(UNNAMED, unnamed, strict=False))}
    answer = decide(made, outcomes, {})
    assert answer.regional is regional
    assert [each.holder for each in answer.holders] == [NAMED]


@pytest.mark.parametrize(
    ("outcome", "reference"), [(MATCH, b"short"), (NO_MATCH, REFERENCE)]
)
def test_an_answer_cannot_carry_a_wrong_reference(outcome: Outcome, reference: bytes):
    """A reference has one length and goes with a match, or it is a defect."""
    with pytest.raises(DefectError, match="a reference is 16 bytes"):
        HolderAnswer(holder=NAMED, outcome=outcome, reference=reference)


def test_an_answer_has_no_place_for_a_score():
    """The answer's fields are outcome, holder and reference, and nothing else."""
    assert set(HolderAnswer.__slots__) == {"holder", "outcome", "reference"}


def promised(
    level: Level, fpir: FpirClass, holder: Member = NAMED, *, measured_only: bool = True
):
    """Return a permission that promises an error rate."""
    promise = Promise(fpir=fpir, measured_only=measured_only)
    return replace(permission(holder, level), promise=promise)


def test_a_promise_that_cannot_be_kept_permits_nothing():
    """Where the rate is established it permits, and else another line decides."""
    strict = promised(Level.REFERENCE, FpirClass.THOUSANDTH)
    assert searched(plan([strict], established={FpirClass.THOUSANDTH})) == [NAMED]
    assert plan([strict, permission(NAMED, Level.HOLDER)]).permissions[0].level is (
        Level.HOLDER
    )
    with pytest.raises(RefusedError) as refused:
        plan([strict], established={FpirClass.HUNDREDTH})
    assert refused.value.reason == "FPIR_NOT_ESTABLISHED"


@pytest.mark.parametrize("holders", [(), (NAMED,)])
def test_the_reason_is_told_only_where_it_is_the_reason(holders: tuple[Member, ...]):
    """What would not be permitted anyway is refused in the one text for all."""
    strict = promised(Level.HOLDER, FpirClass.THOUSANDTH)
    for clauses in (
        [strict, prohibition(NAMED, ASKER)],
        [promised(Level.PRESENCE, FpirClass.THOUSANDTH)],
    ):
        with pytest.raises(RefusedError) as refused:
            plan(clauses, *holders)
        assert refused.value.message == refusal().message
    with pytest.raises(RefusedError) as refused:
        plan([strict, permission(CITED, Level.HOLDER)], NAMED, CITED)
    assert refused.value.reason == "FPIR_NOT_ESTABLISHED"


def test_a_holder_whose_promise_cannot_be_kept_is_missing_among_others():
    """The others are searched, as where it permits nothing."""
    clauses = [
        promised(Level.HOLDER, FpirClass.THOUSANDTH),
        permission(CITED, Level.HOLDER),
    ]
    assert searched(plan(clauses)) == [CITED]


def test_of_one_level_the_promise_that_lets_most_match_counts():
    """So that taking a line back never lets more match."""
    lax = promised(Level.HOLDER, FpirClass.HUNDREDTH, measured_only=False)
    strict = promised(Level.HOLDER, FpirClass.TEN_THOUSANDTH, measured_only=False)
    for clauses in ([lax, strict], [strict, lax]):
        (found,) = plan(clauses).permissions
        assert found.promise == lax.promise


def test_explanation_says_which_promise_cannot_be_kept():
    """By line and class, where nothing else permits."""
    strict = promised(Level.HOLDER, FpirClass.TEN_THOUSANDTH)
    explanation = explain(
        Agreements([strict]),
        holder=NAMED,
        requester=ASKER,
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=TODAY,
        established=(),
    )
    assert explanation.permission is None
    assert explanation.text.endswith(
        "refused by default; `XAA.toml:5` would, but demands a measured FPIR of 1e-4,"
        " which no calibration supports now"
    )


def test_an_explanation_goes_on_behind_a_promise_that_cannot_be_kept():
    """Another line decides, and is cited, though it tells less."""
    strict = promised(Level.REFERENCE, FpirClass.TEN_THOUSANDTH)
    lax = replace(promised(Level.HOLDER, FpirClass.HUNDREDTH), source=f"{NAMED}.toml:9")
    explanation = explain(
        Agreements([strict, lax]),
        holder=NAMED,
        requester=ASKER,
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=TODAY,
        established={FpirClass.HUNDREDTH},
    )
    assert explanation.decided_by == lax.source
    assert explanation.permission is not None
    assert explanation.permission.level is Level.HOLDER


def test_of_two_promises_that_differ_in_what_they_demand_the_lax_one_counts():
    """In whatever order they stand: it tells more often."""
    lax = promised(Level.HOLDER, FpirClass.THOUSANDTH, measured_only=False)
    strict = replace(
        promised(Level.HOLDER, FpirClass.THOUSANDTH), source=f"{NAMED}.toml:3"
    )
    for clauses in ([lax, strict], [strict, lax]):
        found = permit(
            Agreements(clauses),
            holder=NAMED,
            requester=ASKER,
            purpose=Purpose.VISA,
            modality=Modality.FACE,
            today=TODAY,
        )
        assert found is not None
        assert found.clause == lax


def test_of_two_quotas_the_larger_counts():
    """In whatever order they stand."""
    few = replace(permission(NAMED, Level.HOLDER), quota_per_day=5)
    many = replace(few, quota_per_day=6, source=f"{NAMED}.toml:9")
    (first, _) = Agreements([few, many]).about(
        NAMED, ASKER, Purpose.VISA, Modality.FACE
    )
    assert first == many


def test_what_a_clause_is_counted_under_has_the_length_of_an_id():
    """The same for whatever level, days and source; another for another holder."""
    one = permission(NAMED, Level.HOLDER)
    assert len(one.use) == 16
    assert one.use == replace(one, level=Level.PRESENCE, source="x").use
    assert one.use != permission(CITED, Level.HOLDER).use
    everybody = prohibition(NAMED, None)
    assert everybody.use not in {one.use, prohibition(NAMED, ASKER).use}


@pytest.mark.parametrize("causes", [*product((False, True), repeat=4)])
def test_nobody_learns_of_a_record_for_which_there_is_any_cause(
    causes: tuple[bool, bool, bool, bool],
):
    """However many causes there are: none takes another back."""
    is_excluded, has_expired, is_frozen, is_canary = causes
    protection = Protection(
        excluded=frozenset({ASKER}) if is_excluded else frozenset(),
        expires_at=NOON if has_expired else None,
        is_canary=is_canary,
    )
    learns = may_learn(protection, requester=ASKER, now=NOON, is_frozen=is_frozen)
    assert learns is not any(causes)


@pytest.mark.parametrize("question", [permit, explain, plan_search, may_learn])
def test_who_asks_and_who_is_asked_cannot_be_mixed_up(question: Callable[..., object]):
    """Every part of a question but the first has its name."""
    _, *others = inspect.signature(question).parameters.values()
    assert {each.kind for each in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_an_explanation_names_one_clause_that_is_not_in_force():
    """Of several the first; the others would say the same."""
    ended = replace(permission(NAMED, Level.HOLDER), valid_until=dt.date(2026, 5, 1))
    others = [ended, replace(ended, source=f"{NAMED}.toml:20")]
    found = explain(
        Agreements(others),
        holder=NAMED,
        requester=ASKER,
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=TODAY,
    )
    assert found.text.count("covers it, but only from 2026-01-01") == 1


@pytest.mark.parametrize("part", ["valid_from", "valid_until"])
def test_clauses_that_differ_in_one_day_alone_have_one_order(part: str):
    """Whichever is read first, or the digest of a listing would change."""
    one = permission(NAMED, Level.HOLDER)
    other = replace(one, **{part: dt.date(2026, 6, 6)})
    assert Agreements([one, other]).clauses == Agreements([other, one]).clauses
    endless = replace(prohibition(NAMED, ASKER), **{part: dt.date(2026, 6, 6)})
    some = [prohibition(NAMED, ASKER), endless]
    assert Agreements(some).clauses == Agreements(some[::-1]).clauses


def test_of_one_level_the_promise_that_lets_most_match_stands_first():
    """Whatever the order in the file, and then the days."""
    lax = promised(Level.HOLDER, FpirClass.HUNDREDTH)
    strict = replace(
        promised(Level.HOLDER, FpirClass.TEN_THOUSANDTH), source=f"{NAMED}.toml:1"
    )
    about = NAMED, ASKER, Purpose.VISA, Modality.FACE
    assert Agreements([strict, lax]).about(*about) == (lax, strict)
    first, last = lax.valid_from, lax.valid_until
    assert first is not None
    assert last is not None
    assert lax.is_valid_on(first)
    assert lax.is_valid_on(last)


@pytest.mark.parametrize("level", Level)
def test_no_level_tells_more_or_less_than_itself(level: Level):
    """It tells as much."""
    same = Level(level.value)
    assert not level < same
    assert not level > same
    assert level <= same
    assert level >= same


def fingers(clause: Clause, **more: object) -> Clause:
    """Return the same clause of fingers."""
    modalities = frozenset({Modality.FINGERPRINT})
    return replace(clause, modalities=modalities, source="XAA.toml:9", **more)  # type: ignore[arg-type]


def of_both(*clauses: Clause) -> SearchPlan:
    """Return the plan of a search for a visa by a face and a finger."""
    return plan_search(
        Agreements(clauses),
        requester=ASKER,
        purpose=Purpose.VISA,
        modalities=[Modality.FACE, Modality.FINGERPRINT],
        today=TODAY,
        holders=frozenset(),
        excluded=frozenset(),
        established=EVERY_CLASS,
    )


def test_several_modalities_are_permitted_if_each_is():
    """One that permits half of it is not asked."""
    face = permission(NAMED, Level.REFERENCE)
    with pytest.raises(RefusedError):
        of_both(face)
    (found,) = of_both(face, fingers(face), permission(CITED, Level.HOLDER)).permissions
    assert (found.holder, found.level) == (NAMED, Level.REFERENCE)
    assert len(found.clauses) == 2


def test_of_several_modalities_the_one_counts_that_tells_least():
    """Level, class and demand: the strictest of each, whichever clause has it."""
    lax = Promise(fpir=FpirClass.HUNDREDTH, measured_only=True)
    face = replace(permission(NAMED, Level.REFERENCE), promise=lax)
    for level in (Level.HOLDER, Level.REFERENCE):
        strict = Promise(fpir=FpirClass.TEN_THOUSANDTH)
        finger = fingers(face, level=level, promise=strict)
        (found,) = of_both(face, finger).permissions
        assert found.level is level
        expected = Promise(fpir=FpirClass.TEN_THOUSANDTH, measured_only=True)
        assert found.promise == expected


def test_a_clause_of_both_modalities_is_taken_once():
    """And so is its quota."""
    clause = replace(permission(NAMED, Level.HOLDER), modalities=frozenset(Modality))
    (found,) = of_both(clause).permissions
    assert found.clauses == (clause,)
    assert found.further == ()
