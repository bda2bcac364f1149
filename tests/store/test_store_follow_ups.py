"""Follow-ups in the store: each step once, while it may be told, and in the log."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest
from store.desk import SEALED, TERMS, Desk
from store.shelf import START, XAA, XBB, XCC, Shelf, digest, request

from biometrics import limits
from biometrics.audit.scribe import read_record
from biometrics.errors import (
    ConflictError,
    DefectError,
    ExchangeError,
    ExhaustedError,
    GalleryLockedError,
    RefusedError,
)
from biometrics.members import Membership
from biometrics.store import (
    FollowUpState,
    Refusal,
    RequestKey,
    follow_up_tables,
    inspect_store,
    open_store,
)
from biometrics.store.follow_up_tables import end_all
from biometrics.store.log_check import log_faults
from biometrics.store.schema import LOG_LEAF

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from store.places import Place

    from biometrics.members import Member


HOUR = dt.timedelta(hours=1)
END = START + 48 * HOUR
MOMENT = dt.timedelta(microseconds=1)
USE = b"follow-ups XAA"


@pytest.fixture
def desk(shelf: Shelf) -> Desk:
    """Return two members, of whom one has a record that the other may match."""
    shelf.enrol("A", "B")
    return Desk(shelf)


def leaves(shelf: Shelf) -> list[set[str]]:
    """Return whom each leaf concerns."""
    with shelf.reading.connect() as connection:
        rows = connection.execute(LOG_LEAF.select().order_by(LOG_LEAF.c.leaf_index))
        return [{part.member.code for part in read_record(r.record)[1]} for r in rows]


def told(act: Callable[[], object]) -> tuple[str, str]:
    """Return reason and text of an error: all that a caller could tell it by."""
    with pytest.raises(ExchangeError) as caught:
        act()
    return caught.value.reason, caught.value.message


def test_a_reference_becomes_a_payload_that_is_read_once(desk: Desk) -> None:
    """Nothing but that it was is left of it then; every step has its leaf."""
    desk.give()
    before = len(leaves(desk.shelf))
    assert desk.ask() == END.isoformat()
    assert told(desk.release)[0] == "WRONG_STATE"
    nothing = told(desk.read)
    assert nothing[0] == "NOTHING_TO_READ"
    desk.confirm()
    assert told(desk.confirm)[0] == "WRONG_STATE"
    assert told(desk.read) == nothing
    desk.release()
    assert told(desk.release)[0] == "WRONG_STATE"
    assert desk.read() == SEALED
    assert told(desk.read)[0] == "FOLLOW_UP_OVER"
    assert desk.state() is FollowUpState.READ
    assert desk.kept() == (None, None)
    assert desk.shelf.count("follow_up_record") == desk.shelf.count("reference") == 0
    # What the holder has done meanwhile, the requester sees in no leaf.
    both, holder = {"XAA", "XBB"}, {"XAA"}
    assert leaves(desk.shelf)[before:] == [both, holder, holder, both]
    assert list(log_faults(desk.shelf.reading)) == []


def test_a_reference_that_is_not_good_is_refused_in_one_way(desk: Desk) -> None:
    """Forged, foreign, of another use, used, over, or of somebody who is masked.

    Every one is answered and counted alike, and has no leaf.
    """
    shelf = desk.shelf
    desk.go(2)
    others = {
        "forged": None,
        "foreign": TERMS._replace(requester=XCC),
        "of another holder": TERMS._replace(holder=XCC),
        "for another purpose": TERMS._replace(purpose="border-check"),
        "by another modality": TERMS._replace(modality="fingerprint"),
    }
    wrong = [Desk(shelf, word) for word in others]
    for each, terms in zip(wrong, others.values(), strict=True):
        if terms is not None:
            each.give(terms, "B")
    for word in ("withdrawn", "expired", "excluded", "frozen", "changed"):
        ends = START + HOUR if word == "expired" else None
        shelf.begin_enrol(shelf.record(word, expires_at=ends)).result(30)
        wrong.append(Desk(shelf, word))
        wrong[-1].give()
    # One of two is masked: the same search again gives a reference to the other.
    wrong.append(Desk(shelf, "C"))
    shelf.enrol("C", "D")
    wrong[-1].give(records="CD")
    shelf.withdraw("withdrawn")
    shelf.protect("excluded", XBB)
    shelf.protect("D", XBB)
    Desk(shelf, "frozen").freeze()
    wrong[-2].gate.believes = False
    shelf.clock.advance(HOUR)
    before = leaves(shelf)
    assert [each.ask() for each in (desk, *wrong)] == [""] * (len(wrong) + 1)
    assert leaves(shelf) == before
    assert shelf.count("follow_up") == 1
    spent, _ = shelf.store.budget.spent(XBB)
    assert spent == {USE: len(wrong) + 2}  # and the one that was good
    over = Desk(shelf, "B")
    over.give()
    shelf.clock.advance(dt.timedelta(days=30))
    assert not over.ask()


def test_a_reference_is_used_up_by_its_own_requester_alone(desk: Desk) -> None:
    """By asking, masked or not: nobody goes on asking until a protection is lifted."""
    desk.give()
    assert not desk.ask(TERMS._replace(requester=XCC))
    assert desk.ask()
    masked = Desk(desk.shelf, "B")
    masked.give()
    desk.shelf.protect("B", XBB)
    assert not masked.ask()
    desk.shelf.protect("B")
    assert not masked.ask()


def test_a_record_that_is_not_the_one_any_more_is_told_to_nobody(
    desk: Desk, place: Place
) -> None:
    """Its protection is lost, or it is another one under the same reference."""
    other = Desk(desk.shelf, "B")
    desk.give()
    other.give()
    with desk.shelf.writing.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE record SET record_id = reference_record.record_id"
            " FROM reference_record WHERE record.number = 2"
            " AND reference_record.lookup <> record.lookup"
        )
    assert not other.ask()
    place.edit("DELETE FROM protection;")
    assert not desk.ask()


HIDES: dict[str, Callable[[Desk], object]] = {
    "protect": lambda desk: desk.shelf.protect(desk.word, XBB),
    "withdraw": lambda desk: desk.shelf.withdraw(desk.word),
    "expire": lambda desk: desk.shelf.clock.advance(2 * HOUR),
    "freeze": Desk.freeze,
    "destroy": lambda desk: desk.shelf.store.destruction.destroy(
        XAA, change_id=request("x"), request=desk.key(), make_reply=lambda _: b""
    ).result(30),
}


def test_a_clock_that_is_set_ahead_ends_no_freeze(shelf: Shelf) -> None:
    """No more here than in the leak budget."""
    free, frozen = Desk(shelf, "free"), Desk(shelf, "frozen")
    shelf.enrol("free", "frozen")
    free.give()
    frozen.give()
    frozen.freeze()
    shelf.clock._now += 4 * 24 * HOUR
    assert free.ask()
    assert not frozen.ask()


def test_protection_reaches_what_is_under_way(shelf: Shelf) -> None:
    """The holder finds it no more, the requester sees what it saw, until its end.

    To it this is as a holder that does nothing: in state, moment, error and log.
    """
    never = Desk(shelf, "never")
    idle = Desk(shelf, "idle")
    desks = {(how, far): Desk(shelf, f"{how}{far}") for how in HIDES for far in (2, 4)}
    for (how, far), each in desks.items():
        ends = START + 2 * HOUR if how == "expire" else None
        shelf.begin_enrol(shelf.record(each.word, expires_at=ends)).result(30)
        each.go(far)
    shelf.enrol("idle")
    idle.go(2)
    nothing, unknown = told(idle.read), told(never.confirm)
    for (how, _), each in desks.items():
        HIDES[how](each)
        assert told(each.read) == nothing
        assert told(each.confirm) == unknown
        assert told(each.refuse) == unknown
        assert told(each.release) == unknown
        assert each.waiting() == []
    shown = {row.ends_at for row in shelf.store.follow_ups.requested(XBB)}
    assert shown == {END}
    before = len(leaves(shelf))
    shelf.clock.advance(46 * HOUR - 2 * HOUR - MOMENT)
    assert {each.state() for each in (idle, *desks.values())}.isdisjoint(
        {FollowUpState.EXPIRED, FollowUpState.READ}
    )
    shelf.clock.advance(MOMENT)
    for each in (idle, *desks.values()):
        assert each.state() is FollowUpState.EXPIRED
        assert told(each.read)[0] == "FOLLOW_UP_OVER"
    assert shelf.store.follow_ups.end_due(100).result(30) == len(desks) + 1
    assert leaves(shelf)[before:] == [{"XAA", "XBB"}] * (len(desks) + 1)


@pytest.mark.parametrize("how", ["protect", "withdraw", "destroy"])
def test_what_was_released_of_somebody_protected_is_deleted(
    desk: Desk, how: str
) -> None:
    """At once, and it does not come back when the protection is lifted."""
    desk.go(4)
    desk.shelf.protect("A", XCC)
    desk.shelf.protect("B", XBB)
    assert desk.kept() == (b"confirmed", SEALED)  # from others, or of others
    HIDES[how](desk)
    assert desk.kept() == (None, None)
    if how == "protect":
        desk.shelf.protect("A")
        assert desk.waiting() == [FollowUpState.REQUESTED]
        assert told(desk.read)[0] == "NOTHING_TO_READ"


def test_a_replaced_record_is_still_the_one(desk: Desk) -> None:
    """A better sample is no reason to ask again; an enrolment anew would be."""
    desk.go(2)
    record = desk.shelf.record("A", content="better")
    better = record._replace(record_id=request("record A "))
    assert desk.shelf.store.records.replace(
        XAA,
        better,
        before=digest("protection A"),
        request_id=desk.shelf.fresh(),
        digest=digest("replace"),
        make_reply=lambda _: b"",
    ).result(30)
    desk.confirm()
    (waiting,) = desk.table.received(XAA, desk.gate)
    assert [each.record_id for each in waiting.references] == [request("record A ")]


def lock(desk: Desk, *, is_open: bool = False) -> None:
    """Lock the holder's galleries, or unlock them."""
    desk.shelf.store.custody.set_open(
        XAA,
        is_open=is_open,
        change_id=request(f"c{is_open}"),
        request=desk.key(),
        make_reply=lambda _: b"",
    ).result(30)


