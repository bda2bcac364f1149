"""The one thread that writes: many operations, one transaction, one flush."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import sqlalchemy as sa

from biometrics import limits
from biometrics.delivery import together
from biometrics.errors import (
    OUTCOME_UNKNOWN,
    DefectError,
    ExchangeError,
    ExhaustedError,
    StorageError,
    UnavailableError,
)
from biometrics.store.failures import (
    DATABASE_ERRORS,
    SYNC_FAILED,
    is_lost,
    translate,
)

if TYPE_CHECKING:
    from biometrics.store.databases import Database
    from biometrics.store.log import Log

T = TypeVar("T")
U = TypeVar("U")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of a write, held back until the commit.

    Attributes:
        value: what it returns.
        error: what it raises instead; then it has written nothing.
    """

    value: T | None = None
    error: Exception | None = None


# Writes what waits together, in its order: one outcome each.
Batch: TypeAlias = Callable[[sa.Connection, Sequence[T]], Sequence[Outcome[U]]]


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T, U]):
    """One part of a batch that waits for its transaction."""

    batch: Batch[T, U]
    part: T
    future: Future[U]
    weight: int
    due: float  # by the monotonic clock


_Run: TypeAlias = "Callable[[sa.Connection, Batch[Any, Any], list[Any]], Sequence[Any]]"


class Memory(Protocol):
    """Remembers what is written within a transaction; of the writer's thread."""

    def renew(self) -> None:
        """Know nothing any more of what is durable: somebody else has written."""

    def mark(self) -> int:
        """Return how much is pending, for `undo`."""

    def undo(self, mark: int) -> None:
        """Take back what came since `mark`."""

    def forget(self, *, is_durable: bool = False) -> None:
        """Have nothing pending: the transaction is over, committed or not."""


class Housekeeping(Protocol):
    """What is to be deleted, a little with each transaction."""

    def is_due(self) -> bool:
        """Say whether there may be something."""

    def run(self, connection: sa.Connection, operations: int) -> None:
        """Delete some, in a transaction of so many operations."""


class _GivenUpError(Exception):
    """The database undid a whole transaction because of one statement.

    As SQLite does on a full disk.
    """

    def __init__(self, reason: Exception) -> None:
        """Keep what the statement raised."""
        super().__init__()
        self.reason = reason


class _UndoneError(Exception):
    """An operation raised, and everything of its transaction was undone."""


