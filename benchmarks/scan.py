"""How fast, how much memory, and what is lost, at the same decisions?

Every contender finds everyone at or above a threshold; what one proposes is decided by
one exact product, so that answers differ only by what was not proposed. Mates are
planted: half of them a hair above the threshold, half at random higher cosines. Speed
is told against the fastest exhaustive float32 search of the same run.

    python -m benchmarks.scan [--records 1000000] [--threads 2] [--json [FILE]]
        [--resume] [--plot] [--quick]

What takes many minutes to build is measured in a smaller gallery, `--slow-records`,
beside the exhaustive ones and ours; 0 leaves a gallery out.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import peers, scan_report
from benchmarks.kit import command, machine, results, tables, timing
from benchmarks.kit.galleries import BLOCK, EFFECTIVE_DIMENSION, Gallery
from benchmarks.kit.thresholds import search_maxima, threshold_for

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from benchmarks.peers import Peer

THRESHOLDS: Final = (0.3, 0.4, 0.5)
FPIR: Final = 1e-3
MARGIN: Final = 1e-3  # of a mate that is planted at the threshold
HIGHEST: Final = 0.95  # of those planted above
BATCHES: Final = (1, 32)
KEY: Final = ("gallery", "records", "at", "probes", "contender")
QUICK: Final = {
    "records": 20_000,
    "slow_records": 2_000,
    "rounds": 2,
    "mates": 32,
    "searches": 300,
    "thresholds": (),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """Probes with a known mate, at one threshold.

    Attributes:
        at: what tables call the threshold.
        threshold: a cosine.
        probes: float32 (m, d); the first half's mates are just above the threshold.
        mates: int64 (m,), the id of each probe's mate.
    """

    at: str
    threshold: float
    probes: NDArray[np.float32]
    mates: NDArray[np.int64]


class Arena:
    """One gallery, the contenders that search it, and what is asked of them."""

    def __init__(
        self, gallery: Gallery, records: int, contenders: list[Peer], options: Any
    ) -> None:
        """Take what is to be measured; nothing is made yet."""
        self._gallery, self._records = gallery, records
        self._contenders, self._options = contenders, options
        self._builds: dict[str, dict[str, Any]] = {}
        self._missing = {each.name: each.available() for each in contenders}

    def measure(self, kept: results.Results) -> None:
        """Measure what is not kept yet, and keep it threshold by threshold."""
        open_ones = [at for at in ats(self._options) if not self._has(kept, at)]
        if not open_ones:
            return
        self._vectors = self._gallery.vectors(self._records)
        # Ids are not rows, so that a contender that takes one for the other loses.
        self._ids = 7 * np.arange(self._records, dtype=np.int64) + 3
        contenders = []
        # A database writes its files anew when it ends, unless it was closed before.
        with ExitStack() as built:
            for each in self._contenders:
                if self._build(each):
                    built.callback(each.close)
                    contenders.append(each)
            for at in open_ones:
                kept.add(self._rows(self._trial(at), contenders))

    def _has(self, kept: results.Results, at: str) -> bool:
        """Say whether every row of a threshold is kept."""
        where = {"gallery": self._gallery.name, "records": self._records, "at": at}
        return all(
            kept.has(**where, probes=batch, contender=each.name)
            for each in self._contenders
            for batch in BATCHES
        )

    def _build(self, contender: Peer) -> bool:
        """Build a contender, and say whether it is there."""
        if self._missing[contender.name] is not None:
            return False
        tables.progress(f"{self._gallery.name}: building {contender.name}")
        begun = time.perf_counter()
        try:
            contender.build(self._ids, self._vectors)
        except Exception as error:  # noqa: BLE001 - that one fails is a finding
            self._missing[contender.name] = f"failed to build: {type(error).__name__}"
            return False
        self._builds[contender.name] = {
            "build_seconds": time.perf_counter() - begun,
            "bytes_per_template": contender.bytes_per_template(),
        }
        return True

    def _trial(self, at: str) -> Trial:
        """Plant the mates of a threshold."""
        threshold = self._threshold() if at.startswith("FPIR") else float(at)
        count = self._options.mates
        random = np.random.default_rng(self._options.seed)
        rows = random.choice(self._records, count, replace=count > self._records)
        cosines = random.uniform(threshold + MARGIN, HIGHEST, count)
        cosines[: count // 2] = threshold + MARGIN
        probes = self._gallery.mated(self._vectors[rows], cosines)
        return Trial(at, threshold, probes, self._ids[rows])

    def _threshold(self) -> float:
        """Return the threshold at which this gallery has the promised FPIR."""
        probes = self._gallery.non_mated(self._options.searches)
        blocks = (
            self._vectors[start : start + BLOCK]
            for start in range(0, self._records, BLOCK)
        )
        return threshold_for(search_maxima(blocks, probes), FPIR).cosine

    def _rows(self, trial: Trial, contenders: list[Peer]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a threshold, those of missing contenders too."""
        tables.progress(f"{self._gallery.name}, {trial.at}: searching")
        losses = lost(trial, contenders)
        for batch in BATCHES:
            speeds = self._speeds(trial, contenders, batch)
            for each in self._contenders:
                found = {
                    "gallery": self._gallery.name,
                    "records": self._records,
                    "at": trial.at,
                    "threshold": trial.threshold,
                    "probes": batch,
                    "contender": each.name,
                    "kind": each.kind,
                }
                if reason := self._missing[each.name]:
                    yield found | {"missing": reason}
                else:
                    yield (
                        found
                        | speeds[each.name]
                        | losses[each.name]
                        | self._builds[each.name]
                    )

    def _speeds(
        self, trial: Trial, contenders: list[Peer], batch: int
    ) -> dict[str, dict[str, float]]:
        """Return how long a probe takes each, and how much faster than float32."""
        rounds = self._options.rounds if batch == 1 else -(-self._options.rounds // 2)
        calls = {each.name: _call(each, trial, batch) for each in contenders}
        timings = timing.paired(calls, rounds, seed=self._options.seed)
        exhaustive = [e.name for e in contenders if e.kind == "exhaustive float32"]
        fastest = min(exhaustive, key=timings.median)
        speeds = {}
        for name in calls:
            ratio = timings.ratio(fastest, name)
            speeds[name] = {
                "ms": 1e3 * timings.median(name) / batch,
                "times_as_fast": ratio.median,
                "times_as_fast_low": ratio.low,
                "times_as_fast_high": ratio.high,
                "rounds": rounds,
            }
        return speeds


def _call(contender: Peer, trial: Trial, batch: int) -> Callable[[int], object]:
    """Return a search of the next probes, the first ones again after the last."""
    last = len(trial.probes) // batch

    def search(number: int) -> object:
        start = number % last * batch
        return contender.search(trial.probes[start : start + batch], trial.threshold)

    return search


def lost(trial: Trial, contenders: list[Peer]) -> dict[str, dict[str, float]]:
    """Return how many mates and other pairs each contender found, of how many.

    All pairs at or above the threshold are those that anyone found: the exact decision
    has no false ones, and an exhaustive contender finds all.
    """
    found, confirmed = {}, {}
    step = max(BATCHES)
    for each in contenders:
        before = each.confirmed
        ends = [*range(0, len(trial.probes), step), len(trial.probes)]
        parts = (trial.probes[start:end] for start, end in pairwise(ends))
        answers = [ids for part in parts for ids in each.search(part, trial.threshold)]
        found[each.name] = [set(ids.tolist()) for ids in answers]
        confirmed[each.name] = (each.confirmed - before) / len(trial.probes)
    pairs = [set().union(*alike) for alike in zip(*found.values(), strict=True)]
    half = len(trial.probes) // 2
    rows = {}
    for name, answers in found.items():
        hits = [
            mate in ids for mate, ids in zip(trial.mates.tolist(), answers, strict=True)
        ]
        rows[name] = {
            "mates_at": half,
            "mates_at_found": sum(hits[:half]),
            "mates_above": len(hits) - half,
            "mates_above_found": sum(hits[half:]),
            "pairs": sum(map(len, pairs)),
            "pairs_found": sum(map(len, answers)),
            "confirmed_a_search": confirmed[name],
        }
    return rows


def ats(options: argparse.Namespace) -> list[str]:
    """Return what tables call the thresholds."""
    return [*map(str, options.thresholds), f"FPIR {FPIR:g}"]


def arenas(options: argparse.Namespace) -> Iterator[Arena]:
    """Yield every gallery with its contenders; theirs are made anew for each."""
    threads = options.threads
    for effective_dimension in (None, EFFECTIVE_DIMENSION):
        gallery = Gallery(
            options.seed, options.dimension, effective_dimension=effective_dimension
        )
        if options.records:
            yield Arena(gallery, options.records, peers.fast(threads), options)
        if options.slow_records:
            beside = peers.references(threads) + peers.slow(threads)
            yield Arena(gallery, options.slow_records, beside, options)


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("scan", __doc__, quick=QUICK, plots=True)
    parser.add_argument("--records", type=command.natural, default=1_000_000)
    parser.add_argument("--slow-records", type=command.natural, default=100_000)
    parser.add_argument("--dimension", default=512)
    parser.add_argument("--threads", default=2)
    parser.add_argument("--rounds", default=15, help="half of it for batches")
    parser.add_argument("--mates", default=256, help="planted, even")
    parser.add_argument(
        "--searches",
        default=3000,
        help="that set the FPIR threshold",
    )
    parser.add_argument("--thresholds", type=float, nargs="*", default=THRESHOLDS)
    parser.add_argument("--seed", type=command.natural, default=1)
    options = parser.parse_args()
    if options.mates % 2 or options.mates < max(BATCHES):
        parser.error(f"--mates must be even and at least {max(BATCHES)}")
    if options.records == options.slow_records:
        parser.error("--records and --slow-records must differ")
    return options


def shared(options: argparse.Namespace) -> dict[str, Any]:
    """Return what all rows share; each row says its gallery, threshold and numbers.

    So one file has the large gallery of one run and the small one of another.
    """
    of_rows = ("records", "slow_records", "thresholds", "rounds", "mates")
    shown = results.shown(options)
    return {name: value for name, value in shown.items() if name not in of_rows}


def main() -> None:
    """Measure every gallery, and print, keep and draw what was found."""
    options = parse()
    machine.use_threads(options.threads)
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings=shared(options) | {"nearest": peers.NEAREST, "margin": MARGIN},
        options=options,
    )
    for arena in arenas(options):
        arena.measure(kept)
    scan_report.show(kept)
    if options.plot:
        scan_report.draw(kept, options.records)
        scan_report.draw(kept, options.slow_records, "-slow")


if __name__ == "__main__":
    command.run(main)
