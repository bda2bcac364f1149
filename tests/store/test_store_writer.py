"""Group commit: many operations, one transaction, nothing told too early."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from store.shelf import XAA, Shelf, digest

from biometrics import limits
from biometrics.audit import Scribe
from biometrics.errors import (
    DefectError,
    ExhaustedError,
    StorageError,
    UnavailableError,
)
from biometrics.store.failures import translated
from biometrics.store.log import Log
from biometrics.store.schema import INDEX_KEY, REFERENCE_RECORD
from biometrics.store.writer import Outcome, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@pytest.fixture
def commits(shelf: Shelf) -> Iterator[list[str]]:
    """Return a list that grows by one with every commit of the writer."""
    seen: list[str] = []

    def note(_: sa.Connection) -> None:
        seen.append("commit")

    sa.event.listen(shelf.writing, "commit", note)
    yield seen
    sa.event.remove(shelf.writing, "commit", note)


def put(word: str) -> Callable[[sa.Connection], str]:
    """Return an operation that writes one row."""

    def operation(connection: sa.Connection) -> str:
        values = {"member": word, "wrapped": b"wrapped"}
        connection.execute(sa.insert(INDEX_KEY), values)
        return word

    return operation


def put_and_fail(word: str) -> Callable[[sa.Connection], str]:
    """Return an operation that writes one row and raises."""

    def operation(connection: sa.Connection) -> str:
        put(word)(connection)
        raise UnavailableError("NOT_NOW", "not now")

    return operation


def words(shelf: Shelf) -> list[str]:
    """Return the rows that are durable."""
    with shelf.reading.connect() as connection:
        rows = connection.exec_driver_sql("SELECT member FROM index_key ORDER BY 1")
        return list(rows.scalars())


def test_operations_that_wait_share_one_commit(
    shelf: Shelf, commits: list[str]
) -> None:
    """What has gathered while the writer was busy is made durable by one flush."""
    with shelf.held():
        futures = [shelf.store._writer.submit(put(f"w{n}")) for n in range(20)]
    assert [future.result(30) for future in futures] == [f"w{n}" for n in range(20)]
    assert len(commits) == 2  # the one that held the writer, and the group


def test_a_failing_operation_is_undone_alone(shelf: Shelf) -> None:
    """Neighbours of a failing operation are written, and it is not."""
    with shelf.held():
        before = shelf.store._writer.submit(put("before"))
        failing = shelf.store._writer.submit(put_and_fail("failing"))
        after = shelf.store._writer.submit(put("after"))
    assert before.result(30) == "before"
    assert after.result(30) == "after"
    with pytest.raises(UnavailableError, match="not now"):
        failing.result(30)
    assert words(shelf) == ["after", "before"]


def refuse(connection: sa.Connection) -> str:
    """Read, and refuse what is asked."""
    connection.execute(sa.select(INDEX_KEY.c.member)).all()
    raise UnavailableError("NOT_NOW", "not now")


def lose(connection: sa.Connection) -> str:
    """Fail to read."""
    with translated():
        connection.exec_driver_sql("SELECT nothing FROM nowhere")
    return "read"


@pytest.mark.parametrize(
    ("fails", "error", "times"),
    [
        (refuse, UnavailableError, 1),
        (put_and_fail("failing"), UnavailableError, 2),
        (lose, DefectError, 2),
    ],
)
def test_what_is_refused_before_it_writes_costs_its_neighbours_nothing(
    shelf: Shelf,
    fails: Callable[[sa.Connection], str],
    error: type[Exception],
    times: int,
) -> None:
    """They are run once; only what may have written is undone with all others."""
    runs: list[str] = []

    def noted(connection: sa.Connection) -> str:
        runs.append("run")
        return put("noted")(connection)

    with shelf.held():
        before = shelf.store._writer.submit(noted)
        failing = shelf.store._writer.submit(fails)
        after = shelf.store._writer.submit(put("after"))
    assert (before.result(30), after.result(30)) == ("noted", "after")
    with pytest.raises(error):
        failing.result(30)
    assert len(runs) == times
    assert words(shelf) == ["after", "noted"]


def test_a_failing_statement_is_a_defect_and_undone_alone(shelf: Shelf) -> None:
    """A broken constraint is told as our defect, without the values."""
    with shelf.held():
        first = shelf.store._writer.submit(put("same"))
        second = shelf.store._writer.submit(put("same"))
    assert first.result(30) == "same"
    with pytest.raises(DefectError) as caught:
        second.result(30)
    assert caught.value.reason == "STORAGE_DEFECT"
    assert "same" not in f"{caught.value} {caught.value.__cause__}"


class Words:
    """A batch that notes how many were written at once."""

    def __init__(self) -> None:
        """Have written nothing."""
        self.sizes: list[int] = []

    def __call__(
        self, connection: sa.Connection, parts: Sequence[str]
    ) -> list[Outcome[str]]:
        """Write words; refuse one, and break at another."""
        self.sizes.append(len(parts))
        for word in parts:
            if word != "refused":
                put(word)(connection)
            if word == "broken":
                raise ZeroDivisionError
        refusal = UnavailableError("NOT_NOW", "not now")
        return [
            Outcome(error=refusal) if word == "refused" else Outcome(word)
            for word in parts
        ]


def test_parts_of_a_batch_are_written_together(shelf: Shelf) -> None:
    """In the order in which they came among others; one that is refused is alone."""
    batch, writer = Words(), shelf.store._writer
    with shelf.held():
        first = [writer.join(batch, word) for word in ("a", "refused", "b")]
        between = writer.submit(put("between"))
        last = writer.join(batch, "c")
    assert [first[0].result(30), first[2].result(30)] == ["a", "b"]
    assert [between.result(30), last.result(30)] == ["between", "c"]
    with pytest.raises(UnavailableError, match="not now"):
        first[1].result(30)
    assert batch.sizes == [3, 1]
    assert words(shelf) == ["a", "b", "between", "c"]


def test_a_batch_that_breaks_is_written_part_by_part(shelf: Shelf) -> None:
    """And all but the part that broke it is durable, once."""
    batch, writer = Words(), shelf.store._writer
    with shelf.held():
        futures = [writer.join(batch, word) for word in ("a", "broken", "b")]
    assert [futures[0].result(30), futures[2].result(30)] == ["a", "b"]
    with pytest.raises(DefectError, match="ZeroDivisionError") as caught:
        futures[1].result(30)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert batch.sizes == [3, 1, 1, 1]
    assert words(shelf) == ["a", "b"]


def test_a_part_waits_for_others_no_longer_than_it_may(
    shelf: Shelf, commits: list[str]
) -> None:
    """Whoever does not wait takes those along that do."""
    batch, writer = Words(), shelf.store._writer
    patient = [writer.join(batch, word, within=60) for word in ("a", "b")]
    assert writer.join(batch, "c").result(30) == "c"
    assert [future.result(30) for future in patient] == ["a", "b"]
    assert (batch.sizes, commits) == ([3], ["commit"])
    assert writer.join(batch, "d", within=0.01).result(30) == "d"
    waiting = writer.join(batch, "e", within=60)
    shelf.store.close()
    assert waiting.result(30) == "e"


def test_nothing_is_told_before_the_commit(shelf: Shelf) -> None:
    """While the transaction is being committed no future of it is done."""
    committing, go_on = threading.Event(), threading.Event()

    def stop(_: sa.Connection) -> None:
        committing.set()
        go_on.wait(30)

    sa.event.listen(shelf.writing, "commit", stop)
    future = shelf.store._writer.submit(put("slow"))
    assert committing.wait(30)
    assert not future.done()
    assert words(shelf) == []
    go_on.set()
    assert future.result(30) == "slow"
    assert words(shelf) == ["slow"]


def test_a_failed_commit_fails_the_whole_group(shelf: Shelf) -> None:
    """When the commit is refused, every future has the error, nothing is there."""

    def break_at_commit(connection: sa.Connection) -> None:
        shelf.place.defer_references(connection)
        values = {
            "reference_digest": b"nowhere",
            "record_id": b"record",
            "lookup": b"record",
        }
        connection.execute(sa.insert(REFERENCE_RECORD), values)

    with shelf.held():
        good = [shelf.store._writer.submit(put(f"w{n}")) for n in range(3)]
        bad = shelf.store._writer.submit(break_at_commit)
    errors = [future.exception(30) for future in [*good, bad]]
    assert [type(error) for error in errors] == [DefectError] * 4
    assert len({id(error) for error in errors}) == 4
    assert words(shelf) == []
    assert shelf.store._writer.run(put("next")) == "next"


def test_a_transaction_that_sqlite_gave_up_is_run_again_one_by_one(
    sqlite_shelf: Shelf,
) -> None:
    """A statement that undoes the whole transaction costs its neighbours nothing."""

    def roll_back(connection: sa.Connection) -> None:
        for _ in range(2):
            connection.exec_driver_sql(
                "INSERT OR ROLLBACK INTO index_key VALUES ('twice', x'00')"
            )

    with sqlite_shelf.held():
        before = sqlite_shelf.store._writer.submit(put("before"))
        bad = sqlite_shelf.store._writer.submit(roll_back)
        after = sqlite_shelf.store._writer.submit(put("after"))
    assert (before.result(30), after.result(30)) == ("before", "after")
    with pytest.raises(DefectError):
        bad.result(30)
    assert words(sqlite_shelf) == ["after", "before"]
    assert sqlite_shelf.store._writer.run(put("next")) == "next"


def test_after_a_failed_flush_nothing_is_written_until_the_disk_works(
    sqlite_shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what waited behind it either; reading goes on, and then writing does."""
    monkeypatch.setattr(limits, "RECOVERY_SECONDS", 0.05)
    sqlite_shelf.enrol("A")

    good = iter(["of what holds the writer"])

    def fail(_: sa.Connection) -> None:
        if next(good, None) is None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    with sqlite_shelf.held():
        failed = sqlite_shelf.begin_enrol(sqlite_shelf.record("B"))
        chunk = [sqlite_shelf.record(f"C{n}") for n in range(3)]
        behind = sqlite_shelf.begin_enrol(*chunk)
        sa.event.listen(sqlite_shelf.writing, "commit", fail)
    reasons = {future.exception(30).reason for future in (failed, behind)}  # type: ignore[union-attr] - one of ours
    assert reasons == {"STORAGE_SYNC_FAILED", "WRITING_STOPPED"}
    with pytest.raises(StorageError) as caught:
        sqlite_shelf.enrol("D")
    assert caught.value.reason == "WRITING_STOPPED"
    assert len(sqlite_shelf.store.journal.changes(0, 10)) == 1
    sa.event.remove(sqlite_shelf.writing, "commit", fail)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            sqlite_shelf.enrol("E")
        except StorageError:
            time.sleep(0.01)
        else:
            break
    assert len(sqlite_shelf.store.journal.changes(0, 10)) == 2