def test_a_locked_holder_is_an_outage_whatever_the_reference(desk: Desk) -> None:
    """Nothing is used up by it, or counted."""
    desk.give()
    lock(desk)
    for each in (desk, Desk(desk.shelf, "never")):
        with pytest.raises(GalleryLockedError):
            each.ask()
    assert desk.shelf.count("reference") == 1
    assert desk.shelf.count("quota_use") == 0


def test_what_a_locked_holder_has_given_is_read_once_it_is_unlocked(desk: Desk) -> None:
    """A lock stops all that tells of its records, and is no withdrawal of them."""
    desk.go(4)
    lock(desk)
    with pytest.raises(GalleryLockedError):
        desk.read()
    lock(desk, is_open=True)
    assert desk.read() == SEALED


@pytest.mark.parametrize("suspended", [XAA, XBB])
def test_while_a_side_is_suspended_nothing_goes_on(
    desk: Desk, suspended: Member
) -> None:
    """Nothing is used up by it, or counted, and what it asked before is not durable."""
    steps = [(desk.ask, XBB), (desk.confirm, XAA), (desk.release, XAA)]
    desk.give()
    for step, of in [*steps, (desk.read, XBB)]:
        desk.shelf.store.membership.keep(suspended, Membership.SUSPENDED)
        before = desk.shelf.count("quota_use"), leaves(desk.shelf)
        own = of == suspended
        assert told(step)[0] == ("MEMBER_SUSPENDED" if own else "MEMBER_UNAVAILABLE")
        assert (desk.shelf.count("quota_use"), leaves(desk.shelf)) == before
        desk.shelf.store.membership.keep(suspended, Membership.ACTIVE)
        step()
    assert desk.state() is FollowUpState.READ


