"""Searches before bulk loads: chunks go in small parts while anybody searches.

Behind a search is a queue at a border, behind a bulk load a file.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator


class Precedence:
    """Which searches are running, and loads between them; of one event loop."""

    def __init__(self) -> None:
        """Begin with no search."""
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._searched_until = -limits.SEARCHES_LAST_SECONDS
        self._loading = asyncio.Lock()

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count a search while it runs."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            self._searched_until = time.monotonic()
            if not self._running:
                self._idle.set()

    async def quiet(self) -> None:
        """Return once nobody searches, nor did a moment ago."""
        while self._is_searched():
            await self._idle.wait()
            await asyncio.sleep(limits.SEARCHES_LAST_SECONDS)

    async def parts(self, records: int) -> AsyncGenerator[slice, None]:
        """Yield the records of a chunk part by part, each when it is its turn.

        Until the next is asked for, a part may be read and stored. All is one part
        where nobody has searched lately, and so is a single record, behind which is
        somebody too. Else parts are few records each, of one chunk after the other, and
        none begins while a search runs: but for `limits.GIVE_WAY_SECONDS` at most, so
        that loads go on, slowly, where searches never end.

        Args:
            records: how many, one or more.
        """
        start = 0
        async with AsyncExitStack() as held:
            while start < records:
                end = records
                if records > 1 and self._is_searched():
                    if start == 0:
                        await held.enter_async_context(self._loading)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(
                            self._idle.wait(), limits.GIVE_WAY_SECONDS
                        )
                    end = min(records, start + limits.RECORDS_BETWEEN_SEARCHES)
                yield slice(start, end)
                start = end

    def _is_searched(self) -> bool:
        """Say whether anybody searches, or did a moment ago."""
        since = time.monotonic() - self._searched_until
        return bool(self._running) or since < limits.SEARCHES_LAST_SECONDS
