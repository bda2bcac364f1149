"""Fuzz one reader for some seconds: `python tests/fuzz/fuzz.py TARGET SECONDS SEED`.

Needs the extra `fuzz`. Inputs that were worth keeping stand in `corpus/TARGET/`, and
go into the run; what it finds on its way is not kept. An input that fails is written
to the working folder, and the exit code is not 0. It fails too if it takes a second of
the processor; of the clock it may take more, on a machine with other work to do.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["enrolment.formats", "enrolment.preflight"]):
    from targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parent / "corpus"
SLOW_SECONDS = 1.0  # of the processor
# Of the clock; a file that ends whoever looks at its footer waits for a new start too.
HANGING_SECONDS = 30
MEMORY_MIB = 1024


def bounded(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a reader that fails if it takes too much of the processor."""

    def target(data: bytes) -> None:
        begun = time.thread_time()
        read(data)
        took = time.thread_time() - begun
        assert took < SLOW_SECONDS, f"{took:.1f} seconds"

    return target


def main() -> None:
    """Fuzz the target that is named."""
    warnings.simplefilter("error")
    name, seconds, seed = sys.argv[1:]
    with tempfile.TemporaryDirectory() as found:
        atheris.Setup(
            [
                sys.argv[0],
                *(found, str(CORPUS / name)),
                f"-max_total_time={seconds}",
                f"-seed={seed}",
                f"-timeout={HANGING_SECONDS}",
                f"-rss_limit_mb={MEMORY_MIB}",
                f"-malloc_limit_mb={MEMORY_MIB}",
                "-max_len=65536",
                "-print_final_stats=1",
                "-verbosity=0",
            ],
            bounded(TARGETS[name]),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
