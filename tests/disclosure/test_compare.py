"""Two versions side by side: who would learn more, who less, and when."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biometrics import limits
from biometrics.calibration import FpirClass, Promise
from biometrics.disclosure import Agreements, Clause, Effect, Level, Purpose, permit
from biometrics.disclosure.compare import (
    Difference,
    differences,
    group_differences,
    named_members,
    strongest,
)
from biometrics.disclosure.prohibitions import (
    forbidden_pairs,
    prohibition_differences,
)
from biometrics.disclosure.wording import in_words, prohibitions_in_words
from biometrics.members import Member
from biometrics.templates import Modality

XAA, XBB, XCC = Member("XAA"), Member("XBB"), Member("XCC")
TODAY = dt.date(2026, 6, 1)
VISA, FACE = Purpose.VISA, Modality.FACE
ALL = (XAA, XBB, XCC)


def permission(  # noqa: PLR0913 - what may differ between two versions
    *,
    holder: Member = XAA,
    requester: Member = XBB,
    level: Level = Level.HOLDER,
    first: dt.date = dt.date(2026, 1, 1),
    last: dt.date = dt.date(2026, 12, 31),
    purposes: frozenset[Purpose] = frozenset({VISA}),
    modalities: frozenset[Modality] = frozenset({FACE}),
) -> Clause:
    """Return a clause that permits."""
    return Clause(
        holder=holder,
        requester=requester,
        effect=Effect.PERMIT,
        purposes=purposes,
        modalities=modalities,
        level=level,
        valid_from=first,
        valid_until=last,
        legal_basis="treaty",
        source="XAA.toml:1",
    )


def prohibition(
    requester: Member | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    *,
    purposes: frozenset[Purpose] = frozenset(Purpose),
    modalities: frozenset[Modality] = frozenset(Modality),
) -> Clause:
    """Return a clause of XAA's that forbids searches."""
    return Clause(
        holder=XAA,
        requester=requester,
        effect=Effect.FORBID,
        purposes=purposes,
        modalities=modalities,
        level=None,
        valid_from=first,
        valid_until=last,
        legal_basis="reason",
        source="XAA.toml:9",
    )


def compared(old: list[Clause], new: list[Clause]) -> list[tuple[object, ...]]:
    """Return what differs, without the question."""
    found = differences(Agreements(old), Agreements(new), ALL, TODAY)
    return [(each.before, each.after, each.first, each.last) for each in found]


def test_the_same_is_no_difference():
    """Nor is another order, or a clause that changes nothing."""
    clauses = [permission(), prohibition(XCC)]
    assert compared(clauses, clauses[::-1]) == []
    assert compared(clauses, [*clauses, permission(level=Level.PRESENCE)]) == []
    assert compared([], []) == []


def test_a_permission_more_tells_more_while_it_is_valid():
    """From its first day, or today, to its last."""
    until = dt.date(2026, 12, 31)
    assert compared([], [permission()]) == [(None, Level.HOLDER, TODAY, until)]
    later = dt.date(2026, 9, 1)
    assert compared([], [permission(first=later)]) == [
        (None, Level.HOLDER, later, until)
    ]
    assert compared([permission()], []) == [(Level.HOLDER, None, TODAY, until)]


def test_what_is_over_does_not_count():
    """A past permission is no difference; the last day is one."""
    assert compared([], [permission(last=TODAY - dt.timedelta(days=1))]) == []
    assert compared([], [permission(last=TODAY)]) == [
        (None, Level.HOLDER, TODAY, TODAY)
    ]


def test_a_prohibition_without_end_has_no_last_day():
    """Where nothing follows the difference ends with the permission, or never."""
    for_ever = permission(last=dt.date.max)
    assert compared([for_ever], [for_ever, prohibition()]) == [
        (Level.HOLDER, None, TODAY, None)
    ]


def test_each_stretch_of_days_is_told():
    """A prohibition in the midst makes a difference in the midst."""
    first, last = dt.date(2026, 7, 1), dt.date(2026, 7, 31)
    stronger = permission(level=Level.REFERENCE, first=dt.date(2026, 10, 1))
    assert compared(
        [permission()], [permission(), prohibition(None, first, last), stronger]
    ) == [
        (Level.HOLDER, None, first, last),
        (
            Level.HOLDER,
            Level.REFERENCE,
            dt.date(2026, 10, 1),
            dt.date(2026, 12, 31),
        ),
    ]


