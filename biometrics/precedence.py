"""Searches before bulk loads: whoever loads takes small turns while anybody searches.

Behind a search is a queue at a border, behind a bulk load a file.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Precedence:
    """Which searches are running, and turns to load between them; of one event loop."""

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

    @asynccontextmanager
    async def turn(self, records: int) -> AsyncIterator[int]:
        """Wait to load; yield how many of `records` may be read and stored now.

        All where nobody has searched lately, and a single one, behind which is somebody
        too. Else a few, one loader at a time, and not while a search runs: but for
        `limits.GIVE_WAY_SECONDS` at most, so that loads go on, slowly, where searches
        never end.
        """
        if records == 1 or not self._is_searched():
            yield records
            return
        async with self._loading:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), limits.GIVE_WAY_SECONDS)
            yield min(records, limits.RECORDS_BETWEEN_SEARCHES)

    def _is_searched(self) -> bool:
        """Say whether anybody searches, or did a moment ago."""
        since = time.monotonic() - self._searched_until
        return bool(self._running) or since < limits.SEARCHES_LAST_SECONDS