def test_a_defect_at_the_commit_does_not_end_the_writer(shelf: Shelf) -> None:
    """An error that is nobody's still resolves the futures, and writing goes on."""

    def fail(_: sa.Connection) -> None:
        raise ZeroDivisionError

    sa.event.listen(shelf.writing, "commit", fail)
    with pytest.raises(DefectError, match="ZeroDivisionError"):
        shelf.store._writer.run(put("one"))
    sa.event.remove(shelf.writing, "commit", fail)
    assert shelf.store._writer.run(put("two")) == "two"
    assert words(shelf) == ["two"]


def test_a_cancelled_operation_is_not_run(shelf: Shelf) -> None:
    """What was cancelled while it waited is left out of its group."""
    with shelf.held():
        kept = shelf.store._writer.submit(put("kept"))
        dropped = shelf.begin_enrol(shelf.record("A"))
        assert dropped.cancel()
    assert kept.result(30) == "kept"
    with pytest.raises(CancelledError):
        dropped.result(30)
    assert words(shelf) == ["kept"]
    assert shelf.store.journal.end() == 0


def test_a_group_of_cancelled_operations_writes_nothing(
    shelf: Shelf, commits: list[str]
) -> None:
    """A group of which nothing is left has no transaction."""
    with shelf.held():
        assert shelf.store._writer.submit(put("dropped")).cancel()
    assert shelf.store._writer.run(put("next")) == "next"
    assert len(commits) == 2


