"""How long do lock, unlock, rotation and destruction take, and what do searches notice?

A real exchange with one gallery. One caller searches all the time; its latencies during
a rotation stand beside those before it. A rotation and a destruction last until their
certificate is issued.

    python -m benchmarks.custody [--records 100000] [--root FOLDER]
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED
from biometrics.client import ExchangeClient, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_LONG = 60.0
_IDLE_SECONDS = 5.0
QUICK = {"records": 2000}
COLUMNS = (
    tables.Column("what", "what"),
    tables.Column("records", "records", ",.0f"),
    tables.Column("seconds", "seconds", ",.2f"),
    tables.Column("p50_ms", "search p50, ms", ",.1f"),
    tables.Column("p99_ms", "search p99, ms", ",.1f"),
    tables.Column("worst_ms", "worst, ms", ",.1f"),
)


@contextmanager
def searching(
    exchange: BenchmarkExchange, probe: NDArray[np.float32]
) -> Iterator[list[float]]:
    """Search while the block runs; give milliseconds as they come."""
    taken: list[float] = []
    stop = threading.Event()

    def search() -> None:
        profile = Profile.load(exchange.profile(REQUESTER, "client"))
        with ExchangeClient(profile) as client:
            while not stop.is_set():
                begun = time.perf_counter()
                client.match(face(probe), purpose=PURPOSE)
                taken.append(1000 * (time.perf_counter() - begun))

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def finish(client: ExchangeClient) -> None:
    """Wait until a certificate is issued."""
    while (custody := client.custody()).is_busy:
        assert not custody.trouble, custody.trouble
        time.sleep(0.05)


def rotate(client: ExchangeClient) -> None:
    """Rotate to the end."""
    client.rotate()
    finish(client)


def destroy(client: ExchangeClient, holder: str) -> None:
    """Destroy to the end."""
    client.destroy(confirm_holder=holder, deadline=_LONG)
    finish(client)


def main() -> None:
    """Do one after the other, and time it."""
    parser = command.Parser("custody", __doc__, quick=QUICK)
    parser.add_argument("--records", default=100_000)
    parser.add_argument("--root", type=Path, help="folder that keeps the exchange")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "how long do lock, unlock, rotation and destruction take?",
        key=("what", "records"),
        settings={"gallery": gallery.name},
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        exchange = BenchmarkExchange(
            (options.root or Path(folder)) / f"{options.records}-custody",
            holders=1,
            threshold=THRESHOLD,
            gallery=gallery,
        )
        (holder,) = exchange.holders
        (probe,) = gallery.vectors(1)
        with exchange.serving():
            exchange.enrol(options.records)
            profile = Profile.load(exchange.profile(holder, "administrator"))
            with ExchangeClient(profile) as client:
                acts: dict[str, Callable[[], object]] = {
                    "nothing": lambda: time.sleep(_IDLE_SECONDS),
                    "rotation": lambda: rotate(client),
                    "lock": lambda: client.lock(deadline=_LONG),
                    "unlock": lambda: client.unlock(deadline=_LONG),
                    "destruction": lambda: destroy(client, holder),
                }
                for what, act in acts.items():
                    found.add([timed(exchange, probe, what, act, options.records)])
    found.show("one caller searches meanwhile", COLUMNS)


def timed(
    exchange: BenchmarkExchange,
    probe: NDArray[np.float32],
    what: str,
    act: Callable[[], object],
    records: int,
) -> dict[str, object]:
    """Return how long an act took, and searches meanwhile."""
    with searching(exchange, probe) as taken:
        begun = time.perf_counter()
        act()
        seconds = time.perf_counter() - begun
    p50, p99, worst = np.percentile(taken, [50, 99, 100]).tolist()
    return {
        "what": what,
        "records": records,
        "seconds": seconds,
        "p50_ms": p50,
        "p99_ms": p99,
        "worst_ms": worst,
    }


if __name__ == "__main__":
    command.run(main)
