"""What do all protections together cost a search?

The exchange and one that protects nobody (`benchmarks.kit.unprotected`), in turns, on
the same galleries and by the same callers: no agreements, masks, budgets, quotas, log,
receipts or slots, and nothing stored. What is left of the first one's throughput is
what all of these leave; TLS, identity and admission are in both. Slots are those of a
new exchange: callers are many enough that they wait for the work, and not for slots.

    python -m benchmarks.protections [--records 1000000] [--callers 32]

`--root FOLDER` keeps the exchange for the next run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.kit import results, tables
from benchmarks.kit.exchange import BenchmarkExchange
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED, measure, probes_of
from biometrics import limits

PROGRAMS: Final = {"exchange": "biometrics.cli", "bare": "benchmarks.kit.unprotected"}
COLUMNS: Final = (
    tables.Column("callers", "callers"),
    tables.Column("bare_a_second", "bare, searches a second", ",.0f"),
    tables.Column("exchange_a_second", "exchange", ",.0f"),
    tables.Column("throughput", "of its throughput", ".2f"),
    tables.Column("bare_ms", "bare, core ms", ".2f"),
    tables.Column("exchange_ms", "exchange", ".2f"),
    tables.Column("bare_p50_ms", "bare, p50 ms", ".1f"),
    tables.Column("exchange_p50_ms", "exchange", ".1f"),
)


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, nargs="+", default=[32])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchange")
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    results.add_arguments(parser, "protections")
    options = parser.parse_args()
    if options.quick:
        options.records, options.seconds, options.rounds = 2000, 1.0, 1
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what do all protections together cost?",
        key=("records", "callers"),
        settings={"threshold": THRESHOLD, "gallery": gallery.name},
        path=options.json,
        resume=options.resume,
    )
    probes = probes_of(gallery, options.records, 4096)
    with tempfile.TemporaryDirectory() as folder:
        exchange = BenchmarkExchange(
            (options.root or Path(folder)) / f"{options.records}-1",
            holders=1,
            threshold=THRESHOLD,
            gallery=gallery,
            slot_ms=limits.DEFAULT_SLOT_MILLISECONDS,
        )
        with exchange.serving():
            exchange.enrol(options.records)
        rounds: dict[tuple[str, int], list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for name, program in PROGRAMS.items():
                with exchange.serving(program) as server:
                    for callers in options.callers:
                        took = measure(
                            exchange, server.number, probes, callers, options.seconds
                        )
                        rounds.setdefault((name, callers), []).append(took)
    for callers in options.callers:
        row: dict[str, float] = {"records": options.records, "callers": callers}
        for name in PROGRAMS:
            for column, measured in (
                ("a_second", "searches_a_second"),
                ("ms", "server_ms"),
                ("p50_ms", "p50_ms"),
            ):
                taken = [each[measured] for each in rounds[name, callers]]
                row[f"{name}_{column}"] = float(np.median(taken))
        # Of each turn, so that what the machine does besides counts against both.
        row["throughput"] = float(
            np.median(
                [
                    full["searches_a_second"] / bare["searches_a_second"]
                    for full, bare in zip(
                        rounds["exchange", callers],
                        rounds["bare", callers],
                        strict=True,
                    )
                ]
            )
        )
        found.add([row])
    tables.show("medians of the rounds", COLUMNS, found.rows)


if __name__ == "__main__":
    main()
