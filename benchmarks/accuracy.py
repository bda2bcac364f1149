"""What are FNIR and FPIR by size of the gallery, and what does the coarse pass cost?

Terms are those of ISO/IEC 19795-1. A population of `enrolment.synthetic`, with people
who match themselves badly, look-alikes and captures that failed, is dealt at random to
a gallery and to people who are not enrolled. One capture is enrolled, a later one is
searched for: of `--searches`, a third are mated, as in NIST's FRTE 1:N. Where a gallery
has fewer people than there are mated searches, there are several of its size, and the
non-mated searches are dealt to them.

Every decision is made twice: exhaustively, by a float32 product whose scores are
computed again in float64 wherever they come near; and as the exchange does it, by the
engine's candidates and one exact comparison of each. The sets of people found must be
the same, search by search, at every threshold.

    python -m benchmarks.accuracy [--sizes 1000 10000 100000] [--searches 30000]
        [--look-alikes 0.005] [--unnoticed] [--threads 2]
        [--json [FILE]] [--resume] [--plot] [--quick]

A threshold is set where the searches themselves reach a false positive rate, so its
FPIR is what it was set to, and the interval says how far that is known.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import accuracy_report
from benchmarks.accuracy_people import Pairs, People
from benchmarks.kit import command, machine, results, tables
from benchmarks.kit.intervals import RULE_OF_THREE, clopper_pearson
from benchmarks.kit.thresholds import search_maxima
from enrolment.population import Population
from matcher.engine import Engine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

SWEPT: Final = (
    *(0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001),
    *(0.0005, 0.0003, 0.0002),
)
MATED_SHARE: Final = 1 / 3  # NIST FRTE 1:N
NEAR: Final = 1e-6  # of a threshold; such pairs are counted apart
SLACK: Final = 1e-5  # what a float32 product of unit vectors may be off, and more
ROTATION: Final = bytes(32)
SAMPLED: Final = 2_000  # searches that say where false positives begin
ROWS_AT_ONCE: Final = 16_384
PROBES_AT_ONCE: Final = 512
BATCH: Final = 64  # probes that share a pass, as in the exchange
KEY: Final = ("records", "fpir_set")
QUICK: Final = {"sizes": (500, 2_000), "searches": 1_500}


@dataclass(frozen=True, slots=True)
class Part:
    """One gallery: which rows are enrolled in it, and which probes search it."""

    rows: NDArray[np.int64]
    probes: NDArray[np.int64]


class Arena:
    """Galleries of one size, and every search of them."""

    def __init__(self, people: People, size: int, threads: int) -> None:
        """Deal the people to galleries, and enrol them."""
        self._people, self._size, self._threads = people, size, threads
        self._engine: Engine[int] = Engine()
        self._parts = list(self._dealt())
        for number, part in enumerate(self._parts):
            vectors = people.enrolled[part.rows]
            self._engine.make(number, dimension=vectors.shape[1], seed=ROTATION)
            self._engine.add(number, part.rows, vectors)
            self._engine.compact(number)

    def _dealt(self) -> Iterator[Part]:
        """Yield galleries, with the probes of their own people and some others."""
        people = self._people
        starts = range(0, people.mated, self._size)
        others = np.arange(people.mated, len(people.probes))
        for number, start in enumerate(starts):
            rows = np.arange(start, start + self._size)
            asked = np.r_[rows[rows < people.mated], others[number :: len(starts)]]
            yield Part(rows[people.has_enrolled[rows]], asked[people.has_probe[asked]])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what is found at every threshold."""
        least = min(self._least(part) for part in self._parts)
        pairs = Pairs.joined([self._exhaustive(part, least) for part in self._parts])
        for fpir in SWEPT:
            yield {"records": self._size, "fpir_set": fpir} | self._row(pairs, fpir)

    def _row(self, pairs: Pairs, fpir: float) -> dict[str, Any]:
        """Return what is found at the threshold of one FPIR, both ways."""
        _, is_non_mated = self._people.valid()
        if fpir * is_non_mated.sum() < RULE_OF_THREE:
            return {"missing": f"needs {RULE_OF_THREE / fpir:,.0f} non-mated searches"}
        threshold = self._threshold(pairs, fpir)
        truth = pairs.reaching(threshold)
        found, candidates = self._product(threshold)
        searches = sum(len(part.probes) for part in self._parts)
        twice = {"": self._errors(truth), "product_": self._errors(found)}
        return {
            "galleries": len(self._parts),
            "threshold": threshold,
            "searches": searches,
            **{f"{way}{n}": v for way, all_ in twice.items() for n, v in all_.items()},
            "pairs": len(truth.rows),
            "near": int((np.abs(pairs.scores - threshold) < NEAR).sum()),
            "differing": truth.differing(found),
            "candidates_a_search": candidates / searches,
            **self._failures(),
        }

    def _least(self, part: Part) -> float:
        """Return a score below every threshold: more non-mated searches reach it."""
        others = part.probes[part.probes >= self._people.mated][:SAMPLED]
        vectors = self._people.enrolled
        blocks = (
            vectors[part.rows[start : start + ROWS_AT_ONCE]]
            for start in range(0, len(part.rows), ROWS_AT_ONCE)
        )
        maxima = search_maxima(blocks, self._people.probes[others])
        return float(np.quantile(maxima, 1 - 2 * max(SWEPT)))

    def _exhaustive(self, part: Part, least: float) -> Pairs:
        """Return every pair of a gallery at or above a score."""
        people, hits = self._people, []
        for start in range(0, len(part.rows), ROWS_AT_ONCE):
            rows = part.rows[start : start + ROWS_AT_ONCE]
            vectors = people.enrolled[rows]
            for first in range(0, len(part.probes), PROBES_AT_ONCE):
                probes = part.probes[first : first + PROBES_AT_ONCE]
                scores = people.probes[probes] @ vectors.T
                near = np.flatnonzero(scores >= least - SLACK)
                whose, which = np.divmod(near, len(rows))
                hits.append(Pairs.scored(people, probes[whose], rows[which]))
        return Pairs.joined(hits).reaching(least)

    def _threshold(self, pairs: Pairs, fpir: float) -> float:
        """Return the score that this share of the non-mated searches reach.

        It is between two scores, so that no decision hangs on the last bit of one.
        """
        _, is_non_mated = self._people.valid()
        best = np.full(len(is_non_mated), -1.0)
        np.maximum.at(best, pairs.probes, pairs.scores)
        maxima = np.sort(best[is_non_mated])[::-1]
        errors = int(fpir * len(maxima))
        return float(maxima[errors - 1 : errors + 1].mean())

    def _product(self, threshold: float) -> tuple[Pairs, int]:
        """Return who is found as the exchange does it, and how many were candidates."""
        people = self._people

        def search(task: tuple[int, NDArray[np.int64]]) -> Pairs:
            number, probes = task
            thresholds = np.full(len(probes), threshold)
            found = self._engine.search(number, people.probes[probes], thresholds)
            whose = np.repeat(probes, [len(ids) for ids in found])
            return Pairs.scored(people, whose, np.concatenate(found))

        tasks = [
            (number, part.probes[start : start + BATCH])
            for number, part in enumerate(self._parts)
            for start in range(0, len(part.probes), BATCH)
        ]
        with ThreadPoolExecutor(self._threads) as workers:
            candidates = Pairs.joined(list(workers.map(search, tasks)))
        return candidates.reaching(threshold), len(candidates.rows)

    def _errors(self, found: Pairs) -> dict[str, float]:
        """Return both error rates of the searches, with their intervals."""
        is_mated, is_non_mated = self._people.valid()
        of_mate = found.rows == found.probes
        hits = int(is_mated[found.probes[of_mate]].sum())
        answered = np.unique(found.probes)
        alarms = int(is_non_mated[answered].sum())
        is_other = found.rows != self._people.look_alike[found.probes]
        by_others = np.unique(found.probes[is_other])
        mated, non_mated = int(is_mated.sum()), int(is_non_mated.sum())
        return {
            "mated": mated,
            "non_mated": non_mated,
            **rate("fnir", mated - hits, mated),
            **rate("fpir", alarms, non_mated),
            "fpir_by_look_alikes": alarms - int(is_non_mated[by_others].sum()),
        }

    def _failures(self) -> dict[str, float]:
        """Return failures to enrol and to acquire."""
        enrolled = self._people.has_enrolled[: len(self._parts) * self._size]
        probes = self._people.has_probe
        return {
            **rate("fte", int((~enrolled).sum()), len(enrolled)),
            **rate("fta", int((~probes).sum()), len(probes)),
        }