class Writer:
    """Group commit.

    Operations that wait are run in one transaction, and those of one batch that stand
    together by one call; if one raises that may have written, all are undone and run
    again, each alone in its own savepoint, so that it is undone alone. They are run in
    the order in which they came, but that those which write several records take turns
    with all others. Futures resolve after the commit and never before; if the
    transaction as a whole fails, every future of the group has the error and nothing of
    the group was written; but if the connection is lost during the commit, nobody
    knows, and the error says so (`OUTCOME_UNKNOWN`). Where one operation makes the
    database undo the transaction before the commit, all of the group are run again,
    each in a transaction of its own.

    After a flush that failed nothing is written, since the next one may be called a
    success though pages of the one before are gone. It goes on, without a new start,
    once the database has brought everything that was acknowledged to the disk anew.

    An operation MUST NOT wait for another write: it would wait for itself. It MUST
    be such that it can be run again after all that it wrote was undone.
    """

    def __init__(  # noqa: PLR0917 - in the order in which they are used
        self,
        database: Database,
        log: Log,
        memories: Sequence[Memory],
        housekeeping: Housekeeping,
        on_failure: Callable[[], None],
        on_recovery: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            database: held; the caller closes it after `close`.
            log: which operations append to; it is written with each transaction.
            memories: of transactions, that learn how each has ended.
            housekeeping: done in transactions when it is due; a failure of it is logged
                and undoes nothing else.
            on_failure: called from the thread when it stops writing.
            on_recovery: called from the thread when it goes on.
        """
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._database = database
        self._log = log
        self._memories = (log, *memories)
        self._housekeeping = housekeeping
        # What writes one record or none does not wait behind chunks of many.
        self._light: deque[_Waiting[Any, Any]] = deque()
        self._heavy: deque[_Waiting[Any, Any]] = deque()
        self._was_heavy = False
        self._due = math.inf  # when the next transaction begins
        self._arrived = threading.Condition()
        self._closing = False
        self._sync_failed = False
        self._is_told = False
        self._written = 0  # statements
        sa.event.listen(database.writing, "before_cursor_execute", self._note)
        self._thread = threading.Thread(target=self._serve, name="store-writer")
        self._thread.daemon = True  # a process that forgot to close still ends
        self._thread.start()

    def submit(
        self, operation: Callable[[sa.Connection], T], *, weight: int = 1
    ) -> Future[T]:
        """Queue an operation.

        Args:
            operation: runs in the writer's thread; undone alone if it raises.
            weight: records that it writes.

        Returns:
            What the operation returns or raises, once that is durable.

        Raises:
            ExhaustedError: too many operations wait already.
            StorageError: writing is stopped after a failed flush.
            UnavailableError: the store is closed.
        """
        return self.join(self._each, operation, weight=weight)

    def join(
        self, batch: Batch[T, U], part: T, *, weight: int = 1, within: float = 0.0
    ) -> Future[U]:
        """Queue a part of what is written together, if more of it waits by then.

        Args:
            batch: runs in the writer's thread, with one part or more. A part whose
                outcome is an error MUST have written nothing; if the batch raises, all
                of it is undone, and run again part by part.
            part: what is to be written.
            weight: records that it writes.
            within: seconds for which it may wait for others, unless one comes that
                does not wait.

        Returns:
            The part's outcome, once that is durable.

        Raises:
            ExhaustedError: as `submit`.
            StorageError: likewise.
            UnavailableError: likewise.
        """
        future: Future[U] = Future()
        with self._arrived:
            if self._closing:
                raise UnavailableError(
                    "STORE_CLOSED", "the exchange is stopping; send the request again"
                )
            if self._sync_failed:
                raise _stopped()
            if len(self._light) + len(self._heavy) >= limits.WRITE_QUEUE_OPERATIONS:
                raise ExhaustedError(
                    "WRITE_QUEUE_FULL",
                    f"{limits.WRITE_QUEUE_OPERATIONS} writes wait already; send the"
                    " request again later",
                    retry_after=1.0,
                )
            queue = self._light if weight <= 1 else self._heavy
            due = time.monotonic() + within
            queue.append(_Waiting(batch, part, future, weight, due))
            if due < self._due:
                self._due = due
                self._arrived.notify()
        return future

    def run(self, operation: Callable[[sa.Connection], T]) -> T:
        """Submit an operation and wait until it is durable.

        Raises:
            DefectError: called by an operation.
        """
        if threading.current_thread() is self._thread:
            raise DefectError(
                "WRITE_WITHIN_WRITE", "a write waits for a write of its own group"
            )
        return self.submit(operation).result()

    def close(self) -> None:
        """Write what waits, then end. Nothing is taken on any more."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join()

    def _serve(self) -> None:
        """Write group after group until closed and drained."""
        while group := self._take():
            live = [one for one in group if one.future.set_running_or_notify_cancel()]
            if live:
                self._write(live)
            while self._sync_failed and self._wait_for_disk():
                self._recover()

    def _take(self) -> list[_Waiting[Any, Any]]:
        """Wait for operations; return a group, or nothing once closed and drained."""
        with self._arrived:
            while (left := self._due - time.monotonic()) > 0 and not self._closing:
                self._arrived.wait(None if math.isinf(left) else left)
            # In turns, so that neither waits for more than one group of the other.
            is_heavy = bool(self._heavy) and not (self._light and self._was_heavy)
            self._was_heavy = is_heavy
            queue = self._heavy if is_heavy else self._light
            group: list[_Waiting[Any, Any]] = []
            weight = 0
            while queue and len(group) < limits.WRITE_GROUP_OPERATIONS:
                weight += queue[0].weight
                if group and weight > limits.WRITE_GROUP_RECORDS:
                    break
                group.append(queue.popleft())
            # What is left has come before this one began: it has waited long enough.
            self._due = -math.inf if self._light or self._heavy else math.inf
            return group

    def _wait_for_disk(self) -> bool:
        """Refuse what waits, and wait a while; say whether to go on, or to end."""
        with self._arrived:
            refused = [*self._light, *self._heavy]
            self._light.clear()
            self._heavy.clear()
            self._due = math.inf
        for one in refused:
            if one.future.set_running_or_notify_cancel():
                one.future.set_exception(_stopped())
        with self._arrived:
            if not self._closing:
                self._arrived.wait(limits.RECOVERY_SECONDS)
            return not self._closing

    def _recover(self) -> None:
        """Go on writing if all that was acknowledged is on the disk now."""
        try:
            self._database.recover()
        except (*DATABASE_ERRORS, ExchangeError, OSError) as error:
            if not self._is_told:
                _LOG.warning("writing stays stopped: %s", _explain(error).reason)
            self._is_told = True
            return
        with self._arrived:
            self._sync_failed = self._is_told = False
        _LOG.warning("the disk is flushed: writing goes on")
        self._on_recovery()

    def _write(self, group: list[_Waiting[Any, Any]]) -> None:
        """Run a group, commit it, and only then resolve its futures."""
        try:
            outcomes = self._transact(group)
        except _GivenUpError as lost:
            if len(group) > 1:
                for one in group:  # whoever broke it breaks only its own this time
                    self._write([one])
                return
            outcomes = [Outcome(error=_explain(lost.reason))]
        except Exception as error:  # noqa: BLE001 - outlives any
            reason = _explain(error).reason
            _LOG.warning("a group of %d writes failed: %s", len(group), reason)
            if reason == SYNC_FAILED:
                self._stop()
            outcomes = [Outcome(error=_explain(error)) for _ in group]
        with together():
            for waiting, outcome in zip(group, outcomes, strict=True):
                if outcome.error is None:
                    waiting.future.set_result(outcome.value)
                else:
                    waiting.future.set_exception(outcome.error)

    def _stop(self) -> None:
        """Write nothing more until the database has recovered."""
        with self._arrived:
            self._sync_failed = True
        self._on_failure()

    def _transact(self, group: list[_Waiting[Any, Any]]) -> list[Outcome[Any]]:
        """Run a group in one transaction; what it returns is durable.

        Savepoints are two statements for each operation, which hardly ever raises, and
        every statement gives the interpreter's lock away and waits for it.
        """
        if self._sync_failed:  # since the group was taken
            raise _stopped()
        try:
            return self._commit(group, _together)
        except _UndoneError:
            return self._commit(group, self._apart)

    def _commit(self, group: list[_Waiting[Any, Any]], run: _Run) -> list[Outcome[Any]]:
        """Begin a transaction, run a group in it, and commit it."""
        is_committing = False
        try:
            for memory in self._memories:
                memory.forget()  # a transaction that was undone
            with self._database.writing.begin() as connection:
                if self._database.has_others_writes(connection):
                    for memory in self._memories:
                        memory.renew()
                outcomes = [
                    outcome
                    for batch, parts in groupby(group, attrgetter("batch"))
                    for outcome in run(connection, batch, [one.part for one in parts])
                ]
                kept = self._keep_house(connection, len(group))
                self._log.flush(connection)
                is_committing = True
        except DATABASE_ERRORS as error:
            if is_committing and is_lost(error):
                raise StorageError(
                    OUTCOME_UNKNOWN,
                    "the connection to the database was lost while it made the request"
                    " durable: it may have been carried out; send it again with the"
                    " same request_id, and it is carried out once",
                ) from error
            raise
        for memory in self._memories:
            memory.forget(is_durable=True)
        self._database.note_commit()
        if kept.error is not None:
            _LOG.warning("housekeeping failed: %s", _explain(kept.error).reason)
        return outcomes

    def _keep_house(self, connection: sa.Connection, operations: int) -> Outcome[None]:
        """Do the housekeeping that is due."""
        if not self._housekeeping.is_due():
            return Outcome()
        return self._attempt(
            connection,
            self._each,
            lambda held: self._housekeeping.run(held, operations),
        )

    def _each(
        self,
        connection: sa.Connection,
        operations: Sequence[Callable[[sa.Connection], T]],
    ) -> list[Outcome[T]]:
        """Run operations that share no statement.

        One that is refused before it has written anything leaves the others as they
        are: anybody can send what is to be refused.
        """
        outcomes: list[Outcome[T]] = []
        for operation in operations:
            marks, written = self._marks(), self._written
            try:
                outcomes.append(Outcome(operation(connection)))
            except ExchangeError as refusal:
                was_refused = not isinstance(refusal.__cause__, DATABASE_ERRORS)
                if self._written > written or not was_refused:
                    raise
                self._undo(marks)
                outcomes.append(Outcome(error=refusal))
        return outcomes

    def _note(self, _: object, __: object, statement: str, *___: object) -> None:
        """Count a statement that may have written."""
        self._written += not statement.startswith("SELECT")

    def _marks(self) -> list[int]:
        """Return how much each memory has pending, for `_undo`."""
        return [memory.mark() for memory in self._memories]

    def _undo(self, marks: Sequence[int]) -> None:
        """Have the memories forget what came since `marks`."""
        for memory, mark in zip(self._memories, marks, strict=True):
            memory.undo(mark)

    def _apart(
        self, connection: sa.Connection, batch: Batch[T, U], parts: list[T]
    ) -> list[Outcome[U]]:
        """Run a batch part by part; see `_attempt`."""
        return [self._attempt(connection, batch, part) for part in parts]

    def _attempt(
        self, connection: sa.Connection, batch: Batch[T, U], part: T
    ) -> Outcome[U]:
        """Run a batch of one part in a savepoint; undo it alone if it raises.

        The savepoints are plain statements, a third of a small write's time less than
        `begin_nested`, which compiles its own anew each time.

        Raises:
            _GivenUpError: the database undid the whole transaction.
            SQLAlchemyError: the connection is lost, and the transaction with it.
        """
        connection.exec_driver_sql("SAVEPOINT operation")
        marks = self._marks()
        try:
            (outcome,) = batch(connection, [part])
            connection.exec_driver_sql("RELEASE SAVEPOINT operation")
        except Exception as error:
            if connection.invalidated:
                raise
            if not self._database.has_transaction(connection):
                raise _GivenUpError(error) from error
            self._undo(marks)
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT operation")
            connection.exec_driver_sql("RELEASE SAVEPOINT operation")
            if isinstance(error, ExchangeError):
                return Outcome(error=error)
            return Outcome(error=_explain(error))
        return outcome


def _together(
    connection: sa.Connection, batch: Batch[T, U], parts: list[T]
) -> Sequence[Outcome[U]]:
    """Run a batch.

    Raises:
        _UndoneError: it raised; the transaction is to be undone.
        SQLAlchemyError: the connection is lost, and the transaction with it.
    """
    try:
        return batch(connection, parts)
    except Exception as error:
        if connection.invalidated:
            raise
        raise _UndoneError from error


def _stopped() -> StorageError:
    """Return the error of a write that was not begun."""
    return StorageError(
        "WRITING_STOPPED",
        "writing stopped after a failed flush to disk, and goes on by itself once the"
        " disk works: nothing of this request was written, check the disk and send it"
        " again",
        retry_after=limits.RECOVERY_SECONDS,
    )


def _explain(error: Exception) -> ExchangeError:
    """Return an error of our family, caused by `error`; a new one at every call.

    One error raised in many threads would gather all their tracebacks.
    """
    if isinstance(error, DATABASE_ERRORS):
        told = translate(error)
    elif isinstance(error, StorageError):
        told = StorageError(error.reason, error.message)
    else:
        told = DefectError("WRITE_DEFECT", f"a write ended in `{type(error).__name__}`")
    told.__cause__ = error
    return told
