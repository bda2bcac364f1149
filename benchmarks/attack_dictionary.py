"""Does anybody notice that a requester goes through a gallery?

Each match is a reference, of all records together that one search matches, to people of
whom the attacker knows nothing. It has

* `strangers`: pictures of people who are not enrolled, and searches with each, where
  the loosest class of error rate gives the most matches;
* `stolen`: a copy of what the exchange holds, templates that somebody took from the
  hub, and searches with them patiently: thirty a day, each a clear match.

With the defence off it has all references, and nobody knows. `counts` are those of the
leak budget; `canaries` are these and some records that are nobody's, drawn as people
spread: a search that would match one is told, and is the last before somebody looks.

    python -m benchmarks.attack_dictionary [--records 100000] [--probes 10000]
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.honest_use import (
    REQUESTER,
    band_by_maxima,
    near_of,
    searched,
    unit_rows,
)
from benchmarks.kit import command, results, tables
from benchmarks.kit.ledger import Ledger
from enrolment.synthetic import Population

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from benchmarks.honest_use import Candidates
    from biometrics.disclosure import Band

SEED: Final = 20_261_127
CALIBRATED: Final = 3000  # searches for other strangers, which set the threshold
FPIRS: Final = (1e-2, 1e-3)
DEFENCES: Final = ("off", "counts", "canaries")
# Between searches: in one night, or thirty a day, below every bound of a day.
BETWEEN: Final = {
    "strangers": dt.timedelta(seconds=5),
    "stolen": dt.timedelta(days=1 / 30),
}
_DIRECTIONS: Final = 512


QUICK = {"records": 2000, "probes": 3000}


@dataclass(frozen=True, slots=True)
class World:
    """A gallery with canaries in it, and what came of searches.

    Attributes:
        records: how many are people; canaries have numbers from there on.
        calibrating: searches for strangers that set the threshold.
        attacks: the searches of each attack.
    """

    records: int
    calibrating: list[Candidates]
    attacks: Mapping[str, list[Candidates]]


def canaries_like(
    people: NDArray[np.float32], count: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return unit vectors that spread as people do and are nobody, float32 (count, d).

    As the exchange draws them by what a space says of spread.
    """
    spread = np.linalg.qr(people[: 4 * _DIRECTIONS], mode="r")
    drawn = random.standard_normal((count, len(spread))) @ spread
    drawn /= np.linalg.norm(drawn, axis=1)[:, None]
    return drawn.astype(np.float32)


def world_of(records: int, probes: int, canaries: int) -> World:
    """Return what a gallery with canaries answers to both attacks."""
    random = np.random.default_rng(SEED)
    strangers = CALIBRATED + probes
    rows = unit_rows(Population(seed=SEED, subjects=records + strangers, samples=1))
    people = rows[random.permutation(len(rows)), 0]
    enrolled, others = people[:records], people[records:]
    gallery = np.concatenate([enrolled, canaries_like(enrolled, canaries, random)])
    stolen = gallery[random.permutation(len(gallery))[:probes]]
    return World(
        records,
        searched(enrolled, others[:CALIBRATED]),
        {
            "strangers": searched(gallery, others[CALIBRATED:]),
            "stolen": searched(gallery, stolen),
        },
    )


def attacked(world: World) -> Iterator[dict[str, Any]]:
    """Yield what each attack is given before anybody is told, and in all."""
    dimension = 512
    for attack, found in world.attacks.items():
        for fpir in FPIRS if attack == "strangers" else FPIRS[1:]:
            band = band_by_maxima(world.calibrating, dimension, fpir)
            for defence in DEFENCES:
                yield {
                    "attack": attack,
                    "fpir": fpir,
                    "defence": defence,
                    "probes": len(found),
                    **_under(world, attack, band, defence),
                }


def _under(world: World, attack: str, band: Band, defence: str) -> dict[str, Any]:
    """Return what one attack is given under a defence, and when somebody is told."""
    ledger = Ledger(is_kept=defence != "off")
    given = at = asked = hits = 0
    for number, candidates in enumerate(world.attacks[attack], 1):
        ledger.clock.advance(BETWEEN[attack])
        near = near_of(candidates, band)
        canary = [near.pop(record) for record in [*near] if record >= world.records]
        is_hit = defence == "canaries" and any(matches for matches, _ in canary)
        said = ledger.tell(REQUESTER, near)
        given += any(said.values())
        hits += is_hit
        if not at and (is_hit or "enumeration" in ledger.alerts()):
            at, asked = given, number
    ledger.close()
    return {
        "given": given,
        "canaries": hits,
        "alert_at": at if asked else None,
        "asked": asked or None,
    }


COLUMNS = (
    tables.Column("attack", "attack"),
    tables.Column("fpir", "FPIR", "g"),
    tables.Column("defence", "defence"),
    tables.Column("probes", "probes", ",d"),
    tables.Column("given", "references given", ",d"),
    tables.Column("canaries", "canaries hit", ",d"),
    tables.Column("alert_at", "alert after references", ",d"),
    tables.Column("asked", "after probes", ",d"),
)


def main() -> None:
    """Attack with the defence off and on."""
    parser = command.Parser("attack_dictionary", __doc__, quick=QUICK)
    parser.add_argument("--records", default=100_000)
    parser.add_argument("--probes", default=10_000)
    parser.add_argument("--canaries", type=float, default=0.05, help="share of records")
    options = parser.parse_args()
    canaries = round(options.canaries * options.records)
    found = results.Results(
        "does anybody notice that a requester goes through a gallery?",
        key=("attack", "fpir", "defence"),
        settings={"records": options.records, "canaries": canaries},
        options=options,
    )
    found.add(attacked(world_of(options.records, options.probes, canaries)))
    found.show("a gallery gone through", COLUMNS)


if __name__ == "__main__":
    command.run(main)
