"""How long does an exchange take to be ready again, and how much memory has it then?

A real exchange with its galleries, stopped in order, killed, and started without the
codes that it keeps on disk. Ready is when a search is answered. Resident memory is of
the server process less that of an exchange without records.

    python -m benchmarks.restart [--records 1000000] [--locked 10] [--root FOLDER]

With `--locked` as many more members have their share of the records, and have locked
their galleries: they are searched no more, and are not to keep the others waiting.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED
from biometrics import limits
from biometrics.client import ExchangeClient, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

HOW = ("stopped in order", "killed", "codes deleted")
_SETTLE_SECONDS = 3.0  # segments are joined and saved in the background


QUICK = {"records": 2000, "rounds": 1}


def resident_bytes(process: int) -> int:
    """Return the memory that a process holds, less the files it has mapped."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("RssAnon"))
    return 1024 * int(kilobytes)


def start(
    exchange: BenchmarkExchange, mated: np.ndarray, *, is_enrolled: bool
) -> tuple[float, int, int]:
    """Serve until a search is answered.

    Returns:
        Seconds until then; resident bytes once settled; how many templates the first
        holder has, which are those that can be searched.
    """
    begun = time.perf_counter()
    with exchange.serving() as server:
        profile = Profile.load(exchange.profile(REQUESTER, "client"))
        with ExchangeClient(profile) as client:
            answer = client.match(face(mated), purpose=PURPOSE, deadline=60)
        took = time.perf_counter() - begun
        open_ones = exchange.holders[:1]
        (outcome,) = (h.outcome for h in answer.holders if h.holder in open_ones)
        assert (outcome == "match") == is_enrolled
        time.sleep(_SETTLE_SECONDS)
        return took, resident_bytes(server.number), exchange.enrolled(open_ones)


def kill(exchange: BenchmarkExchange) -> None:
    """Enrol as many as need not be on disk yet, and end without a farewell."""
    with exchange.serving() as server:
        exchange.enrol(exchange.enrolled() + limits.KEPT_EVERY_CHANGES - 1)
        os.kill(server.number, signal.SIGKILL)


def lock_all_but_first(exchange: BenchmarkExchange) -> None:
    """Lock the galleries of all holders but the first."""
    for code in exchange.holders[1:]:
        profile = Profile.load(exchange.profile(code, "administrator"))
        with ExchangeClient(profile) as client:
            client.lock()


def delete_codes(exchange: BenchmarkExchange) -> None:
    """Delete what is kept beside the database."""
    shutil.rmtree(exchange.root / "data/segments")


COLUMNS = (
    tables.Column("how", "before"),
    tables.Column("records", "records", ",.0f"),
    tables.Column("locked", "galleries locked"),
    tables.Column("ready_seconds", "ready, s", ".2f"),
    tables.Column("bytes_a_template", "resident bytes a template", ",.0f"),
)


def main() -> None:
    """Start an exchange again and again."""
    parser = command.Parser("restart", __doc__, quick=QUICK)
    parser.add_argument("--records", default=1_000_000)
    parser.add_argument("--locked", default=0, help="galleries of so many more members")
    parser.add_argument("--rounds", default=3)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchanges")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "how long does an exchange take to be ready again?",
        key=("how", "records", "locked"),
        settings={"gallery": gallery.name},
        options=options,
    )
    before: dict[str, Callable[[BenchmarkExchange], None]] = {HOW[0]: lambda _: None}
    if not options.locked:  # nothing is enrolled into what is locked
        before |= {HOW[1]: kill, HOW[2]: delete_codes}
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder)
        exchange, empty = (
            BenchmarkExchange(
                root / f"{records}-{holders}",
                holders=holders,
                threshold=THRESHOLD,
                gallery=gallery,
            )
            for records, holders in ((options.records, 1 + options.locked), (0, 1))
        )
        (mate,) = gallery.vectors(1)
        with exchange.serving():
            exchange.enrol(options.records)
            lock_all_but_first(exchange)
        _, base, _ = start(empty, mate, is_enrolled=False)
        for how, act in before.items():
            key = {"how": how, "records": options.records, "locked": options.locked}
            if found.has(**key):
                continue
            rounds = []
            for _ in range(options.rounds if how != HOW[2] else 1):
                act(exchange)
                rounds.append(start(exchange, mate, is_enrolled=True))
            seconds, held, templates = np.median(np.array(rounds), axis=0)
            found.add(
                [
                    {
                        **key,
                        "ready_seconds": float(seconds),
                        "bytes_a_template": float((held - base) / templates),
                    }
                ]
            )
    found.show("medians of the rounds", COLUMNS)


if __name__ == "__main__":
    command.run(main)
