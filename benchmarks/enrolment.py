"""How fast is a file enrolled, what does it take, and when is it searchable?

A real exchange in a process of its own, over mutual TLS. First `biometrics enrol` as an
operator gives it, in another process: a load, then the same command again, which finds
everything there already, then a `--dry-run`. Seconds of processor are of each process,
the start of the command left out; on a machine with other work to do they tell more
than records a second. Memory is what a process holds of its own, in the first tenth of
a load and in the last; the server's grows by the codes that it searches.

Then records one by one, and in chunks: as soon as they are acknowledged, the last of
them is searched for.

    python -m benchmarks.enrolment [--records 100000] [--formats npz parquet] [--json]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, SPACE, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.restart import resident_bytes
from benchmarks.service import SEED
from biometrics import limits
from biometrics.client import Chunk, ExchangeClient, Profile, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSION: Final = 512
BLOCK: Final = 10_000
START_SECONDS: Final = 0.7  # of processor, before the command reads anything
SAMPLE_SECONDS: Final = 0.25
MEBIBYTE: Final = 2**20
TENTH: Final = 10
CHUNK: Final = limits.BULK_RECORDS_PER_CHUNK
RUNS: Final = {"load": (), "again": (), "dry run": ("--dry-run",)}


QUICK = {"records": [512], "rounds": 3}


def write(path: Path, records: int, seed: int) -> None:
    """Write a file of random records by the end of its name, in blocks."""
    random = np.random.default_rng(seed)
    names = [f"{seed}-{number}" for number in range(records)]
    if path.suffix == ".npz":
        rows = np.concatenate(
            [
                random.standard_normal((min(BLOCK, records - at), DIMENSION), "f4")
                for at in range(0, records, BLOCK)
            ]
        )
        np.savez(path, embedding=rows, reference=np.array(names))
        return
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet  # noqa: PLC0415

    schema = pa.schema(
        {"reference": pa.string(), "embedding": pa.list_(pa.float32(), DIMENSION)}
    )
    with pa.parquet.ParquetWriter(path, schema) as writer:
        for at in range(0, records, BLOCK):
            part = names[at : at + BLOCK]
            rows = random.standard_normal(len(part) * DIMENSION, "f4")
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows), DIMENSION)
            writer.write_table(pa.table([pa.array(part), vectors], schema=schema))


def spent(process: int) -> float:
    """Return the seconds of processor that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(process: subprocess.Popen[bytes], server: int) -> dict[str, float]:
    """Return what command and server hold at both ends of a load, until it is over."""
    held = []
    while process.poll() is None:
        try:
            held.append([resident_bytes(each) for each in (process.pid, server)])
        except ValueError:  # it has just ended
            break
        time.sleep(SAMPLE_SECONDS)
    samples = np.array(held) / MEBIBYTE
    part = -(-len(samples) // TENTH)
    first, last = samples[:part].max(axis=0), samples[-part:].max(axis=0)
    return {
        "command_first_mib": first[0],
        "command_last_mib": last[0],
        "server_first_mib": first[1],
        "server_last_mib": last[1],
    }


def load(path: Path, profile: Path, server: int, *options: str) -> dict[str, Any]:
    """Run the command; return what it says, and what both processes take."""
    before = spent(server)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                *(sys.executable, "-m", "biometrics.cli", "--profile", str(profile)),
                *("enrol", str(path), "--space", SPACE, "--json", *options),
            ],
            stdout=said,
        )
        children = os.times()
        held = watch(process, server)
        assert process.wait() == 0
        said.seek(0)
        told = json.load(said)
    after = os.times()
    command = sum(after[2:4]) - sum(children[2:4]) - START_SECONDS
    return {
        "records_a_second": told["settled"] / told["seconds"],
        "command_us": command / told["settled"] * 1e6,
        "server_us": (spent(server) - before) / told["settled"] * 1e6,
    } | held


def measure_file(
    exchange: BenchmarkExchange, server: int, path: Path, records: int
) -> list[dict[str, Any]]:
    """Return what loading one file takes, in each of its runs."""
    profile = exchange.profile(exchange.holders[0], "enroller")
    seed = time.time_ns() % 2**32  # other references than those of a run before
    # Elsewhere: a child's peak begins at its parent's size.
    writer = multiprocessing.get_context("spawn").Process(
        target=write, args=(path, records, seed)
    )
    writer.start()
    writer.join()
    rows = []
    for run, options in RUNS.items():
        tables.progress(f"{path.suffix[1:]}, {records:,}: {run}")
        row = {"format": path.suffix[1:], "records": records, "run": run}
        rows.append(row | load(path, profile, server, *options))
    path.unlink()
    return rows


