"""The store as a whole: opened once, handed out in parts."""

from __future__ import annotations

import datetime as dt
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from biometrics import limits
from biometrics.audit import Scribe
from biometrics.clock import UnhurriedClock
from biometrics.store.agreements import AgreementReader, AgreementTable
from biometrics.store.answers import AnswerWriter
from biometrics.store.budget import Budget
from biometrics.store.consistency import Consistency, refuse_behind
from biometrics.store.cosignatures import CosignatureTable
from biometrics.store.custody import CustodyReader
from biometrics.store.databases import database_at
from biometrics.store.destruction import DestructionWriter
from biometrics.store.erasure import ErasureReader, ErasureTable
from biometrics.store.failures import DATABASE_ERRORS, translated
from biometrics.store.follow_ups import FollowUpTable
from biometrics.store.front_ends import FrontEndTable
from biometrics.store.journal import JournalHead, JournalReader
from biometrics.store.keys import KeyReader, KeyTable
from biometrics.store.log import Log, LogReader, LogWriter
from biometrics.store.membership import MembershipReader, MembershipTable, ShutOut
from biometrics.store.records import RecordWriter
from biometrics.store.references import References
from biometrics.store.register import RecordReader
from biometrics.store.replies import Replies
from biometrics.store.reviews import ReviewTable
from biometrics.store.rotation import RotationWriter
from biometrics.store.sealed_rows import SealedRows
from biometrics.store.upgrade import is_current, upgrade
from biometrics.store.whole import WholeReader
from biometrics.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import sqlalchemy as sa

    from biometrics.clock import Clock
    from biometrics.store.databases import Database
    from biometrics.store.writer import Memory

T = TypeVar("T")

# By so much a time of day may be corrected, and what is to last is none the shorter.
_LEEWAY: Final = dt.timedelta(seconds=limits.MAX_CLOCK_AHEAD_SECONDS)


class Store:
    """One database. What you may do with it is the part that you hold.

    Attributes:
        keys: wrapped keys.
        agreements: the version of each that was last in force.
        membership: who takes part.
        records: enrols, replaces, protects and withdraws.
        custody: opens and closes galleries, and replaces their keys.
        destruction: destroys galleries.
        erasures: what keys are no more, and what was signed of it.
        records: enrols, replaces, protects and withdraws.
        budget: what is left to requesters.
        answers: makes answers to searches durable.
        reviews: freezes, alerts, and what is decided of them.
        follow_ups: from references to payloads that are read once.
        journal: follows what was enrolled and withdrawn.
        log: what members are shown of all that happened.
        cosignatures: what members' witnesses state of it.
        register: what a holder is shown of its own.
        whole: records with their sealed templates, to be sealed anew.
        front_ends: who else serves it; None where nobody else may.
    """

    def __init__(
        self,
        database: Database,
        *,
        front_end: bytes | None = None,
        scribe: Scribe,
        clock: Clock,
        on_failure: Callable[[], None],
        on_recovery: Callable[[], None],
    ) -> None:
        """Put the parts together; use `open_store`."""
        self._database = database
        self._closed = False
        reading = database.reading
        replies, references = Replies(clock), References(clock)
        unhurried = UnhurriedClock(clock, _LEEWAY)
        self.budget = Budget(reading, unhurried)

        log = Log(scribe, clock)
        purging = _Purging((replies, references, self.budget))
        shut_out = ShutOut(database.writing, is_alone=front_end is None)
        memories: tuple[Memory, ...] = (self.budget, shut_out)
        self._writer = Writer(database, log, memories, purging, on_failure, on_recovery)
        head = JournalHead()
        self.keys = KeyTable(self._writer, reading)
        self.agreements = AgreementTable(self._writer, reading, log)
        self.membership = MembershipTable(self._writer, reading, log, clock)
        self.records = RecordWriter(
            self._writer,
            replies,
            head,
            log=log,
            clock=clock,
            has_room=database.has_room,
        )
        self.custody = RotationWriter(
            self._writer, reading, replies, head, clock, log=log
        )
        self.destruction = DestructionWriter(
            self._writer, reading, replies, head, clock, log=log
        )
        self.erasures = ErasureTable(self._writer, reading)
        self.answers = AnswerWriter(
            self._writer,
            reading,
            replies,
            references,
            budget=self.budget,
            shut_out=shut_out,
            log=log,
            clock=clock,
        )
        self.reviews = ReviewTable(self._writer, reading, unhurried)
        self.follow_ups = FollowUpTable(
            self._writer,
            reading,
            replies,
            budget=self.budget,
            log=log,
            clock=clock,
            is_alone=front_end is None,
        )
        self.log = LogWriter(self._writer, reading, log)
        self.cosignatures = CosignatureTable(self._writer, reading)
        self.journal = JournalReader(reading, head)
        self.register = RecordReader(reading)
        self.whole = WholeReader(reading)
        self.front_ends = (
            None
            if front_end is None
            else FrontEndTable(self._writer, database, front_end, head)
        )

    def while_still(self, work: Callable[[], T]) -> T:
        """Do something short while nobody writes, neither here nor another front end.

        Args:
            work: it MUST NOT write.

        Raises:
            ExchangeError: what it raises; or the database cannot be written now.
        """
        return self._writer.run(lambda _: work())

    def erase(self) -> bool:
        """Make the bytes of what was withdrawn go from the files of the database.

        As far as the database can: of SQLite's they are gone, of PostgreSQL's free to
        be overwritten; see `databases.Database.erase`. Blocks. The system may keep old
        blocks of its own, as may backups: of those nothing is promised here.

        Returns:
            Whether it is done; False while a reader still needs them, and then it is
            to be called again.

        Raises:
            StorageError: it cannot be done now.
        """
        with translated():
            return self._database.erase()

    def close(self) -> None:
        """Write what was accepted, then close; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._database.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class _Purges(Protocol):
    """What has rows that are deleted in time."""

    def is_due(self) -> bool:
        """Say whether it is time to look for them."""

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Delete at most so many."""


