"""What threads hand to event loops: all that is ready at once, by one waking.

To wake a loop is a system call, for which the thread gives the interpreter's lock away;
the loop takes it, and goes on with what it was woken for. A thread that tells of eight
results one by one, as by `asyncio.wrap_future`, waits for the lock eight times, and
its eighth is late by all that the loop does with the others.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

T = TypeVar("T")


class _Held(threading.local):
    """Whom this thread is to wake at the end of `together`; None outside of it."""

    waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] | None = None


_held = _Held()


@contextmanager
def together() -> Iterator[None]:
    """Let those who wait for what this thread resolves know all at once, at the end."""
    waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    _held.waiting = waiting
    try:
        yield
    finally:
        _held.waiting = None
        for loop, waiters in waiting.items():
            _wake(loop, waiters)


async def delivered(future: Future[T]) -> T:
    """Wait for what another thread resolves, and return or raise it.

    As `await asyncio.wrap_future(future)`: whoever stops waiting cancels it.
    """
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        future.add_done_callback(lambda _: _tell(loop, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise
    try:
        return future.result()
    except CancelledError:
        raise asyncio.CancelledError from None


def _tell(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
    """Wake a waiter, now or with the others."""
    if _held.waiting is None:
        _wake(loop, [waiter])
    else:
        _held.waiting.setdefault(loop, []).append(waiter)


def _wake(loop: asyncio.AbstractEventLoop, waiters: list[asyncio.Future[None]]) -> None:
    """Wake some waiters of a loop, unless that is over."""
    with suppress(RuntimeError):  # closed: nobody waits any more
        loop.call_soon_threadsafe(_resolve, waiters)


def _resolve(waiters: list[asyncio.Future[None]]) -> None:
    """Let some waiters go on that have not gone away."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
