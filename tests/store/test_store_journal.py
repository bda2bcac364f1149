"""The journal: no gap, no disorder, and whoever waits is woken."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import START, XAA, XBB, digest

from biometrics import limits
from biometrics.store.rows import ChangeKind

if TYPE_CHECKING:
    from store.shelf import Shelf

    from biometrics.store.rows import Change


def test_an_empty_journal_ends_at_zero(shelf: Shelf) -> None:
    """There is nothing before the first change."""
    assert shelf.store.journal.end() == 0
    assert shelf.store.journal.changes(0, 10) == []
    assert shelf.store.journal.templates([]) == {}


def test_changes_come_in_order_and_by_page(shelf: Shelf) -> None:
    """A withdrawn record's enrolment stays in the journal, without its templates."""
    shelf.enrol("A", "B", "C")
    shelf.withdraw("B")
    pages = [shelf.store.journal.changes(after, 2) for after in (0, 2, 4)]
    assert [[change.position for change in page] for page in pages] == [
        [1, 2],
        [3, 4],
        [],
    ]
    changes = [change for page in pages for change in page]
    assert [len(change.templates) for change in changes] == [1, 0, 1, 0]
    assert changes[3].kind is ChangeKind.WITHDRAWN
    assert changes[3].record_id == changes[1].record_id


def test_templates_come_in_the_order_of_their_samples(shelf: Shelf) -> None:
    """Those of one record stay together, those of others apart."""
    shelf.begin_enrol(
        shelf.record("A", spaces=("face-b", "face-a")), shelf.record("B")
    ).result(30)
    first, second = shelf.store.journal.changes(0, 10)
    assert [t.space for t in first.templates] == ["face-b", "face-a"]
    assert [t.template_id for t in second.templates] == [3]


def follow(shelf: Shelf, after: int) -> tuple[list[Change], int]:
    """Return what follows a position, with the number of statements it took."""
    statements: list[object] = []

    def note(*told: object) -> None:
        statements.append(told[2])

    shelf.store.journal.wait(after, 30)  # until it was told of
    sa.event.listen(shelf.reading, "before_cursor_execute", note)
    try:
        return shelf.store.journal.following(after, 10), len(statements)
    finally:
        sa.event.remove(shelf.reading, "before_cursor_execute", note)


def test_what_was_just_enrolled_is_followed_unread(shelf: Shelf) -> None:
    """It is, to the last field, what is read by whoever comes later."""
    shelf.begin_enrol(
        shelf.record("A", spaces=("face-b", "face-a"), excluded=frozenset({XBB, XAA})),
        shelf.record("B", expires_at=START + dt.timedelta(days=1, microseconds=7)),
    ).result(30)
    shelf.begin_enrol(
        shelf.record("C", spaces=())._replace(is_canary=True), shelf.record("D")
    ).result(30)
    shelf.store.journal.wait(3, 30)
    changes, statements = follow(shelf, 0)
    assert statements == 0
    assert changes == shelf.store.journal.changes(0, 10)
    later, statements = follow(shelf, 2)
    assert (later, statements) == (changes[2:], 0)
    # It was seen, and is dropped.
    assert follow(shelf, 0)[1] > 0
    assert follow(shelf, 0)[0] == changes


def test_whatever_else_was_written_is_read(shelf: Shelf) -> None:
    """Nothing that may have changed since is followed from memory."""
    shelf.enrol("A", "B")
    shelf.withdraw("A")
    shelf.enrol("C")
    shelf.store.journal.wait(3, 30)
    changes, statements = follow(shelf, 0)
    assert statements > 0
    assert changes == shelf.store.journal.changes(0, 10)
    assert changes[0].templates == ()
    # From within an enrolment as well.
    assert follow(shelf, 1)[0] == changes[1:]
    shelf.store.journal.wait(3, 30)
    assert follow(shelf, 3) == (changes[3:], 0)


