"""How does the time of a search grow with the gallery?

One gallery grows in place, and is searched at every size, beside itself as it was at
the size before, in turns: so that the ratio of the two is measured, not computed from
figures of different minutes. As long as its vectors fit in memory as floats, NumPy's
product has its turns too. Ours is timed to the candidates, of which there are few; what
opening them costs is another question.

    python -m benchmarks.growth [--smallest 75000] [--largest 10000000] [--threads 2]
        [--json [FILE]] [--resume] [--plot] [--quick]
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import growth_report
from benchmarks.kit import command, machine, results, tables, timing
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.kit.scanning import Probe, Shelf, scanner_of
from benchmarks.peers.exhaustive import NumpyProduct
from biometrics.disclosure import Band
from matcher.engine import Engine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from matcher.schedule import Scanner


ROTATION: Final = bytes(32)  # fixed, so that runs can be compared
BATCHES: Final = (1, 32)
PROBES: Final = 256
NOW, BEFORE, NUMPY = Shelf("now"), Shelf("before"), "NumPy product"
KEY: Final = ("records", "probes")
QUICK: Final = {"smallest": 4_000, "largest": 16_000, "floats": 8_000, "rounds": 2}


class Growing:
    """A gallery that grows, in an engine and, as far as asked for, in floats."""

    def __init__(self, gallery: Gallery, largest: int, floats: int) -> None:
        """Begin without records.

        Args:
            gallery: whose vectors are added.
            largest: records that it will have.
            floats: records of which the vectors are kept, the first ones.
        """
        self.records = 0
        self._blocks = gallery.blocks(largest)
        self._rest = np.empty((0, gallery.dimension), np.float32)
        self._floats = np.empty((min(floats, largest), gallery.dimension), np.float32)
        self.engine: Engine[str] = Engine()
        self._make: Callable[[str], None] = partial(
            self.engine.make, dimension=gallery.dimension, seed=ROTATION
        )
        self._make(NOW)
        self._first: tuple[int, int] | None = None

    def grow(self, records: int) -> None:
        """Grow to so many records, and keep what there was as another gallery.

        The two share what they have in common: segments never change.
        """
        before = self.engine.parts(NOW)
        while self.records < records:
            if not len(self._rest):
                _, self._rest = next(self._blocks)
            self._add(self._rest[: records - self.records])
        self.engine.compact(NOW)
        if before:
            self._make(BEFORE)
            self.engine.load(BEFORE, before)

    def _add(self, vectors: NDArray[np.float32]) -> None:
        """Add the next vectors, which are the first of the rest."""
        end = self.records + len(vectors)
        self.engine.add(NOW, np.arange(self.records, end), vectors)
        kept = self._floats[self.records : end]
        kept[:] = vectors[: len(kept)]
        self._rest = self._rest[len(vectors) :]
        self.records = end

    def vectors(self) -> NDArray[np.float32] | None:
        """Return all vectors, None if not all were kept."""
        whole = self.records <= len(self._floats)
        return self._floats[: self.records] if whole else None

    def bytes_per_template(self) -> float | None:
        """Return what the process grew by a template beside floats.

        Since this was first asked, so that what the process itself takes, and threads
        and libraries at their first search, does not count. Forgets what was before.
        """
        self.engine.drop(BEFORE)
        self._rest = self._rest.copy()  # a view would keep its whole block
        floats = self._floats[: self.records].nbytes + self._rest.nbytes
        held = machine.resident_bytes() - floats
        if self._first is None:
            self._first = self.records, held
            return None
        records, before = self._first
        return (held - before) / (self.records - records)


def search(
    scanner: Scanner, name: str, probes: NDArray[np.float32]
) -> list[dict[str, list[int]]]:
    """Return the candidates of probes that are asked for at once."""
    band = Band.without(THRESHOLD)
    waiting = [scanner.submit(Probe(probe), {name: band}) for probe in probes]
    return [each.result() for each in waiting]


def measure(
    growing: Growing, scanner: Scanner, batch: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Return how long searches take now, before, and NumPy."""
    gallery_probes = probes(options.seed)
    calls: dict[str, Callable[[NDArray[np.float32]], object]] = {
        name: partial(search, scanner, name)
        for name in (NOW, BEFORE)
        if name in growing.engine
    }
    vectors = growing.vectors()
    if vectors is not None:
        product = NumpyProduct(options.threads)
        product.make(vectors)
        calls[NUMPY] = partial(product.propose, threshold=THRESHOLD)
    rounds = options.rounds if batch == 1 else -(-options.rounds // 2)
    last = len(gallery_probes) // batch
    timings = timing.paired(
        {
            name: partial(_turn, call, np.split(gallery_probes, last))
            for name, call in calls.items()
        },
        rounds,
        seed=options.seed,
    )
    found = search(scanner, NOW, gallery_probes)
    return {
        "records": growing.records,
        "probes": batch,
        "ms": 1e3 * timings.median(NOW) / batch,
        "rounds": rounds,
        "candidates": sum(len(each[NOW]) for each in found) / len(found),
        **_beside_before(growing, timings),
        **_beside_numpy(timings, batch),
    }


def probes(seed: int) -> NDArray[np.float32]:
    """Return probes of people who are not in the gallery."""
    gallery = Gallery(seed, effective_dimension=EFFECTIVE_DIMENSION)
    return gallery.non_mated(PROBES)


def _turn(
    call: Callable[[NDArray[np.float32]], object],
    parts: Sequence[NDArray[np.float32]],
    number: int,
) -> object:
    """Search for the probes of one round, the first ones again after the last."""
    return call(parts[number % len(parts)])


def _beside_before(growing: Growing, timings: timing.Timings) -> dict[str, float]:
    """Return how the time grew with the gallery."""
    if BEFORE not in timings.seconds:
        return {}
    grown = growing.records / growing.engine.count(BEFORE)
    ratio = timings.ratio(NOW, BEFORE)
    return {
        "grown": grown,
        "time_grown": ratio.median,
        "time_grown_low": ratio.low,
        "time_grown_high": ratio.high,
        "exponent": math.log(ratio.median) / math.log(grown),
    }


def _beside_numpy(timings: timing.Timings, batch: int) -> dict[str, float]:
    """Return how many times as long NumPy took."""
    if NUMPY not in timings.seconds:
        return {}
    ratio = timings.ratio(NUMPY, NOW)
    return {
        "numpy_ms": 1e3 * timings.median(NUMPY) / batch,
        "times_as_fast": ratio.median,
        "times_as_fast_low": ratio.low,
        "times_as_fast_high": ratio.high,
    }


def sizes(smallest: int, largest: int) -> list[int]:
    """Return the largest size and its halves down to the smallest, ascending."""
    halvings = int(math.log2(largest / smallest))
    return [largest >> number for number in range(halvings, -1, -1)]


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("growth", __doc__, quick=QUICK, plots=True)
    parser.add_argument("--smallest", default=75_000)
    parser.add_argument("--largest", default=10_000_000)
    parser.add_argument(
        "--floats",
        type=command.natural,
        default=2_000_000,
        help="NumPy's product up to this size",
    )
    parser.add_argument("--threads", default=2)
    parser.add_argument("--rounds", default=31, help="half of it for batches")
    parser.add_argument("--seed", type=command.natural, default=1)
    options = parser.parse_args()
    if not 0 < 2 * options.smallest <= options.largest:
        parser.error("--smallest must be positive, and --largest twice that or more")
    return options


def run(kept: results.Results, options: argparse.Namespace) -> None:
    """Grow the gallery from size to size, and measure what is not kept yet."""
    grown = sizes(options.smallest, options.largest)
    if all(kept.has(records=each, probes=batch) for each in grown for batch in BATCHES):
        return
    gallery = Gallery(options.seed, effective_dimension=EFFECTIVE_DIMENSION)
    growing = Growing(gallery, options.largest, options.floats)
    with scanner_of(growing.engine, options.threads) as scanner:
        for records in grown:
            tables.progress(f"growing to {records:,}")
            growing.grow(records)
            found = [
                measure(growing, scanner, batch, options)
                for batch in BATCHES
                if not kept.has(records=records, probes=batch)
            ]
            held = {"bytes_per_template": growing.bytes_per_template()}
            kept.add([row | held for row in found])


def main() -> None:
    """Measure every size, and print, keep and draw what was found."""
    options = parse()
    machine.use_threads(options.threads)
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings=results.shown(options) | {"threshold": THRESHOLD},
        options=options,
    )
    run(kept, options)
    kept.rows.sort(key=lambda row: row["records"])
    growth_report.show(kept, THRESHOLD)
    if options.plot:
        growth_report.draw(kept, THRESHOLD)


if __name__ == "__main__":
    command.run(main)
