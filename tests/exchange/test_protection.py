"""Protection that is set late, through the whole path: from its return on it holds."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from typing import TYPE_CHECKING

import grpc
import pytest
from world import AGREEMENTS, SPACE, World, face, record, unit

from biometrics import limits
from biometrics.client import MatchAnswer
from biometrics.client.channel import prepare_channel
from biometrics.clock import UTC, ManualClock
from biometrics.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from biometrics.v1 import match_pb2, template_pb2
from matcher.confirm import Confirmation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matcher.confirm import Confirmed

BORDER = {"purpose": "border-check", "holders": ["XAA"]}
MATCH = "/biometrics.v1.MatchService/Match"


def outcome(world: World, requester: str, number: int) -> str:
    """Return what a search for subject `number` answers at XAA."""
    answer = world.client(requester).match(face(unit(number)), **BORDER)
    return answer.holders[0].outcome.value


def excluded(world: World, reference: str) -> tuple[str, ...]:
    """Return whom the register says that a record of XAA's excludes."""
    (found,) = [
        one for one in world.enroller("XAA").records() if one.reference == reference
    ]
    return found.excluded


def test_a_protection_set_late_hides_the_record_from_its_return_on(
    world: World,
) -> None:
    """For those that it names, and for nobody else; the register shows it."""
    world.enroller("XAA").enrol(record("late", unit(1)))
    assert [outcome(world, who, 1) for who in ("XBB", "XCC")] == ["match", "match"]
    done = world.enroller("XAA").protect("late", excluded=["XBB"])
    assert (done.added, done.removed) == (("XBB",), ())
    assert [outcome(world, who, 1) for who in ("XBB", "XCC")] == ["no-match", "match"]
    assert excluded(world, "late") == ("XBB",)
    (shown,) = [r for r in world.enroller("XAA").records() if r.reference == "late"]
    assert shown.protected_at == done.protected_at


def test_the_set_is_complete_and_what_it_takes_away_is_told(world: World) -> None:
    """Who is not named any more learns again, and the answer says of whom so."""
    world.enroller("XAA").enrol(record("moved", unit(2), excluded=("XBB",)))
    done = world.enroller("XAA").protect("moved", excluded=["XCC", "XCC"])
    assert (done.added, done.removed) == (("XCC",), ("XBB",))
    assert [outcome(world, who, 2) for who in ("XBB", "XCC")] == ["match", "no-match"]
    again = world.enroller("XAA").protect("moved", excluded=["XCC"])
    assert (again.protected_at, again.added, again.removed) == (
        done.protected_at,
        (),
        (),
    )


def test_protection_is_taken_away_on_purpose_or_not_at_all(world: World) -> None:
    """An empty set alone is a mistake, and so is one beside `exclude_nobody`."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("kept", unit(3), excluded=("XBB",)))
    for whom, nobody in (((), False), (("XBB",), True)):
        with pytest.raises(InvalidRequestError) as caught:
            enroller.protect("kept", excluded=whom, exclude_nobody=nobody)
        (fault,) = caught.value.faults
        assert (fault.field, fault.reason) == ("excluded_requesters", "NOT_DELIBERATE")
    assert outcome(world, "XBB", 3) == "no-match"
    assert enroller.protect("kept", exclude_nobody=True).removed == ("XBB",)
    assert outcome(world, "XBB", 3) == "match"


def test_every_fault_of_a_protection_is_told_at_once(world: World) -> None:
    """Nothing is set, and the reference is not repeated."""
    with pytest.raises(InvalidRequestError) as caught:
        world.enroller("XAA").protect("", excluded=["XBB", "nobody"])
    assert {(f.field, f.reason) for f in caught.value.faults} == {
        ("reference", "WRONG_LENGTH"),
        ("excluded_requesters[1]", "UNKNOWN_MEMBER"),
    }
    with pytest.raises(InvalidRequestError) as caught:
        world.enroller("XAA").protect("r", excluded=["XBB"] * 65)
    assert caught.value.reason == "TOO_MANY"


def test_what_is_not_there_cannot_be_protected(world: World) -> None:
    """An unknown reference, another holder's, and one that was withdrawn."""
    world.enroller("XAA").enrol(record("here", unit(4)))
    world.enroller("XAA").enrol(record("away", unit(5)))
    world.enroller("XAA").withdraw("away")
    for holder, reference, reason in (
        ("XAA", "unknown", "NOT_ENROLLED"),
        ("XRA", "here", "NOT_ENROLLED"),
        ("XAA", "away", "RECORD_WITHDRAWN"),
    ):
        with pytest.raises(NotFoundError) as caught:
            world.enroller(holder).protect(reference, excluded=["XBB"])
        assert caught.value.reason == reason
    assert outcome(world, "XBB", 4) == "match"


