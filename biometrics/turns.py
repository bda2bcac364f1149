"""Every member in a queue of its own, and a turn for each member in turn.

What is shared serves whoever comes first. So few are let in at a time, and the rest
wait here: whoever sends ten times what it may waits behind itself, and another behind
one of each member that waits, or not at all if it has no turn yet. Whoever would wait
for longer than its call has left is refused at once, with the time after which a retry
makes sense: its work would be for nobody.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.errors import ExhaustedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

# In order, and out of it at once: a plain set would lose the order.
_Queue = dict["asyncio.Future[None]", None]


class Turns:
    """Lets so many at once begin; of one event loop."""

    def __init__(
        self,
        least: int,
        *,
        most: int = 0,
        soon_seconds: float = math.inf,
        first_at_once: bool = False,
    ) -> None:
        """Let `least` begin, or more as long as that does no harm.

        Args:
            least: how many at once, whatever happens.
            most: how many at once while turns end soon; `least` if it is less.
            soon_seconds: a turn that takes longer says that there are too many.
            first_at_once: whoever has no turn has one, beyond these, at once.
        """
        self._first_at_once = first_at_once
        self._least = least
        self._most = max(least, most)
        self._soon_seconds = soon_seconds
        self._room = float(least)
        self._running: Counter[Hashable] = Counter()  # of each member, none at 0
        self._queues: OrderedDict[Hashable, _Queue] = OrderedDict()
        self._waiting = 0
        self._pace = 0.0
        self._given_at: float | None = None  # None unless all turns were taken since

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    @property
    def room(self) -> float:
        """How many are let in at once, beside the first of each."""
        return self._room

    def at_least(self, least: int) -> None:
        """Let `least` begin from now on, whatever happens, but for the most."""
        self._least = min(least, self._most)
        self._room = max(self._room, self._least)

    @asynccontextmanager
    async def turn(self, whose: Hashable, ends: float | None) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block is left.

        Args:
            whose: each has a queue of its own.
            ends: the loop's time after which nobody wants the result; None for never.

        Raises:
            ExhaustedError: too many wait, or it would wait for too long.
        """
        is_free = self._running.total() < self._room and not self._queues
        if is_free or self._is_first(whose):
            self._take(whose)
        else:
            await self._wait(whose, ends)
        begun = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._learn(asyncio.get_running_loop().time() - begun)
            self._end(whose)

    def _is_first(self, whose: Hashable) -> bool:
        """Say whether a member has no turn, and is not to wait for one."""
        return self._first_at_once and whose not in self._running

    def _take(self, whose: Hashable) -> None:
        """Begin a turn."""
        self._running[whose] += 1

    async def _wait(self, whose: Hashable, ends: float | None) -> None:
        """Wait in a queue until a turn is given."""
        queue = self._queues.get(whose, {})
        self._check_room(queue, ends)
        given = asyncio.get_running_loop().create_future()
        queue[given] = None
        self._queues.setdefault(whose, queue)
        self._waiting += 1
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._end(whose)  # it was given, and nobody is here to take it
            else:
                self._leave(whose, given)
            raise

    def _check_room(self, queue: _Queue, ends: float | None) -> None:
        """Refuse one too many, and one whose turn would come too late.

        Whoever has few waiting is let in whatever others have.
        """
        wait = self._expected_wait(len(queue) + 1)
        is_full = self._waiting >= limits.MAX_WAITING_PROBES
        if len(queue) >= limits.MAX_WAITING_PROBES_PER_MEMBER or (
            is_full and len(queue) >= limits.RESERVED_PROBES_PER_MEMBER
        ):
            raise _busy("too many wait to be searched for", wait)
        if ends is not None and asyncio.get_running_loop().time() + wait > ends:
            raise _busy("its turn would come after the call's deadline", wait)

    def _expected_wait(self, place: int) -> float:
        """Return about how many seconds it is until a place in a queue has its turn."""
        ahead = sum(min(len(each), place) for each in self._queues.values())
        return ahead * self._pace

    def _leave(self, whose: Hashable, given: asyncio.Future[None]) -> None:
        """Take somebody out of a queue, unless a turn that ended has just done so."""
        queue = self._queues.get(whose, {})
        if given not in queue:
            return
        del queue[given]
        self._waiting -= 1
        if not queue:
            del self._queues[whose]

    def _learn(self, took: float) -> None:
        """Let more in or fewer by how long a turn took.

        One more for as many as are in that end soon, half a one fewer or more for each
        that does not: of n at once about one in n/2 ends late.
        """
        if took > self._soon_seconds:
            self._room = max(self._room - max(0.5, self._room / 50), self._least)
        elif self._queues:
            self._room = min(self._room + 1 / self._room, self._most)

    def _end(self, whose: Hashable) -> None:
        """End a turn, and give the next."""
        self._running[whose] -= 1
        if not self._running[whose]:
            del self._running[whose]
        waited = self._waiting
        while self._queues and self._running.total() < self._room:
            self._give(next(iter(self._queues)))
        while whose in self._queues and self._is_first(whose):
            self._give(whose)
        self._keep_pace(has_given=self._waiting < waited)

    def _keep_pace(self, *, has_given: bool) -> None:
        """Learn how long one takes, all told: what lies between two that gave a turn.

        And that all turns were taken in between: else an idle hour would count.
        """
        now = asyncio.get_running_loop().time()
        if has_given:
            if self._given_at is not None:
                took = now - self._given_at
                self._pace += limits.PACE_SHARE * (took - self._pace)
            self._given_at = now
        if not self._queues:
            self._given_at = None

    def _give(self, whose: Hashable) -> None:
        """Give a turn to whoever of a member has waited longest."""
        queue = self._queues.pop(whose)
        given = next(iter(queue))
        del queue[given]
        self._waiting -= 1
        if queue:
            self._queues[whose] = queue  # behind all others
        if not given.done():
            self._take(whose)
            given.set_result(None)


def _busy(why: str, wait: float) -> ExhaustedError:
    """Return the error of whoever is not let in."""
    after = min(max(wait, limits.BUSY_RETRY_SECONDS), limits.MAX_BUSY_RETRY_SECONDS)
    return ExhaustedError(
        "EXCHANGE_BUSY",
        f"{why}; try again in {after:.1f} seconds, with fewer at once",
        retry_after=after,
    )
