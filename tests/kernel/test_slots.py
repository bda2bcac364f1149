"""Answers leave at whole slots after they were asked for, whatever the work does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from biometrics.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Timer:
    """What is to be called at some moment."""

    due: float
    called: Callable[[], None]

    def cancel(self) -> None:
        """Have nothing called any more."""
        self.called = lambda: None


class Hand:
    """A clock that a test moves: whoever sleeps by it is woken at whole seconds."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.now = 0.0
        self.asked: list[tuple[float, float]] = []
        self._timers: list[Timer] = []

    def call_later(self, seconds: float, called: Callable[[], None]) -> Timer:
        """Have something called once the clock was moved so far."""
        self.asked.append((self.now, seconds))
        timer = Timer(self.now + seconds, called)
        self._timers.append(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved so far."""
        woken = asyncio.Event()
        self.call_later(seconds, woken.set)
        await woken.wait()

    async def move_to(self, now: float) -> None:
        """Move the clock, and let whoever is woken run."""
        self.now = now
        for timer in [each for each in self._timers if each.due <= now]:
            self._timers.remove(timer)
            timer.called()
        for _ in range(10):
            await asyncio.sleep(0)


async def released(hand: Hand, takes: float, *, fails: bool = False) -> float:
    """Return when some work is let go by slots of 10 seconds."""

    async def work() -> float:
        await hand.sleep(takes)
        if fails:
            raise ValueError("found")
        return takes

    task = asyncio.ensure_future(Slots(10.0, hand.call_later).release(work()))
    for second in range(100):
        await hand.move_to(float(second))
        if task.done():
            if fails:
                with pytest.raises(ValueError, match="found"):
                    task.result()
            else:
                assert task.result() == takes
            return hand.now
    raise AssertionError("never let go")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    ("takes", "leaves"), [(1, 10), (5, 10), (9, 10), (11, 20), (19, 20), (31, 40)]
)
def test_work_is_let_go_at_the_end_of_its_slot(
    takes: float, leaves: float, *, fails: bool
) -> None:
    """A result and an error alike, early or late."""
    assert asyncio.run(released(Hand(), takes, fails=fails)) == leaves


def test_the_end_of_a_slot_is_set_before_the_work() -> None:
    """A timer that is set after it would be rounded by when it ended."""
    hand = Hand()
    asyncio.run(released(hand, 13))
    assert hand.asked == [(0.0, 10.0), (0.0, 13.0), (10.0, 10.0)]


def test_work_is_cancelled_with_its_caller() -> None:
    """Nothing goes on for whoever has given up."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def give_up() -> None:
        task = asyncio.ensure_future(Slots(60.0).release(work()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["cancelled"]

    asyncio.run(give_up())
