"""Is every decision that of exhaustive search, and is no mate at the threshold lost?

Pairs: probes at exactly the threshold cosine to a row are coded and searched for, and
those whose row is not among the candidates are counted, by the cut that lost them.
Beside them stands how near the nearest came to the cut, in standard deviations. Pairs
are of many galleries of 512 rows, each turned anew: every row is paired with several
probes, in different planes.

Searches: mated and non-mated probes, about half each, in a gallery that was enrolled
piece by piece, had rows removed and was compacted. What the engine proposes and float64
confirms must be exactly the rows that a float32 product of everything finds, where that
is near the threshold in float64. Scores within 1e-6 of it are counted apart.

    python -m benchmarks.exactness [--pairs 3000000] [--searches 1000000]
        [--threads 2] [--json [FILE]] [--resume] [--quick]
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.exactness_pairs import BLOCK_PAIRS, Losses, pairs_of
from benchmarks.exactness_searches import BATCH, Arena, Decisions
from benchmarks.kit import command, machine, results
from benchmarks.kit.galleries import Gallery
from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

EFFECTIVE_DIMENSIONS: Final = (None, 180.0)
DIMENSIONS: Final = (64, 128, 200, 512, 1024, 4096)
THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.7)
LIKELY: Final = 0.95
KEY: Final = ("part", "gallery", "dimension", "threshold")
QUICK: Final = {
    "pairs": 40_000,
    "searches": 4_000,
    "records": 2_000,
    "dimensions": (128, 512),
}
PAIRS: Final = (
    Column("gallery", "gallery"),
    Column("dimension", "dimension", "d"),
    Column("threshold", "threshold", ".2f"),
    Column("pairs", "pairs", ",d"),
    Column("lost_coarse", "lost by\ncoarse cut", ",d"),
    Column("lost_fine", "lost by\nfine cut", ",d"),
    Column("margin_coarse", "least margin,\ncoarse", ".2f"),
    Column("margin_fine", "least margin,\nfine", ".2f"),
    Column("miss_rate_bound", "miss rate\nat most", ".1e"),
    Column("a_second", "pairs\na second", ",.0f"),
)
SEARCHES: Final = (
    *PAIRS[:3],
    Column("searches", "searches", ",d"),
    Column("found", "rows\nfound", ",d"),
    Column("differing", "differing\ndecisions", ",d"),
    Column("borderline", "with borderline\nscores", ",d"),
    Column("candidates", "candidates\na search", ",.1f"),
    Column("a_second", "searches\na second", ",.0f"),
)


def pairs(gallery: Gallery, options: Any, count: int) -> Iterable[dict[str, Any]]:
    """Yield a row for each threshold, of at least so many pairs."""
    begun = time.perf_counter()
    blocks = -(-count // BLOCK_PAIRS)
    gallery.non_mated(1)  # made once, before threads ask for it
    losses = [Losses() for _ in THRESHOLDS]
    with ThreadPoolExecutor(options.threads) as pool:
        for found in pool.map(partial(pairs_of, gallery, THRESHOLDS), range(blocks)):
            for counted, more in zip(losses, found, strict=True):
                counted.add(more)
    total = sum(counted.pairs for counted in losses)
    speed = total / (time.perf_counter() - begun)
    for threshold, counted in zip(THRESHOLDS, losses, strict=True):
        yield {
            "part": "pairs",
            "gallery": gallery.name,
            "dimension": gallery.dimension,
            "threshold": threshold,
            "pairs": counted.pairs,
            "lost_coarse": counted.coarse,
            "lost_fine": counted.fine,
            "margin_coarse": counted.margins[0],
            "margin_fine": counted.margins[1],
            "miss_rate_bound": at_most(counted.coarse + counted.fine) / counted.pairs,
            "a_second": speed,
        }


def at_most(events: int) -> float:
    """Return the upper 95 % bound of what was expected, of so many events: 3 of 0."""
    low, high = float(events), 2.0 * events + 10
    while high - low > 1e-6 * high:
        mean = (low + high) / 2
        terms = (
            n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(events + 1)
        )
        low, high = (
            (mean, high) if sum(map(math.exp, terms)) > 1 - LIKELY else (low, mean)
        )
    return high


def searches(gallery: Gallery, options: Any, count: int) -> Iterable[dict[str, Any]]:
    """Yield a row for each threshold, of at least so many searches."""
    arena = Arena(gallery, options)
    for place, threshold in enumerate(THRESHOLDS):
        begun, counted = time.perf_counter(), Decisions()
        for number in range(-(-count // BATCH)):
            batch = arena.probes(threshold, number * len(THRESHOLDS) + place)
            arena.search(batch, counted, threshold)
        yield {
            "part": "searches",
            "gallery": gallery.name,
            "dimension": gallery.dimension,
            "threshold": threshold,
            "searches": counted.searches,
            "found": counted.found,
            "differing": counted.differing,
            "borderline": counted.borderline,
            "candidates": counted.candidates / counted.searches,
            "a_second": counted.searches / (time.perf_counter() - begun),
        }


def measure(kept: results.Results, options: Any) -> None:
    """Measure what is not kept yet, gallery by gallery."""
    galleries = [
        Gallery(options.seed, dimension, effective_dimension=effective)
        for dimension in options.dimensions
        for effective in EFFECTIVE_DIMENSIONS
        if effective is None or effective < dimension
    ]
    settings = len(galleries) * len(THRESHOLDS)
    for gallery in galleries:
        where = {"gallery": gallery.name, "dimension": gallery.dimension}
        for part, total in ((pairs, options.pairs), (searches, options.searches)):
            if total and not kept.has(part=part.__name__, **where):
                kept.add(list(part(gallery, options, -(-total // settings))))


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("exactness", __doc__, quick=QUICK)
    parser.add_argument("--pairs", default=3_000_000)
    parser.add_argument("--searches", default=1_000_000)
    parser.add_argument("--records", default=4_096, help="that are searched")
    parser.add_argument("--dimensions", nargs="+", default=DIMENSIONS)
    parser.add_argument("--threads", default=2)
    parser.add_argument("--seed", type=command.natural, default=1)
    return parser.parse_args()


def main() -> None:
    """Measure every setting, print and keep what was found; fail if anything was."""
    options = parse()
    machine.use_threads(options.threads)
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings=results.shown(options),
        options=options,
    )
    measure(kept, options)
    for part, columns in (("pairs", PAIRS), ("searches", SEARCHES)):
        rows = [row for row in kept.rows if row["part"] == part]
        total = sum(row[part] for row in rows)
        kept.show(f"{part}: {total:,}", columns, rows)
    fields = ("lost_coarse", "lost_fine", "differing")
    wrong = sum(row.get(name, 0) for row in kept.rows for name in fields)
    if wrong:
        raise SystemExit(f"{wrong} were lost or decided otherwise")


if __name__ == "__main__":
    command.run(main)
