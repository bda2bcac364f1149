"""Whom does the leak budget freeze that nobody attacks?

Three kinds of honest use, on the lifelike people of `enrolment.synthetic`, among them
some who match themselves badly, some who are near to many, and look-alikes:

* `a member`: one requester, a thousand searches a day for thirty days against 100,000
  records, one in ten for somebody who is enrolled;
* `commuters`: a thousand travellers who are searched for once a day for sixty days;
* `two a day`: the same sixty crossings within thirty days.

* `a desk`: thirty people who are each presented ten times on one day, and come again.

They are decided by the store's own code with a clock that is moved. What a member
searches with is looked at for near duplicates as well.

    python -m benchmarks.honest_use [--records 100000] [--searches 30000]
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.attack_reconstruction import template_of
from benchmarks.kit import command, results, tables
from benchmarks.kit.galleries import THRESHOLD
from benchmarks.kit.ledger import Ledger, allowing
from biometrics import limits
from biometrics.calibration import Threshold
from biometrics.clock import UTC, ManualClock
from biometrics.disclosure import Band
from biometrics.errors import ExhaustedError
from biometrics.members import Member
from enrolment.synthetic import Population, synthesise
from matcher.alike import Resemblance, outlined
from matcher.engine.segment import NEAREST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from biometrics.clock import Clock

SEED: Final = 20_261_126
REQUESTER: Final = "XBB"
# At a million records, as in `benchmarks.attack_reconstruction`.
DECADE: Final = 0.030
MATED: Final = 0.1
DAYS: Final = 30
CROSSINGS: Final = 60
CROSSINGS_A_DAY: Final = {"commuters": 1, "two a day": 2}
_BLOCK: Final = 250
_LEAST: Final = 0.25  # far below what is near at any threshold asked for here
_LOOSE, _STRICT = 1e-2, 1e-3  # FPIR at which a decade is measured


QUICK = {"records": 2000, "searches": 600, "travellers": 50}


def unit_rows(population: Population) -> NDArray[np.float32]:
    """Return captures, centred and of unit length, float32 (subjects, samples, d)."""
    rows = synthesise(population).embedding
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    return rows.reshape(population.subjects, population.samples, -1)


Candidates = tuple[Any, Any]  # rows and scores of one search, best first


def searched(
    gallery: NDArray[np.float32], probes: NDArray[np.float32]
) -> list[Candidates]:
    """Return of each probe the records that may be near it."""
    found: list[Candidates] = []
    for start in range(0, len(probes), _BLOCK):
        scores = probes[start : start + _BLOCK] @ gallery.T
        for row in scores:
            some = np.flatnonzero(row >= _LEAST)
            order = some[np.argsort(-row[some])]
            found.append((order, row[order]))
    return found


def band_by_maxima(
    found: list[Candidates], dimension: int, fpir: float = _STRICT
) -> Band:
    """Return the band of a threshold that searches for strangers give."""
    maxima = [scores[0] if len(scores) else _LEAST for _, scores in found]
    loose, strict = np.quantile(maxima, [1 - _LOOSE, 1 - _STRICT])
    threshold = Threshold(
        float(np.quantile(maxima, 1 - fpir)),
        is_established=True,
        decade=float(strict - loose) / np.log10(_LOOSE / _STRICT),
    )
    return Band.about(threshold, dimension**-0.5)


def near_of(found: Candidates, band: Band) -> dict[int, tuple[bool, bool]]:
    """Return what a search finds: its hits, and the best few of its near misses."""
    told = {}
    misses = 0
    for record, score in zip(*found, strict=True):
        if score >= band.threshold:
            told[int(record)] = True, band.is_near(float(score))
        elif band.is_near(float(score)) and misses < NEAREST:
            told[int(record)] = False, True
            misses += 1
    return told


class Watch:
    """The recognition of near-duplicate probes, of one requester's.

    Attributes:
        told: searches of which auditors were told.
        refused: searches that were refused.
    """

    def __init__(self, clock: Clock, band: Band) -> None:
        """Remember nothing yet."""
        self.told = self.refused = 0
        self._resemblance = Resemblance(clock, np.random.default_rng(SEED).bytes)
        self._band = band

    def note(self, vector: NDArray[np.float32]) -> None:
        """Search with a vector."""
        probe = template_of(vector)
        try:
            self.told += self._resemblance.note(
                Member(REQUESTER), probe, *outlined([probe]), self._band.threshold
            )
        except ExhaustedError:
            self.refused += 1


def of_a_member(records: int, searches: int) -> dict[str, Any]:
    """Return what thirty days of one member's searches freeze."""
    random = np.random.default_rng(SEED)
    mated = round(MATED * searches)
    strangers = searches - mated
    # Captures without a face are refused, when they are enrolled or taken.
    people = unit_rows(
        Population(seed=SEED, subjects=records + strangers, samples=2, failed=0.0)
    )
    enrolled = random.permutation(records + strangers)
    gallery = np.ascontiguousarray(people[enrolled[:records], 0])
    others = people[enrolled[records:], 0]
    mates = people[enrolled[random.integers(0, records, mated)], 1]
    probes = np.concatenate([others, mates])
    found = searched(gallery, probes)
    band = band_by_maxima(found[:strangers], people.shape[2])
    ledger = Ledger()
    watch = Watch(ledger.clock, band)
    step = dt.timedelta(days=DAYS) / searches
    near = 0
    for number in random.permutation(searches):
        ledger.clock.advance(step)
        watch.note(probes[number])
        told = near_of(found[number], band)
        near += any(is_near for _, is_near in told.values())
        ledger.tell(REQUESTER, told)
    frozen, alerts = len(set(ledger.frozen)), ledger.alerts()
    ledger.close()
    row = _row("a member", searches, near, frozen, band) | _varied(watch)
    return row | {"enumeration": alerts.get("enumeration", 0)}


