"""What does a bulk load cost the searches beside it, by the size of its chunks?

A real exchange in a process of its own, over mutual TLS. One process enrols more
records in chunks, as fast as it can; another searches, one probe after the other, and
reports how long each search took: with the slots of a new exchange, as its callers
notice it; with `--slot-ms 1`, of the work alone.

    python -m benchmarks.beside_load [--gallery 1000000] [--chunks 512 64] [--rounds 3]

Enrolling a million records takes minutes: `--root FOLDER` keeps the exchange for the
next run, with what the loads added to it.
"""

from __future__ import annotations

import multiprocessing
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from biometrics import limits
from biometrics.client import Chunk, ExchangeClient, Profile, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 7
PAUSE_SECONDS = 0.005  # between two searches
IDLE_SECONDS = 10.0


QUICK = {"gallery": 1000, "records": 512, "rounds": 1}


def load(profile: Path, records: int, size: int, told: Any) -> None:
    """Enrol records in chunks of `size`; tell when it begins, and records a second."""
    name = secrets.token_hex(8)
    rows = np.random.default_rng().standard_normal((records, 512), "f4")
    chunks = [
        Chunk(
            records=tuple(
                Record(reference=f"{name}-{start + n}", templates=(face(row),))
                for n, row in enumerate(rows[start : start + size])
            )
        )
        for start in range(0, records, size)
    ]
    with ExchangeClient(Profile.load(profile)) as client:
        client.galleries()
        told.put(None)
        begun = time.perf_counter()
        for outcome in client.enrol_many(chunks):
            assert {each.status for each in outcome.outcomes} == {"enrolled"}
        told.put(records / (time.perf_counter() - begun))


def search(
    client: ExchangeClient, probes: NDArray[np.float32], told: Any, seconds: float
) -> list[float]:
    """Return how long each search took, one or more until load or time is over."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while not latencies or (told.empty() and time.perf_counter() < end):
        probe = face(probes[len(latencies) % len(probes)])
        begun = time.perf_counter()
        client.match(probe, purpose=PURPOSE)
        latencies.append(time.perf_counter() - begun)
        time.sleep(PAUSE_SECONDS)
    return latencies


def quantiles(latencies: list[float], rate: float) -> dict[str, float]:
    """Return what one round found, in milliseconds and records a second."""
    milliseconds = 1e3 * np.array(latencies)
    return {
        "searches": len(latencies),
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "records_a_second": rate,
    }


def measure(
    exchange: BenchmarkExchange, records: int, sizes: Sequence[int], rounds: int
) -> dict[int, list[dict[str, float]]]:
    """Return every round by size of chunk; 0 stands for no load."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in (0, *sizes)}
    enroller = exchange.profile(exchange.holders[0], "enroller")
    probes = exchange.gallery.non_mated(1024)
    requester = Profile.load(exchange.profile(REQUESTER, "client"))
    with ExchangeClient(requester) as client:
        for _ in range(rounds):
            search(client, probes, told, 0.5)
            idle = search(client, probes, told, IDLE_SECONDS)
            runs[0].append(quantiles(idle, 0.0))
            for size in sizes:
                arguments = (enroller, records, size, told)
                loader = context.Process(target=load, args=arguments, daemon=True)
                loader.start()
                told.get(timeout=60)
                search(client, probes, told, 0.3)
                latencies = search(client, probes, told, 600.0)
                rate = told.get(timeout=60)
                loader.join()
                runs[size].append(quantiles(latencies, rate))
    return runs


COLUMNS = (
    tables.Column("gallery", "gallery", ",d"),
    tables.Column("chunk", "records a chunk, 0: no load"),
    tables.Column("searches", "searches", ",.0f"),
    tables.Column("p50_ms", "p50 ms", ".1f"),
    tables.Column("p99_ms", "p99 ms", ".1f"),
    tables.Column("p99_ratio", "times that without", ".2f"),
    tables.Column("records_a_second", "records a second", ",.0f"),
)


def main() -> None:
    """Measure each size in turn, and print medians."""
    parser = command.Parser("beside_load", __doc__, quick=QUICK)
    parser.add_argument("--gallery", default=1_000_000, help="records in it")
    parser.add_argument("--records", default=8000, help="of each load")
    parser.add_argument("--chunks", nargs="+", default=[512, 64])
    parser.add_argument("--rounds", default=3)
    slot_ms = limits.DEFAULT_SLOT_MILLISECONDS
    parser.add_argument("--slot-ms", default=slot_ms, help="an answer takes two")
    parser.add_argument("--root", type=Path, help="folder that keeps the exchange")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what does a bulk load cost the searches beside it?",
        key=("gallery", "chunk"),
        settings={
            "threshold": THRESHOLD,
            "gallery": gallery.name,
            "slot_ms": options.slot_ms,
        },
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        exchange = BenchmarkExchange(
            (options.root or Path(folder)) / f"{options.gallery}-1",
            holders=1,
            threshold=THRESHOLD,
            gallery=gallery,
            slot_ms=options.slot_ms,
        )
        with exchange.serving():
            exchange.enrol(options.gallery)
            runs = measure(exchange, options.records, options.chunks, options.rounds)
    for size, rounds in runs.items():
        pairs = zip(rounds, runs[0], strict=True)
        ratio = float(np.median([r["p99_ms"] / idle["p99_ms"] for r, idle in pairs]))
        found.add(
            [
                {"gallery": options.gallery, "chunk": size, "p99_ratio": ratio}
                | results.medians(rounds)
            ]
        )
    found.show("medians of the rounds", COLUMNS)


if __name__ == "__main__":
    command.run(main)
