"""The leak budget in the store: counted once with the answer, and not forgotten."""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import START, XAA, XBB, XCC, Shelf, digest, request

from biometrics import limits
from biometrics.errors import DefectError, NotFoundError
from biometrics.store import (
    NearSearch,
    QuotaUse,
    Side,
    Taken,
    Verdict,
    open_store,
)
from biometrics.store.answer_rows import Disclosed
from biometrics.store.review_rows import AlertKind

if TYPE_CHECKING:
    from concurrent.futures import Future

    from biometrics.members import Member

RECORD = request("record A ")
DAY = dt.timedelta(days=1)
N, ALL = limits.NEAR_SEARCHES_TOLD, limits.NEAR_SEARCHES_TOLD_TO_ALL


def near(told: int, *, freezes: bool = False, word: str = "case") -> NearSearch:
    """Return near searches of the record."""
    return NearSearch(
        record_id=RECORD,
        holder=XAA,
        is_named=True,
        told=told,
        freezes=freezes,
        case_id=digest(word)[: limits.CASE_BYTES],
    )


def begin(
    shelf: Shelf,
    *searches: NearSearch,
    requester: Member = XBB,
    word: str | None = None,
    **more: object,
) -> Future[bytes | None]:
    """Store an answer that takes so much; a fresh one unless its word is given."""
    matches: dict[bytes, Member] = more.get("matches", {})  # type: ignore[assignment]
    felt = {each.record_id for each in searches}
    answers = tuple((holder, record in felt) for record, holder in matches.items())
    taken = Taken(near=searches, answers=answers, **more)  # type: ignore[arg-type]
    request_id = request(word) if word else shelf.fresh()
    return shelf.store.answers.commit(
        requester,
        request_id,
        digest("asked"),
        lambda _: b"answer",
        Disclosed(taken=taken),
    )


def commit(shelf: Shelf, *searches: NearSearch, **more: object) -> bytes | None:
    """Store an answer as `begin` does, and wait for it."""
    return begin(shelf, *searches, **more).result(30)  # type: ignore[arg-type]


def own(shelf: Shelf, requester: Member = XBB) -> int:
    """Return how many near searches of the record are counted."""
    found = shelf.store.budget.standings(requester, [RECORD])
    return found[RECORD].own if RECORD in found else 0


def is_frozen(shelf: Shelf, requester: Member = XBB) -> bool:
    """Say whether the record is frozen."""
    found = shelf.store.budget.standings(requester, [RECORD])
    return RECORD in found and found[RECORD].is_frozen


def advance(shelf: Shelf, step: dt.timedelta) -> None:
    """Let time pass."""
    shelf.clock.advance(step)


def test_a_near_search_is_counted_for_its_requester_and_for_all(shelf: Shelf) -> None:
    """Day by day in one row, and together."""
    for _ in range(3):
        commit(shelf, near(1))
    commit(shelf, near(2), requester=XCC)
    assert (own(shelf), own(shelf, XCC)) == (3, 2)
    assert shelf.store.budget.standings(XBB, [RECORD])[RECORD].everybodys == 5
    assert shelf.count("near_search") == 2


def test_a_replay_counts_once(shelf: Shelf) -> None:
    """It is the stored answer, whatever it would take now."""
    for _ in range(3):
        assert commit(shelf, near(1), word="again") == b"answer"
    assert own(shelf) == 1


def test_no_more_is_told_than_there_is_room_for(shelf: Shelf) -> None:
    """What was decided before others took the rest is to be decided anew."""
    commit(shelf, near(N - 1))
    assert commit(shelf, near(2)) is None
    assert own(shelf) == N - 1
    assert commit(shelf, near(1)) == b"answer"
    assert commit(shelf, near(1)) is None


def test_what_all_requesters_were_told_together_has_a_bound(shelf: Shelf) -> None:
    """Whoever asks."""
    members = [type(XBB)(f"XC{letter}") for letter in "ABCDEFGHIJ"]
    taken = sum(
        commit(shelf, near(N), requester=member) is not None for member in members
    )
    assert taken == ALL // N


