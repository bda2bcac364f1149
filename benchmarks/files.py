"""How fast does `biometrics enrol` load files, and what does it take of both sides?

A real exchange as `biometrics init` writes it, in a process of its own, over mutual
TLS, and the command as an operator gives it, in another: first the load, then the same
command again, which finds everything there already, then a `--dry-run`. Seconds of
processor are of each process, the start of the command left out; on a machine with
other work to do they tell more than records a second.

    python benchmarks/files.py [--records 20000] [--formats npz parquet] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from biometrics.client import Profile
from biometrics.clock import SystemClock
from biometrics.demo.process import ServerProcess, free_port
from biometrics.server.blueprint import write_exchange

SPACE, DIMENSION = "face-synthetic-512", 512
BLOCK = 10_000
START_SECONDS = 0.7  # of processor, before the command reads anything


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


def run(path: Path, profile: Path, server: int, *options: str) -> dict[str, Any]:
    """Run the command; return what it says, and what both processes take."""
    before = spent(server)
    process = subprocess.Popen(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "biometrics.cli", "--profile", str(profile)),
            *("enrol", str(path), "--space", SPACE, "--json", *options),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    command = usage.ru_utime + usage.ru_stime - START_SECONDS
    return {
        "records_a_second": said["settled"] / said["seconds"],
        "command_us_a_record": command / said["settled"] * 1e6,
        "server_us_a_record": (spent(server) - before) / said["settled"] * 1e6,
        "peak_mib": usage.ru_maxrss / 1024,
    }


def measure(
    root: Path, folder: Path, records: int, suffix: str, *, seed: int, server: int
) -> Any:
    """Return what loading one file takes, three times."""
    path = folder / f"gallery.{suffix}"
    profile = root / "clients/XRA-enroller.toml"
    # Elsewhere: a child's peak begins at its parent's size.
    writer = multiprocessing.get_context("spawn").Process(
        target=write, args=(path, records, seed)
    )
    writer.start()
    writer.join()
    told = {
        "load": run(path, profile, server),
        "again": run(path, profile, server),
        "dry run": run(path, profile, server, "--dry-run"),
    }
    path.unlink()
    return told


def main() -> None:
    """Measure each format and size in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, nargs="+", default=[20_000])
    parser.add_argument("--formats", nargs="+", default=["npz", "parquet"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "exchange"
        config = write_exchange(
            root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen=f"127.0.0.1:{free_port()}",
        )
        with ServerProcess(config, folder / "serve.log") as server:
            server.wait_until_ready(Profile.load(root / "clients/XAA-client.toml"))
            for seed, (records, suffix) in enumerate(
                (records, suffix)
                for suffix in options.formats
                for records in options.records
            ):
                found = measure(
                    *(root, folder, records, suffix), seed=seed, server=server.number
                )
                rows += [
                    {"format": suffix, "records": records, "run": what} | told
                    for what, told in found.items()
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
    table = Table(
        *("format", "records", "run", "records a second"),
        *("command us", "server us", "peak MiB"),
    )
    for row in rows:
        table.add_row(
            row["format"],
            f"{row['records']:,}",
            row["run"],
            f"{row['records_a_second']:,.0f}",
            f"{row['command_us_a_record']:,.0f}",
            f"{row['server_us_a_record']:,.0f}",
            f"{row['peak_mib']:,.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
