"""Joins concurrent probes into one scan, on every core.

Work waits by segment: whatever probes wait for one are scanned in one call. A worker
takes the segment that has waited longest; so a lone probe starts at once and on every
core, and the more probes wait, the more share each pass over the codes. Whoever scans
the last segment for some probes goes on to confirm their candidates, so that no other
thread has to be woken for it, and the rows of all are read at once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from biometrics import limits
from biometrics.errors import ExhaustedError, UnavailableError
from matcher.engine import Probes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from biometrics.templates import Template
    from matcher.confirm import Confirmation, Confirmed
    from matcher.engine import Engine, Segment
    from matcher.galleries import Shelf


@dataclass(slots=True, eq=False)
class _Scan:
    """One probe, and what is left to be scanned for it."""

    probe: Template
    left: int
    found: dict[Shelf, list[int]]
    future: Future[Confirmed] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class _Turn:
    """One probe at one shelf; it is made ready by the first who needs it."""

    scan: _Scan
    shelf: Shelf
    ready: Probes | None = None

    def probes(self, segment: Segment) -> Probes:
        """Return the probe as the shelf's segments take it."""
        if self.ready is None:
            probe = self.scan.probe
            thresholds = np.array([probe.space.threshold])
            self.ready = Probes.of(segment.coding, probe.vector[None, :], thresholds)
        return self.ready

    def take(self, ids: NDArray[np.int64]) -> bool:
        """Take what one segment had; say whether it was the last."""
        self.scan.found[self.shelf] += ids.tolist()
        self.scan.left -= 1
        return not self.scan.left


class Scanner:
    """Scans galleries on threads of its own, one for each core."""

    def __init__(
        self,
        *,
        engine: Engine[Shelf],
        confirmation: Confirmation,
        threads: int | None = None,
    ) -> None:
        """Scan with `engine` on so many threads, or as many as there are cores.

        What is found goes to `confirmation`, on one of them.
        """
        self._engine = engine
        self._confirmation = confirmation
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
        for scan in list(self._running):
            _fail(scan.future, _stopped())

    async def search(self, probe: Template, shelves: Sequence[Shelf]) -> Confirmed:
        """Return what became of all templates on some shelves that may match a probe.

        Whoever no longer waits, because its deadline is over, is not scanned for.

        Raises:
            ExhaustedError: too many probes wait.
            UnavailableError: the scanner stops.
        """
        return await asyncio.wrap_future(self.submit(probe, shelves))

    def submit(self, probe: Template, shelves: Sequence[Shelf]) -> Future[Confirmed]:
        """Begin the search of one probe; see `search`."""
        scan = _Scan(probe, 0, {shelf: [] for shelf in shelves})
        work = [
            (part, turn)
            for turn in [_Turn(scan, shelf) for shelf in shelves]
            for part in self._engine.parts(turn.shelf)
        ]
        scan.left = len(work)
        if not work:
            self._finish([scan])
            return scan.future
        with self._changed:
            if self._stopping:
                raise _stopped()
            if len(self._running) >= limits.MAX_WAITING_PROBES:
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
                _fail(turn.scan.future, error)
            return
        with self._taking:
            taken = zip(waiting, found, strict=True)
            last = [turn.scan for turn, ids in taken if turn.take(ids)]
        self._finish(last)

    def _finish(self, scans: list[_Scan]) -> None:
        """Confirm what was found for probes for which somebody still waits."""
        waiting = [s for s in scans if s.future.set_running_or_notify_cancel()]
        try:
            rows = self._confirmation.rows(scan.found for scan in waiting)
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            for scan in waiting:
                scan.future.set_exception(error)
            return
        for scan in waiting:
            try:
                confirmed = self._confirmation.confirm(scan.probe, scan.found, rows)
            except Exception as error:  # noqa: BLE001 - goes to whoever waits
                scan.future.set_exception(error)
            else:
                scan.future.set_result(confirmed)


def _fail(future: Future[Confirmed], error: Exception) -> None:
    """Tell of an error, unless another segment has, or nobody waits any more."""
    with suppress(InvalidStateError):
        future.set_exception(error)


def _full() -> ExhaustedError:
    """Return the error of a probe for which there is no room."""
    return ExhaustedError(
        "EXCHANGE_BUSY",
        "too many probes wait to be searched for; try again in"
        f" {limits.BUSY_RETRY_SECONDS} seconds, with fewer at once",
        retry_after=limits.BUSY_RETRY_SECONDS,
    )


def _stopped() -> UnavailableError:
    """Return the error of a probe that was not scanned before the stop."""
    return UnavailableError(
        "EXCHANGE_STOPPING", "the exchange is stopping; send the request again"
    )
