"""What does a bulk load cost the searches beside it, by the size of its chunks?

A real exchange as `biometrics init` writes it, in a process of its own, over mutual
TLS. One process enrols 512-d records in chunks through the SDK; another searches, one
probe after the other, and reports how long each search took.

    python benchmarks/beside_load.py [--records 6000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from biometrics.client import Chunk, ExchangeClient, Profile, Record, Template
from biometrics.clock import SystemClock
from biometrics.demo.process import ServerProcess, free_port
from biometrics.server.blueprint import write_exchange

SPACE, DIMENSION = "face-synthetic-512", 512
SIZES = (512, 256, 128, 64)
PURPOSE = "asylum-and-protection"
PAUSE_SECONDS = 0.005  # between two searches
IDLE_SECONDS = 3.0


def face(vector: np.ndarray) -> Template:
    """Return a face of the sample space."""
    return Template(space=SPACE, position="face", vector=vector)


def load(profile: Path, records: int, size: int, seed: int, told: Any) -> None:
    """Enrol records in chunks of `size`; tell when it begins, and records a second."""
    rows = np.random.default_rng(seed).standard_normal((records, DIMENSION), "f4")
    names = [f"{seed}-{number}" for number in range(records)]
    chunks = [
        Chunk(
            records=tuple(
                Record(reference=name, templates=(face(row),))
                for name, row in zip(
                    names[start : start + size], rows[start : start + size], strict=True
                )
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


def search(client: ExchangeClient, told: Any, seconds: float) -> list[float]:
    """Return how long each search took, one or more until load or time is over."""
    probe = face(np.random.default_rng(0).standard_normal(DIMENSION, "f4"))
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while not latencies or (told.empty() and time.perf_counter() < end):
        begun = time.perf_counter()
        client.match(probe, purpose=PURPOSE)
        latencies.append(time.perf_counter() - begun)
        time.sleep(PAUSE_SECONDS)
    return sorted(latencies)


def quantiles(latencies: list[float], rate: float) -> dict[str, float]:
    """Return what one round found, in milliseconds and records a second."""
    return {
        "searches": len(latencies),
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[len(latencies) * 99 // 100],
        "records_a_second": rate,
    }


def measure(root: Path, records: int, rounds: int) -> dict[int, list[dict[str, float]]]:
    """Return every round by size of chunk; 0 stands for no load."""
    context = multiprocessing.get_context("spawn")
    told, runs = context.Queue(), {}
    enroller = root / "clients/XRA-enroller.toml"
    with ExchangeClient(Profile.load(root / "clients/XAA-client.toml")) as client:
        for number in range(rounds):
            idle = search(client, told, IDLE_SECONDS)
            runs.setdefault(0, []).append(quantiles(idle, 0.0))
            for size in SIZES:
                seed = 1 + number * len(SIZES) + SIZES.index(size)
                arguments = (enroller, records, size, seed, told)
                loader = context.Process(target=load, args=arguments, daemon=True)
                loader.start()
                told.get(timeout=60)
                search(client, told, 0.3)
                latencies = search(client, told, 600.0)
                rate = told.get(timeout=60)
                loader.join()
                runs.setdefault(size, []).append(quantiles(latencies, rate))
    return runs


def main() -> None:
    """Measure each size in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=6000, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "exchange"
        config = write_exchange(
            root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen=f"127.0.0.1:{free_port()}",
        )
        with ServerProcess(config, Path(folder) / "serve.log") as server:
            server.wait_until_ready(Profile.load(root / "clients/XAA-client.toml"))
            runs = measure(root, options.records, options.rounds)
    rows = [
        {"records_a_chunk": size}
        | {name: statistics.median(run[name] for run in found) for name in found[0]}
        for size, found in runs.items()
    ]
    if options.json:
        machine = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        }
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
        return
    table = Table("records a chunk", "searches", "p50 ms", "p99 ms", "records a second")
    for row in rows:
        cells = (f"{row[name]:,.1f}" for name in ("p50_ms", "p99_ms"))
        rate = f"{row['records_a_second']:,.0f}" if row["records_a_chunk"] else ""
        chunk = str(row["records_a_chunk"] or "no load")
        table.add_row(chunk, f"{row['searches']:.0f}", *cells, rate)
    Console().print(table)


if __name__ == "__main__":
    main()
