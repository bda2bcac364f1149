"""What do shards on a Ray cluster cost, against galleries in one process?

The same exchange with the same galleries, served one way and the other: the whole path
of a search, as `benchmarks.service` measures it. Then shards with next to nothing in
them, each of which every search calls: what a call costs. Last a model, which is these
figures multiplied, of how it is with more templates and machines than are at hand.

    python -m benchmarks.cluster [--records 200000] [--fan-out 8 32]

Ray's nodes are processes on this machine, so that two shards share its cores: what
shows is what they cost, not what they gain. Needs the extra `cluster`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import results, tables
from benchmarks.kit.exchange import BenchmarkExchange
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED, measure, probes_of
from biometrics.server.site import prepare_ray

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL: Final = 0
_SHARD_MB: Final = 300
# Of a model machine, and what it costs: an assumption, to be replaced by an offer.
MACHINE_CORES: Final = 16
MACHINE_GIB: Final = 128
MACHINE_A_MONTH: Final = 500.0
BYTES_A_TEMPLATE: Final = 180  # biometrics/server/README.md, Sizing
MODEL_RECORDS: Final = 100_000  # from which what a template adds can be told
SPARE: Final = 0.7  # of memory that codes may fill: segments are joined in the rest
TEMPLATES: Final = (10_000_000, 100_000_000, 1_000_000_000)
MACHINES: Final = (1, 2, 4, 8, 16, 32, 64)


@contextmanager
def cluster(nodes: int, shards: int) -> Iterator[str]:
    """Have Ray nodes on this machine; yield the address of their head."""
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    prepare_ray("127.0.0.1:0")
    from matcher import trial  # noqa: PLC0415 - an extra

    each = -(-shards // nodes)
    memory_bytes = each * _SHARD_MB << 20
    # Cores are counted, not given: there is room for as many threads as are asked for.
    with trial.nodes(nodes, memory_bytes=memory_bytes, cores=64 * each) as address:
        yield address


def set_shards(
    exchange: BenchmarkExchange, address: str, shards: int, together: int
) -> None:
    """Write where the galleries of an exchange are."""
    settings = exchange.config.read_text("utf-8").partition("\n[matcher]")[0]
    if shards != LOCAL:
        cores = max(len(os.sched_getaffinity(0)) // shards, 1)
        settings += (
            f'\n[matcher]\nengine = "ray"\naddress = "{address}"\nshards = {shards}\n'
            f"shard_mb = {_SHARD_MB}\nshard_cores = {cores}\n"
            f"templates_together = {together}\n"
        )
    exchange.config.write_text(settings, "utf-8")


def run(
    exchange: BenchmarkExchange, options: argparse.Namespace, records: int
) -> list[dict[str, Any]]:
    """Return the figures of an exchange as it is set, by callers."""
    probes = probes_of(exchange.gallery, records, 4096)
    rows = []
    with exchange.serving() as server:
        exchange.enrol(records)
        for callers in options.callers:
            rounds = [
                measure(exchange, server.number, probes, callers, options.seconds)
                for _ in range(options.rounds)
            ]
            medians = {n: float(np.median([r[n] for r in rounds])) for n in rounds[0]}
            rows.append({"records": records, "callers": callers, **medians})
    return rows


def model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is to be expected of more templates and machines.

    Assumed: a search is a part that is the same whatever is searched, a part for each
    template, which all cores of all shards have between them, and a part for each
    shard that is called; machines do nothing else, and there is one shard on each. The
    exchange is on one more machine, on as many cores as here for its own part: it
    carries what its part allows, and the shards what theirs does.
    """
    one = {row["records"]: row for row in rows if row["callers"] == 1}
    lone = {(row["records"], row["shards"]): row for row in rows if row["callers"] == 1}
    most = max(one)
    few = min(one)
    fans = sorted(shards for records, shards in lone if records == few and shards)
    call_ms = lone_call_ms = 0.0
    if len(fans) > 1:
        apart = fans[-1] - fans[0]
        first, last = lone[few, fans[0]], lone[few, fans[-1]]
        lone_call_ms = (last["p50_ms"] - first["p50_ms"]) / apart
        call_ms = (last["server_ms"] - first["server_ms"]) / apart
    base = lone[few, fans[0]]
    cores = len(os.sched_getaffinity(0))
    scan_ms = max(lone[most, LOCAL]["p50_ms"] - base["p50_ms"], 0.1) * cores / most
    told = []
    for templates in TEMPLATES:
        for machines in MACHINES:
            gib = templates * BYTES_A_TEMPLATE / machines / 2**30 / SPARE
            if gib > MACHINE_GIB:
                continue
            of_scan = scan_ms * templates / (machines * MACHINE_CORES)
            carried = 1e3 / (base["server_ms"] + call_ms * machines) * cores
            told.append(
                {
                    "templates": templates,
                    "machines": machines,
                    "gib": gib,
                    "ms": base["p50_ms"] + lone_call_ms * machines + of_scan,
                    # Sixteen probes share a pass, each for a third of a pass alone.
                    "a_second": min(carried, 3e3 / of_scan),
                    "a_month": MACHINE_A_MONTH * (machines + 1),
                }
            )
    return told