def test_a_holder_refuses_whoever_is_suspended(desk: Desk) -> None:
    """As one whose agreement has ended."""
    desk.go(2)
    desk.shelf.store.membership.keep(XBB, Membership.SUSPENDED)
    desk.refuse()
    assert desk.state() is FollowUpState.REFUSED


def test_agreements_permit_every_step_or_it_is_refused(desk: Desk) -> None:
    """Before anything is used up; but a holder may always refuse."""
    desk.give()
    for step in (desk.ask, desk.confirm, desk.release, desk.read):
        desk.gate.permits = False
        with pytest.raises(RefusedError):
            step()
        if step == desk.ask:
            assert desk.shelf.count("quota_use") == 0
        desk.gate.permits = True
        if step != desk.read:
            step()
    desk.gate.permits = False
    assert desk.refuse() == b"refused"


def test_a_replay_returns_what_was_answered_and_changes_nothing(desk: Desk) -> None:
    """Of every step, whatever came since, and of a no; of another request nothing."""
    desk.give()
    never = Desk(desk.shelf, "never")

    def all_of_it() -> list[object]:
        return [
            never.ask(named="n"),
            desk.ask(named="a"),
            desk.confirm(named="c"),
            desk.release(named="r"),
            desk.read(named="x"),
        ]

    first = all_of_it()
    assert first == ["", END.isoformat(), *[END.isoformat().encode()] * 2, SEALED]
    desk.shelf.protect("A", XBB)
    before = leaves(desk.shelf)
    assert all_of_it() == first
    assert leaves(desk.shelf) == before
    spent, _ = desk.shelf.store.budget.spent(XBB)
    assert spent == {USE: 2}
    with pytest.raises(ConflictError):
        desk.table.read(
            digest(desk.text),
            XBB,
            request=RequestKey(request("x"), digest("other")),
            gate=desk.gate,
            make_reply=lambda _: b"",
        ).result(30)


