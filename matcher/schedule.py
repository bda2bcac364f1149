"""Joins concurrent probes into one scan, on every core.

Work waits by part: whatever probes wait for one are scanned in one call. A worker
takes the part that has waited longest, whose probes beyond those of one call wait
anew; so a lone probe starts at once and on every core, and the more probes wait, the
more share each pass over the codes. Whoever scans
the last part for some probes goes on to confirm their candidates, so that no other
thread has to be woken for it, and the rows of all are read at once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from biometrics import limits
from biometrics.callers import CALLER, ENDS
from biometrics.delivery import delivered, together
from biometrics.errors import ExhaustedError, UnavailableError
from biometrics.turns import Turns
from matcher.engine import Probes
from matcher.kinds import searched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from biometrics.disclosure import Band
    from biometrics.members import Member
    from biometrics.store import StoredTemplate
    from biometrics.templates import Template
    from matcher.confirm import Candidates, Confirmed
    from matcher.engine import Asked, Segment
    from matcher.galleries import Shelf


class Confirmation(Protocol):
    """What becomes of candidates; see `matcher.confirm`."""

    def rows(self, found: Iterable[Candidates]) -> Mapping[int, StoredTemplate]:
        """Read the rows of all candidates of some probes at once, for `confirm`."""

    def confirm(
        self,
        probe: Template,
        bands: Mapping[Shelf, Band],
        found: Candidates,
        rows: Mapping[int, StoredTemplate],
    ) -> Confirmed:
        """Return which records among the candidates match the probe."""


class Part(Protocol):
    """What is compared in one call: a segment, or another machine's share of shelves.

    Those that are equal wait as one.
    """

    def __len__(self) -> int:
        """Return how many rows of a shelf it has."""

    def __hash__(self) -> int:
        """Return the same for those that are equal."""


class Parts(Protocol):
    """Tells what a shelf consists of."""

    def parts(self, shelf: Shelf, /) -> Sequence[Part]:
        """Return what makes up a shelf now; nothing if there is none."""


@dataclass(slots=True, eq=False)
class Scan:
    """One probe, and how many parts are left to be scanned, or passed over.

    Attributes:
        probe: what to compare with.
        size: how many vectors it asks with.
        bands: by shelf, from where on templates match, or are near.
        left: parts.
        found: numbers of templates so far.
        lost: holders of whom a part could not be scanned; they have no outcome.
    """

    probe: Template
    size: int
    bands: Mapping[Shelf, Band]
    left: int
    found: dict[Shelf, list[int]]
    lost: set[Member] = field(default_factory=set)
    future: Future[Confirmed] = field(default_factory=Future)
    made: NDArray[np.float32] | None = None

    def vectors(self) -> NDArray[np.float32]:
        """Return what the probe asks with, on a thread of the scanner: it may take."""
        if self.made is None:
            self.made = searched(self.probe.space).vectors(self.probe.values)
        return self.made

    def candidates(self) -> int:
        """Return how many were found so far."""
        return sum(map(len, self.found.values()))


@dataclass(slots=True, eq=False)
class Turn:
    """One probe at one shelf; it is made ready by the first who needs it."""

    scan: Scan
    shelf: Shelf
    ready: Probes | None = None

    def asked(self) -> Asked:
        """Return what the probe asks of the shelf."""
        band = self.scan.bands[self.shelf]
        return searched(self.scan.probe.space).asked(self.scan.vectors(), band)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it, and its holder has an outcome yet."""
        scan = self.scan
        return not scan.future.done() and self.shelf.holder not in scan.lost

    def take(self, ids: NDArray[np.int64] | None) -> bool:
        """Take what one part had, if it was scanned; say whether it was the last."""
        if ids is None:
            self.scan.lost.add(self.shelf.holder)
        else:
            self.scan.found[self.shelf] += ids.tolist()
        self.scan.left -= 1
        return not self.scan.left


# Numbers of each turn's candidates, or None where they cannot be told now.
Compare = Callable[[Any, "Sequence[Turn]"], "Sequence[NDArray[np.int64] | None]"]


@dataclass(frozen=True, slots=True)
class Comparing:
    """How parts are compared with probes.

    Attributes:
        compare: does it, on the calling thread.
        most: vectors in one call, of which a turn has one or several.
    """

    compare: Compare
    most: int