def test_every_question_is_asked():
    """Each purpose with each modality is a difference of its own."""
    wide = permission(purposes=frozenset(Purpose), modalities=frozenset(Modality))
    found = differences(Agreements([]), Agreements([wide]), ALL, TODAY)
    asked = {(e.requester, e.holder, e.purpose, e.modality) for e in found}
    assert asked == set(product([XBB], [XAA], Purpose, Modality))
    assert all(each.tells_more for each in found)


def test_members_are_those_that_a_clause_names():
    """Holder and requester; `*` names nobody."""
    assert named_members(Agreements([prohibition()]), Agreements([])) == (XAA,)
    assert named_members(Agreements([permission()]), Agreements([])) == (XAA, XBB)


def group(count: int, level: Level = Level.PRESENCE) -> Agreements:
    """Return so many holders that permit XBB at one level."""
    holders = [Member(f"XP{letter}") for letter in "ABCDEFGH"[:count]]
    return Agreements([permission(holder=each, level=level) for each in holders])


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [(4, 5, True), (0, 8, True), (5, 4, False), (5, 8, None), (3, 4, None)],
)
def test_a_group_that_begins_to_be_answered_is_told(
    before: int, after: int, more: object
):
    """Though no holder of it may have changed a word about others."""
    assert limits.MIN_PRESENCE_HOLDERS == 5
    old, new = group(before), group(after)
    found = group_differences(old, new, named_members(old, new), TODAY)
    if more is None:
        assert found == []
        return
    (each,) = found
    assert (each.before, each.after, each.tells_more) == (before, after, more)
    assert (each.requester, each.purpose, each.modality) == (XBB, VISA, FACE)
    assert (each.first, each.last) == (TODAY, dt.date(2026, 12, 31))


def test_only_unnamed_holders_make_a_group():
    """Those who are named do not count."""
    old, new = group(0), group(8, Level.HOLDER)
    assert group_differences(old, new, named_members(new), TODAY) == []


def test_words_say_more_or_less_and_join_what_is_alike():
    """One line for every difference that is the same, with its days."""
    old = Agreements([permission(level=Level.REFERENCE), *group(4).clauses])
    new = Agreements(
        [
            permission(),
            permission(
                requester=XCC,
                purposes=frozenset({VISA, Purpose.BORDER_CHECK}),
                modalities=frozenset({FACE, Modality.IRIS}),
            ),
            *group(5).clauses,
        ]
    )
    members = named_members(old, new)
    told = list(
        in_words(
            differences(old, new, members, TODAY),
            group_differences(old, new, members, TODAY),
        )
    )
    span = "from 2026-06-01 to 2026-12-31"
    assert told == [
        "XBB would learn LESS from XAA",
        (
            "  visa with face: `reference` (and a reference for a follow-up) ->"
            f" `holder` (match or no match); {span}"
        ),
        "XBB would learn MORE from XPE",
        (
            "  visa with face: nothing -> `presence` (one answer for the region), FPIR"
            f" 1e-3, 20,000 searches a day; {span}"
        ),
        "XCC would learn MORE from XAA",
        (
            "  border-check, visa with face, iris: nothing -> `holder` (match or no"
            f" match), FPIR 1e-3, 20,000 searches a day; {span}"
        ),
        "XBB would learn MORE from holders without a name",
        (
            "  visa with face: 4 -> 5 holders at `presence`, which are answered"
            f" together from 5 on; {span}"
        ),
    ]
    endless = Difference(
        requester=XBB,
        holder=XAA,
        purpose=VISA,
        modality=FACE,
        before=None,
        after=Level.HOLDER,
        promise_before=None,
        promise_after=Promise(),
        quota_before=None,
        quota_after=100,
        first=TODAY,
        last=None,
    )
    assert list(in_words([endless], []))[1].endswith("; from 2026-06-01 on")


def test_another_quota_is_a_difference():
    """More searches a day tell more; both quotas are named."""
    clause = permission(level=Level.HOLDER)
    few, many = (replace(clause, quota_per_day=n) for n in (100, 20_000))
    members = named_members(Agreements([few]))
    for before, after, word in ((few, many, "MORE"), (many, few, "LESS")):
        old, new = Agreements([before]), Agreements([after])
        head, line = in_words(differences(old, new, members, TODAY), [])
        assert head == f"XBB would learn {word} from XAA"
        assert f"{before.quota_per_day:,} searches a day -> " in line
        assert f", {after.quota_per_day:,} searches a day; from" in line


def test_of_two_permissions_alike_the_greater_quota_counts():
    """Adding a line with a smaller one takes nothing away."""
    clause = permission(level=Level.HOLDER)
    few = replace(clause, quota_per_day=100, source="XAA.toml:0")
    assert compared([clause], [clause, few]) == []
    assert clause.use == few.use != permission(modalities=frozenset(Modality)).use


