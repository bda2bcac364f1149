"""When answers are stored and leave: at the end of a slot, whatever was found.

A search that finds somebody opens, decides and stores more than one that does not, and
the requester can time it: by when the answer comes, and by when a request under the
same id is told that there is one. So nothing is stored when it is decided, but at the
end of a slot, and no answer leaves when it is stored, but a slot later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")


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
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make slots of so many seconds, above 0, which `sleep` waits for."""
        self.overruns = 0
        self.seconds = seconds
        self._sleep = sleep

    async def release(self, work: Coroutine[object, object, T]) -> T:
        """Begin some work now; return or raise what it does, at the end of a slot.

        If the caller gives up, the work is cancelled at once.
        """
        task = asyncio.ensure_future(work)
        try:
            # Each sleep is begun before it is known what becomes of the work: one until
            # the rest of a slot is over would end a little earlier or later by when
            # the work ended, because timers are rounded.
            await self._sleep(self.seconds)
            while not task.done():
                self.overruns += 1
                await self._sleep(self.seconds)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        return task.result()