def _compare(segment: Segment, turns: Sequence[Turn]) -> list[NDArray[np.int64] | None]:
    """Return what a segment of this process has for each turn."""
    return segment.candidates(_ready(segment, turns))


def in_this_process() -> Comparing:
    """Return how segments of this process are compared."""
    return Comparing(_compare, limits.MAX_VECTORS_PER_SCAN)


class Scanner:
    """Scans galleries on threads of its own, one for each core."""

    def __init__(
        self,
        *,
        engine: Parts,
        confirmation: Confirmation,
        comparing: Comparing | None = None,
        threads: int | None = None,
        turns: Turns | None = None,
        scanned: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Scan what `engine` has on so many threads, or as many as there are cores.

        What is found goes to `confirmation`, on one of them. Members search in their
        `turns`. `scanned` is told with how many rows each probe is compared.
        """
        self._scanned = scanned
        self._rows = 0.0
        self._turns = turns or Turns(limits.SCANNING_AT_ONCE)
        self._engine = engine
        self._confirmation = confirmation
        self._comparing = comparing or in_this_process()
        # Not to be taken one by one by a thread that happens to be awake.
        self._arriving: list[tuple[Part, Turn]] = []
        self._waiting: OrderedDict[Part, list[Turn]] = OrderedDict()
        self._unconfirmed: deque[list[Scan]] = deque()
        self._running: set[Scan] = set()
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
        for scan in self._running:
            _fail(scan.future, _stopped())
        self._running.clear()
        self._arriving.clear()
        self._waiting.clear()
        self._unconfirmed.clear()

    async def search(self, probe: Template, bands: Mapping[Shelf, Band]) -> Confirmed:
        """Return what became of all templates on some shelves that may match a probe.

        And of the best few of those that may be near. Each shelf has its own threshold.

        Whoever no longer waits, because its deadline is over, is not scanned for, and
        has its place in the queue until its turns come.

        Raises:
            ExhaustedError: too many probes wait, or it would wait for too long.
            UnavailableError: the scanner stops.
        """
        caller = CALLER.get(None)
        async with self._turns.turn(caller and caller.member, ENDS.get(None)):
            future = self._put(probe, bands)
            # Whoever asks in the same turn of the loop shares the pass.
            asyncio.get_running_loop().call_soon(self._begin)
            return await delivered(future)

    def rows(self) -> float:
        """Return with about how many rows a probe of one vector is compared of late."""
        return self._rows

    def settle(self) -> None:
        """Block until every search is done that has begun by now.

        It takes milliseconds or does not come to an end: `limits.SETTLE_SECONDS`.
        """
        with self._changed:
            running = [scan.future for scan in self._running]
        wait(running, limits.SETTLE_SECONDS)

    def submit(self, probe: Template, bands: Mapping[Shelf, Band]) -> Future[Confirmed]:
        """Begin the search of one probe; see `search`."""
        future = self._put(probe, bands)
        self._begin()
        return future

    def _put(self, probe: Template, bands: Mapping[Shelf, Band]) -> Future[Confirmed]:
        """Have a probe wait at all segments it is to be compared with; see `_begin`."""
        size = searched(probe.space).size(probe.values)
        scan = Scan(probe, size, bands, 0, {shelf: [] for shelf in bands})
        work = [
            (part, turn)
            for turn in [Turn(scan, shelf) for shelf in bands]
            for part in self._engine.parts(turn.shelf)
        ]
        rows = sum(len(part) for part, _ in work)
        self._scanned(rows)
        if size == 1:  # of what has many vectors, a pass takes one probe or two
            self._rows += limits.PACE_SHARE * (rows - self._rows)
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
            self._arriving += work
        return scan.future

    def _begin(self) -> None:
        """Have what has arrived scanned, all of it together."""
        with self._changed:
            for part, turn in self._arriving:
                self._waiting.setdefault(part, []).append(turn)
            self._arriving.clear()
            self._changed.notify(len(self._waiting))

    def _work(self) -> None:
        """Scan a segment, confirm a group that waits, and so on until told to stop.

        Nothing of one is held while waiting for the next: a gallery that is dropped
        meanwhile must be gone.
        """
        while self._wait():
            if work := self._next_part():
                self._scan(*work)
                del work
            if group := self._next_group():
                self._finish(group)
                del group

    def _wait(self) -> bool:
        """Wait for work; say whether to go on."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self._unconfirmed or self._stopping
            )
            return not self._stopping

    def _next_part(self) -> tuple[Part, list[Turn]] | None:
        """Return the part that waits longest, and who for it."""
        with self._changed:
            if not self._waiting or self._stopping:
                return None
            part, waiting = self._waiting.popitem(last=False)
            most = _at_once(waiting, self._comparing.most)
            if len(waiting) > most:
                self._waiting[part] = waiting[most:]
                self._changed.notify()
            return part, waiting[:most]

    def _next_group(self) -> list[Scan] | None:
        """Return the scans that have waited longest to be confirmed together."""
        with self._changed:
            return self._unconfirmed.popleft() if self._unconfirmed else None

    def _scan(self, part: Part, turns: list[Turn]) -> None:
        """Scan one part for whoever still waits for it."""
        found = self._search(part, turns)
        with self._taking:
            last = [turn.scan for turn in turns if turn.take(found.get(turn))]
        # Those with few candidates first; many wait behind other segments, so that
        # nobody's flood of look-alikes keeps everybody else waiting.
        groups = list(_together(last))
        if groups:
            with self._changed:
                self._unconfirmed += groups[1:]
                self._changed.notify(len(groups) - 1)
            self._finish(groups[0])

    def _search(
        self, part: Part, turns: list[Turn]
    ) -> dict[Turn, NDArray[np.int64] | None]:
        """Return what a part has for those still wanted, or tell all that it failed."""
        try:
            wanted = [turn for turn in turns if turn.is_wanted]
            found = self._comparing.compare(part, wanted) if wanted else []
            return dict(zip(wanted, found, strict=True))
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            for turn in turns:
                _fail(turn.scan.future, error)
            return {}

    def _finish(self, scans: list[Scan]) -> None:
        """Confirm what was found for probes, and make room for others."""
        waiting = [
            scan
            for scan in scans
            if not scan.future.done() and scan.future.set_running_or_notify_cancel()
        ]
        rows: Mapping[int, StoredTemplate] | None = None  # may be for one of them alone
        with suppress(Exception):
            rows = self._confirmation.rows(scan.found for scan in waiting)
        with together():
            for scan in waiting:
                self._confirm(scan, rows)
        with self._changed:
            self._running.difference_update(scans)

    def _confirm(self, scan: Scan, rows: Mapping[int, StoredTemplate] | None) -> None:
        """Confirm what was found for one probe; its rows are read here if need be."""
        try:
            if rows is None:
                rows = self._confirmation.rows([scan.found])
            confirmed = self._confirmation.confirm(
                scan.probe, scan.bands, scan.found, rows
            )
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            scan.future.set_exception(error)
        else:
            if scan.lost:
                confirmed = replace(confirmed, failed=confirmed.failed | scan.lost)
            scan.future.set_result(confirmed)


