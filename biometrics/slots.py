"""When answers are stored and leave: at the end of a slot, whatever was found.

A search that finds somebody opens, decides and stores more than one that does not, and
the requester can time it: by when the answer comes, and by when a request under the
same id is told that there is one. So nothing is stored when it is decided, but at the
end of a slot, and no answer leaves when it is stored, but a slot later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Timer(Protocol):
    """What is to be called later."""

    def cancel(self) -> object:
        """Have it not called any more."""


class Slots:
    """Lets work out at whole slots after its beginning.

    An answer tells by its moment how many slots the work took, and no more: nothing of
    what was found, as long as slots are longer than the work. What takes about a slot
    may end in this one or the next by what it finds.

    Attributes:
        seconds: how long a slot is.
        overruns: slots that some work took beyond its first.
    """

    def __init__(
        self,
        seconds: float,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """Make slots of so many seconds, above 0.

        `call_later` sets timers; left out, the running loop does.
        """
        self.overruns = 0
        self.seconds = seconds
        self._call_later = call_later

    async def release(self, work: Coroutine[object, object, T]) -> T:
        """Do some work now; return or raise what it does, at the end of a slot.

        If the caller gives up, the work is cancelled at once.
        """
        end = _End(self)
        try:
            # Whoever is asked at once begins its slot at once too, not behind the work
            # of those before it, and shares passes and flushes with them.
            await asyncio.sleep(0)
            try:
                result = await work
            except Exception:
                await end.reached()
                raise
            await end.reached()
            return result
        finally:
            end.forget()
            work.close()  # if the caller gave up before it was begun

    def set_timer(self, passed: Callable[[], None]) -> Timer:
        """Have something called when a slot that begins now is over."""
        call_later = self._call_later or asyncio.get_running_loop().call_later
        return call_later(self.seconds, passed)


class _End:
    """The end of the slot in which some work ends.

    Each timer is set before it is known what becomes of the work: one until the rest of
    a slot is over would end a little earlier or later by when the work ended, because
    timers are rounded.
    """

    __slots__ = ("_slots", "_timer", "_waiting")

    def __init__(self, slots: Slots) -> None:
        """Begin a slot now."""
        self._slots = slots
        self._waiting: asyncio.Future[None] | None = None
        self._timer = slots.set_timer(self._pass)

    async def reached(self) -> None:
        """Wait for it: the work is done."""
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def forget(self) -> None:
        """Have no slot ending any more."""
        self._timer.cancel()

    def _pass(self) -> None:
        """Let the work out, or begin the next slot."""
        if self._waiting is None:
            self._slots.overruns += 1
            self._timer = self._slots.set_timer(self._pass)
        elif not self._waiting.done():
            self._waiting.set_result(None)
