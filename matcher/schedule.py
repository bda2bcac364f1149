"""Brings probes to the engine without blocking the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from biometrics.templates import Template
    from matcher.engine import Engine
    from matcher.galleries import Shelf


class Scanner:
    """Scans galleries on worker threads."""

    def __init__(self, *, engine: Engine, workers: Executor) -> None:
        """Scan with `engine` on the threads of `workers`."""
        self._engine = engine
        self._workers = workers

    async def candidates(
        self, probe: Template, threshold: float, shelves: Sequence[Shelf]
    ) -> dict[Shelf, list[int]]:
        """Return, by shelf, the ids of all templates that may match the probe."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._workers, self._scan, probe, threshold, shelves
        )

    def _scan(
        self, probe: Template, threshold: float, shelves: Sequence[Shelf]
    ) -> dict[Shelf, list[int]]:
        """Search one shelf after the other."""
        vectors = probe.vector[None, :]
        found: dict[Shelf, list[int]] = {}
        for shelf in shelves:
            (ids,) = self._engine.search(shelf, vectors, threshold)
            found[shelf] = ids.tolist()
        return found
