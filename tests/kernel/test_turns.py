"""Each member waits behind itself, and has a turn beside everybody's."""

from __future__ import annotations

import asyncio
import time

import pytest

from biometrics import limits
from biometrics.errors import ExhaustedError
from biometrics.turns import Turns


class Crowd:
    """Callers of a few turns, and the order in which they had them."""

    def __init__(self, at_once: int = 1, *, first_at_once: bool = False) -> None:
        """Let `at_once` begin."""
        self.turns = Turns(at_once, first_at_once=first_at_once)
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.let_go: dict[str, asyncio.Event] = {}

    async def come(self, *names: str, ends: float | None = None) -> None:
        """Ask for a turn for each name; its first letter is the member."""
        for name in names:
            self.let_go[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._have(name, ends))
        await asyncio.sleep(0)

    async def _have(self, name: str, ends: float | None) -> None:
        async with self.turns.turn(name[0], ends):
            self.order.append(name)
            await self.let_go[name].wait()

    async def end_all(self) -> list[str]:
        """End turn after turn until nobody waits; return the order."""
        while any(not task.done() for task in self.tasks.values()):
            for name in self.order:
                self.let_go[name].set()
            await asyncio.sleep(0)
        return self.order


def test_a_member_with_many_waits_behind_itself():
    """The others come after one of its probes each, in the order of their own."""

    async def play() -> list[str]:
        crowd = Crowd()
        await crowd.come("a0", "a1", "a2", "a3", "a4", "b1", "b2", "c1")
        return await crowd.end_all()

    assert asyncio.run(play()) == ["a0", "a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_so_many_at_once_and_no_more():
    """Turns that are free are taken at once."""

    async def play() -> tuple[list[str], int]:
        crowd = Crowd(3)
        await crowd.come(*(f"a{n}" for n in range(5)))
        begun, waiting = list(crowd.order), crowd.turns.waiting
        await crowd.end_all()
        assert crowd.turns.waiting == 0
        return begun, waiting

    assert asyncio.run(play()) == (["a0", "a1", "a2"], 2)


def test_whoever_has_no_turn_does_not_wait_for_those_who_have():
    """Where it is so set; and its next one waits for its own first alone."""

    async def play() -> tuple[list[str], list[str], list[str]]:
        crowd = Crowd(2, first_at_once=True)
        await crowd.come("a0", "a1", "a2", "b0", "b1", "c0")
        begun = list(crowd.order)
        crowd.let_go["b0"].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        after = list(crowd.order)
        crowd.tasks["c0"].cancel()  # who gives up leaves nothing behind
        await asyncio.sleep(0)
        await crowd.come("c1")
        return begun, after, await crowd.end_all()

    begun, after, order = asyncio.run(play())
    assert begun == ["a0", "a1", "b0", "c0"]
    assert after == [*begun, "b1"]
    assert order == [*after, "c1", "a2"]


def test_whoever_gives_up_leaves_the_queue_and_no_turn_is_lost():
    """While it waits, and in the moment in which its turn comes."""

    async def play() -> list[str]:
        crowd = Crowd()
        await crowd.come("a0", "a1", "b1", "c1")
        crowd.tasks["a1"].cancel()
        await asyncio.sleep(0)
        crowd.let_go["a0"].set()
        await asyncio.sleep(0)  # b1 is given its turn, and has not taken it
        crowd.tasks["b1"].cancel()
        return await crowd.end_all()

    assert asyncio.run(play()) == ["a0", "c1"]


@pytest.mark.parametrize("others", [(), ("b2",)])
def test_whoever_gives_up_as_a_turn_ends_is_cancelled_and_nothing_else(
    others: tuple[str, ...],
):
    """Its turn has come already, and passed to the next."""

    async def play() -> tuple[object, list[str], int]:
        crowd = Crowd()
        await crowd.come("a0", "b1", *others, "c1")
        crowd.let_go["a0"].set()  # a0 goes on first, and finds b1 cancelled
        crowd.tasks["b1"].cancel()
        (gave_up,) = await asyncio.gather(crowd.tasks["b1"], return_exceptions=True)
        return gave_up, await crowd.end_all(), crowd.turns.waiting

    gave_up, order, waiting = asyncio.run(play())
    assert isinstance(gave_up, asyncio.CancelledError), repr(gave_up)
    assert waiting == 0
    assert "c1" in order


def test_a_turn_that_would_come_after_the_deadline_is_refused_at_once():
    """By how long turns took lately; the error says when to try again."""

    async def play() -> tuple[float, float]:
        crowd = Crowd()
        now = asyncio.get_running_loop().time
        crowd.turns._pace = 0.5
        await crowd.come("a0", "a1", "a2", "a3")
        begun = time.perf_counter()
        with pytest.raises(ExhaustedError, match="after the call's deadline") as caught:
            async with crowd.turns.turn("a", now() + 1.4):
                pass
        took = time.perf_counter() - begun
        assert caught.value.retry_after is not None
        await crowd.come("b1", ends=now() + 1.4)  # behind one of a's, and not three
        assert not crowd.tasks["b1"].done()
        await crowd.end_all()
        return took, caught.value.retry_after

    took, after = asyncio.run(play())
    assert took < 0.01
    assert after == pytest.approx(1.5)


def test_what_waits_is_bounded_by_member_and_in_all(monkeypatch: pytest.MonkeyPatch):
    """Whoever has few waiting is let in whatever the others have."""
    monkeypatch.setattr(limits, "MAX_WAITING_PROBES", 4)
    monkeypatch.setattr(limits, "MAX_WAITING_PROBES_PER_MEMBER", 3)
    monkeypatch.setattr(limits, "RESERVED_PROBES_PER_MEMBER", 1)

    async def play() -> list[str]:
        crowd = Crowd()
        await crowd.come("a0", "a1", "a2", "a3", "a4", "b1", "b2", "c1")
        refused = [n for n, task in crowd.tasks.items() if task.done()]
        for name in refused:
            error = crowd.tasks[name].exception()
            assert isinstance(error, ExhaustedError)
            assert error.retry_after == limits.BUSY_RETRY_SECONDS
        await crowd.end_all()
        return refused

    # a4 is over its member's bound; b2 over that of all; c has none waiting yet.
    assert asyncio.run(play()) == ["a4", "b2"]


def test_the_pace_is_of_turns_under_load_alone():
    """An idle hour is not how long a probe takes."""

    async def play() -> float:
        crowd = Crowd()
        for number in range(20):
            await crowd.come(*(f"a{number}{each}" for each in range(3)))
            await crowd.end_all()
            await asyncio.sleep(0.05)
        return crowd.turns._pace

    assert 0 < asyncio.run(play()) < 0.01


def test_an_end_that_gives_no_turn_says_nothing_of_the_pace():
    """Those who do not wait end beside those who do, as often as they like."""

    async def play() -> tuple[float, float]:
        crowd = Crowd(first_at_once=True)
        await crowd.come("a0", "a1", "a2", "a3")
        for number in range(20):
            await crowd.come(f"b{number}")
            crowd.let_go[f"b{number}"].set()
            await asyncio.sleep(0.001)
        before = crowd.turns._pace
        for name in ("a0", "a1"):
            await asyncio.sleep(0.02)
            crowd.let_go[name].set()
            await crowd.tasks[name]
        after = crowd.turns._pace
        await crowd.end_all()
        return before, after

    before, after = asyncio.run(play())
    assert before == 0
    assert after >= 0.02 * limits.PACE_SHARE


def test_more_are_let_in_while_turns_end_soon_and_fewer_when_they_do_not():
    """Never fewer than the least, nor more than the most."""

    async def play() -> tuple[float, float]:
        turns = Turns(2, most=4, soon_seconds=0.005)

        async def have(seconds: float) -> None:
            async with turns.turn("a", None):
                await asyncio.sleep(seconds)

        await asyncio.gather(*(have(0) for _ in range(60)))
        grown = turns._room
        await asyncio.gather(*(have(0.01) for _ in range(20)))
        return grown, turns._room

    assert asyncio.run(play()) == (4, 2)


def test_the_least_may_change_up_to_the_most():
    """More begin at once; fewer only once turns end late."""

    async def play() -> list[float]:
        turns = Turns(2, most=4, soon_seconds=0.005)
        rooms = []
        for least in (1, 3, 9, 1):
            turns.at_least(least)
            rooms.append(turns.room)
        for _ in range(20):
            async with turns.turn("a", None):
                await asyncio.sleep(0.01)
        return [*rooms, turns.room]

    assert asyncio.run(play()) == [2, 3, 4, 4, 1]
