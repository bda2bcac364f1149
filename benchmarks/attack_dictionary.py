"""Does anybody notice that a requester goes through a gallery with faces of strangers?

The attacker has ten thousand pictures of people who are not enrolled, and searches with
each, where the loosest class of error rate gives the most matches: each is a reference
to somebody it knows nothing of. With the defence off it has them all, and nobody knows.

    python -m benchmarks.attack_dictionary [--records 100000] [--probes 10000]
"""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any, Final

import numpy as np

from benchmarks.honest_use import (
    REQUESTER,
    band_by_maxima,
    near_of,
    searched,
    unit_rows,
)
from benchmarks.kit import results, tables
from benchmarks.kit.ledger import Ledger
from enrolment.synthetic import Population

SEED: Final = 20_261_127
CALIBRATED: Final = 3000  # searches for other strangers, which set the threshold
FPIRS: Final = (1e-2, 1e-3)
_BETWEEN: Final = dt.timedelta(seconds=5)


def attacked(records: int, probes: int) -> list[dict[str, Any]]:
    """Return what is given at each class before anybody is told, and in all."""
    strangers = CALIBRATED + probes
    rows = unit_rows(Population(seed=SEED, subjects=records + strangers, samples=1))
    order = np.random.default_rng(SEED).permutation(len(rows))
    people = rows[order, 0]
    found = searched(people[:records], people[records:])
    told = []
    for fpir in FPIRS:
        band = band_by_maxima(found[:CALIBRATED], people.shape[1], fpir)
        for is_kept in (False, True):
            ledger = Ledger(is_kept=is_kept)
            given: set[int] = set()
            at = asked = 0
            for number, candidates in enumerate(found[CALIBRATED:], 1):
                ledger.clock.advance(_BETWEEN)
                said = ledger.tell(REQUESTER, near_of(candidates, band))
                given |= {record for record, is_told in said.items() if is_told}
                if not at and "enumeration" in ledger.alerts():
                    at, asked = len(given), number
            ledger.close()
            told.append(
                {
                    "fpir": fpir,
                    "defence": "on" if is_kept else "off",
                    "probes": probes,
                    "given": len(given),
                    "alert_at": at or None,
                    "asked": asked or None,
                }
            )
    return told


COLUMNS = (
    tables.Column("fpir", "FPIR", "g"),
    tables.Column("defence", "defence"),
    tables.Column("probes", "probes", ",d"),
    tables.Column("given", "references given", ",d"),
    tables.Column("alert_at", "alert after references", ",d"),
    tables.Column("asked", "after probes", ",d"),
)


def main() -> None:
    """Attack with the defence off and on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--probes", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    results.add_arguments(parser, "attack_dictionary")
    options = parser.parse_args()
    if options.quick:
        options.records, options.probes = 2000, 3000
    found = results.Results(
        "does anybody notice that a requester goes through a gallery?",
        key=("fpir", "defence"),
        settings={"records": options.records},
        path=options.json,
        resume=options.resume,
    )
    found.add(attacked(options.records, options.probes))
    tables.show("a gallery gone through with strangers", COLUMNS, found.rows)


if __name__ == "__main__":
    main()