def test_a_quota_bounds_asking_whatever_comes_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each holder apart, and it renews at midnight."""
    monkeypatch.setattr(limits, "MAX_FOLLOW_UPS_PER_DAY", 2)
    desk.give()
    never = Desk(desk.shelf, "never")
    assert [never.ask(), never.ask()] == ["", ""]
    with pytest.raises(ExhaustedError) as caught:
        desk.ask()
    assert caught.value.reason == "QUOTA_SPENT"
    assert not never.ask(TERMS._replace(holder=XCC))
    desk.shelf.clock.advance(24 * HOUR)
    assert desk.ask()


def test_steps_that_come_together_are_made_once(desk: Desk) -> None:
    """Of requests with one reference, of confirmations and of readings, one each."""

    def together(step: Callable[[], Future[bytes]]) -> list[str]:
        with desk.shelf.held():
            futures = [step() for _ in range(4)]
        return sorted(
            error.reason if isinstance(error, ExchangeError) else str(future.result())
            for future in futures
            for error in [future.exception(30)]
        )

    desk.give()
    asked = together(desk.begin)
    assert asked == sorted([str(END.isoformat().encode()), *["b''"] * 3])
    assert together(desk.confirming).count("WRONG_STATE") == 3
    desk.release()
    assert together(desk.reading).count("FOLLOW_UP_OVER") == 3
    assert desk.state() is FollowUpState.READ
    assert list(log_faults(desk.shelf.reading)) == []


def test_a_refusal_ends_it_and_says_its_class(desk: Desk) -> None:
    """What was released and is not read is gone."""
    desk.go(4)
    desk.refuse()
    (row,) = desk.table.requested(XBB)
    assert row.state is FollowUpState.REFUSED
    assert row.refusal is Refusal.BASIS_INSUFFICIENT
    assert desk.kept() == (None, None)
    assert told(desk.read)[0] == "FOLLOW_UP_OVER"
    assert told(desk.refuse)[0] == "NO_SUCH_FOLLOW_UP"


def test_nobody_goes_on_with_what_is_anothers(desk: Desk) -> None:
    """In the words of what was never there."""
    desk.go(2)
    never = told(Desk(desk.shelf, "never").confirm)
    assert never[0] == "NO_SUCH_FOLLOW_UP"
    assert told(lambda: desk.confirm(XCC)) == never
    assert told(lambda: desk.refuse(XBB)) == never
    assert told(lambda: desk.release(XBB)) == never
    assert told(lambda: desk.read(XAA)) == never
    assert desk.table.requested(XAA) == []
    assert desk.table.received(XBB, desk.gate) == []


def test_the_clock_ends_every_step_and_later_all_of_it(desk: Desk) -> None:
    """A microsecond before, it is in time; its payload goes at once, the rest later."""
    desk.go(2)
    desk.shelf.clock.advance(48 * HOUR - MOMENT)
    desk.confirm()
    desk.release()
    assert desk.table.end_due(10).result(30) == 0
    desk.shelf.clock.advance(MOMENT)
    assert told(desk.read)[0] == "FOLLOW_UP_OVER"
    assert told(desk.refuse)[0] == "NO_SUCH_FOLLOW_UP"
    assert desk.waiting() == []
    assert desk.table.end_due(10).result(30) == 1
    assert desk.table.end_due(10).result(30) == 0
    assert desk.kept() == (None, None)
    assert desk.shelf.count("follow_up_record") == 0
    desk.shelf.clock.advance(dt.timedelta(days=limits.FOLLOW_UP_KEPT_DAYS))
    assert desk.table.end_due(10).result(30) == 1
    assert desk.shelf.count("follow_up") == 0


def test_follow_ups_outlive_a_restart_and_go_with_their_member(
    desk: Desk, place: Place
) -> None:
    """Whoever is no member any more has none; a restored database has none at all."""
    desk.go(3)
    desk.shelf.store.close()
    desk.shelf.store = open_store(place.where, desk.shelf.clock)
    desk.release()
    assert desk.table.keep_only([XAA, XBB, XCC]).result(30) == 0
    assert desk.read() == SEALED
    assert desk.table.keep_only([XAA, XCC]).result(30) == 1
    assert desk.shelf.count("follow_up") == 0
    other = Desk(desk.shelf, "B")
    other.go(2)
    desk.give()
    with desk.shelf.writing.begin() as connection:
        end_all(connection)
    for table in ("reference", "reference_record", "follow_up", "follow_up_record"):
        assert desk.shelf.count(table) == 0


def test_no_step_is_durable_without_its_leaf(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose leaf cannot be written is as if it had not been."""
    desk.give()
    log = desk.table._log
    append = log.append

    def fail(*_: object) -> None:
        raise OSError("no leaf")

    for step in (desk.ask, desk.confirm, desk.release, desk.read):
        before = desk.shelf.count("reply"), leaves(desk.shelf)
        monkeypatch.setattr(log, "append", fail)
        with pytest.raises(DefectError, match="OSError"):
            step()
        monkeypatch.setattr(log, "append", append)
        assert before == (desk.shelf.count("reply"), leaves(desk.shelf))
        step()
    assert desk.state() is FollowUpState.READ


