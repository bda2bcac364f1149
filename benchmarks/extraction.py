"""How many pictures a second does a core extract?

Prints are synthetic and of nobody. The one portrait is that of an astronaut which
scikit-image brings, a picture of 512 by 512; without it faces are left out. The
processes have started, and each has extracted a picture, before the clock does.

    python -m benchmarks.extraction [--json]
"""

from __future__ import annotations

import io
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.kit import command, results, tables
from biometrics.errors import ConfigurationError
from enrolment.extractors.choice import FACE, FINGERPRINT, choose
from enrolment.extractors.workers import Workers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

QUICK = {"pictures": 2, "processes": [1]}


def portrait() -> bytes | None:
    """Return the picture of one face, where there is one."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "data" / "astronaut.png"
    return path.read_bytes() if path.is_file() else None


def finger() -> bytes:
    """Return the picture of a print of nobody's."""
    from PIL import Image  # noqa: PLC0415 - of an extra
    from synthetic_prints import synthetic_print  # noqa: PLC0415 - likewise

    data = io.BytesIO()
    Image.fromarray(synthetic_print(5)).save(data, "PNG", dpi=(500, 500))
    return data.getvalue()


def measure(
    extractor: str, data: bytes, processes: int, pictures: int
) -> dict[str, Any]:
    """Return how fast a picture is extracted again and again."""
    with Workers(choose(extractor, None, None), processes) as workers:
        first = [workers.submit(data, preview=False) for _ in range(2 * processes)]
        if any(each.result().extracted is None for each in first):
            raise SystemExit(f"`{extractor}` refuses the picture")
        begun, before = time.perf_counter(), _children_seconds()
        for each in [workers.submit(data, preview=False) for _ in range(pictures)]:
            each.result()
        seconds = time.perf_counter() - begun
    # Of processes that have ended, start and first pictures included.
    processor = _children_seconds() - before
    return {
        "extractor": extractor,
        "processes": processes,
        "a_second": pictures / seconds,
        "a_second_each": pictures / seconds / processes,
        "processor_seconds": processor / (pictures + 2 * processes),
    }


def _children_seconds() -> float:
    """Return the processor's time that child processes took which have ended."""
    times = os.times()
    return times.children_user + times.children_system


COLUMNS = (
    tables.Column("extractor", "extractor"),
    tables.Column("processes", "processes", ",d"),
    tables.Column("a_second", "pictures a second", ".2f"),
    tables.Column("a_second_each", "by each process", ".2f"),
    tables.Column("processor_seconds", "processor, s a picture", ".2f"),
)


def main() -> None:
    """Measure each extractor that is installed."""
    parser = command.Parser("extraction", __doc__, quick=QUICK)
    parser.add_argument("--pictures", default=24)
    parser.add_argument("--processes", nargs="+", default=[1, 2])
    options = parser.parse_args()
    found = results.Results(
        "how many pictures a second does a core extract?",
        key=("extractor", "processes"),
        settings={"pictures": options.pictures},
        options=options,
    )
    for extractor, data in ((FACE, portrait()), (FINGERPRINT, finger())):
        for processes in options.processes:
            if data is None:
                tables.progress(f"{extractor}: a face comes with scikit-image")
                continue
            try:
                row = measure(extractor, data, processes, options.pictures)
            except ConfigurationError as error:
                tables.progress(f"{extractor}: {error.message}")
                continue
            found.add([row])
    if not found.rows:
        told = "nothing to measure: pip install -e '.[face,fingerprint]' scikit-image"
        if not options.quick:
            raise SystemExit(told)
        tables.progress(told)
        return
    found.show("pictures extracted", COLUMNS)


if __name__ == "__main__":
    command.run(main)
