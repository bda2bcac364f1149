"""Exchanges that lack one flush, one field or one order: the simulation finds each.

A mutant changes the product in this process for as long as it is entered.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import biometrics.custody.codes as codes
import biometrics.custody.gallery as gallery
import biometrics.custody.index as index
import biometrics.custody.providers as providers
import biometrics.signing.files as signed_files
import biometrics.store.sqlite as sqlite
import matcher.segments as segments
from biometrics.custody.framing import Purpose, frame
from biometrics.store.answers import AnswerWriter
from biometrics.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

    Mutant = Callable[[], AbstractContextManager[None]]


class _OtherSystem:
    """The system's calls as one module sees them, without some flushes."""

    def __init__(self, *, folders: bool) -> None:
        self._folders = folders

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, number: int) -> None:
        """Flush files but no folders, or folders but no files."""
        path = os.readlink(f"/proc/self/fd/{number}")
        if os.path.isdir(path) is not self._folders:  # noqa: PTH112 - as it is
            os.fsync(number)


@contextmanager
def _unflushed(module: ModuleType, *, folders: bool) -> Iterator[None]:
    with patch.object(module, "os", _OtherSystem(folders=folders)):
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
def _early() -> Iterator[None]:
    """Answer all that shares a transaction before that is committed."""
    whole = Writer._commit

    def commit(writer: Writer, group: list[Any], run: Any) -> Any:
        def early(connection: Any, operation: Any) -> Any:
            return run(connection, operation)

        flush = writer._log.flush

        def flush_and_answer(connection: Any) -> None:
            flush(connection)
            for one, outcome in zip(group, done, strict=True):
                if outcome.error is None and not one.future.done():
                    one.future.set_result(outcome.value)

        done: list[Any] = []

        def kept(connection: Any, operation: Any) -> Any:
            outcome = early(connection, operation)
            done.append(outcome)
            return outcome

        with patch.object(writer._log, "flush", flush_and_answer):
            return whole(writer, group, kept)

    real = Writer._write

    def write(writer: Writer, group: list[Any]) -> None:
        for one in group:
            one.future.set_result = partial(_once, one.future, one.future.set_result)
        real(writer, group)

    with patch.object(Writer, "_commit", commit), patch.object(Writer, "_write", write):
        yield


def _once(future: Any, set_result: Callable[[Any], None], value: Any) -> None:
    if not future.done():
        set_result(value)


@contextmanager
def _early_searches() -> Iterator[None]:
    """Answer searches before their leaf is durable; all else waits."""
    real = AnswerWriter.commit

    def commit(answers: Any, *args: Any) -> Any:
        from concurrent.futures import Future

        answered: Future[Any] = Future()
        writer = answers._writer

        def submit(operation: Any) -> Any:
            def first(connection: Any) -> Any:
                body = operation(connection)
                answered.set_result(body)
                return body

            return writer.submit(first)

        class Eager:
            pass

        eager = Eager()
        eager.submit = submit  # type: ignore[attr-defined]
        with patch.object(answers, "_writer", eager):
            real(answers, *args)
        return answered

    with patch.object(AnswerWriter, "commit", commit):
        yield


@contextmanager
def _unbound(**to: Any) -> Iterator[None]:
    """Bind sealed values to one thing less."""
    whole = gallery.frame_rest
    with patch.object(gallery, "frame_rest", lambda b: whole(replace(b, **to))):
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
    whole = index.IndexKey.record_tag

    def tag(key: Any, record: Any) -> bytes:
        return whole(key, replace(record, **to))

    with patch.object(index.IndexKey, "record_tag", tag):
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


MUTANTS: Final[dict[str, Mutant]] = {
    # Flushes.
    "no flush of a commit": partial(
        _pragma, "synchronous = FULL", "synchronous = NORMAL"
    ),
    "no flush at all": partial(_pragma, "synchronous = FULL", "synchronous = OFF"),
    "no flush of a key": partial(_unflushed, providers, folders=False),
    "no flush of a key's name": partial(_unflushed, providers, folders=True),
    "no flush of what is signed": partial(_unflushed, signed_files, folders=False),
    "no flush of the name of what is signed": partial(
        _unflushed, signed_files, folders=True
    ),
    "no flush of codes": partial(_unflushed, segments, folders=False),
    "no flush of the names of codes": partial(_unflushed, segments, folders=True),
    # Orders.
    "answers before they are durable": _early,
    "searches answered before their leaf is durable": _early_searches,
    "erasure signed before it is done": partial(
        _changed, sqlite, "empty_log", lambda _: True
    ),
    # Fields.
    "not the record": partial(_unbound, record=bytes(16)),
    "not the sample": partial(_unbound, sample=0),
    "not the position": partial(_unbound, position="face"),
    "not the modality": partial(_unbound, modality="face"),
    "not the generation": partial(_unbound, generation=1),
    "not the space": partial(_unbound, space=""),
    "not the key's member": partial(_epoch_without, 0, "XAA"),
    "not the key's gallery": partial(_epoch_without, 1, ""),
    "not the key's epoch": partial(_epoch_without, 2, 1),
    "not the request": _replies_without_request,
    "not the exclusions": partial(_tag_without, excluded=frozenset()),
    "not the expiry": partial(_tag_without, expires_at=None),
    "not the lookup": partial(_tag_without, lookup=bytes(32)),
    "not the file's name": _files_without_name,
}
