"""What does PostgreSQL cost in SQLite's place, in enrolments and searches a second?

The same exchange on each, in a process of its own, over the whole path as in
`benchmarks.service`: records are enrolled, then searched for. PostgreSQL needs a server
and an empty database, whose URL is given; without one there is a row less. A server on
the same machine takes part of its cores. Another empty one is served as one of several
front ends would, which costs each transaction and each search a question more.

    python -m benchmarks.databases [--records 20000] [--postgres URL] [--shared URL]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import BenchmarkExchange
from benchmarks.kit.galleries import Gallery
from benchmarks.service import (
    EFFECTIVE_DIMENSION,
    SEED,
    THRESHOLD,
    measure,
    probes_of,
)

QUICK = {"records": 2000, "callers": [1, 8], "seconds": 1.0, "rounds": 1}
COLUMNS = (
    tables.Column("database", "database"),
    tables.Column("callers", "callers"),
    tables.Column("enrolled_a_second", "enrolled a second", ",.0f"),
    tables.Column("searches_a_second", "searches a second", ",.0f"),
    tables.Column("p50_ms", "p50 ms", ".1f"),
    tables.Column("p99_ms", "p99 ms", ".1f"),
    tables.Column("server_ms", "server, core ms", ".2f"),
)


def main() -> None:
    """Measure each database in turn."""
    parser = command.Parser("databases", __doc__, quick=QUICK)
    parser.add_argument("--records", default=20_000)
    parser.add_argument("--callers", nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", default=8.0, help="of each round")
    parser.add_argument("--rounds", default=3)
    parser.add_argument("--postgres", help="URL of an empty database of PostgreSQL")
    parser.add_argument("--shared", help="URL of another one, to be shared")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what does PostgreSQL cost in SQLite's place?",
        key=("database", "records", "callers"),
        settings={"threshold": THRESHOLD, "gallery": gallery.name},
        options=options,
    )
    probes = probes_of(gallery, options.records, 4096)
    places = {"SQLite": "data/exchange.sqlite"}
    if options.postgres:
        places["PostgreSQL"] = options.postgres
    if options.shared:
        places["PostgreSQL, shared"] = options.shared
    for name, database in places.items():
        with tempfile.TemporaryDirectory() as folder:
            exchange = BenchmarkExchange(
                Path(folder) / "exchange",
                holders=1,
                threshold=THRESHOLD,
                gallery=gallery,
                database=database,
                is_shared=database == options.shared,
            )
            with exchange.serving() as server:
                rate = exchange.enrol(options.records)
                for callers in options.callers:
                    rounds = [
                        measure(
                            exchange, server.number, probes, callers, options.seconds
                        )
                        for _ in range(options.rounds)
                    ]
                    key = {"database": name, "records": options.records}
                    key |= {"callers": callers, "enrolled_a_second": rate}
                    found.add([key | results.medians(rounds)])
    found.show("medians of the rounds", COLUMNS)


if __name__ == "__main__":
    command.run(main)