def test_answers_of_one_flush_are_counted_one_after_the_other(shelf: Shelf) -> None:
    """As if each were durable before the next: budget, quota, freeze and replay."""
    quota = QuotaUse(use=b"use", searches=1, most=N + 2)
    commit(shelf, near(N - 1))
    with shelf.held():
        told = [begin(shelf, near(1), quotas=(quota,)) for _ in range(3)]
        freezing = begin(shelf, near(0, freezes=True), quotas=(quota,))
        frozen = begin(shelf, matches={RECORD: XAA}, quotas=(quota,))
        others = [begin(shelf, quotas=(quota,)) for _ in range(N + 2)]
        again = [begin(shelf, word="again") for _ in range(2)]
        leaves = shelf.store.log.head().size
    assert [each.result(30) is not None for each in told] == [True, False, False]
    assert freezing.result(30) is not None
    assert frozen.result(30) is None
    assert sum(each.result(30) is not None for each in others) == N
    assert {each.result(30) for each in again} == {b"answer"}
    assert own(shelf) == N
    assert shelf.store.budget.spent(XBB)[0][b"use"] == N + 2
    assert shelf.store.log.head().size == leaves + 1 + 1 + N + 1
    assert [f.searches for f in shelf.store.reviews.freezes(XAA)] == [N]


