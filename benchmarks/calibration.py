"""Is a promised FPIR kept, how often is the promise broken, and what does safety cost?

People are drawn who are not enrolled: some of them, chosen at random, calibrate as
`biometrics calibrate` does, and all the others search at the threshold that came of it,
in the gallery that was calibrated on and in ones that have grown since. That is done
again and again with other people. A promise is *broken* where the others err more often
than it says. They are a sample too: it is broken *for certain* where even the lower end
of their rate's 95 % interval (Clopper and Pearson) lies above it.

Two populations of effective dimension 180: `normal`, vectors without people behind
them; and `people` of `enrolment.synthetic`, with goats, lambs and look-alikes, failed
captures left out as a reviewed gallery leaves them out. Of these the FNIR is counted at
the safe end, and at the threshold that would have been right.

    python -m benchmarks.calibration [--sizes 5000 10000 20000 40000 80000]
        [--searches 60000] [--repeats 40] [--threads 2]
        [--json [FILE]] [--resume] [--plot] [--quick]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import calibration_report
from benchmarks.kit import command, machine, results, tables
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, Gallery
from benchmarks.kit.intervals import clopper_pearson
from biometrics.calibration import FpirClass, searches_needed
from enrolment.synthetic import Population, synthesise

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

KEY: Final = ("population", "fpir", "people", "calibrated", "records")
TIMES: Final = (1, 4)  # as many people as the class takes
GROWN: Final = (1, 2, 4, 8)
PROBES_AT_ONCE: Final = 4_096
ROWS_AT_ONCE: Final = 16_384
LEAST_ERRORS: Final = 3  # that the others are to be expected to make
QUICK: Final = {"sizes": (500, 1_000), "searches": 2_000, "repeats": 3}

# The greatest score of each search, (sizes, searches), and of each mated one.
Scores = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def normal(options: argparse.Namespace) -> Scores:
    """Return what searches find among vectors of one distribution; nobody is mated."""
    gallery = Gallery(options.seed, effective_dimension=EFFECTIVE_DIMENSION)
    rows = gallery.vectors(max(options.sizes))
    probes = gallery.non_mated(options.searches)
    return _maxima(probes, rows, options.sizes), np.empty(0)


def people(options: argparse.Namespace) -> Scores:
    """Return what people find who are enrolled, and who are not."""
    most = max(options.sizes)
    population = Population(
        seed=options.seed, subjects=most + options.searches, samples=2
    )
    made = synthesise(population)
    both = made.embedding.reshape(population.subjects, 2, -1)
    failed = made.failed.reshape(population.subjects, 2)
    dealt = np.random.default_rng(options.seed).permutation(population.subjects)
    enrolled, others = dealt[:most], dealt[most:]
    centre = both[others, 0].mean(axis=0, dtype=np.float64)
    rows = _unit(both[enrolled, 0], centre)
    rows[failed[enrolled, 0]] = 0.0  # a failure to enrol: found by nobody
    noticed = others[~failed[others, 1]]
    maxima = _maxima(_unit(both[noticed, 1], centre), rows, options.sizes)
    tried = np.flatnonzero(~failed[enrolled].any(axis=1))[: options.searches // 2]
    again = _unit(both[enrolled[tried], 1], centre)
    return maxima, np.einsum("ij,ij->i", again, rows[tried]).astype(np.float64)


POPULATIONS: Final = {"normal": normal, "people": people}


def _unit(
    embedding: NDArray[np.float32], centre: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return vectors centred and of unit length."""
    centred = (embedding - centre).astype(np.float32)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = centred
    return unit