def test_a_replayed_protection_answers_as_it_did(world: World) -> None:
    """It does not set it again over what was set since."""
    world.enroller("XAA").enrol(record("replayed", unit(6)))
    again = {"request_id": uuid.uuid4()}
    first = world.enroller("XAA").protect("replayed", excluded=["XBB"], **again)
    world.enroller("XAA").protect("replayed", excluded=["XBB", "XCC"])
    replay = world.enroller("XAA").protect("replayed", excluded=["XBB"], **again)
    assert replay == first
    assert excluded(world, "replayed") == ("XBB", "XCC")
    with pytest.raises(ConflictError) as caught:
        world.enroller("XAA").protect("replayed", exclude_nobody=True, **again)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_enrolling_again_does_not_undo_a_late_protection(world: World) -> None:
    """The same content is already enrolled, whatever was set since."""
    world.enroller("XAA").enrol(record("again", unit(7)))
    world.enroller("XAA").protect("again", excluded=["XBB"])
    again = world.enroller("XAA").enrol(record("again", unit(7)))
    assert again.status == "already-enrolled"
    assert outcome(world, "XBB", 7) == "no-match"


def test_only_an_enroller_protects(world: World) -> None:
    """A certificate for searches cannot take a protection away."""
    with pytest.raises(RefusedError) as caught:
        world.client("XAA").protect("late", exclude_nobody=True)
    assert caught.value.reason == "WRONG_ROLE"


def test_a_protection_outlives_restarts(tmp_path: Path) -> None:
    """From codes that were kept, and from templates that are opened anew."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("stays", unit(1)))
        world.enroller("XAA").protect("stays", excluded=["XBB"])
        world.restart()
        assert [outcome(world, w, 1) for w in ("XBB", "XCC")] == ["no-match", "match"]
        world.stop()
        world.forget_codes()
        world.start()
        assert [outcome(world, w, 1) for w in ("XBB", "XCC")] == ["no-match", "match"]
        world.enroller("XAA").withdraw("stays")
        assert outcome(world, "XCC", 1) == "no-match"


def test_a_record_of_a_locked_gallery_can_be_protected(tmp_path: Path) -> None:
    """Its keys are away; it is found, attested and protected all the same."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("locked", unit(1)))
        world.stop()
        key = world.root / "keys/XAA.key"
        away = key.rename(key.with_suffix(".away"))
        world.start()
        assert outcome(world, "XBB", 1) == "unavailable"
        world.enroller("XAA").protect("locked", excluded=["XBB"])
        world.stop()
        away.rename(key)
        world.start()
        assert [outcome(world, w, 1) for w in ("XBB", "XCC")] == ["no-match", "match"]


def while_confirming(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]
) -> None:
    """Act after a search has decided what matches, and before it says so."""
    confirm, turns = Confirmation.confirm, iter(range(10**6))

    def confirming(*arguments: object) -> Confirmed:
        confirmed = confirm(*arguments)  # type: ignore[arg-type]
        act(next(turns))
        return confirmed

    monkeypatch.setattr(Confirmation, "confirm", confirming)


@pytest.mark.parametrize("holders", [["XAA"], []])
def test_a_search_that_has_already_matched_does_not_tell(
    world: World, monkeypatch: pytest.MonkeyPatch, holders: list[str]
) -> None:
    """What is acknowledged before an answer is durable is kept by that answer."""
    reference, number = f"racing-{len(holders)}", 20 + len(holders)
    world.enroller("XAA").enrol(record(reference, unit(number)))

    def protect(turn: int) -> None:
        if not turn:
            world.enroller("XAA").protect(reference, excluded=["XBB"])

    while_confirming(monkeypatch, protect)
    client, probe = world.client("XBB"), face(unit(number))
    answer = client.match(probe, purpose="border-check", holders=holders)
    assert (answer.regional, answer.holders[0].outcome) == ("no-match", "no-match")


def test_nor_does_a_batch_that_has_already_matched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its answers is decided anew, and those of others stay a match."""
    for number in (30, 31):
        world.enroller("XAA").enrol(record(f"batch-{number}", unit(number)))

    def protect(turn: int) -> None:
        if not turn:
            world.enroller("XAA").protect("batch-30", excluded=["XBB"])

    while_confirming(monkeypatch, protect)
    probes = [face(unit(number)) for number in (30, 31, 32)]
    told = world.client("XBB").match_many(probes, **BORDER)
    outcomes = [one.regional for one in told if isinstance(one, MatchAnswer)]
    assert outcomes == ["no-match", "match", "no-match"]


def test_a_withdrawal_after_the_match_is_kept_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer that is stored after its acknowledgement tells of the record."""
    world.enroller("XAA").enrol(record("leaving", unit(33)))

    def withdraw(turn: int) -> None:
        if not turn:
            world.enroller("XAA").withdraw("leaving")

    while_confirming(monkeypatch, withdraw)
    assert outcome(world, "XCC", 33) == "no-match"


