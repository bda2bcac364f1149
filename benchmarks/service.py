"""How long does a search take, and how many a second are answered, over the whole path?

A real exchange in a process of its own: mutual TLS, agreements, sealed templates, codes
in memory, answers durable before they are sent. Callers are tasks of one more process,
each of which sends its next search when it has the answer to the last: so the load
generator's own work is part of what the cores do.

    python -m benchmarks.service [--records 1000000] [--callers 1 8 32 128] [--plot]

An answer leaves at the end of two slots: those of a new exchange are 25 ms, so that a
lone caller waits 50 ms for work of a few. `--slot-ms 1` shows the work alone; but
hardly any answers share a flush then, so that each costs the server more.

Enrolling a million records takes minutes: `--root FOLDER` keeps the exchange for the
next run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import (
    PURPOSE,
    REQUESTER,
    BenchmarkExchange,
    face,
)
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.kit.machine import processor_seconds
from biometrics import limits
from biometrics.client import AsyncExchangeClient, Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 7
MATED_SHARE = 0.1
WARM_UP_SECONDS = 1.0


QUICK = {
    "records": 2000,
    "holders": [1, 3],
    "callers": [1, 8],
    "seconds": 1.0,
    "rounds": 1,
}


def probes_of(gallery: Gallery, records: int, count: int) -> NDArray[np.float32]:
    """Return probes, a tenth of them of people who are enrolled."""
    probes = gallery.non_mated(count)
    mated = np.arange(0, count, round(1 / MATED_SHARE))
    _, block = next(gallery.blocks(records))
    mates = block[mated % len(block)]
    probes[mated] = gallery.mated(mates, np.full(len(mated), 0.6))
    return probes


async def call(
    profile: Profile, probes: NDArray[np.float32], callers: int, seconds: float
) -> tuple[list[float], float]:
    """Return the latencies of all searches begun after the warm-up, and the time."""
    latencies: list[float] = []
    begun = time.perf_counter() + WARM_UP_SECONDS
    end = begun + seconds

    async def one(client: AsyncExchangeClient, turn: int) -> None:
        while (start := time.perf_counter()) < end:
            answer = await client.match(
                face(probes[turn % len(probes)]), purpose=PURPOSE, deadline=60
            )
            assert all(h.outcome != "unavailable" for h in answer.holders)
            if start >= begun:
                latencies.append(time.perf_counter() - start)
            turn += callers

    async with AsyncExchangeClient(profile) as client:
        await asyncio.gather(*(one(client, number) for number in range(callers)))
    return latencies, time.perf_counter() - begun


def load(
    profile: Path, probes: NDArray[np.float32], callers: int, seconds: float, told: Any
) -> None:
    """Run the callers, and tell what they found."""
    found = asyncio.run(call(Profile.load(profile), probes, callers, seconds))
    told.put((*found, time.process_time()))


def measure(
    exchange: BenchmarkExchange,
    server: int,
    probes: NDArray[np.float32],
    callers: int,
    seconds: float,
) -> dict[str, float]:
    """Return what callers in a process of their own found."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    arguments = (exchange.profile(REQUESTER, "client"), probes, callers, seconds, told)
    process = context.Process(target=load, args=arguments, daemon=True)
    before = processor_seconds(server)
    process.start()
    latencies, took, busy = told.get(timeout=seconds + 120)
    process.join()
    share = took / (took + WARM_UP_SECONDS)
    milliseconds = 1e3 * np.array(latencies)
    return {
        "searches": len(latencies),
        "searches_a_second": len(latencies) / took,
        "server_ms": 1e3
        * share
        * (processor_seconds(server) - before)
        / len(latencies),
        "callers_ms": 1e3 * share * busy / len(latencies),
        **{
            f"p{share}_ms": float(np.percentile(milliseconds, share))
            for share in (50, 95, 99)
        },
    }


COLUMNS = (
    tables.Column("holders", "holders"),
    tables.Column("callers", "callers"),
    tables.Column("searches_a_second", "searches a second", ",.0f"),
    tables.Column("p50_ms", "p50 ms", ".1f"),
    tables.Column("p95_ms", "p95 ms", ".1f"),
    tables.Column("p99_ms", "p99 ms", ".1f"),
    tables.Column("server_ms", "server, core ms", ".2f"),
    tables.Column("callers_ms", "callers, core ms", ".2f"),
)


def draw(found: results.Results) -> None:
    """Draw latency and throughput by load, a line for each number of holders."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    rows = found.rows
    drawn, (waiting, carried) = plots.figure(2, width=10.0, height=4.2)
    for number, holders in enumerate(sorted({row["holders"] for row in rows})):
        chosen = [row for row in rows if row["holders"] == holders]
        callers = [row["callers"] for row in chosen]
        style, name = plots.series(number), _named(holders)
        waiting.fill_between(
            callers,
            [row["p50_ms"] for row in chosen],
            [row["p99_ms"] for row in chosen],
            color=style["color"],
            hatch=plots.HATCHES[number + 1],
            alpha=0.15,
        )
        waiting.plot(callers, [row["p50_ms"] for row in chosen], label=name, **style)
        carried.plot(
            callers, [row["searches_a_second"] for row in chosen], label=name, **style
        )
    for axes in (waiting, carried):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({row["callers"] for row in rows}))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("callers, each with one search at a time")
        axes.set_ylim(bottom=0)
        axes.legend()
    waiting.set_title("latency: median, and up to the 99th percentile")
    waiting.set_ylabel("ms a search")
    carried.set_title("throughput")
    carried.set_ylabel("searches a second")
    records = max(row["records"] for row in rows)
    drawn.suptitle(
        f"Searches of {records:,} templates over gRPC by load", x=0.01, ha="left"
    )
    plots.save(drawn, found)


def _named(holders: int) -> str:
    """Return what the picture calls so many holders."""
    return "one holder" if holders == 1 else f"{holders} holders"


def main() -> None:
    """Measure every number of holders and callers."""
    parser = command.Parser("service", __doc__, quick=QUICK, plots=True)
    parser.add_argument("--records", default=1_000_000)
    parser.add_argument("--holders", nargs="+", default=[1, 48])
    parser.add_argument("--callers", nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", default=10.0, help="of each round")
    parser.add_argument("--rounds", default=3)
    slot_ms = limits.DEFAULT_SLOT_MILLISECONDS
    parser.add_argument("--slot-ms", default=slot_ms, help="an answer takes two")
    parser.add_argument("--root", type=Path, help="folder that keeps the exchanges")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "how long does a search take over the whole path?",
        key=("records", "holders", "callers"),
        settings={
            "threshold": THRESHOLD,
            "gallery": gallery.name,
            "slot_ms": options.slot_ms,
        },
        options=options,
    )
    probes = probes_of(gallery, options.records, 4096)
    with tempfile.TemporaryDirectory() as folder:
        for holders in options.holders:
            exchange = BenchmarkExchange(
                (options.root or Path(folder)) / f"{options.records}-{holders}",
                holders=holders,
                threshold=THRESHOLD,
                gallery=gallery,
                slot_ms=options.slot_ms,
            )
            with exchange.serving() as server:
                exchange.enrol(options.records)
                for callers in options.callers:
                    rounds = [
                        measure(
                            exchange, server.number, probes, callers, options.seconds
                        )
                        for _ in range(options.rounds)
                    ]
                    key = {"records": options.records, "holders": holders}
                    found.add([key | {"callers": callers} | results.medians(rounds)])
    found.show("medians of the rounds", COLUMNS)
    if options.plot:
        draw(found)


if __name__ == "__main__":
    command.run(main)
