"""What do the small steps of a search cost, one at a time?

The steps are `benchmarks/test_micro.py`, timed by pytest-benchmark (extra `bench`) in
this process, round after round: by the processor's time, so that what others do on the
machine counts as little as it can.

    python -m benchmarks.micro [--json [FILE]] [--quick]
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.kit import command, results, tables

_STEPS: Final = Path(__file__).with_name("test_micro.py")
COLUMNS: Final = (
    tables.Column("step", "step"),
    tables.Column("rounds", "rounds", ",d"),
    tables.Column("least_us", "least, us", ",.1f"),
    tables.Column("median_us", "median, us", ",.1f"),
    tables.Column("quartile_us", "third quartile, us", ",.1f"),
)


def main() -> None:
    """Time every step."""
    import pytest  # noqa: PLC0415 - of an extra

    parser = command.Parser("micro", __doc__, quick={})
    parser.add_argument("--seconds", default=1.0, help="of each step, at least")
    options = parser.parse_args()
    found = results.Results(
        "what do the small steps of a search cost?",
        key=("step",),
        settings={"seconds": options.seconds},
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        timed = ("--benchmark-only", "--benchmark-quiet", f"--benchmark-json={told}")
        failed = pytest.main(
            [
                # Those of the tests ask for plugins that only tests need.
                *("-q", "--no-header", "-o", "addopts=", "-p", "no:cacheprovider"),
                *(("--benchmark-disable",) if options.quick else timed),
                f"--benchmark-max-time={options.seconds}",
                "--benchmark-timer=time.process_time",
                str(_STEPS),
            ]
        )
        if not told.exists():
            raise SystemExit(failed)
        steps = json.loads(told.read_bytes())["benchmarks"]
    found.add(
        {
            "step": each["name"].removeprefix("test_"),
            "rounds": each["stats"]["rounds"],
            "least_us": 1e6 * each["stats"]["min"],
            "median_us": 1e6 * each["stats"]["median"],
            "quartile_us": 1e6 * each["stats"]["q3"],
        }
        for each in steps
    )
    found.show("one step at a time", COLUMNS)
    if failed:
        raise SystemExit("a step took longer than its bar, or failed: see above")


if __name__ == "__main__":
    command.run(main)