COLUMNS = (
    tables.Column("records", "templates", ",.0f"),
    tables.Column("shards", "shards"),
    tables.Column("callers", "callers"),
    tables.Column("searches_a_second", "searches a second", ",.0f"),
    tables.Column("p50_ms", "p50 ms", ".1f"),
    tables.Column("p99_ms", "p99 ms", ".1f"),
    tables.Column("server_ms", "exchange, core ms", ".2f"),
)
MODEL = (
    tables.Column("templates", "templates", ",.0f"),
    tables.Column("machines", "machines", ".0f"),
    tables.Column("gib", "GiB each", ".0f"),
    tables.Column("ms", "lone search, ms", ".0f"),
    tables.Column("a_second", "searches a second, at most", ",.0f"),
    tables.Column("a_month", "a month", ",.0f"),
)


def main() -> None:
    """Measure one way and the other, then what calls cost; print the model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--fan-out", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchanges")
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    results.add_arguments(parser, "cluster")
    options = parser.parse_args()
    if find_spec("ray") is None:
        print("left out: Ray is not installed (the extra `cluster`)")
        return
    if options.quick:
        options.records, options.shards, options.fan_out = 2000, [1], [1, 3]
        options.callers, options.seconds, options.rounds = [1, 4], 1.0, 1
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what do shards cost?",
        key=("records", "shards", "callers"),
        settings={"threshold": THRESHOLD, "gallery": gallery.name},
        path=options.json,
        resume=options.resume,
    )
    few = 64 * max(options.fan_out)
    plan = [
        *((options.records, shards, 1 << 15) for shards in (LOCAL, *options.shards)),
        *((few, shards, 1) for shards in options.fan_out),
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(1, max(*options.shards, *options.fan_out)) as address,
    ):
        for records, shards, together in plan:
            if found.has(records=records, shards=shards):
                continue
            exchange = BenchmarkExchange(
                (options.root or Path(folder)) / f"{records}",
                holders=1,
                threshold=THRESHOLD,
                gallery=gallery,
            )
            set_shards(exchange, address, shards, together)
            tables.progress(f"{records:,} templates in {shards or 'no'} shards")
            rows = run(exchange, options, records)
            found.add([{"shards": shards, **row} for row in rows])
    tables.show(
        "medians of the rounds; 0 shards: in the process of the exchange",
        COLUMNS,
        found.rows,
    )
    if options.records < MODEL_RECORDS:
        return  # a search of so few takes no longer than one of none
    tables.show(
        "a model, not a measurement",
        MODEL,
        model(found.rows),
        f"machines of {MACHINE_CORES} cores and {MACHINE_GIB} GiB at"
        f" {MACHINE_A_MONTH:,.0f} a month, one more for the exchange",
    )


if __name__ == "__main__":
    main()