def _at_once(turns: Sequence[Turn], most: int) -> int:
    """Return how many turns go through a segment together: one at least."""
    size = 0
    for number, turn in enumerate(turns):
        size += turn.scan.size
        if number and size > most:
            return number
    return len(turns)


def _ready(segment: Segment, turns: Sequence[Turn]) -> Probes:
    """Return probes as the segments of their shelf take them.

    All that are new are turned at once: NumPy gives the interpreter's lock away at
    every step, and waits for it as long for one probe as for many.
    """
    if new := [turn for turn in turns if turn.ready is None]:
        probes = Probes.asking(segment.coding, [turn.asked() for turn in new])
        for turn, ready in zip(new, probes.apart(), strict=True):
            turn.ready = ready
    return Probes.joined([turn.ready for turn in turns if turn.ready is not None])


def _together(scans: list[Scan]) -> Iterator[list[Scan]]:
    """Yield scans in groups whose candidates' rows may be in memory at once.

    Those with the fewest come first. One scan is a group whatever it has found:
    `confirm` bounds that by holder.
    """
    group: list[Scan] = []
    count = 0
    for scan in sorted(scans, key=Scan.candidates):
        more = scan.candidates()
        if group and count + more > limits.ROWS_CONFIRMED_AT_ONCE:
            yield group
            group, count = [], 0
        group.append(scan)
        count += more
    if group:
        yield group


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
