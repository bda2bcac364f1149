"""Exchanges that lack one flush, one field or one order: the simulation finds each.

A mutant changes the product in this process for as long as it is entered.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import biometrics.signing.files as signed_files
from biometrics import files
from biometrics.custody import codes, gallery, index, providers
from biometrics.custody.framing import Purpose, frame
from biometrics.server import backup
from biometrics.store import sqlite
from biometrics.store.answers import AnswerWriter
from biometrics.store.records import RecordWriter
from matcher import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType


class _OtherSystem(threading.local):
    """The system's calls as `biometrics.files` sees them, some flushes left out.

    Attributes:
        forgets: whether this thread writes what is not flushed.
    """

    forgets = False

    def __init__(self, *, folders: bool) -> None:
        self._folders = folders

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, number: int) -> None:
        """Flush files but no folders, or folders but no files."""
        is_folder = Path(f"/proc/self/fd/{number}").is_dir()
        if not self.forgets or is_folder is not self._folders:
            os.fsync(number)


@contextmanager
def _unflushed(module: ModuleType, *, folders: bool) -> Iterator[None]:
    """Write what one module writes without some flushes."""
    system = _OtherSystem(folders=folders)

    def forgetting(write: Callable[..., None]) -> Callable[..., None]:
        def called(*args: Any) -> None:
            system.forgets = True
            try:
                write(*args)
            finally:
                system.forgets = False

        return called

    used = {"create_file", "put_file", "write_new", "make_durable"} & set(vars(module))
    assert used
    with ExitStack() as parts:
        parts.enter_context(patch.object(files, "os", system))
        for name in used:
            write = forgetting(getattr(module, name))
            parts.enter_context(patch.object(module, name, write))
        yield


@contextmanager
def _pragma(old: str, new: str) -> Iterator[None]:
    pragmas = tuple(each.replace(old, new) for each in sqlite._WRITER_PRAGMAS)
    assert pragmas != sqlite._WRITER_PRAGMAS
    with patch.object(sqlite, "_WRITER_PRAGMAS", pragmas):
        yield


@contextmanager
def _changed(where: Any, name: str, to: Any) -> Iterator[None]:
    with patch.object(where, name, to):
        yield


@contextmanager
def _early_answers() -> Iterator[None]:
    """Answer searches before the transaction with their leaves is committed."""
    waiting: dict[bytes, Future[Any]] = {}
    commit, store = AnswerWriter.commit, AnswerWriter._store

    def early(
        part: Any, member: Any, request_id: bytes, *more: Any, **named: Any
    ) -> Any:
        waiting[request_id] = answered = Future()
        commit(part, member, request_id, *more, **named)
        return answered

    def stored(part: Any, connection: Any, answers: Any) -> Any:
        outcomes = store(part, connection, answers)
        for answer, outcome in zip(answers, outcomes, strict=True):
            if outcome.error is None:
                waiting.pop(answer.request_id).set_result(outcome.value)
        return outcomes

    with (
        patch.object(AnswerWriter, "commit", early),
        patch.object(AnswerWriter, "_store", stored),
    ):
        yield


@contextmanager
def _early_protections() -> Iterator[None]:
    """Acknowledge a protection before its transaction is committed."""
    whole = RecordWriter.protect

    def early(part: Any, *args: Any, **more: Any) -> Any:
        answered: Future[Any] = Future()
        writer = part._writer

        def submit(operation: Any, **of_weight: int) -> Any:
            def first(connection: Any) -> Any:
                value = operation(connection)
                answered.set_result(value)
                return value

            return writer.submit(first, **of_weight)

        with patch.object(part, "_writer", SimpleNamespace(submit=submit)):
            whole(part, *args, **more)
        return answered

    with patch.object(RecordWriter, "protect", early):
        yield


@contextmanager
def _unbound(**to: Any) -> Iterator[None]:
    """Bind sealed values to one thing less."""
    whole = gallery.frame_rest
    with patch.object(gallery, "frame_rest", lambda b: whole(b._replace(**to))):
        yield


@contextmanager
def _epoch_without(place: int, value: Any) -> Iterator[None]:
    """Bind gallery keys to one thing less."""
    whole = gallery.Epoch._fields

    def fields(epoch: Any) -> tuple[Any, ...]:
        found = list(whole(epoch))
        found[place] = value
        return tuple(found)

    with patch.object(gallery.Epoch, "_fields", fields):
        yield


@contextmanager
def _tag_without(**to: Any) -> Iterator[None]:
    """Attest one thing less of a record."""
    whole = index.IndexKey._tagged_parts

    def parts(key: Any, record: Any) -> tuple[bytes, bytes]:
        return whole(key, record._replace(**to))

    with patch.object(index.IndexKey, "_tagged_parts", parts):
        yield


@contextmanager
def _replies_without_request() -> Iterator[None]:
    def reply(key: Any, _request: bytes) -> bytes:
        return frame(Purpose.REPLY, key._member)

    with patch.object(index.IndexKey, "_reply", reply):
        yield


@contextmanager
def _files_without_name() -> Iterator[None]:
    whole = codes.CodesKey._key
    with patch.object(
        codes.CodesKey,
        "_key",
        lambda key, file: whole(key, replace(file, name=bytes(len(file.name)))),
    ):
        yield


@dataclass(frozen=True)
class Mutant:
    """An exchange that lacks something.

    Attributes:
        make: changes the product while it is entered.
        shows: what a life tells that finds it, in part.
    """

    make: Callable[[], AbstractContextManager[None]]
    shows: str = ""


MUTANTS: Final[dict[str, Mutant]] = {
    # Flushes.
    "no flush of a commit": Mutant(
        partial(_pragma, "synchronous = FULL", "synchronous = NORMAL")
    ),
    "no flush of the database": Mutant(
        partial(_pragma, "synchronous = FULL", "synchronous = OFF")
    ),
    "no flush of a key": Mutant(partial(_unflushed, providers, folders=False)),
    "no flush of a key's name": Mutant(partial(_unflushed, providers, folders=True)),
    "no flush of what is signed": Mutant(
        partial(_unflushed, signed_files, folders=False)
    ),
    "no flush of the name of what is signed": Mutant(
        partial(_unflushed, signed_files, folders=True)
    ),
    "no flush of codes": Mutant(partial(_unflushed, segments, folders=False)),
    "no flush of the names of codes": Mutant(
        partial(_unflushed, segments, folders=True)
    ),
    "no flush of a backup": Mutant(
        partial(_unflushed, backup, folders=False), "backup"
    ),
    # Orders.
    "answers before the leaf is durable": Mutant(_early_answers, "receipt"),
    # Whoever enrols, replaces or withdraws waits for the follower, which reads what is
    # committed; who protects does not.
    "protected before it is durable": Mutant(_early_protections, "Key("),
    "erasure signed before it is done": Mutant(
        partial(_changed, sqlite, "empty_log", lambda _: True), "erased, and is back"
    ),
    # Fields.
    **{
        f"not bound to its {name}": Mutant(make, name)
        for name, make in {
            "record": partial(_unbound, record=bytes(16)),
            "sample": partial(_unbound, sample=0),
            "position": partial(_unbound, position="face"),
            "modality": partial(_unbound, modality="face"),
            "generation": partial(_unbound, generation=1),
            "space": partial(_unbound, space=""),
            "key's member": partial(_epoch_without, 0, "XAA"),
            "key's gallery": partial(_epoch_without, 1, ""),
            "key's epoch": partial(_epoch_without, 2, 1),
            "request": _replies_without_request,
            "tag's exclusions": partial(_tag_without, excluded=frozenset()),
            "tag's expiry": partial(_tag_without, expires_at=None),
            "tag's lookup": partial(_tag_without, lookup=bytes(32)),
            "file's name": _files_without_name,
        }.items()
    },
}
