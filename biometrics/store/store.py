"""The store as a whole: opened once, handed out in parts."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.store.agreements import AgreementReader, AgreementTable
from biometrics.store.answers import AnswerWriter
from biometrics.store.database import empty_log, make_reader_engine, make_writer_engine
from biometrics.store.failures import (
    DATABASE_ERRORS,
    result_code,
    translate,
    translated,
)
from biometrics.store.journal import JournalHead, JournalReader
from biometrics.store.keys import KeyReader, KeyTable
from biometrics.store.lock import ProcessLock
from biometrics.store.records import RecordWriter
from biometrics.store.references import References
from biometrics.store.register import RecordReader
from biometrics.store.replies import Replies
from biometrics.store.upgrade import is_current, upgrade
from biometrics.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import sqlalchemy as sa
    from sqlalchemy import exc

    from biometrics.clock import Clock
    from biometrics.errors import ExchangeError


class Store:
    """One database. What you may do with it is the part that you hold.

    Attributes:
        keys: wrapped keys.
        agreements: the version of each that was last in force.
        records: enrols and withdraws.
        answers: makes answers to searches durable.
        journal: follows what was enrolled and withdrawn.
        register: what a holder is shown of its own.
    """

    def __init__(
        self,
        path: Path,
        reading: sa.Engine,
        writing: sa.Engine,
        *,
        lock: ProcessLock,
        clock: Clock,
        on_failure: Callable[[], None],
    ) -> None:
        """Put the parts together; use `open_store`."""
        self._path = path
        self._lock = lock
        self._reading = reading
        self._writing = writing
        self._closed = False
        replies, references = Replies(clock), References(clock)

        def housekeep(connection: sa.Connection, operations: int) -> None:
            most = operations * limits.PURGED_ROWS_PER_OPERATION
            replies.purge(connection, most)
            references.purge(connection, most)

        self._writer = Writer(writing, housekeep, on_failure)
        head = JournalHead()
        self.keys = KeyTable(self._writer, self._reading)
        self.agreements = AgreementTable(self._writer, self._reading)
        self.records = RecordWriter(self._writer, replies, head, clock)
        self.answers = AnswerWriter(self._writer, self._reading, replies, references)
        self.journal = JournalReader(self._reading, head)
        self.register = RecordReader(self._reading)

    def erase(self) -> bool:
        """Make the bytes of what was withdrawn go from every file of the database.

        A withdrawal overwrites them in the database; the write-ahead log still has
        the pages as they were, until it is cut to nothing here, or by `close`.
        Blocks; writes wait meanwhile. The system may keep old blocks of its own, as
        may backups: of those nothing is promised here.

        Returns:
            Whether they are gone; False while a reader still needs the log, and
            then it is to be called again.

        Raises:
            StorageError: the log cannot be copied into the database.
        """
        with translated():
            return empty_log(self._path)

    def close(self) -> None:
        """Write what was accepted, then close; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._reading.dispose()
        self._writing.dispose()  # the last connection empties the log
        self._lock.release()

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


def open_store(
    path: Path, clock: Clock, *, on_failure: Callable[[], None] = lambda: None
) -> Store:
    """Open a database, or make it, and bring its schema up to date.

    Args:
        path: the file; its folder must be there. `-wal`, `-shm` and `.lock` files
            stand beside it.
        clock: for the moments that are stored.
        on_failure: called, from another thread, when a flush failed and nothing more
            is written until the store is opened again.

    Raises:
        ConfigurationError: another exchange has it open (`DATABASE_IN_USE`), a
            later version wrote it (`NEWER_SCHEMA`), it is another program's
            (`FOREIGN_DATABASE`) or no database (`NOT_A_DATABASE`), or the file
            cannot be opened (`DATABASE_UNREACHABLE`).
        StorageError: it cannot be read or written now.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = ProcessLock(path)
    except OSError as error:
        raise ConfigurationError(
            "DATABASE_UNREACHABLE",
            f"`{path}` cannot be opened for writing, {error.strerror}; name a file in"
            " a folder that is there and writable",
        ) from error
    reading, writing = make_reader_engine(path), make_writer_engine(path)
    try:
        upgrade(path, reading, writing)
        writing.connect().close()  # or the log would outlive a store that only read
        return Store(
            path, reading, writing, lock=lock, clock=clock, on_failure=on_failure
        )
    except DATABASE_ERRORS as error:
        _abandon(reading, writing, lock)
        raise _refusal(path, error) from error
    except BaseException:
        _abandon(reading, writing, lock)
        raise


@dataclass(frozen=True, slots=True)
class Inspection:
    """What can be read of a database while another exchange may have it open."""

    keys: KeyReader
    agreements: AgreementReader
    register: RecordReader
    journal: JournalReader


@contextmanager
def inspect_store(path: Path) -> Iterator[Inspection | None]:
    """Look into a database and change no row; refuse what `open_store` would.

    Yields:
        What can be read; None where there is no database yet, or one that the next
        start will bring up to date.

    Raises:
        ConfigurationError: `NEWER_SCHEMA`, `FOREIGN_DATABASE`, `NOT_A_DATABASE`, or
            its folder is not there (`DATABASE_UNREACHABLE`).
        StorageError: it cannot be read now.
    """
    if not path.parent.is_dir():
        raise ConfigurationError(
            "DATABASE_UNREACHABLE", f"`{path.parent}` is no folder; make it"
        )
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    reading = make_reader_engine(path)
    try:
        if not _is_current(path, reading):
            yield None
            return
        yield Inspection(
            KeyReader(reading),
            AgreementReader(reading),
            RecordReader(reading),
            JournalReader(reading, JournalHead()),
        )
    finally:
        reading.dispose()


def _is_current(path: Path, reading: sa.Engine) -> bool:
    """Say whether a database has the schema of this program, or refuse it."""
    try:
        return is_current(path, reading)
    except DATABASE_ERRORS as error:
        raise _refusal(path, error) from error


def _abandon(reading: sa.Engine, writing: sa.Engine, lock: ProcessLock) -> None:
    """Give back what was taken."""
    reading.dispose()
    writing.dispose()
    lock.release()


def _refusal(path: Path, error: exc.SQLAlchemyError | sqlite3.Error) -> ExchangeError:
    """Return why a file cannot be opened as a database."""
    if result_code(error) == sqlite3.SQLITE_NOTADB:
        return ConfigurationError(
            "NOT_A_DATABASE", f"`{path}` is no database; name another file"
        )
    return translate(error)
