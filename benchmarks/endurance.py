"""What is left after thousands of kills, losses of power and damaged files?

The long forms of the tests that end an exchange in every way there is, in parts of a
minute or two, each from a seed of its own. Every part that is over is kept, with what
went wrong in it, if anything did, and the commit that it ran on; a run that was cut
short goes on with `--resume`, on a later commit too.

    python -m benchmarks.endurance [--json] [--resume] [--minutes 8] [--only kills ...]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.kit import command, machine, results, tables

_SECONDS: Final = 900  # of one part
_TESTS: Final = "tests/exchange/"


@dataclass(frozen=True)
class Harness:
    """One of the tests.

    Attributes:
        bar: how many have to be survived.
        each: how many are in a part.
        tests: what pytest is to run; `{}` is the part's number.
        settings: environment of a part, likewise.
    """

    bar: int
    each: int
    tests: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> int:
        """How many parts come to the bar."""
        return -(-self.bar // self.each)


HARNESSES: Final = {
    # A thousand kills under a mixed load, with one, six and twelve systems that search.
    "kills under a mixed load, both databases": Harness(
        200,
        10,
        _TESTS + "test_kills.py::test_in_world_after_world[{}]",
        {"KILLS": "1000", "KILLS_A_WORLD": "10"},
    ),
    "kills under many searches, both databases": Harness(
        500,
        10,
        _TESTS + "test_kills.py::test_in_world_after_world[{}]",
        {"KILLS": "1000", "KILLS_A_WORLD": "10", "SEARCHERS": "6"},
    ),
    "kills at 50 searches a second, both databases": Harness(
        500,
        10,
        _TESTS + "test_kills.py::test_in_world_after_world[{}]",
        {"KILLS": "1000", "KILLS_A_WORLD": "10", "SEARCHERS": "12"},
    ),
    "kills in a rotation, a lock and a destruction": Harness(
        150,
        15,
        _TESTS + "test_custody_kills.py",
        {"CUSTODY_KILLS": "5", "CUSTODY_SEED": "{}"},
    ),
    "kills while codes are joined and kept": Harness(
        50,
        10,
        "tests/matcher/test_segments.py::test_a_kill_at_any_moment_leaves_codes_that_count",
        {"CODES_KILLS": "10", "CODES_SEED": "{}"},
    ),
    "kills in a migration": Harness(
        50,
        25,
        "tests/store/test_store_upgrade.py::test_a_kill_in_an_upgrade_loses_nothing",
        {"MIGRATION_KILLS": "25", "MIGRATION_SEED": "{}"},
    ),
    "damaged files": Harness(
        2000,
        50,
        _TESTS + "test_corruption.py",
        {"CORRUPTIONS": "50", "CORRUPTION_SEED": "{}"},
    ),
    "losses of power": Harness(
        300,
        30,
        "tests/simulation/test_simulation.py"
        "::test_lives_end_with_all_that_was_acknowledged",
        {"SIMULATION_SEEDS": "30", "SIMULATION_FIRST": "{}"},
    ),
}
QUICK: Final = "kills in a migration"
SMALL: Final = Harness(1, 1, HARNESSES[QUICK].tests, {"MIGRATION_KILLS": "1"})
COLUMNS = (
    tables.Column("harness", "what"),
    tables.Column("done", "done", ",.0f"),
    tables.Column("bar", "bar", ",.0f"),
    tables.Column("failed", "parts that failed", ",.0f"),
    tables.Column("minutes", "minutes", ".0f"),
    tables.Column("searches_a_second", "searches a second of load", ".0f"),
)


def part(name: str, harness: Harness, number: int) -> dict[str, Any] | None:
    """Run one part; return what came of it, or None if it was skipped here."""
    settings = {
        key: value.format(number * harness.each if key.endswith("FIRST") else number)
        for key, value in harness.settings.items()
    }
    begun = time.perf_counter()
    run = subprocess.run(  # noqa: S603 - our own tests
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-rsP"),
            *("-p", "no:cacheprovider", harness.tests.format(number)),
        ],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    told = run.stdout
    if run.returncode == 0 and not re.search(r"\d+ passed", told):
        tables.progress(f"{name}, {number}: skipped, {told.splitlines()[-2]}")
        return None
    load = re.search(r"^(\d+) searches in ([\d.]+) seconds$", told, re.MULTILINE)
    return {
        "harness": name,
        "number": number,
        "done": harness.each,
        "commit": machine.commit(),
        "seconds": round(time.perf_counter() - begun, 1),
        "wrong": [each for each in told.splitlines() if each.startswith("E  ")][:40]
        if run.returncode
        else [],
        **({"searches": int(load[1]), "of_load": float(load[2])} if load else {}),
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each harness."""
    found = []
    for name, harness in HARNESSES.items():
        own = [row for row in rows if row["harness"] == name]
        found.append(
            {
                "harness": name,
                "done": sum(row["done"] for row in own),
                "bar": harness.bar,
                "failed": sum(bool(row["wrong"]) for row in own),
                "minutes": sum(row["seconds"] for row in own) / 60,
                "searches_a_second": sum(r.get("searches", 0) for r in own) / load
                if (load := sum(r.get("of_load", 0.0) for r in own))
                else None,
            }
        )
    return found


def main() -> None:
    """Run what there is time for."""
    parser = command.Parser("endurance", __doc__, quick={})
    parser.add_argument("--minutes", default=8.0, help="begin none later")
    parser.add_argument("--only", nargs="*", default=[], help="words of what is run")
    options = parser.parse_args()
    kept = results.Results(
        "what is left after kills, losses of power and damage?",
        key=("harness", "number"),
        settings={name: [h.each, h.bar] for name, h in HARNESSES.items()},
        options=options,
    )
    names = [
        name
        for name in HARNESSES
        if not options.only or any(word in name for word in options.only)
    ]
    end = time.monotonic() + 60 * options.minutes
    if options.quick:
        tables.progress(f"{QUICK}: {part(QUICK, SMALL, 0)}")
        return
    # In turns, so that a short run has some of each.
    for number in range(max(HARNESSES[name].parts for name in names)):
        for name in names:
            is_done = number >= HARNESSES[name].parts
            if is_done or kept.has(harness=name, number=number):
                continue
            if time.monotonic() > end:
                break
            if (row := part(name, HARNESSES[name], number)) is not None:
                kept.add([row])
                told = "; ".join(row["wrong"][:3]) or "all is whole"
                tables.progress(f"{name}, {number}: {row['seconds']} s, {told}")
    kept.show("what an exchange has survived", COLUMNS, summary(kept.rows))


if __name__ == "__main__":
    command.run(main)
