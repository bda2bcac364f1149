"""Fuzz every reader in turn: `python tests/fuzz/run.py --seconds 20`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from targets import TARGETS

FUZZ = Path(__file__).with_name("fuzz.py")


def main() -> None:
    """Fuzz the targets that are named, or all; end with the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--seed", type=int, default=1, help="0 for another each time")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    for name in options.targets or sorted(TARGETS):
        print(f"+ {name}, {options.seconds} s", flush=True)  # noqa: T201 - a program
        words = (name, str(options.seconds), str(options.seed))
        subprocess.run([sys.executable, FUZZ, *words], check=True)


if __name__ == "__main__":
    main()
