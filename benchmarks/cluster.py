"""What do shards on a Ray cluster cost, against galleries in one process?

Two exchanges with the same galleries, one served each way, are asked in turn: the whole
path of a search, as `benchmarks.service` measures it, and what shards add to it. Then
a pass over shards that have nothing, all of them called at once: what a call costs.
Last a model, which is these figures multiplied, of how it is with more templates and
machines than are at hand.

    python -m benchmarks.cluster [--records 100000] [--fan-out 1 8 32 128]

Ray's nodes are processes on this machine, so that two shards share its cores: what
shows is what they cost, not what they gain. A shard takes 100 MB here, however little
is in it. Needs the extra `cluster`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import SPACE, BenchmarkExchange
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED, measure, probes_of
from biometrics import limits
from biometrics.demo.nodes import ray_nodes
from biometrics.demo.process import free_port
from biometrics.members import Member
from biometrics.server.config import read_config
from biometrics.templates import Position
from matcher.asking import ShelfProbes, send
from matcher.calls import LostError, call
from matcher.engine import Engine
from matcher.galleries import Shelf
from matcher.shard import ShardPlan
from matcher.shares import Sharing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from benchmarks.kit.results import Results
    from matcher.calls import Remote

QUICK: Final = {
    "records": 2000,
    "shards": [1],
    "fan_out": [1, 2],
    "callers": [1, 4],
    "seconds": 1.0,
    "rounds": 1,
}
_SHARD_MB: Final = 300
_DIMENSION: Final = 512
_PASSES: Final = 9
_CALLS: Final = 200  # passes over shards that have nothing
_START_SECONDS: Final = 600.0
_AGAIN_SECONDS: Final = 0.5
# Of a model machine, and what it costs: an assumption, to be replaced by an offer.
MACHINE_CORES: Final = 16
MACHINE_GIB: Final = 128
MACHINE_A_MONTH: Final = 500.0
BYTES_A_TEMPLATE: Final = 180  # biometrics/server/README.md, Sizing
SPARE: Final = 0.7  # of memory that codes may fill: segments are joined in the rest
TOGETHER: Final = 16  # probes of one pass
TEMPLATES: Final = (10_000_000, 100_000_000, 1_000_000_000)
MACHINES: Final = (1, 2, 4, 8, 16, 32, 64)


def sharded(
    local: BenchmarkExchange, root: Path, address: str, shards: int
) -> BenchmarkExchange:
    """Return an exchange with the galleries of another, but in shards."""
    if not root.exists():
        shutil.copytree(local.root, root)
        settings = (root / "exchange.toml").read_text("utf-8")
        own = settings.partition('listen = "')[2].partition('"')[0]
        other = f"127.0.0.1:{free_port()}"
        for path in (root / "exchange.toml", *(root / "clients").glob("*.toml")):
            path.write_text(path.read_text("utf-8").replace(own, other), "utf-8")
    exchange = BenchmarkExchange(
        root, holders=1, threshold=THRESHOLD, gallery=local.gallery
    )
    settings = exchange.config.read_text("utf-8").partition("\n[matcher]")[0]
    cores = max(len(os.sched_getaffinity(0)) // shards, 1)
    exchange.config.write_text(
        f'{settings}\n[matcher]\nengine = "ray"\naddress = "{address}"\n'
        f"shards = {shards}\nshard_mb = {_SHARD_MB}\nshard_cores = {cores}\n",
        "utf-8",
    )
    return exchange


def compare(
    local: BenchmarkExchange,
    other: BenchmarkExchange,
    options: argparse.Namespace,
    records: int,
) -> Iterator[dict[str, Any]]:
    """Yield the figures of two exchanges that are asked in turn, by callers."""
    probes = probes_of(local.gallery, records, 4096)
    with local.serving() as here, other.serving() as there:
        for callers in options.callers:
            pairs = [
                [
                    measure(exchange, server.number, probes, callers, options.seconds)
                    for exchange, server in ((local, here), (other, there))
                ]
                for _ in range(options.rounds)
            ]
            yield {
                "callers": callers,
                "more_ms": _median([b["p50_ms"] - a["p50_ms"] for a, b in pairs]),
                "more_core_ms": _median(
                    [b["server_ms"] - a["server_ms"] for a, b in pairs]
                ),
                "throughput": _median(
                    [b["searches_a_second"] / a["searches_a_second"] for a, b in pairs]
                ),
                **{
                    f"local_{n}": _median([a[n] for a, _ in pairs]) for n in pairs[0][0]
                },
                **{n: _median([b[n] for _, b in pairs]) for n in pairs[0][0]},
                "rounds": [{"local": a, "shards": b} for a, b in pairs],
            }


def passes(records: int) -> dict[str, Any]:
    """Return what a template of a pass takes one core, alone and in company."""
    engine: Engine[str] = Engine()
    engine.make("x", dimension=_DIMENSION, seed=bytes(32))
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    for rows, block in gallery.blocks(records):
        engine.add("x", np.arange(rows.start, rows.stop), block)
    row: dict[str, Any] = {"records": records, "shards": 0}
    for probes, name in ((1, "alone_ns"), (TOGETHER, "together_ns")):
        vectors = gallery.non_mated(probes)
        took = []
        for _ in range(_PASSES):
            begun = time.thread_time()
            engine.search("x", vectors, np.full(probes, THRESHOLD))
            took.append(time.thread_time() - begun)
        row[name] = 1e9 * _median(took) / records / probes
    return row


def fan_out(
    local: BenchmarkExchange, root: Path, address: str, shards: int
) -> dict[str, Any]:
    """Return how long a pass over so many empty shards takes, and the caller of it."""
    from matcher.remote import on_cluster  # noqa: PLC0415 - an extra

    config = read_config(local.config)
    plans = [
        ShardPlan(
            number=number,
            sharing=Sharing(shards, 1),
            database=config.database,
            segments=root / "segments",
            spaces=(),
            threads=1,
        )
        for number in range(shards)
    ]
    probe = local.gallery.non_mated(1)
    asked = ShelfProbes(
        *(Shelf(Member(local.holders[0]), SPACE, Position.FACE), np.zeros(1, np.int64)),
        *(np.full(1, THRESHOLD), np.full(1, np.inf)),
    )
    with ExitStack() as parts:
        cluster = on_cluster(address, memory_bytes=_SHARD_MB << 20)
        remotes = parts.enter_context(cluster).made(plans)
        parts.enter_context(asked_now_and_then(remotes))
        names = [_incarnation(remote) for remote in remotes]
        begin = ({}, frozenset())
        for remote, name in zip(remotes, names, strict=True):
            more = {"start": 0, "is_trusted": True, "beside": (), "group": "load"}
            sent = remote.send(call("begin", name, *begin, **more))
            remote.answer(sent, seconds=_START_SECONDS)

        def once() -> None:
            sent = [
                (
                    r,
                    r.send(
                        call(
                            "search",
                            n,
                            0,
                            send({SPACE: probe}, [asked]),
                            group="search",
                        )
                    ),
                )
                for r, n in zip(remotes, names, strict=True)
            ]
            for remote, reply in sent:
                remote.answer(reply, seconds=_START_SECONDS)

        took, busy = [], time.process_time()
        for _ in range(_CALLS):
            begun = time.perf_counter()
            once()
            took.append(time.perf_counter() - begun)
        busy = time.process_time() - busy
    return {
        "records": 0,
        "shards": shards,
        "pass_ms": 1e3 * _median(took),
        "pass_p99_ms": 1e3 * float(np.percentile(took, 99)),
        "pass_core_ms": 1e3 * busy / _CALLS,
    }


@contextmanager
def asked_now_and_then(remotes: Sequence[Remote]) -> Iterator[None]:
    """Ask shards who they are: one that nobody asks anything ends by itself."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(limits.SHARD_PULSE_SECONDS):
            for remote in remotes:
                remote.send(call("greet"))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


