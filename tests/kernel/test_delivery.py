"""What a thread resolves reaches whoever waits for it on a loop, all by one waking."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from biometrics.delivery import delivered, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COUNT = 8


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One thread that resolves."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def wakings(
    monkeypatch: pytest.MonkeyPatch,
    pool: ThreadPoolExecutor,
    futures: Sequence[Future[int]],
    resolve: Callable[[], None],
) -> tuple[list[int], int]:
    """Return what those who wait are told, and how often the loop was woken for it."""
    loop = asyncio.get_running_loop()
    woken = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *args: woken.append(args) or wake(*args)
    )
    waiting = asyncio.gather(*[delivered(future) for future in futures])
    await asyncio.sleep(0)  # they wait
    pool.submit(resolve).result()
    return await waiting, len(woken)


@pytest.mark.parametrize(("is_together", "times"), [(True, 1), (False, COUNT)])
def test_those_who_wait_for_one_thread_are_woken_at_once(
    monkeypatch: pytest.MonkeyPatch,
    pool: ThreadPoolExecutor,
    is_together: bool,  # noqa: FBT001 - of a table
    times: int,
) -> None:
    """Each with its own result; without `together` each at once."""
    futures: list[Future[int]] = [Future() for _ in range(COUNT)]

    def resolve() -> None:
        if is_together:
            with together():
                each()
        else:
            each()

    def each() -> None:
        for number, future in enumerate(futures):
            future.set_result(number)

    told, woken = asyncio.run(wakings(monkeypatch, pool, futures, resolve))
    assert told == list(range(COUNT))
    assert woken == times


def test_whoever_waits_is_woken_though_another_result_could_not_be_set(
    monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    """An error in the midst of a batch keeps nobody waiting, in it or after it."""
    first: Future[int] = Future()
    second: Future[int] = Future()

    def resolve() -> None:
        with suppress(ValueError), together():
            first.set_result(5)
            raise ValueError
        second.set_result(6)

    told = asyncio.run(wakings(monkeypatch, pool, [first, second], resolve))
    assert told == ([5, 6], 2)


def test_errors_are_raised_and_what_is_there_already_needs_no_thread() -> None:
    """And a future that was cancelled cancels whoever awaits it."""
    done: Future[int] = Future()
    done.set_result(1)
    assert asyncio.run(delivered(done)) == 1
    failed: Future[int] = Future()
    failed.set_exception(ValueError("test"))
    with pytest.raises(ValueError, match="test"):
        asyncio.run(delivered(failed))
    given_up: Future[int] = Future()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(delivered(given_up))


def test_whoever_gives_up_cancels_what_it_waits_for(pool: ThreadPoolExecutor) -> None:
    """One that was resolved just then is passed over, and harms nobody."""
    begun: Future[int] = Future()
    begun.set_running_or_notify_cancel()
    waiting: Future[int] = Future()

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, c: troubles.append(c)
        )
        tasks = [asyncio.ensure_future(delivered(each)) for each in (begun, waiting)]
        await asyncio.sleep(0)
        pool.submit(begun.set_result, 1).result()  # told of in the loop's next turn
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in ended] == [asyncio.CancelledError] * 2

    troubles: list[object] = []
    asyncio.run(give_up())
    assert not troubles
    assert (begun.result(), waiting.cancelled()) == (1, True)


def test_a_loop_that_has_ended_is_not_woken() -> None:
    """Whoever resolves what it waited for has nothing to do with that."""
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()

    async def leave() -> None:
        waiting = asyncio.ensure_future(delivered(future))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    with together():
        future.set_result(1)
    assert future.result() == 1
