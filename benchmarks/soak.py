"""Does an exchange that runs for an hour take more and more memory, or descriptors?

A real exchange in a process of its own, over mutual TLS, that is used as members use
it, at a low and steady rate: searches, one in ten of somebody who is enrolled; records
that are enrolled and withdrawn again, so that the gallery keeps its size; systems that
connect, ask what they may, search once and leave; an auditor that reads the log's head;
and its figures being read. Each minute its own memory, descriptors and threads are
noted.

    python -m benchmarks.soak [--minutes 60] [--json] [--resume]

What it takes in its first minutes stays: so growth is that of the line through the
minutes after the first quarter of a run. A run that is cut short goes on with
`--resume`, in a new process of the exchange, which is told as another part.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.restart import resident_bytes
from benchmarks.service import SEED, probes_of
from biometrics import limits
from biometrics.client import AsyncExchangeClient, Profile, Record
from biometrics.demo.process import free_port
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROBES: Final = 1000
VISIT_SECONDS: Final = 2.0  # a system connects, asks, and leaves
TURNOVER_SECONDS: Final = 1.0  # a record is enrolled, and one withdrawn
READ_SECONDS: Final = 15.0  # figures and the head of the log, as Prometheus would
WARM_UP: Final = 0.25  # of a part; what is taken at first is not growth
MEBIBYTE: Final = 2**20


QUICK = {"records": 1000, "minutes": 3}


class Use:
    """What is done to an exchange for a while, and how often it failed."""

    def __init__(self, exchange: BenchmarkExchange, rate: float, figures: str) -> None:
        """Search `rate` times a second; figures are at that address."""
        self._exchange = exchange
        self._rate = rate
        self._figures = f"http://{figures}/metrics"
        self._probes = probes_of(exchange.gallery, PROBES, PROBES)
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def going_on(self) -> Any:
        """Use it for as long as the block runs."""
        holder = self._exchange.holders[0]
        async with contextlib.AsyncExitStack() as stack:
            client, enroller, auditor = [
                await stack.enter_async_context(AsyncExchangeClient(profile))
                for profile in (
                    self._profile(REQUESTER, "client"),
                    self._profile(holder, "enroller"),
                    self._profile(REQUESTER, "auditor"),
                )
            ]
            tasks = [
                asyncio.create_task(self._every(seconds, act))
                for seconds, act in (
                    (1 / self._rate, lambda number: self._search(client, number)),
                    (VISIT_SECONDS, self._visit),
                    (TURNOVER_SECONDS, lambda number: self._turn(enroller, number)),
                    (READ_SECONDS, lambda _: self._read(auditor)),
                )
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    def _profile(self, code: str, role: str) -> Profile:
        """Return the profile of a system."""
        return Profile.load(self._exchange.profile(code, role))

    async def _every(
        self, seconds: float, act: Callable[[int], Awaitable[None]]
    ) -> None:
        """Do something again and again; what fails is counted."""
        begun, number = time.monotonic(), 0
        while True:
            number += 1
            try:
                await act(number)
            except ExchangeError as error:
                self.failed[error.reason] += 1
            late = begun + number * seconds - time.monotonic()
            await asyncio.sleep(max(0.0, late))

    async def _search(self, client: AsyncExchangeClient, number: int) -> None:
        """Search for somebody."""
        probe = face(self._probes[number % PROBES])
        await client.match(probe, purpose=PURPOSE, deadline=30)
        self.done["searches"] += 1

    async def _visit(self, number: int) -> None:
        """Connect, ask what one may, search and leave."""
        profile = self._profile(REQUESTER, "client")
        async with AsyncExchangeClient(profile) as client:
            await client.agreements()
            await self._search(client, number)
        self.done["visits"] += 1

    async def _turn(self, enroller: AsyncExchangeClient, number: int) -> None:
        """Enrol somebody, and withdraw them."""
        run = f"{time.time_ns():x}"
        vector = self._probes[-number % PROBES]
        reference = f"soak-{run}"
        await enroller.enrol(
            Record(reference=reference, templates=(face(vector),)), deadline=30
        )
        await enroller.withdraw(reference, deadline=30)
        self.done["turned over"] += 1

    async def _read(self, auditor: AsyncExchangeClient) -> None:
        """Read the head of the log, and the figures."""
        await auditor.checkpoint()
        await asyncio.to_thread(_fetch, self._figures)
        self.done["reads"] += 1


def _fetch(url: str) -> None:
    """Read figures as Prometheus does."""
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - loopback
        response.read()


def sample(process: int) -> dict[str, float]:
    """Return what a process holds: memory of its own in MiB, descriptors, threads."""
    status = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (threads,) = (line.split()[1] for line in status if line.startswith("Threads"))
    return {
        "memory_mib": resident_bytes(process) / MEBIBYTE,
        "descriptors": len(list(Path(f"/proc/{process}/fd").iterdir())),
        "threads": int(threads),
    }


async def run(
    use: Use, process: int, found: results.Results, part: int, options: Any
) -> None:
    """Use an exchange for as many minutes as are left, and note what it holds."""
    left = options.minutes - len(found.rows)
    async with use.going_on():
        seconds = 1.0 if options.quick else 60.0  # of a minute
        begun = time.monotonic()
        for minute in range(1, left + 1):
            end = begun + minute * seconds
            await asyncio.sleep(max(0.0, end - time.monotonic()))
            found.add(
                [
                    {"part": part, "minute": minute}
                    | sample(process)
                    | dict(use.done)
                    | {"failed": use.failed.total(), "why": dict(use.failed)}
                ]
            )


def of_part(rows: list[dict[str, Any]], part: int) -> dict[str, Any]:
    """Return what one run of the exchange came to."""
    mine = [row for row in rows if row["part"] == part]
    later = [row for row in mine if row["minute"] > WARM_UP * len(mine)] or mine
    memory = [row["memory_mib"] for row in later]
    minutes = [row["minute"] for row in later]
    slope = np.polyfit(minutes, memory, 1)[0] if len(later) > 1 else float("nan")
    descriptors = [row["descriptors"] for row in later]
    return {
        "part": part,
        "minutes": len(mine),
        "first_mib": memory[0],
        "last_mib": memory[-1],
        "most_mib": max(memory),
        "mib_an_hour": 60 * float(slope),
        "least_descriptors": min(descriptors),
        "most_descriptors": max(descriptors),
        "threads": max(row["threads"] for row in later),
        **{name: mine[-1].get(name, 0) for name in ("searches", "visits", "failed")},
        "turned_over": mine[-1].get("turned over", 0),
    }


COLUMNS = (
    tables.Column("part", "part", ",d"),
    tables.Column("minutes", "minutes", ",d"),
    tables.Column("first_mib", "MiB after\nthe first", ".1f"),
    tables.Column("last_mib", "at the\nend", ".1f"),
    tables.Column("most_mib", "at most", ".1f"),
    tables.Column("mib_an_hour", "MiB more\nan hour", "+.1f"),
    tables.Column("least_descriptors", "descriptors\nat least", ",d"),
    tables.Column("most_descriptors", "at most", ",d"),
    tables.Column("threads", "threads", ",d"),
    tables.Column("searches", "searches", ",d"),
    tables.Column("visits", "connections", ",d"),
    tables.Column("turned_over", "enrolled and\nwithdrawn", ",d"),
    tables.Column("failed", "failed", ",d"),
)


def main() -> None:
    """Use an exchange for an hour."""
    parser = command.Parser("soak", __doc__, quick=QUICK)
    parser.add_argument("--records", default=20_000)
    parser.add_argument("--minutes", default=60)
    parser.add_argument("--rate", default=5.0, help="searches a second")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "does an exchange that runs for an hour take more and more?",
        key=("part", "minute"),
        settings={"records": options.records, "searches_a_second": options.rate},
        options=options,
    )
    part = 1 + max((row["part"] for row in found.rows), default=0)
    if len(found.rows) < options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            exchange = BenchmarkExchange(
                Path(folder) / "exchange",
                holders=1,
                threshold=THRESHOLD,
                gallery=gallery,
                slot_ms=limits.DEFAULT_SLOT_MILLISECONDS,
            )
            figures = f"127.0.0.1:{free_port()}"
            with exchange.config.open("a", encoding="utf-8") as settings:
                settings.write(f'\n[metrics]\nlisten = "{figures}"\n')
            with exchange.serving() as server:
                exchange.enrol(options.records)
                use = Use(exchange, options.rate, figures)
                asyncio.run(run(use, server.number, found, part, options))
    parts = sorted({row["part"] for row in found.rows})
    rows = [of_part(found.rows, each) for each in parts]
    found.show("each run of the exchange", COLUMNS, rows)


if __name__ == "__main__":
    command.run(main)