def rate(name: str, errors: int, trials: int) -> dict[str, float]:
    """Return an error rate, with its 95 % interval and what it was counted from."""
    low, high = clopper_pearson(errors, trials)
    return {
        name: errors / trials,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_errors": errors,
    }


def made(options: argparse.Namespace) -> People:
    """Return everyone who is enrolled in any gallery, or searched for."""
    mated = round(MATED_SHARE * options.searches)
    enrolled = max(*options.sizes, mated)
    population = Population(
        seed=options.seed,
        subjects=enrolled + options.searches - mated,
        samples=2,
        look_alikes=options.look_alikes,
    )
    return People.made(population, enrolled, mated, noticed=not options.unnoticed)


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("accuracy", __doc__, quick=QUICK, plots=True)
    parser.add_argument("--sizes", nargs="+", default=(1_000, 10_000, 100_000))
    parser.add_argument("--searches", default=30_000, help="a third mated")
    parser.add_argument(
        "--unnoticed",
        action="store_true",
        help="captures that failed are enrolled and searched for like any other",
    )
    parser.add_argument(
        "--look-alikes", type=float, default=0.005, help="share of people who have one"
    )
    parser.add_argument("--threads", default=2)
    parser.add_argument("--seed", type=command.natural, default=1)
    options = parser.parse_args()
    mated = round(MATED_SHARE * options.searches)
    if any(mated % size for size in options.sizes if size < mated):
        parser.error(f"sizes below {mated:,}, the mated searches, must divide it")
    return options


def main() -> None:
    """Search galleries of every size, and print, keep and draw what was found."""
    options = parse()
    machine.use_threads(options.threads)
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings={
            "searches": options.searches,
            "largest": max(options.sizes),  # the people depend on it
            "unnoticed": options.unnoticed,
            "look_alikes": options.look_alikes,
            "seed": options.seed,
        },
        options=options,
    )
    sizes = [s for s in options.sizes if not kept.has(records=s, fpir_set=SWEPT[-1])]
    if sizes:
        tables.progress("making people")
        people = made(options)
    for size in sizes:
        tables.progress(f"galleries of {size:,}")
        for row in Arena(people, size, options.threads).rows():
            kept.add([row])
    rows = sorted(kept.rows, key=lambda row: (row["records"], -row["fpir_set"]))
    accuracy_report.show(kept, rows)
    if options.plot:
        accuracy_report.draw(kept, rows)
    if differing := sum(row.get("differing", 0) for row in rows):
        raise SystemExit(f"{differing:,} decisions differ from exhaustive ones")


if __name__ == "__main__":
    command.run(main)