@pytest.mark.parametrize(
    ("before", "after", "tells_more"),
    [
        (Promise(), Promise(fpir=FpirClass.HUNDREDTH), True),
        (Promise(), Promise(fpir=FpirClass.TEN_THOUSANDTH), False),
        (Promise(), Promise(measured_only=True), False),
        (Promise(measured_only=True), Promise(), True),
    ],
)
def test_another_promise_is_a_difference(
    before: Promise, after: Promise, *, tells_more: bool
):
    """What lets more searches match tells more; both promises are named."""
    clause = permission(level=Level.HOLDER)
    old, new = (Agreements([replace(clause, promise=p)]) for p in (before, after))
    (found,) = differences(old, new, named_members(old), TODAY)
    assert found.tells_more is tells_more
    assert (found.before, found.after) == (Level.HOLDER, Level.HOLDER)
    head, line = in_words([found], [])
    assert ("MORE" in head) is tells_more
    assert f"match), {before} -> `holder` (match or no match), {after};" in line


def test_the_strongest_is_the_most_that_any_search_tells():
    """Pairs that learn nothing are not there."""
    clauses = [
        permission(level=Level.PRESENCE),
        permission(level=Level.REFERENCE, purposes=frozenset({Purpose.BORDER_CHECK})),
    ]
    both = [(VISA, FACE), (Purpose.BORDER_CHECK, FACE)]
    agreements = Agreements(clauses)
    assert strongest(agreements, ALL, both, TODAY) == {(XAA, XBB): Level.REFERENCE}
    assert strongest(agreements, ALL, both[:1], TODAY) == {(XAA, XBB): Level.PRESENCE}
    assert strongest(agreements, ALL, both, dt.date(2030, 1, 1)) == {}


@pytest.mark.parametrize(
    ("before", "after", "is_of_a_group"),
    [
        (Level.PRESENCE, None, True),
        (Level.HOLDER, Level.PRESENCE, True),
        (Level.PRESENCE, Level.PRESENCE, False),
        (None, Level.REFERENCE, False),
    ],
)
def test_a_difference_says_whether_it_is_of_a_group(
    before: Level | None, after: Level | None, *, is_of_a_group: bool
):
    """A group is made of holders at `presence`; another quota makes no other one."""
    old = [permission(level=before)] if before else []
    new = [replace(permission(level=after), quota_per_day=7)] if after else []
    (found,) = differences(Agreements(old), Agreements(new), ALL, TODAY)
    assert found.is_of_a_group is is_of_a_group


def forbidden(old: list[Clause], new: list[Clause]) -> list[str]:
    """Return in words what is forbidden no longer, and what newly."""
    found = prohibition_differences(Agreements(old), Agreements(new), TODAY)
    return list(prohibitions_in_words(found))


def test_a_mistyped_prohibition_is_told_though_nothing_is_permitted():
    """Both the one that goes, and the one of nobody that comes."""
    assert forbidden([prohibition(XBB)], [prohibition(XCC)]) == [
        "XAA would NO LONGER FORBID XBB, whatever is permitted",
        "  any purpose with any modality; from 2026-06-01 on",
        "XAA would newly forbid XCC, whatever is permitted",
        "  any purpose with any modality; from 2026-06-01 on",
    ]


def test_prohibitions_are_told_by_what_is_alike():
    """Purposes and modalities by name where they are not all, and their days."""
    until = dt.date(2026, 9, 30)
    searches = {
        "purposes": frozenset({VISA, Purpose.BORDER_CHECK}),
        "modalities": frozenset({FACE, Modality.IRIS}),
    }
    old = [prohibition(XBB, last=until, **searches), prohibition(first=until)]
    assert forbidden([*old, permission()], [permission()]) == [
        "XAA would NO LONGER FORBID everybody, whatever is permitted",
        "  any purpose with any modality; from 2026-09-30 on",
        "XAA would NO LONGER FORBID XBB, whatever is permitted",
        "  border-check, visa with face, iris; from 2026-06-01 to 2026-09-30",
    ]


def test_what_stays_forbidden_in_other_words_is_no_difference():
    """By everybody's prohibition, in another order, or where it was over already."""
    by_name, for_all = prohibition(XBB), prohibition()
    assert forbidden([by_name], [by_name]) == []
    assert forbidden([by_name, for_all], [for_all]) == []
    assert forbidden([for_all], [for_all, by_name]) == []
    assert forbidden([prohibition(XBB, last=dt.date(2026, 5, 31))], []) == []
    (head, _) = forbidden([by_name], [for_all])
    assert head == "XAA would newly forbid everybody, whatever is permitted"
    (head, _) = forbidden([for_all], [by_name])
    assert head == "XAA would NO LONGER FORBID everybody, whatever is permitted"
    assert forbidden([permission()], []) == []


