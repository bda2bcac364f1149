"""How much memory does a template take?

An engine alone, in a fresh process for each figure, so that nothing else is counted:
what the process grew by, once all is joined and what was freed is given back, beside
what the arrays themselves hold. Once as templates are enrolled, and once as a start
reads them from segments that were kept. What the exchange holds beside the engine, and
the sealed templates on disk, are not counted.

    python -m benchmarks.memory [--dimensions 64 512] [--records 500000]
        [--json [FILE]] [--resume] [--plot] [--quick]
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.galleries import BLOCK, Gallery
from benchmarks.kit.machine import resident_bytes
from matcher.engine import Engine, Segment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from matcher.engine import Coding

T = TypeVar("T")

DIMENSIONS: Final = (64, 128, 256, 512, 1024, 2048, 4096)
# Above it, as many fewer records as the dimension is higher: enrolment takes as long.
FULL_DIMENSION: Final = 512
SEED: Final = 1
ROTATION: Final = bytes(32)
ID_BYTES: Final = 8  # of a row, which FAISS keeps beside our id
FLOAT_BYTES: Final = 4
BAR: Final = 200  # bytes a 512-d template, at most
HOW: Final = ("enrolled", "loaded")
KEY: Final = ("dimension", "how")
QUICK = {"dimensions": (64, 1024), "records": 20_000}
COLUMNS: Final = (
    tables.Column("dimension", "dimension", ",d"),
    tables.Column("records", "records", ",d"),
    tables.Column("how", "how"),
    tables.Column("resident", "resident", ",.1f"),
    tables.Column("arrays", "our arrays", ",.1f"),
    tables.Column("row_ids", "FAISS's ids", ",.1f"),
    tables.Column("slack", "slack", ",.1f"),
    tables.Column("float32", "float32", ",d"),
    tables.Column("times_smaller", "times\nsmaller", ",.1f"),
    tables.Column("segments", "segments", ",d"),
)
NOTE: Final = (
    "Bytes a template. Resident: what the process grew by. Our arrays: ids, codes, "
    "signs and marks of\nremoval of all segments. Slack: the rest, most of it FAISS's, "
    "which rounds the codes of a segment up\nto a power of two: nothing of a full one. "
    "Times smaller: resident than float32."
)


def enrolled(dimension: int, records: int, folder: Path) -> dict[str, Any]:
    """Enrol a gallery, measure it, and keep its segments in a folder."""
    enrol(dimension, BLOCK)  # what libraries take once is no template's
    before = resident_bytes()
    engine = enrol(dimension, records)
    row = told(engine, resident_bytes() - before, "enrolled")
    for number, part in enumerate(engine.parts(dimension)):
        content = b"".join(array.tobytes() for array in part.arrays())
        (folder / f"{number:04}-{len(part)}").write_bytes(content)
    return row


def enrol(dimension: int, records: int) -> Engine[int]:
    """Return an engine with one gallery, named as its dimension."""
    engine = made(dimension)
    for rows, vectors in Gallery(SEED, dimension).blocks(records):
        engine.add(dimension, np.arange(rows.start, rows.stop), vectors)
    engine.compact(dimension)
    return engine


def loaded(dimension: int, _records: int, folder: Path) -> dict[str, Any]:
    """Load the segments of a folder as a start does, and measure them."""
    enrol(dimension, BLOCK)
    engine = made(dimension)
    before = resident_bytes()
    coding = engine.coding(dimension)
    engine.load(dimension, kept(folder, coding))
    return told(engine, resident_bytes() - before, "loaded")


def kept(folder: Path, coding: Coding) -> Iterator[Segment]:
    """Yield the segments of a folder, in their order."""
    for path in sorted(folder.iterdir()):
        rows = int(path.name.partition("-")[2])
        yield Segment.of_bytes(coding, rows, bytearray(path.read_bytes()))


def made(dimension: int) -> Engine[int]:
    """Return an engine with an empty gallery."""
    engine: Engine[int] = Engine()
    engine.make(dimension, dimension=dimension, seed=ROTATION)
    return engine


def told(engine: Engine[int], grown: int, how: str) -> dict[str, Any]:
    """Return the row of an engine for which the process grew by so many bytes."""
    (dimension,) = engine.names()
    records, parts = engine.count(dimension), engine.parts(dimension)
    held = sum(bytes_of(part) for part in parts) / records
    resident = grown / records
    return {
        "dimension": dimension,
        "how": how,
        "records": records,
        "resident": resident,
        "arrays": held,
        "row_ids": ID_BYTES,
        "slack": resident - held - ID_BYTES,
        "float32": FLOAT_BYTES * dimension,
        "times_smaller": FLOAT_BYTES * dimension / resident,
        "segments": len(parts),
    }


def bytes_of(segment: Segment) -> int:
    """Return what the arrays of a segment hold, without their containers."""
    return segment.alive.nbytes + sum(array.nbytes for array in segment.arrays())


def fresh(work: Callable[..., T], *arguments: object) -> T:
    """Return what some work returns in a process that does nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as process:
        return process.submit(work, *arguments).result()