def test_little_is_kept_for_whoever_follows(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody follows, or slowly, memory does not grow: the rest is read."""
    monkeypatch.setattr(limits, "FOLLOWED_BYTES", 200)  # two templates of 78 bytes
    for word in "ABCDE":
        shelf.enrol(word)
    shelf.store.journal.wait(4, 30)
    changes, statements = follow(shelf, 0)
    assert statements > 0
    assert changes == shelf.store.journal.changes(0, 10)
    shelf.store.journal.wait(4, 30)
    assert follow(shelf, 3) == (changes[3:], 0)


@pytest.mark.parametrize("how", ["changes", "following"])
def test_a_follower_sees_every_change_once_and_in_order(shelf: Shelf, how: str) -> None:
    """Under concurrent writers, followed while they write, with nothing skipped."""
    writers, each = 8, 30
    total = writers * each + writers * (each // 3)
    followed: list[Change] = []

    def follow() -> None:
        after = 0
        while len(followed) < total:
            shelf.store.journal.wait(after, 30)
            changes = getattr(shelf.store.journal, how)(after, 7)
            followed.extend(changes)
            after = changes[-1].position

    def write(writer: int) -> None:
        member = (XAA, XBB)[writer % 2]
        for n in range(each):
            shelf.enrol(f"{writer} {n}", member=member)
            if n % 3 == 0:
                shelf.withdraw(f"{writer} {n}", member=member)

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    follower.join(60)
    assert [change.position for change in followed] == list(range(1, total + 1))
    seen: dict[bytes, list[ChangeKind]] = {}
    for change in followed:
        seen.setdefault(change.record_id, []).append(change.kind)
    assert len(seen) == writers * each
    both = [ChangeKind.ENROLLED, ChangeKind.WITHDRAWN]
    assert all(kinds in (both[:1], both) for kinds in seen.values())
    assert sum(kinds == both for kinds in seen.values()) == writers * (each // 3)


def test_a_rolled_back_enrolment_leaves_no_gap(shelf: Shelf) -> None:
    """Its positions are given to the next one, also within one group."""
    good = shelf.record("B")
    with shelf.held():
        first = shelf.begin_enrol(shelf.record("A"))
        shelf.key_id += 1
        failing = shelf.begin_enrol(shelf.record("C"), shelf.record("D"))
        third = shelf.begin_enrol(good)
    assert first.result(30).position == 1
    assert failing.exception(30) is not None
    assert third.result(30).position == 2
    positions = [change.position for change in shelf.store.journal.changes(0, 10)]
    assert positions == [1, 2]


def test_waiting_ends_with_a_commit_of_this_process(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit itself wakes the waiter: the poll is far away."""
    monkeypatch.setattr(limits, "JOURNAL_POLL_SECONDS", 60.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shelf.store.journal.wait, 0, 60.0)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        shelf.enrol("A", "B")
        assert waiting.result(30) == 2
    assert shelf.store.journal.wait(1, 60.0) == 2


def test_waiting_ends_with_a_change_of_another_process(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll finds what no commit of this process has told."""
    monkeypatch.setattr(limits, "JOURNAL_POLL_SECONDS", 0.01)
    monkeypatch.setattr(shelf.store.records, "_tell", lambda _: None)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shelf.store.journal.wait, 0, 60.0)
        shelf.enrol("A")
        assert waiting.result(30) == 1


def test_waiting_ends_with_its_time(shelf: Shelf) -> None:
    """Then the end is returned, which is not beyond."""
    shelf.enrol("A")
    assert shelf.store.journal.wait(1, 0.02) == 1
    assert shelf.store.journal.wait(1, 0) == 1
    assert shelf.store.journal.wait(0, 0) == 1


def test_a_failed_enrolment_wakes_nobody(shelf: Shelf) -> None:
    """The head stays where the last durable change is."""

    def fail(_: sa.Connection) -> None:
        raise ZeroDivisionError

    sa.event.listen(shelf.writing, "commit", fail)
    assert shelf.begin_enrol(shelf.record("A")).exception(30) is not None
    sa.event.remove(shelf.writing, "commit", fail)
    assert shelf.store.journal.wait(0, 0.02) == 0


def test_reading_and_writing_at_once(shelf: Shelf) -> None:
    """Many threads read through the bounded pool while others write."""
    stop = threading.Event()

    def read(_: int) -> int:
        turns = 0
        while not stop.is_set() or turns == 0:
            end = shelf.store.journal.end()
            changes = shelf.store.journal.changes(0, 1000)
            assert len(changes) >= end
            ids = [one.template_id for change in changes for one in change.templates]
            assert len(shelf.store.journal.templates(ids)) == len(ids)
            assert shelf.store.answers.find(XAA, shelf.fresh(), digest("m")) is None
            counts = shelf.store.register.galleries(XAA)
            assert sum(count.records for count in counts) >= end
            turns += 1
        return turns

    readers = limits.READ_CONNECTIONS
    with ThreadPoolExecutor(readers) as pool:
        reading = [pool.submit(read, n) for n in range(readers)]
        for n in range(60):
            shelf.enrol(f"R{n}")
        stop.set()
        assert all(future.result(60) > 0 for future in reading)


def test_a_reading_transaction_sees_one_moment(shelf: Shelf) -> None:
    """What is committed meanwhile comes into the next one, whole."""
    shelf.enrol("A")
    count = sa.text("SELECT count(*) FROM record")
    with shelf.reading.connect() as connection:
        before = connection.execute(count).scalar_one()
        shelf.enrol("B", "C")
        assert connection.execute(count).scalar_one() == before == 1
        connection.rollback()
        assert connection.execute(count).scalar_one() == 3


def test_all_templates_of_some_records_are_read_together(shelf: Shelf) -> None:
    """By the keyed hash of the reference, of one holder; what is withdrawn is not."""
    shelf.begin_enrol(
        shelf.record("A", spaces=("face-b", "face-a")), shelf.record("B")
    ).result(30)
    shelf.enrol("C", "D")
    shelf.withdraw("D")
    asked = [digest(word) for word in ("A", "C", "D", "none")]
    found = shelf.store.journal.templates_of(XAA, asked)
    assert [(t.lookup, t.space) for t in found] == [
        (digest("A"), "face-b"),
        (digest("A"), "face-a"),
        (digest("C"), "face-a"),
    ]
    assert shelf.store.journal.templates_of(XBB, asked) == []
    assert shelf.store.journal.templates_of(XAA, []) == []
