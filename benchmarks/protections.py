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

import tempfile
from pathlib import Path
from typing import Final

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import BenchmarkExchange
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED, measure, probes_of
from biometrics import limits

PROGRAMS: Final = {"exchange": "biometrics.cli", "bare": "benchmarks.kit.unprotected"}
QUICK = {"records": 2000, "seconds": 1.0, "rounds": 1}
_SPEED: Final = "searches_a_second"
FIGURES: Final = {"a_second": _SPEED, "ms": "server_ms", "p50_ms": "p50_ms"}
COLUMNS: Final = (
    tables.Column("callers", "callers"),
    tables.Column("bare_a_second", "bare, searches a second", ",.0f"),
    tables.Column("exchange_a_second", "exchange", ",.0f"),
    tables.Column("throughput", "of its throughput,\nmedian of turns", ".2f"),
    tables.Column("bare_ms", "bare, core ms", ".2f"),
    tables.Column("exchange_ms", "exchange", ".2f"),
    tables.Column("bare_p50_ms", "bare, p50 ms", ".1f"),
    tables.Column("exchange_p50_ms", "exchange", ".1f"),
)


def main() -> None:
    """Measure both in turns."""
    parser = command.Parser("protections", __doc__, quick=QUICK)
    parser.add_argument("--records", default=1_000_000)
    parser.add_argument("--callers", nargs="+", default=[32])
    parser.add_argument("--seconds", default=8.0, help="of each round")
    parser.add_argument("--rounds", default=5)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchange")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what do all protections together cost?",
        key=("records", "callers"),
        settings={
            "threshold": THRESHOLD,
            "gallery": gallery.name,
            "slot_ms": limits.DEFAULT_SLOT_MILLISECONDS,
        },
        options=options,
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
        turns = [
            {
                f"{name}_{column}": took[measured]
                for name, took in zip(PROGRAMS, pair, strict=True)
                for column, measured in FIGURES.items()
            }
            # Of each turn, so that what the machine does besides counts against both.
            | {"throughput": pair[0][_SPEED] / pair[1][_SPEED]}
            for pair in zip(*(rounds[name, callers] for name in PROGRAMS), strict=True)
        ]
        key = {"records": options.records, "callers": callers}
        found.add([key | results.medians(turns)])
    found.show("medians of the rounds", COLUMNS)


if __name__ == "__main__":
    command.run(main)
