"""How the blocking client does what is written once, for both.

Every call is a coroutine: see `biometrics.client.calls`. Over a `BlockingLine` none is
ever suspended, for whatever waits there waits within a method. So its first step is its
last, and there is neither an event loop nor another thread: a blocking call costs what
it did before it was a coroutine, and a traceback shows the way that it took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

T = TypeVar("T")


def finish(call: Coroutine[Any, Any, T]) -> T:
    """Return what a call over a `BlockingLine` returns.

    Raises:
        AssertionError: it waited for an event loop, which is a mistake in it.
    """
    try:
        call.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    call.close()
    raise AssertionError("a blocking call waited for an event loop")


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Yield what a call over a `BlockingLine` yields; to close it closes that."""
    try:
        while True:
            try:
                item = finish(items.asend(None))
            except StopAsyncIteration:
                return
            yield item
    finally:
        finish(items.aclose())
