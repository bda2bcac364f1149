"""Replays: the same request again is answered as it was, once only."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from store.shelf import START, XAA, XBB, digest, request

from biometrics import limits
from biometrics.errors import ConflictError
from biometrics.store.answer_rows import Disclosed, NewReference

if TYPE_CHECKING:
    from store.shelf import Shelf

WINDOW = dt.timedelta(seconds=limits.REPLAY_WINDOW_SECONDS)
ONE = request("one")
NOTHING = Disclosed()


def reference(word: str, *records: str) -> NewReference:
    """Return a reference that stands for records."""
    return NewReference(
        reference_digest=digest(word),
        holder=XAA,
        requester=XBB,
        purpose="visa",
        modality="face",
        records={request(record): digest(record) for record in records},
        expires_at=START + dt.timedelta(days=30),
    )


def test_a_replayed_enrolment_returns_the_stored_reply(shelf: Shelf) -> None:
    """The reply is the first one's, at the journal's end, and nothing changes."""
    first = shelf.begin_enrol(shelf.record("A"), request_id=ONE).result(30)
    shelf.enrol("B")
    again = shelf.begin_enrol(shelf.record("A"), request_id=ONE).result(30)
    assert (first.reply, first.replayed) == (b"enrolled", False)
    assert (again.reply, again.position, again.replayed) == (b"enrolled", 2, True)


def test_a_replayed_withdrawal_returns_the_stored_reply(shelf: Shelf) -> None:
    """Also where the record is gone by then."""
    shelf.enrol("A")
    first = shelf.withdraw("A", request_id=ONE)
    shelf.clock.advance(dt.timedelta(seconds=1))
    again = shelf.withdraw("A", request_id=ONE)
    assert again.reply == first.reply
    assert again.replayed


def test_a_request_id_of_another_request_is_refused(shelf: Shelf) -> None:
    """Whatever the request is, and nothing of it is done."""
    shelf.begin_enrol(shelf.record("A"), request_id=ONE).result(30)
    for future in (
        shelf.begin_enrol(shelf.record("B"), request_id=ONE, body="other"),
        shelf.store.answers.commit(
            XAA, ONE, digest("match"), lambda _: b"answer", NOTHING
        ),
    ):
        with pytest.raises(ConflictError) as caught:
            future.result(30)
        assert caught.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(ConflictError):
        shelf.withdraw("A", request_id=ONE)
    with pytest.raises(ConflictError):
        shelf.store.answers.find(XAA, ONE, digest("match"))
    assert shelf.store.journal.end() == 1


def test_request_ids_are_a_members_own(shelf: Shelf) -> None:
    """Two members may choose the same one."""
    shelf.store.answers.commit(
        XAA, ONE, digest("a"), lambda _: b"for XAA", NOTHING
    ).result(30)
    shelf.store.answers.commit(
        XBB, ONE, digest("b"), lambda _: b"for XBB", NOTHING
    ).result(30)
    assert shelf.store.answers.find(XAA, ONE, digest("a")) == b"for XAA"
    assert shelf.store.answers.find(XBB, ONE, digest("b")) == b"for XBB"


def test_an_answer_is_found_until_its_window_ends(shelf: Shelf) -> None:
    """One microsecond before the end it is there, at the end it is not."""
    assert shelf.store.answers.find(XAA, ONE, digest("m")) is None
    stored = shelf.store.answers.commit(
        XAA, ONE, digest("m"), lambda _: b"answer", NOTHING
    )
    assert stored.result(30) == b"answer"
    shelf.clock.advance(WINDOW - dt.timedelta(microseconds=1))
    assert shelf.store.answers.find(XAA, ONE, digest("m")) == b"answer"
    shelf.clock.advance(dt.timedelta(microseconds=1))
    assert shelf.store.answers.find(XAA, ONE, digest("m")) is None
    assert shelf.store.answers.find(XAA, ONE, digest("other")) is None


def test_a_request_id_can_be_used_again_after_its_window(shelf: Shelf) -> None:
    """Also before the purge has come to the old reply."""
    shelf.store.answers.commit(XAA, ONE, digest("a"), lambda _: b"old", NOTHING).result(
        30
    )
    shelf.clock.advance(WINDOW)
    again = shelf.store.answers.commit(XAA, ONE, digest("b"), lambda _: b"new", NOTHING)
    assert again.result(30) == b"new"
    assert shelf.store.answers.find(XAA, ONE, digest("b")) == b"new"


def test_an_answer_stored_meanwhile_wins(shelf: Shelf) -> None:
    """The second commit gets the first one's body, and leaves no reference."""
    with ThreadPoolExecutor(8) as pool:
        futures = list(
            pool.map(
                lambda n: shelf.store.answers.commit(
                    XBB,
                    ONE,
                    digest("m"),
                    lambda _: f"answer {n}".encode(),
                    Disclosed(references=(reference(str(n)),)),
                ),
                range(8),
            )
        )
    assert len({future.result(30) for future in futures}) == 1
    assert shelf.count("reference") == 1