def test_lists_begin_with_the_newest_and_the_oldest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requester is told the newest, the holder the oldest that is not done.

    However many of them may not be told any more.
    """
    desk.shelf.enrol("C", "D")
    desks = [desk, *(Desk(desk.shelf, word) for word in "BCD")]
    for each in desks:
        each.go(2)
        desk.shelf.clock.advance(HOUR)
    named = [digest(each.text) for each in desks]
    assert [row.follow_up_id for row in desk.table.requested(XBB)] == named[::-1]
    desk.confirm()
    desk.release()
    desk.shelf.protect("B", XBB)
    statement = follow_up_tables._RECEIVED
    for most in (1, 2, 100):
        monkeypatch.setattr(limits, "MAX_FOLLOW_UPS_LISTED", most)
        monkeypatch.setattr(follow_up_tables, "_RECEIVED", statement.limit(most))
        waiting = desk.table.received(XAA, desk.gate)
        shown = [each.row.follow_up_id for each in waiting]
        assert shown == [named[2], named[3], named[0]][:most]


WRONG = (
    "UPDATE follow_up SET payload = NULL",
    "UPDATE follow_up SET confirmation = NULL",
    "DELETE FROM follow_up_record",
    "UPDATE follow_up SET state = 'requested'",
    "UPDATE follow_up SET refusal = 'other'",
    "UPDATE follow_up SET note = confirmation",
    "UPDATE follow_up SET state = 'lost'",
    "UPDATE follow_up SET requester = 'nobody'",
    "UPDATE follow_up SET payload = confirmation",
)


def test_a_check_finds_what_does_not_go_together(
    desk: Desk, place: Place, tmp_path: Path
) -> None:
    """And nothing where all is whole."""
    desk.go(4)
    desk.shelf.store.close()
    found = [faults(place)]
    for number, script in enumerate(WRONG):
        kept = tmp_path / f"kept-{number}"
        is_file = not isinstance(place.where, str)
        if is_file:
            shutil.copyfile(desk.shelf.path, kept)
        place.edit(f"{script};")
        found.append(faults(place))
        if not is_file:
            break  # the rules are one text for both
        shutil.copyfile(kept, desk.shelf.path)
    assert not found[0]
    assert all(found[1:])


def faults(place: Place) -> list[str]:
    """Return what a check finds wrong with follow-ups."""
    with inspect_store(place.where) as inspection:
        assert inspection is not None
        return [
            fault.reason
            for fault in inspection.consistency.faults(lambda *_: None)
            if "follow" in f"{fault.field} {fault.message}"
        ]