def test_an_exclusion_of_others_does_not_hide_the_match(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is protected from XBB meanwhile is a match for XCC still."""
    world.enroller("XAA").enrol(record("others", unit(34)))

    def protect(turn: int) -> None:
        if not turn:
            world.enroller("XAA").protect("others", excluded=["XBB"])

    while_confirming(monkeypatch, protect)
    answer = world.client("XCC").match(face(unit(34)), **BORDER)
    assert answer.holders[0].outcome == "match"
    assert len(answer.holders[0].reference) == 32


def test_a_record_that_never_stays_as_it_is_is_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search is decided anew so many times, and then it says that it cannot."""
    world.enroller("XAA").enrol(record("restless", unit(35)))
    turns = []

    def change(turn: int) -> None:
        turns.append(turn)
        world.enroller("XAA").protect("restless", excluded=[f"XX{chr(65 + turn % 26)}"])

    while_confirming(monkeypatch, change)
    with pytest.raises(UnavailableError) as caught:
        outcome(world, "XCC", 35)
    assert caught.value.reason == "RECORDS_CHANGING"
    assert not len(turns) % limits.MAX_DECISIONS_PER_SEARCH
    monkeypatch.undo()
    assert outcome(world, "XCC", 35) == "match"


def test_no_search_begun_after_the_acknowledgement_tells(world: World) -> None:
    """While many search, records are protected one after the other.

    A search that began before may say match; one that begins after never does, and
    those that are not excluded always find the record.
    """
    numbers = range(1000, 1030)
    for number in numbers:
        world.enroller("XAA").enrol(record(f"many-{number}", unit(number)))
    hidden_at: dict[int, float] = {}
    wrong: list[str] = []
    seen = {"match": 0, "no-match": 0}
    stop = threading.Event()

    def search(requester: str) -> None:
        while not stop.is_set():
            for number in numbers:
                hidden = hidden_at.get(number, float("inf")) < time.monotonic()
                told = outcome(world, requester, number)
                if requester == "XCC":
                    if told != "match":
                        wrong.append(f"{number} is {told} for XCC")
                    continue
                seen[told] += 1
                if hidden and told != "no-match":
                    wrong.append(f"{number} is {told} after its protection")

    searchers = [
        threading.Thread(target=search, args=(who,)) for who in ("XBB", "XBB", "XCC")
    ]
    for searcher in searchers:
        searcher.start()
    deadline = time.monotonic() + 30
    while not seen["match"] and time.monotonic() < deadline:
        time.sleep(0.001)
    for number in numbers:
        world.enroller("XAA").protect(f"many-{number}", excluded=["XBB"])
        hidden_at[number] = time.monotonic()
        time.sleep(0.02)
    stop.set()
    for searcher in searchers:
        searcher.join()
    assert wrong == []
    assert all(seen.values())


def raw(world: World, requester: str, number: int) -> tuple[object, ...]:
    """Return all that comes back of a search for a subject: bytes, code, trailers.

    But for the receipt, which is random and of one size.
    """
    template = template_pb2.Template(
        space=SPACE,
        position=template_pb2.POSITION_FACE,
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        data=unit(number).tobytes(),
    )
    request = match_pb2.MatchRequest(
        request_id=str(uuid.uuid4()),
        purpose=match_pb2.PURPOSE_BORDER_CHECK,
        probe=match_pb2.Probe(templates=[template]),
    )
    settings = prepare_channel(world.profile(requester))
    with grpc.secure_channel(
        world.target, settings.credentials, settings.options
    ) as channel:
        body, call = channel.unary_unary(MATCH).with_call(
            request.SerializeToString(), timeout=5
        )
    answer = match_pb2.MatchResponse.FromString(body)
    size = len(answer.receipt)
    answer.receipt = b""
    shown = answer.SerializeToString()
    return len(body), size, shown, call.code(), tuple(call.trailing_metadata() or ())


def test_a_record_that_expires_after_the_match_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its moment on no answer that tells of it becomes durable."""
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        ends = clock.now() + dt.timedelta(seconds=5)
        world.enroller("XAA").enrol(record("ending", unit(1), expires_at=ends))
        assert outcome(world, "XCC", 1) == "match"
        turns = []

        def expire(turn: int) -> None:
            turns.append(turn)
            if not turn:
                clock.advance(dt.timedelta(seconds=5))

        while_confirming(monkeypatch, expire)
        assert outcome(world, "XCC", 1) == "no-match"
        assert turns == [0, 1]


def test_masked_late_or_early_expired_withdrawn_and_absent_are_the_same_bytes(
    tmp_path: Path,
) -> None:
    """Whatever keeps a record from a requester, all that comes back is alike."""
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        enroller = world.enroller("XAA")
        ends = clock.now() + dt.timedelta(seconds=5)
        enroller.enrol(record("early", unit(1), excluded=("XBB",)))
        enroller.enrol(record("late", unit(2)))
        enroller.enrol(record("expired", unit(3), expires_at=ends))
        enroller.enrol(record("withdrawn", unit(4)))
        before = {raw(world, "XBB", number) for number in (2, 3, 4)}
        hidden = {raw(world, "XBB", number) for number in (1, 5)}
        assert (len(before), len(hidden)) == (1, 1)
        assert before != hidden
        enroller.protect("late", excluded=["XBB", "XZZ"])
        enroller.withdraw("withdrawn")
        clock.advance(dt.timedelta(seconds=5))
        assert {raw(world, "XBB", number) for number in range(1, 7)} == hidden
