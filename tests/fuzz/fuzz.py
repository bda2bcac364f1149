"""Fuzz one reader for some seconds: `python tests/fuzz/fuzz.py TARGET SECONDS SEED`.

Needs the extra `fuzz`. Inputs that were worth keeping stand in `corpus/TARGET/`, and
go into the run; what it finds on its way is not kept. An input that fails is written
to the working folder, and the exit code is not 0.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["enrolment.formats", "enrolment.preflight"]):
    from targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
SLOW_SECONDS = 1
# A file that ends whoever looks at its footer makes the next one wait for a new start.
SLOW_WITH_A_START_SECONDS = 10
MEMORY_MIB = 1024


def main() -> None:
    """Fuzz the target that is named."""
    warnings.simplefilter("error")
    name, seconds, seed = sys.argv[1:]
    slow = SLOW_WITH_A_START_SECONDS if name == "parquet" else SLOW_SECONDS
    with tempfile.TemporaryDirectory() as found:
        atheris.Setup(
            [
                sys.argv[0],
                *(found, str(CORPUS / name)),
                f"-max_total_time={seconds}",
                f"-seed={seed}",
                f"-timeout={slow}",
                f"-rss_limit_mb={MEMORY_MIB}",
                f"-malloc_limit_mb={MEMORY_MIB}",
                "-max_len=65536",
                "-print_final_stats=1",
                "-verbosity=0",
            ],
            TARGETS[name],
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