def test_references_are_stored_with_their_answer(shelf: Shelf) -> None:
    """Each with the records it stands for; two of one digest are a defect of all."""
    given = (reference("r1", "A", "B"), reference("r2", "C"))
    shelf.store.answers.commit(
        XBB, ONE, digest("m"), lambda _: b"answer", Disclosed(references=given)
    ).result(30)
    assert shelf.count("reference") == 2
    assert shelf.count("reference_record") == 3
    twice = shelf.store.answers.commit(
        XBB,
        request("two"),
        digest("m"),
        lambda _: b"answer",
        Disclosed(references=(reference("r1"),)),
    )
    assert twice.exception(30) is not None
    assert shelf.store.answers.find(XBB, request("two"), digest("m")) is None


def test_old_replies_are_purged_a_few_with_every_write(shelf: Shelf) -> None:
    """Each operation takes away more than it adds, until only live ones are left."""
    for n in range(12):
        shelf.store.answers.commit(
            XAA, request(f"old {n}"), digest("m"), lambda _: b"answer", NOTHING
        ).result(30)
    shelf.clock.advance(WINDOW)
    counts = []
    for n in range(13):
        shelf.store.answers.commit(
            XAA, request(f"new {n}"), digest("m"), lambda _: b"answer", NOTHING
        ).result(30)
        counts.append(shelf.count("reply"))
    step = limits.PURGED_ROWS_PER_OPERATION - 1
    assert counts[0] == 12 - step
    assert all(after - before in {-step, 1} for before, after in pairwise(counts))
    assert counts[-1] == 13  # the new ones
    shelf.clock.advance(WINDOW)
    shelf.enrol("A")
    assert shelf.count("reply") == 14 - limits.PURGED_ROWS_PER_OPERATION


def test_expired_references_are_purged(shelf: Shelf) -> None:
    """They go with their records, some time after they expire, a few at a time."""
    given = tuple(reference(f"r{n}", "A") for n in range(5))
    shelf.store.answers.commit(
        XBB, ONE, digest("m"), lambda _: b"answer", Disclosed(references=given)
    ).result(30)
    shelf.clock.advance(dt.timedelta(days=30))
    shelf.enrol("A")
    assert shelf.count("reference") == 5 - limits.PURGED_ROWS_PER_OPERATION
    shelf.enrol("B")
    shelf.enrol("C")
    assert shelf.count("reference") == shelf.count("reference_record") == 0


def test_a_clock_that_is_set_back_stops_no_purge(shelf: Shelf) -> None:
    """What was stored in the days to come goes, and so does what comes after it."""
    days = dt.timedelta(days=10)
    shelf.clock.advance(days)
    for n in range(6):
        given = (reference(f"r{n}", "A"),)
        shelf.store.answers.commit(
            XBB,
            request(f"ahead {n}"),
            digest("m"),
            lambda _: b"answer",
            Disclosed(references=given),
        ).result(30)
    shelf.clock.advance(-days)
    assert shelf.store.answers.find(XBB, request("ahead 0"), digest("m")) is None
    for n in range(6):
        shelf.store.answers.commit(
            XBB, request(f"now {n}"), digest("m"), lambda _: b"answer", NOTHING
        ).result(30)
    assert shelf.count("reply") == 6  # of now
    shelf.clock.advance(WINDOW)
    for n in range(6):
        shelf.enrol(f"later {n}")
    assert shelf.count("reply") == 6  # of later