def measure(dimension: int, most: int) -> list[dict[str, Any]]:
    """Return both rows of a dimension."""
    records = min(most, most * FULL_DIMENSION // dimension)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [fresh(work, dimension, records, folder) for work in (enrolled, loaded)]


def draw(kept: results.Results, rows: list[dict[str, Any]]) -> None:
    """Draw bytes by dimension, as floats and as they are held."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    drawn, (axes,) = plots.figure(width=7.0)
    for number, field, how, name in (
        (1, "float32", "enrolled", "float32 vectors"),
        (0, "resident", "enrolled", "ours, resident, enrolled"),
        (5, "arrays", "enrolled", "ours, the arrays alone"),
    ):
        points = _points(rows, field, how)
        axes.plot(*zip(*points, strict=True), label=name, **plots.series(number))
    # It would hide the line of what was enrolled: rings about its points.
    axes.plot(
        *zip(*_points(rows, "resident", "loaded"), strict=True),
        label="ours, resident, loaded from segments",
        **plots.rings(0),
    )
    axes.plot(FULL_DIMENSION, BAR, "k_", markersize=18, label=f"bar: {BAR} at 512-d")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    dimensions = sorted({row["dimension"] for row in rows})
    axes.set_xticks(dimensions, [f"{each:,}" for each in dimensions])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("dimension")
    axes.set_ylabel("bytes a template")
    axes.set_title("Memory that a template takes, by dimension")
    axes.legend()
    plots.save(drawn, kept)


def _points(
    rows: list[dict[str, Any]], field: str, how: str
) -> list[tuple[int, float]]:
    """Return dimensions, ascending, and a field of the rows of one kind."""
    return sorted((r["dimension"], r[field]) for r in rows if r["how"] == how)


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("memory", __doc__, quick=QUICK, plots=True)
    parser.add_argument("--dimensions", nargs="+", default=DIMENSIONS)
    parser.add_argument(
        "--records",
        default=500_000,
        help="fewer in high dimension",
    )
    return parser.parse_args()


def main() -> None:
    """Measure every dimension, and print, keep and draw what was found."""
    options = parse()
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings={"records": options.records, "seed": SEED},
        options=options,
    )
    for dimension in options.dimensions:
        if not all(kept.has(dimension=dimension, how=how) for how in HOW):
            tables.progress(f"{dimension}-d")
            kept.add(measure(dimension, options.records))
    rows = sorted(kept.rows, key=lambda row: (row["dimension"], row["how"]))
    kept.show("memory of an engine", COLUMNS, rows, NOTE)
    if options.plot:
        draw(kept, rows)


if __name__ == "__main__":
    command.run(main)