DAYS = [TODAY + dt.timedelta(days=number) for number in range(-3, 8)]
some_day = st.sampled_from(DAYS)
versions = st.lists(
    st.one_of(
        st.builds(
            lambda days, **more: permission(first=min(days), last=max(days), **more),
            days=st.tuples(some_day, some_day),
            requester=st.sampled_from([XBB, XCC]),
            level=st.sampled_from(Level),
        ),
        st.builds(
            lambda days, requester: prohibition(requester, min(days), max(days)),
            days=st.tuples(some_day, some_day),
            requester=st.sampled_from([XBB, None]),
        ),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(versions, versions)
def test_what_differs_on_a_day_is_told_and_nothing_else(
    old: list[Clause], new: list[Clause]
):
    """Day by day, against the decision itself."""
    before, after = Agreements(old), Agreements(new)
    found = differences(before, after, ALL, TODAY)
    for day, requester in product(DAYS, (XBB, XCC)):
        levels = [
            told.level if (told := permit(version, **asked)) else None
            for version in (before, after)
            for asked in [
                {
                    "holder": XAA,
                    "requester": requester,
                    "purpose": VISA,
                    "modality": FACE,
                    "today": day,
                }
            ]
        ]
        told_of = [
            [each.before, each.after]
            for each in found
            if each.requester == requester
            and (each.purpose, each.modality) == (VISA, FACE)
            and each.first <= day <= (each.last or dt.date.max)
        ]
        expected = [levels] if levels[0] is not levels[1] and day >= TODAY else []
        assert told_of == expected


def test_a_pair_is_forbidden_where_all_that_is_asked_is():
    """By name or to everybody, on that day; what is not permitted is not forbidden."""
    border = Purpose.BORDER_CHECK
    until = dt.date(2026, 6, 30)
    agreements = Agreements(
        [
            permission(holder=XBB, requester=XAA),
            prohibition(XCC),
            prohibition(last=until, purposes=frozenset({VISA})),
        ]
    )
    both, visa = [(VISA, FACE), (border, FACE)], [(VISA, FACE)]
    for searches, day, whom in (
        (both, TODAY, {XCC}),
        (visa, TODAY, {XAA, XBB, XCC}),
        (visa, until + dt.timedelta(days=1), {XCC}),
    ):
        pairs = forbidden_pairs(agreements, ALL, searches, day)
        assert pairs == {(XAA, each) for each in whom}


@settings(max_examples=60)
@given(versions, versions)
def test_prohibitions_are_told_for_each_day_on_which_they_go_or_come(
    old: list[Clause], new: list[Clause]
):
    """One that goes is by no clause any more; by name, or everybody's."""
    found = prohibition_differences(Agreements(old), Agreements(new), TODAY)
    for day, requester in product(DAYS, (XBB, None)):
        (was_named, was), (is_named, remains) = (
            [
                any(
                    clause.effect is Effect.FORBID
                    and clause.requester in whom
                    and clause.is_valid_on(day)
                    for clause in version
                )
                for whom in ([requester], [requester, None])
            ]
            for version in (old, new)
        )
        expected = [False] if was_named and not remains else []
        expected += [True] if is_named and not was else []
        told = [
            each.comes
            for each in found
            if (each.holder, each.requester) == (XAA, requester)
            and (each.purpose, each.modality) == (VISA, FACE)
            and each.first <= day <= (each.last or dt.date.max)
        ]
        assert told == (expected if day >= TODAY else [])


def test_days_on_which_nothing_changes_are_one_difference() -> None:
    """One clause ends while another goes on: what is told stays the same."""
    first = permission(last=dt.date(2026, 7, 10))
    second = permission(first=dt.date(2026, 7, 1), last=dt.date(2026, 7, 20))
    (found,) = differences(
        Agreements([]), Agreements([first, second]), ALL, dt.date(2026, 6, 1)
    )
    assert (found.first, found.last) == (TODAY, dt.date(2026, 7, 20))
    assert found.tells_more
    same = replace(
        found,
        before=found.after,
        promise_before=found.promise_after,
        quota_before=found.quota_after,
    )
    assert not same.tells_more


def test_the_digest_of_agreements_is_a_value() -> None:
    """Of 32 bytes, and another with other versions."""
    none, some = Agreements([]), Agreements([], {XAA: bytes(32)})
    assert len(none.digest) == len(some.digest) == 32
    assert none.digest != some.digest