def _maxima(
    probes: NDArray[np.float32], rows: NDArray[np.float32], sizes: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the greatest score of each probe among so many first rows."""
    best = np.full(len(probes), -1.0, np.float32)
    told, start = [], 0
    for size in sizes:
        for first in range(start, size, ROWS_AT_ONCE):
            block = rows[first : min(first + ROWS_AT_ONCE, size)].T
            for at in range(0, len(probes), PROBES_AT_ONCE):
                part = slice(at, at + PROBES_AT_ONCE)
                found = (probes[part] @ block).max(axis=1)
                np.maximum(best[part], found, out=best[part])
        told.append(best.astype(np.float64))
        start = size
    return np.array(told)


def asked(searches: int) -> Iterator[tuple[FpirClass, int]]:
    """Yield the classes, and numbers of people who calibrate, that can be tried."""
    for fpir in FpirClass:
        for times in TIMES:
            count = times * searches_needed(fpir)
            expected = (searches - count) * fpir.rate
            if count <= searches // 2 and expected >= LEAST_ERRORS:
                yield fpir, count


def measure(
    scores: Scores, fpir: float, count: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield a row for each gallery and growth."""
    for base, size in enumerate(options.sizes):
        grown = [
            place for place, other in enumerate(options.sizes) if other / size in GROWN
        ]
        for row in _row(scores, fpir, count, (base, grown), options):
            yield {"calibrated": size} | row


def _row(
    scores: Scores,
    fpir: float,
    count: int,
    where: tuple[int, list[int]],
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """Yield what became of the promise at each size, over all repeats."""
    from enrolment.calibrate import tail  # noqa: PLC0415 - of an extra

    maxima, mated = scores
    base, grown = where
    growth = np.array([options.sizes[place] / options.sizes[base] for place in grown])
    wanted = tail.shares(fpir, growth)
    random = np.random.default_rng((options.seed, base, count))
    thresholds, errors = [], []
    everybody = np.arange(maxima.shape[1])
    for number in range(options.repeats):
        chosen = random.choice(everybody, count, replace=False)
        others = np.setdiff1d(everybody, chosen)
        found = maxima[base][chosen]
        _, high = tail.intervals(found, chosen, wanted, seed=number)
        high = np.maximum(high, tail.quantiles(found, wanted))
        thresholds.append(high)
        errors.append(
            [
                int((maxima[place][others] >= high[at]).sum())
                for at, place in enumerate(grown)
            ]
        )
    trials = maxima.shape[1] - count
    for at, place in enumerate(grown):
        yield {
            "records": options.sizes[place],
            "growth": float(growth[at]),
            **_kept(np.array(errors)[:, at], trials, fpir),
            **_cost(np.array(thresholds)[:, at], maxima[place], mated, fpir),
        }


def _kept(errors: NDArray[np.int64], trials: int, fpir: float) -> dict[str, float]:
    """Return how the promise was kept."""
    rates = errors / trials
    broken = int((rates > fpir).sum())
    certain = sum(clopper_pearson(int(e), trials)[0] > fpir for e in errors)
    low, high = clopper_pearson(broken, len(errors))
    return {
        "realised": float(rates.mean()),
        "of_promised": float(rates.mean() / fpir),
        "of_promised_most": float(rates.max() / fpir),
        "repeats": len(errors),
        "broken": broken / len(errors),
        "broken_low": low,
        "broken_high": high,
        "broken_for_certain": int(certain) / len(errors),
    }


def _cost(
    thresholds: NDArray[np.float64],
    maxima: NDArray[np.float64],
    mated: NDArray[np.float64],
    fpir: float,
) -> dict[str, float]:
    """Return the thresholds, the right one, and FNIR at both."""
    right = float(np.quantile(maxima, 1 - fpir))
    told = {"threshold": float(thresholds.mean()), "right": right}
    if len(mated):
        missed = (mated[None, :] < thresholds[:, None]).mean()
        told |= {"fnir": float(missed), "fnir_right": float((mated < right).mean())}
    return told


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("calibration", __doc__, quick=QUICK, plots=True)
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=(5_000, 10_000, 20_000, 40_000, 80_000),
        help="galleries, ascending; each begins as the one before",
    )
    parser.add_argument("--searches", default=60_000)
    parser.add_argument("--repeats", default=40)
    parser.add_argument("--threads", default=2)
    parser.add_argument("--seed", type=command.natural, default=1)
    return parser.parse_args()


def main() -> None:
    """Calibrate again and again, and print, keep and draw what became of it."""
    options = parse()
    machine.use_threads(options.threads)
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings={
            "sizes": list(options.sizes),
            "searches": options.searches,
            "repeats": options.repeats,
            "seed": options.seed,
        },
        options=options,
    )
    for name, draw_scores in POPULATIONS.items():
        wanted = [
            (fpir, count)
            for fpir, count in asked(options.searches)
            if not kept.has(population=name, fpir=fpir.value, people=count)
        ]
        if not wanted:
            continue
        tables.progress(f"searches of {name}")
        scores = draw_scores(options)
        for fpir, count in wanted:
            tables.progress(f"calibrations on {name}: {fpir} by {count:,} people")
            key = {"population": name, "fpir": fpir.value, "people": count}
            rows = measure(scores, fpir.rate, count, options)
            kept.add(key | row for row in rows)
    calibration_report.show(kept)
    if options.plot:
        calibration_report.draw(kept)


if __name__ == "__main__":
    command.run(main)