def _incarnation(remote: Remote) -> bytes:
    """Return which process a shard is, once it has started.

    Of a hundred that start at once some are not reached at first.
    """
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            told = remote.answer(remote.send(call("greet")), seconds=_START_SECONDS)
        except LostError:
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            name: bytes = told.incarnation
            return name


def model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is to be expected of more templates and machines.

    Assumed: a search is a part that is the same whatever is searched, a part for each
    template, which the cores of all shards have between them, and a part for each shard
    that is called; machines do nothing else, and there is one shard on each. The
    exchange is on one more machine with as many cores as this one: it carries what its
    part allows, each call for sixteen probes, and shards what sixteen probes of a pass
    cost. A search takes as long as the exchange's core works for it, one call after the
    other, and as one shard takes: here all shards share the cores of the exchange, so
    that a pass takes longer than where each has its own.
    """
    fans = {row["shards"]: row for row in rows if "pass_ms" in row}
    scan = next(row for row in rows if "alone_ns" in row)
    lone, loaded = (
        next(
            row for row in rows if row["shards"] == 1 and row.get("callers") == callers
        )
        for callers in (1, TOGETHER)
    )
    first, last = min(fans), max(fans)
    apart = max(last - first, 1)
    called = fans[last]["pass_core_ms"] - fans[first]["pass_core_ms"]
    call_ms = called / apart
    cores = len(os.sched_getaffinity(0))
    told = []
    for templates in TEMPLATES:
        for machines in MACHINES:
            each = templates / machines
            gib = each * BYTES_A_TEMPLATE / 2**30 / SPARE
            if gib > MACHINE_GIB:
                continue
            scan_s = 1e-9 * each / MACHINE_CORES
            own_ms = loaded["server_ms"] + call_ms * (machines - 1) / TOGETHER
            told.append(
                {
                    "templates": templates,
                    "machines": machines,
                    "gib": gib,
                    "ms": lone["server_ms"]
                    + call_ms * (machines - 1)
                    + 1e3 * scan["alone_ns"] * scan_s,
                    "a_second": min(
                        1e3 * cores / own_ms, 1 / (scan["together_ns"] * scan_s)
                    ),
                    "a_month": MACHINE_A_MONTH * (machines + 1),
                }
            )
    return told


def _median(values: list[float]) -> float:
    return float(np.median(values))


COLUMNS = (
    tables.Column("records", "templates", ",.0f"),
    tables.Column("shards", "shards", ".0f"),
    tables.Column("callers", "callers", ".0f"),
    tables.Column("local_p50_ms", "one process,\np50 ms", ".1f"),
    tables.Column("p50_ms", "shards,\np50 ms", ".1f"),
    tables.Column("more_ms", "more ms", ".1f"),
    tables.Column("local_searches_a_second", "one process,\nsearches a second", ",.0f"),
    tables.Column("searches_a_second", "shards", ",.0f"),
    tables.Column("throughput", "of it", ".2f"),
    tables.Column("more_core_ms", "the exchange,\nmore core ms", ".2f"),
)
PASSES = (
    tables.Column("shards", "empty shards", ".0f"),
    tables.Column("pass_ms", "a pass, ms", ".1f"),
    tables.Column("pass_p99_ms", "p99 ms", ".1f"),
    tables.Column("pass_core_ms", "the caller, core ms", ".2f"),
)
MODEL = (
    tables.Column("templates", "templates", ",.0f"),
    tables.Column("machines", "machines", ".0f"),
    tables.Column("gib", "GiB each", ".0f"),
    tables.Column("ms", "lone search, ms", ".0f"),
    tables.Column("a_second", "searches a second, at most", ",.0f"),
    tables.Column("a_month", "a month", ",.0f"),
)


def run(options: argparse.Namespace, found: Results, folder: Path) -> None:
    """Measure whatever is not known yet."""
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    records = options.records
    whole = [n for n in options.shards if not found.has(records=records, shards=n)]
    empty = [n for n in options.fan_out if not found.has(records=0, shards=n)]
    if not found.has(shards=0):
        found.add([passes(records)])
    if not (whole or empty):
        return
    local = BenchmarkExchange(
        folder / f"{records}", holders=1, threshold=THRESHOLD, gallery=gallery
    )
    with local.serving():
        local.enrol(records)
    most = max(*whole, *empty, 1)
    # Cores are counted, not given: there is room for as many threads as are asked for.
    memory_bytes = most * _SHARD_MB << 20
    with ray_nodes(1, memory_bytes=memory_bytes, cores=64 * most) as address:
        for shards in whole:
            tables.progress(f"{records:,} templates in {shards} shards")
            other = sharded(local, folder / f"{records}-sharded", address, shards)
            key = {"records": records, "shards": shards}
            found.add([key | row for row in compare(local, other, options, records)])
        for shards in empty:
            tables.progress(f"{shards} empty shards")
            found.add([fan_out(local, folder, address, shards)])


def main() -> None:
    """Measure one way against the other, then what calls cost; print the model."""
    parser = command.Parser("cluster", __doc__, quick=QUICK)
    parser.add_argument("--records", default=100_000)
    parser.add_argument("--shards", nargs="+", default=[1, 2])
    parser.add_argument("--fan-out", nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--callers", nargs="+", default=[1, TOGETHER])
    parser.add_argument("--seconds", default=6.0, help="of each round")
    parser.add_argument("--rounds", default=5)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchanges")
    options = parser.parse_args()
    if find_spec("ray") is None:
        print("left out: Ray is not installed (the extra `cluster`)")
        return
    found = results.Results(
        "what do shards cost?",
        key=("records", "shards", "callers"),
        settings={"threshold": THRESHOLD, "seconds": options.seconds},
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        run(options, found, options.root or Path(folder))
    found.show(
        "medians of rounds in which both were asked, one after the other",
        COLUMNS,
        [row for row in found.rows if "callers" in row],
    )
    empty = [row for row in found.rows if "pass_ms" in row]
    found.show("one probe, and all shards at once", PASSES, empty)
    if options.quick:
        return  # a model of these would be of nothing
    found.show(
        "a model, not a measurement",
        MODEL,
        model(found.rows),
        f"machines of {MACHINE_CORES} cores and {MACHINE_GIB} GiB at"
        f" {MACHINE_A_MONTH:,.0f} a month, one more for the exchange",
    )


if __name__ == "__main__":
    command.run(main)
