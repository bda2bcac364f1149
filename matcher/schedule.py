"""Joins concurrent probes into one scan, on every core.

Work waits by segment: whatever probes wait for one are scanned in one call. A worker
takes the segment that has waited longest; so a lone probe starts at once and on every
core, and the more probes wait, the more share each pass over the codes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from biometrics import limits
from biometrics.errors import ExhaustedError
from matcher.engine import Probes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from biometrics.templates import Template
    from matcher.engine import Engine, Segment
    from matcher.galleries import Shelf

Candidates = dict["Shelf", list[int]]


@dataclass(slots=True, eq=False)
class _Scan:
    """One probe, and what is left to be scanned for it."""

    vector: NDArray[np.float32]
    threshold: float
    left: int
    found: Candidates
    future: Future[Candidates] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class _Turn:
    """One probe at one shelf; it is made ready by the first who needs it."""

    scan: _Scan
    shelf: Shelf
    ready: Probes | None = None

    def probes(self, segment: Segment) -> Probes:
        """Return the probe as the shelf's segments take it."""
        if self.ready is None:
            scan = self.scan
            thresholds = np.array([scan.threshold])
            self.ready = Probes.of(segment.coding, scan.vector[None, :], thresholds)
        return self.ready

    def take(self, ids: NDArray[np.int64]) -> None:
        """Take what one segment had; the scan is over with the last."""
        scan = self.scan
        scan.found[self.shelf] += ids.tolist()
        scan.left -= 1
        if not scan.left:
            _resolve(scan.future, scan.found)


class Scanner:
    """Scans galleries on threads of its own, one for each core."""

    def __init__(self, *, engine: Engine[Shelf], threads: int | None = None) -> None:
        """Scan with `engine` on so many threads, or as many as there are cores."""
        self._engine = engine
        self._waiting: OrderedDict[Segment, list[_Turn]] = OrderedDict()
        self._running: set[_Scan] = set()
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._stopping = False
        count = threads or len(os.sched_getaffinity(0))
        self._threads = [
            threading.Thread(target=self._work, name=f"scan-{number}", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop once what was begun is scanned; what only waits is given up."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    async def candidates(
        self, probe: Template, threshold: float, shelves: Sequence[Shelf]
    ) -> Candidates:
        """Return, by shelf, the ids of all templates that may match the probe.

        Whoever no longer waits, because its deadline is over, is not scanned for.

        Raises:
            ExhaustedError: too many probes wait.
        """
        return await asyncio.wrap_future(self.submit(probe.vector, threshold, shelves))

    def submit(
        self,
        vector: NDArray[np.float32],
        threshold: float,
        shelves: Sequence[Shelf],
    ) -> Future[Candidates]:
        """Begin the scan of one probe; see `candidates`."""
        scan = _Scan(vector, threshold, 0, {shelf: [] for shelf in shelves})
        work = [
            (part, turn)
            for turn in [_Turn(scan, shelf) for shelf in shelves]
            for part in self._engine.parts(turn.shelf)
        ]
        scan.left = len(work)
        if not work:
            scan.future.set_result(scan.found)
            return scan.future
        with self._changed:
            if self._stopping or len(self._running) >= limits.MAX_WAITING_PROBES:
                raise _full()
            self._running.add(scan)
            for part, turn in work:
                self._waiting.setdefault(part, []).append(turn)
            self._changed.notify(len(work))
        scan.future.add_done_callback(lambda _: self._forget(scan))
        return scan.future

    def _forget(self, scan: _Scan) -> None:
        """Make room for another probe."""
        with self._changed:
            self._running.discard(scan)

    def _work(self) -> None:
        """Scan one segment after the other until told to stop.

        Nothing of one is held while waiting for the next: a gallery that is dropped
        meanwhile must be gone.
        """
        while (work := self._next()) is not None:
            self._scan(*work)
            del work

    def _next(self) -> tuple[Segment, list[_Turn]] | None:
        """Wait for work; return the segment that waits longest, and who for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if self._stopping:
                return None
            segment, waiting = self._waiting.popitem(last=False)
            most = limits.MAX_PROBES_PER_SCAN
            if len(waiting) > most:
                self._waiting[segment] = waiting[most:]
                self._changed.notify()
            return segment, waiting[:most]

    def _scan(self, segment: Segment, waiting: list[_Turn]) -> None:
        """Scan one segment for whoever still waits for it."""
        waiting = [turn for turn in waiting if not turn.scan.future.done()]
        if not waiting:
            return
        try:
            probes = Probes.joined([turn.probes(segment) for turn in waiting])
            found = segment.search(probes)
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            for turn in waiting:
                _resolve(turn.scan.future, error)
            return
        with self._taking:
            for turn, ids in zip(waiting, found, strict=True):
                turn.take(ids)


def _resolve(future: Future[Candidates], result: Candidates | Exception) -> None:
    """Resolve a future, unless it is over: given up, or failed in another segment."""
    if future.done() or not future.set_running_or_notify_cancel():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _full() -> ExhaustedError:
    """Return the error of a probe for which there is no room."""
    return ExhaustedError(
        "EXCHANGE_BUSY",
        "too many probes wait to be searched for; try again in"
        f" {limits.BUSY_RETRY_SECONDS} seconds, with fewer at once",
        retry_after=limits.BUSY_RETRY_SECONDS,
    )