def measure_acknowledged(
    exchange: BenchmarkExchange, rounds: int, size: int
) -> dict[str, Any]:
    """Return how many were found by the first search after they were acknowledged."""
    enroller = Profile.load(exchange.profile(exchange.holders[0], "enroller"))
    requester = Profile.load(exchange.profile(REQUESTER, "client"))
    random = np.random.default_rng(time.time_ns())
    found, after = 0, []
    with ExchangeClient(enroller) as enrol, ExchangeClient(requester) as search:
        for number in range(rounds):
            rows = random.standard_normal((size, DIMENSION), "f4")
            records = tuple(
                Record(reference=f"{time.time_ns()}-{number}-{at}", templates=(each,))
                for at, each in enumerate(map(face, rows))
            )
            if size == 1:
                enrol.enrol(records[0])
            else:
                (told,) = enrol.enrol_many([Chunk(records=records)])
                assert {each.status for each in told.outcomes} == {"enrolled"}
            acknowledged = time.perf_counter()
            answer = search.match(face(rows[-1]), purpose=PURPOSE)
            after.append(time.perf_counter() - acknowledged)
            found += answer.regional == "match"
    return {
        "format": "one by one" if size == 1 else f"chunks of {size}",
        "records": rounds * size,
        "run": "searched for at once",
        "acknowledged": rounds,
        "found": found,
        "answered_ms": 1e3 * float(np.median(after)),
    }


COLUMNS = (
    tables.Column("format", "format"),
    tables.Column("records", "records", ",d"),
    tables.Column("run", "run"),
    tables.Column("records_a_second", "records\na second", ",.0f"),
    tables.Column("command_us", "command,\nus of processor\na record", ",.0f"),
    tables.Column("server_us", "server,\nlikewise", ",.0f"),
    tables.Column("command_first_mib", "command, MiB\nin the first tenth", ",.0f"),
    tables.Column("command_last_mib", "in the\nlast", ",.0f"),
    tables.Column("server_first_mib", "server, MiB\nin the first tenth", ",.0f"),
    tables.Column("server_last_mib", "in the\nlast", ",.0f"),
)
SEARCHED = (
    tables.Column("format", "enrolled"),
    tables.Column("acknowledged", "acknowledged", ",d"),
    tables.Column("found", "found by the\nfirst search", ",d"),
    tables.Column("answered_ms", "answered after,\nmedian ms", ",.1f"),
)


def run(found: results.Results, formats: Sequence[str], options: Any) -> None:
    """Measure each format and size, then what is searchable."""
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    with tempfile.TemporaryDirectory() as name:
        exchange = BenchmarkExchange(
            Path(name) / "exchange",
            holders=1,
            threshold=THRESHOLD,
            gallery=gallery,
            slot_ms=limits.DEFAULT_SLOT_MILLISECONDS,
        )
        with exchange.serving() as server:
            for suffix in formats:
                for records in options.records:
                    if not found.has(format=suffix, records=records, run="dry run"):
                        path = Path(name) / f"gallery.{suffix}"
                        number = server.number
                        found.add(measure_file(exchange, number, path, records))
            if not any("found" in row for row in found.rows):
                found.add(
                    measure_acknowledged(exchange, options.rounds, size)
                    for size in (1, CHUNK)
                )


def main() -> None:
    """Measure each format and size in turn."""
    parser = command.Parser("enrolment", __doc__, quick=QUICK)
    parser.add_argument("--records", nargs="+", default=[100_000])
    parser.add_argument("--formats", nargs="+", default=["npz", "parquet"])
    parser.add_argument("--rounds", default=200, help="of acknowledgements")
    options = parser.parse_args()
    found = results.Results(
        "how fast is a file enrolled, what does it take, and when is it searchable?",
        key=("format", "records", "run"),
        settings={"dimension": DIMENSION, "chunk": CHUNK},
        options=options,
    )
    run(found, options.formats, options)
    loads = [row for row in found.rows if "found" not in row]
    found.show("loads by `biometrics enrol`", COLUMNS, loads)
    searched = [row for row in found.rows if "found" in row]
    found.show("once it is acknowledged", SEARCHED, searched)


if __name__ == "__main__":
    command.run(main)