def of_travellers(travellers: int, name: str, crossings_a_day: int) -> dict[str, Any]:
    """Return how many of some travellers are frozen while they cross and cross."""
    people = unit_rows(
        Population(seed=SEED, subjects=travellers, samples=1 + CROSSINGS)
    )
    scores = np.einsum("sd,skd->sk", people[:, 0], people[:, 1:])
    threshold = Threshold(THRESHOLD, is_established=True, decade=DECADE)
    band = Band.about(threshold, people.shape[2] ** -0.5)
    ledger = Ledger()
    watch = Watch(ledger.clock, band)
    near = 0
    for crossing in range(CROSSINGS):
        for person, score in enumerate(scores[:, crossing]):
            watch.note(people[person, 1 + crossing])
            if band.is_near(float(score)):
                near += 1
                found = {person: (bool(score >= band.threshold), True)}
                ledger.tell(REQUESTER, found)
        ledger.clock.advance(dt.timedelta(days=1) / crossings_a_day)
    frozen = {person for _, person in ledger.frozen}
    ledger.close()
    row = _row(name, scores.size, near, len(frozen), band) | _varied(watch)
    # How often those are missed anyhow: half of the time, and often more.
    missed = [float((scores[p] < band.threshold).mean()) for p in sorted(frozen)]
    return row | {"missed": float(np.mean(missed)) if missed else None}


def at_a_desk(people: int, times: int, days: int) -> dict[str, Any]:
    """Return what comes of a few people who are presented again and again."""
    captures = unit_rows(
        Population(seed=SEED, subjects=people, samples=times * days, failed=0.0)
    )
    threshold = Threshold(THRESHOLD, is_established=True, decade=DECADE)
    band = Band.about(threshold, captures.shape[2] ** -0.5)
    clock = ManualClock(dt.datetime(2026, 1, 1, tzinfo=UTC))
    watch = Watch(clock, band)
    for day in range(days):
        for time in range(times):
            for person in range(people):
                watch.note(captures[person, day * times + time])
        clock.advance(dt.timedelta(days=1))
    return _row("a desk", people * times * days, 0, 0, band) | _varied(watch)


def _varied(watch: Watch) -> dict[str, Any]:
    """Return what is written of near-duplicate probes."""
    return {"varied": watch.told, "refused": watch.refused}


def _row(use: str, searches: int, near: int, frozen: int, band: Band) -> dict[str, Any]:
    """Return what is written of one kind of use."""
    return {
        "use": use,
        "searches": searches,
        "threshold": band.threshold,
        "half_band": band.high - band.threshold,
        "near": near / searches,
        "frozen": frozen,
        "missed": None,
        "enumeration": 0,
    }


COLUMNS = (
    tables.Column("use", "use"),
    tables.Column("searches", "searches", ",d"),
    tables.Column("threshold", "threshold", ".3f"),
    tables.Column("half_band", "near within", ".3f"),
    tables.Column("near", "near", ".2%"),
    tables.Column("frozen", "frozen", ",d"),
    tables.Column("enumeration", "alerts of enumeration", ",d"),
    tables.Column("varied", "of near duplicates", ",d"),
    tables.Column("refused", "searches refused", ",d"),
    tables.Column("missed", "of their searches missed", ".0%"),
)


def main() -> None:
    """Use the exchange honestly."""
    parser = command.Parser("honest_use", __doc__, quick=QUICK)
    parser.add_argument("--records", default=100_000)
    parser.add_argument("--searches", default=1000 * DAYS)
    parser.add_argument("--travellers", default=1000)
    parser.add_argument("--told", default=limits.NEAR_SEARCHES_TOLD)
    options = parser.parse_args()
    found = results.Results(
        "whom does the leak budget freeze that nobody attacks?",
        key=("use",),
        settings={"records": options.records, "told": options.told},
        options=options,
    )
    with allowing(options.told, limits.NEAR_SEARCHES_TOLD_TO_ALL):
        for name, a_day in CROSSINGS_A_DAY.items():
            if not found.has(use=name):
                found.add([of_travellers(options.travellers, name, a_day)])
        if not found.has(use="a desk"):
            found.add([at_a_desk(30, 10, 5)])
        if not found.has(use="a member"):
            found.add([of_a_member(options.records, options.searches)])
    found.show("frozen in honest use", COLUMNS)


if __name__ == "__main__":
    command.run(main)