def test_a_full_queue_refuses(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound the queue says so at once, and what waits is still done."""
    monkeypatch.setattr(limits, "WRITE_QUEUE_OPERATIONS", 2)
    with shelf.held():
        waiting = [shelf.store._writer.submit(put(word)) for word in ("a", "b")]
        with pytest.raises(ExhaustedError) as caught:
            shelf.store._writer.submit(put("c"))
    assert caught.value.reason == "WRITE_QUEUE_FULL"
    assert caught.value.retry_after is not None
    assert [future.result(30) for future in waiting] == ["a", "b"]


def test_a_group_is_bounded_by_its_records(
    shelf: Shelf, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large operations do not all share one commit: small ones wait for it."""
    monkeypatch.setattr(limits, "WRITE_GROUP_RECORDS", 10)
    with shelf.held():
        sizes = [6, 4, 6, 11, 1]
        futures = [
            shelf.store._writer.submit(put(f"w{n}"), weight=size)
            for n, size in enumerate(sizes)
        ]
    assert [future.result(30) for future in futures] == [f"w{n}" for n in range(5)]
    assert len(commits) == 1 + 4  # 1, 6 + 4, 6, 11


def test_what_is_small_takes_turns_with_what_is_large(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer waits for one chunk of a bulk load, and a chunk for one group."""
    monkeypatch.setattr(limits, "WRITE_GROUP_RECORDS", 10)
    monkeypatch.setattr(limits, "WRITE_GROUP_OPERATIONS", 2)
    written: list[str] = []

    def put_down(name: str) -> Callable[[object], None]:
        return lambda _: written.append(name)

    with shelf.held():
        futures = [
            shelf.store._writer.submit(put_down(f"{kind}{n}"), weight=weight)
            for kind, weight in (("chunk", 10), ("answer", 1))
            for n in range(4)
        ]
    for future in futures:
        future.result(30)
    names = [name.rstrip("0123") for name in written]
    assert "chunk chunk" not in " ".join(names[:6])
    assert sorted(written) == sorted(
        f"{k}{n}" for k in ("chunk", "answer") for n in range(4)
    )
    assert [n for n in written if n.startswith("chunk")] == [
        f"chunk{n}" for n in range(4)
    ]


def test_a_group_is_bounded_by_its_operations(
    shelf: Shelf, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the bound share one commit."""
    monkeypatch.setattr(limits, "WRITE_GROUP_OPERATIONS", 4)
    with shelf.held():
        futures = [shelf.store._writer.submit(put(f"w{n}")) for n in range(10)]
    assert [future.result(30) for future in futures] == [f"w{n}" for n in range(10)]
    assert len(commits) == 1 + 3


def test_an_operation_that_writes_through_the_writer_is_refused(
    shelf: Shelf,
) -> None:
    """A write within a write would wait for itself; it is a defect instead."""
    with pytest.raises(DefectError) as caught:
        shelf.store._writer.run(
            lambda _: shelf.store.keys.add_index_key(XAA, digest("index key"))
        )
    assert caught.value.reason == "WRITE_WITHIN_WRITE"


def test_close_writes_what_waits_and_takes_no_more(shelf: Shelf) -> None:
    """Everything accepted is durable after close; the next write is refused."""
    with shelf.held():
        futures = [shelf.begin_enrol(shelf.record(f"R{n}")) for n in range(50)]
        closing = threading.Thread(target=shelf.store.close)
        closing.start()
    closing.join(30)
    assert sorted(future.result(0).position for future in futures) == list(range(1, 51))
    with pytest.raises(UnavailableError) as caught:
        shelf.enrol("late")
    assert caught.value.reason == "STORE_CLOSED"
    reopened = Shelf(shelf.place)
    assert reopened.store.journal.end() == 50
    reopened.store.close()


def test_failed_housekeeping_is_logged_and_undoes_nothing_else(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """The operations of a group do not depend on the purge that runs with them."""

    class Failing:
        def is_due(self) -> bool:
            return True

        def run(self, connection: sa.Connection, operations: int) -> None:
            put(f"{operations} operations")(connection)
            raise ZeroDivisionError

    shelf.store._writer.close()
    log = Log(Scribe({}, secrets.token_bytes), shelf.clock)
    database = shelf.store._database
    writer = Writer(database, log, [], Failing(), lambda: None, lambda: None)
    assert writer.run(put("kept")) == "kept"
    writer.close()
    assert words(shelf) == ["kept"]
    assert "housekeeping failed: WRITE_DEFECT" in caplog.text


def test_an_operation_raises_its_own_error(shelf: Shelf) -> None:
    """What `make_reply` raises reaches the caller, and nothing is enrolled."""

    def refuse(_: Any) -> bytes:  # noqa: ANN401 - whatever it is given
        raise UnavailableError("NOT_NOW", "not now")

    future = shelf.store.records.enrol(
        XAA,
        [shelf.record("A")],
        request_id=shelf.fresh(),
        digest=digest("enrol"),
        make_reply=refuse,
    )
    with pytest.raises(UnavailableError, match="not now"):
        future.result(30)
    assert shelf.store.journal.end() == 0