def test_what_an_undone_flush_took_is_not_spent(shelf: Shelf) -> None:
    """Not even as far as it is remembered without the database."""
    quota = QuotaUse(use=b"use", searches=1, most=5)
    commit(shelf, quotas=(quota,))

    def broken(_: sa.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    sa.event.listen(shelf.writing, "commit", broken)
    with pytest.raises(DefectError):
        commit(shelf, quotas=(quota,))
    sa.event.remove(shelf.writing, "commit", broken)
    assert commit(shelf, quotas=(quota,)) == b"answer"
    assert shelf.store.budget.spent(XBB)[0] == {b"use": 2}


def test_a_frozen_record_is_told_in_no_answer_that_is_stored_later(
    shelf: Shelf,
) -> None:
    """Not even in one that was decided before it was frozen; others are told."""
    commit(shelf, near(0, freezes=True))
    assert is_frozen(shelf)
    assert commit(shelf, matches={RECORD: XAA}) is None
    assert commit(shelf, matches={RECORD: XAA}, requester=XCC) == b"answer"
    assert commit(shelf, matches={request("other"): XAA}) == b"answer"


def test_a_freeze_lapses_and_the_next_near_search_is_another_case(shelf: Shelf) -> None:
    """What was counted stays counted, so that a lapse is no amnesty."""
    commit(shelf, near(N))
    commit(shelf, near(0, freezes=True))
    (first,) = shelf.store.reviews.freezes(XAA)
    assert first.searches == N
    advance(shelf, dt.timedelta(hours=limits.FREEZE_HOURS))
    assert not is_frozen(shelf)
    assert shelf.store.reviews.freezes(XAA) == []
    assert commit(shelf, matches={RECORD: XAA}) == b"answer"
    assert commit(shelf, near(1)) is None
    commit(shelf, near(0, freezes=True, word="another"))
    (second,) = shelf.store.reviews.freezes(XAA)
    assert is_frozen(shelf)
    assert second.case_id != first.case_id


def test_thirty_days_later_nothing_is_counted_nor_kept(shelf: Shelf) -> None:
    """Rows go with later commits."""
    commit(shelf, near(N))
    commit(shelf, near(0, freezes=True))
    advance(shelf, (limits.NEAR_DAYS - 1) * DAY)
    assert own(shelf) == N
    advance(shelf, DAY)
    assert own(shelf) == 0
    advance(shelf, limits.NEAR_DAYS * DAY)
    commit(shelf)
    commit(shelf)
    assert shelf.count("near_search") == shelf.count("frozen_record") == 0


def test_a_clock_that_is_set_forgets_nothing(shelf: Shelf) -> None:
    """Neither ahead nor back: a freeze lasts its hours, and a count its days."""
    commit(shelf, near(N))
    quota = QuotaUse(use=b"u", searches=3, most=3)
    commit(shelf, near(0, freezes=True), quotas=(quota,))
    for jump in (400 * DAY, -800 * DAY):
        shelf.clock._now += jump
        commit(shelf)
        assert is_frozen(shelf)
        assert own(shelf) == N
        assert commit(shelf, quotas=(quota,)) is None


def test_counts_and_freezes_outlive_a_restart(shelf: Shelf) -> None:
    """They are in the database."""
    commit(shelf, near(N))
    commit(shelf, near(0, freezes=True))
    shelf.store.close()
    shelf.store = open_store(shelf.place.where, shelf.clock)
    assert own(shelf) == N
    assert is_frozen(shelf)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_review_is_decided_once_both_sides_say_the_same(
    shelf: Shelf, verdict: Verdict
) -> None:
    """A confirmed freeze lasts; a lifted one is gone with its counts."""
    commit(shelf, near(N))
    commit(shelf, near(0, freezes=True))
    (freeze,) = shelf.store.reviews.freezes(XBB)
    (other,) = [v for v in Verdict if v is not verdict]

    def decide(member: Member, side: Side, says: Verdict) -> bool:
        done = shelf.store.reviews.decide(freeze.case_id, member, side, says)
        return done.result(30)

    assert not decide(XBB, Side.REQUESTER, verdict)
    assert not decide(XAA, Side.AUDITOR, other)
    (shown,) = shelf.store.reviews.freezes(XAA)
    assert shown.said == {Side.REQUESTER: verdict, Side.AUDITOR: other}
    assert decide(XAA, Side.AUDITOR, verdict)
    advance(shelf, 7 * DAY)
    assert is_frozen(shelf) is (verdict is Verdict.CONFIRM)
    assert own(shelf) == (N if verdict is Verdict.CONFIRM else 0)


def test_nobody_decides_for_another_side(shelf: Shelf) -> None:
    """A freeze of others is not found, nor by the wrong side of one's own."""
    commit(shelf, near(0, freezes=True))
    (freeze,) = shelf.store.reviews.freezes(XAA)
    for member, side in (
        (XBB, Side.AUDITOR),
        (XAA, Side.REQUESTER),
        (XCC, Side.AUDITOR),
    ):
        with pytest.raises(NotFoundError):
            shelf.store.reviews.decide(
                freeze.case_id, member, side, Verdict.LIFT
            ).result(30)
    assert shelf.store.reviews.freezes(XCC) == []


def test_alerts_are_counted_by_agreement(shelf: Shelf) -> None:
    """Each freeze, and each search that a frozen record would have matched."""
    commit(shelf, near(0, freezes=True))
    commit(shelf, near(0, freezes=True))  # decided at once with the one before
    for _ in range(3):
        commit(shelf, hidden=(XAA,))
    told = {
        (alert.kind, alert.holder, alert.requester): alert.count
        for alert in shelf.store.reviews.alerts(XAA)
    }
    assert told == {
        (AlertKind.FROZEN, XAA, XBB): 1,
        (AlertKind.FROZEN_HIT, XAA, XBB): 3,
    }
    assert shelf.store.reviews.alerts(XCC) == []


def test_a_quota_is_spent_and_renewed_at_midnight(shelf: Shelf) -> None:
    """Each for itself; a batch takes as many as it has probes, or none."""

    def spend(searches: int, use: bytes = b"use") -> bytes | None:
        return commit(shelf, quotas=(QuotaUse(use=use, searches=searches, most=10),))

    assert spend(6) == b"answer"
    assert spend(5) is None
    assert spend(4) == b"answer"
    assert spend(1) is None
    assert spend(10, b"other") == b"answer"
    spent, renews = shelf.store.budget.spent(XBB)
    assert spent == {b"use": 10, b"other": 10}
    assert renews.date() == START.date() + DAY
    advance(shelf, DAY)
    assert spend(10) == b"answer"
    advance(shelf, limits.NEAR_DAYS * DAY)
    commit(shelf)
    commit(shelf)
    assert shelf.count("quota_use") == 0


@pytest.mark.parametrize(("clear", "is_told"), [(0, True), (60, False)])
def test_whoever_matches_mostly_strangers_is_told_of(
    shelf: Shelf, clear: int, *, is_told: bool
) -> None:
    """Before fifty references are given; a member whose matches are clear is not."""
    for number in range(clear):
        advance(shelf, DAY / 10)
        commit(shelf, matches={request(f"mate {number}"): XAA})
    for number in range(limits.NEAR_MATCHES_ALERTED):
        assert shelf.store.reviews.alerts(XAA) == []
        record = request(f"stranger {number}")
        commit(shelf, replace(near(1), record_id=record), matches={record: XAA})
    alerts = [alert.kind for alert in shelf.store.reviews.alerts(XAA)]
    assert alerts == ([AlertKind.ENUMERATION] if is_told else [])


def test_many_matches_in_one_day_are_told_of_once(shelf: Shelf) -> None:
    """Clear ones too; the next day they are counted anew."""
    for number in range(limits.MATCHES_A_DAY_ALERTED + 5):
        commit(shelf, matches={request(f"mate {number}"): XAA})
    (alert,) = shelf.store.reviews.alerts(XAA)
    assert (alert.kind, alert.count) == (AlertKind.ENUMERATION, 1)
    advance(shelf, DAY)
    commit(shelf, matches={request("one more"): XAA})
    (alert,) = shelf.store.reviews.alerts(XAA)
    assert alert.count == 1