class _Purging:
    """Deletes what is over, a few rows for each operation of a transaction."""

    def __init__(self, purged: Sequence[_Purges]) -> None:
        """Delete from these."""
        self._purged = purged

    def is_due(self) -> bool:
        """Say whether it is time to look."""
        return any(each.is_due() for each in self._purged)

    def run(self, connection: sa.Connection, operations: int) -> None:
        """Delete where it is time."""
        for each in self._purged:
            if each.is_due():
                each.purge(connection, operations * limits.PURGED_ROWS_PER_OPERATION)


def open_store(
    where: Path | str,
    clock: Clock,
    *,
    scribe: Scribe | None = None,
    front_end: bytes | None = None,
    on_failure: Callable[[], None] = lambda: None,
    on_recovery: Callable[[], None] = lambda: None,
) -> Store:
    """Open a database, or make it, and bring its schema up to date.

    Args:
        where: a file of SQLite, whose folder must be there (`-wal`, `-shm` and `.lock`
            files stand beside it); or the URL of a database of PostgreSQL, which must
            be there.
        clock: for the moments that are stored.
        scribe: writes the leaves of the log; without one nobody can open what members
            are told by it.
        front_end: 16 random bytes, where others may serve the same database beside this
            one: by these they know it. None to have it for oneself.
        on_failure: called, from another thread, when a flush failed and nothing is
            written any more.
        on_recovery: called likewise when writing goes on.

    Raises:
        ConfigurationError: another exchange has it open (`DATABASE_IN_USE`), a
            later version wrote it (`NEWER_SCHEMA`), it is another program's
            (`FOREIGN_DATABASE`) or no database (`NOT_A_DATABASE`), it cannot be
            opened (`DATABASE_UNREACHABLE`), its server would not keep what it
            acknowledges (`DATABASE_UNSAFE`), or it lacks what it has acknowledged
            (`DATABASE_BEHIND`).
        StorageError: it cannot be read or written now.
    """
    database = database_at(where, front_end)
    try:
        with _refused(database):
            database.hold()
            refuse_behind(database)
            upgrade(database)
            # Of SQLite's, or the log would outlive a store that only read.
            database.writing.connect().close()
        return Store(
            database,
            front_end=front_end,
            scribe=scribe or Scribe({}, secrets.token_bytes),
            clock=clock,
            on_failure=on_failure,
            on_recovery=on_recovery,
        )
    except BaseException:
        database.close()
        raise


@dataclass(frozen=True, slots=True)
class Inspection:
    """What can be read of a database while another exchange may have it open."""

    keys: KeyReader
    custody: CustodyReader
    agreements: AgreementReader
    membership: MembershipReader
    erasures: ErasureReader
    register: RecordReader
    journal: JournalReader
    log: LogReader
    consistency: Consistency
    sealed: SealedRows


@contextmanager
def inspect_store(
    where: Path | str, *, is_held: bool = False
) -> Iterator[Inspection | None]:
    """Look into a database and change no row; refuse what `open_store` would.

    Args:
        where: as for `open_store`.
        is_held: keep every exchange out meanwhile, so that nothing changes.

    Yields:
        What can be read; None where there is no database yet, or one that the next
        start will bring up to date.

    Raises:
        ConfigurationError: as `open_store`; `DATABASE_IN_USE` only where `is_held`.
        StorageError: it cannot be read now.
    """
    database = database_at(where)
    try:
        with _refused(database):
            is_readable = database.is_there()
            if is_readable and is_held:
                database.hold()
            is_readable = is_readable and is_current(database)
        if not is_readable:
            yield None
            return
        yield Inspection(
            KeyReader(database.reading),
            CustodyReader(database.reading),
            AgreementReader(database.reading),
            MembershipReader(database.reading),
            ErasureReader(database.reading),
            RecordReader(database.reading),
            JournalReader(database.reading, JournalHead()),
            LogReader(database.reading),
            Consistency(database),
            SealedRows(database.reading),
        )
    finally:
        database.close()


@contextmanager
def _refused(database: Database) -> Iterator[None]:
    """Raise what the database raises as the reason why it cannot be opened."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise database.refusal(error) from error
