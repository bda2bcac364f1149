"""Which size of code makes a search cheapest, by how hard the gallery is?

Shorter codes are scanned faster and let more strangers pass, who must then be compared
by the finer code, and what is left of them opened. The engine's own recipe makes codes
of other sizes here; everything else is the engine as it is, on one thread.

    python -m benchmarks.codes [--records 262144]
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.galleries import Gallery
from benchmarks.kit.machine import use_threads
from benchmarks.kit.timing import paired
from matcher.engine import recipe
from matcher.engine.code import Code, Error
from matcher.engine.probes import Coding, Probes
from matcher.engine.rotation import Rotation
from matcher.engine.segment import Segment, joined
from matcher.engine.shape import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION = 512
LENGTHS = (8, 4, 2)  # components of a sub-vector
THRESHOLDS = (0.3, 0.4, 0.45, 0.5)
PROBES = 32
OPENING_MICROSECONDS = 26.0  # a sealed template with its row, as the review measured it
MEGA = 1_000_000


QUICK = {"records": 4096, "rounds": 1}


def code_of(length: int) -> Code:
    """Return the code of 512-d vectors with sub-vectors of some length.

    The engine's own is as it is; the cuts of the others are those of a normal error.
    """
    if length == Shape.of(DIMENSION).length:
        return Code.of(DIMENSION)
    book = Code.book()
    random = np.random.default_rng(recipe.SEED)
    centres = np.array(book["centroids"][str(length)])
    amplitude = book["amplitudes"][str(length)]
    coarse, fine = recipe.measure(DIMENSION, centres, amplitude, random)
    centroids = (centres / np.sqrt(DIMENSION)).astype(np.float32)
    apart = centroids[:, None] - centroids
    return Code(
        shape=Shape(DIMENSION, DIMENSION, DIMENSION // length, length),
        centroids=centroids,
        amplitude=amplitude / np.sqrt(DIMENSION),
        coarse=Error(*coarse),
        fine=Error(*fine),
        widest=float(np.linalg.norm(apart, axis=2).max()),
    )


def segment_of(gallery: Gallery, code: Code, records: int) -> Segment:
    """Return a whole gallery as one segment."""
    coding = Coding(code, Rotation(secrets.token_bytes(32), code.shape))
    pieces = [
        Segment.empty(coding).grown(np.arange(rows.start, rows.stop), vectors)
        for rows, vectors in gallery.blocks(records)
    ]
    (whole,) = joined(pieces, 1 << 24)
    return whole


def measure(
    segments: dict[int, Segment],
    vectors: NDArray[np.float32],
    threshold: float,
    rounds: int,
) -> list[dict[str, Any]]:
    """Return a row for each length, searched at one threshold."""
    thresholds = np.full(len(vectors), threshold)
    ready = {
        length: Probes.of(segment.coding, vectors, thresholds)
        for length, segment in segments.items()
    }
    lone = {
        length: [
            Probes.of(segment.coding, vector[None], thresholds[:1])
            for vector in vectors
        ]
        for length, segment in segments.items()
    }

    def one(length: int, number: int) -> None:
        segments[length].search(lone[length][number % len(vectors)])

    def all_at_once(length: int, _: int) -> None:
        segments[length].search(ready[length])

    alone = paired({str(n): partial(one, n) for n in segments}, rounds)
    batch = paired({str(n): partial(all_at_once, n) for n in segments}, rounds)
    rows = []
    for length, segment in segments.items():
        probes = ready[length]
        share = MEGA / len(segment) / len(vectors)
        cut = max(float(probes.coarse.min()), 1e-3)
        passed = len(segment.coarse.search(probes.turned, cut)[1]) * share
        opened = sum(map(len, segment.search(probes))) * share
        each = 1e3 * batch.median(str(length)) * MEGA / len(segment) / len(vectors)
        rows.append(
            {
                "threshold": threshold,
                "bytes": DIMENSION // length // 2,
                "passed": passed,
                "opened": opened,
                "one_ms": 1e3 * alone.median(str(length)) * MEGA / len(segment),
                "each_ms": each,
                "with_opening_ms": each + opened * OPENING_MICROSECONDS / 1e3,
            }
        )
    return rows


COLUMNS = (
    tables.Column("gallery", "gallery"),
    tables.Column("threshold", "threshold", ".2f"),
    tables.Column("bytes", "bytes scanned", ",d"),
    tables.Column("passed", "pass, of a million", ",.0f"),
    tables.Column("opened", "opened, of a million", ",.1f"),
    tables.Column("one_ms", "1 probe, ms", ".2f"),
    tables.Column("each_ms", "32, each", ".2f"),
    tables.Column("with_opening_ms", "32, each, and opened", ".2f"),
)


def main() -> None:
    """Measure every size of code."""
    parser = command.Parser("codes", __doc__, quick=QUICK)
    parser.add_argument("--records", default=1 << 18)
    parser.add_argument("--rounds", default=7)
    options = parser.parse_args()
    use_threads(1)
    found = results.Results(
        "which size of code makes a search cheapest?",
        key=("gallery", "threshold", "bytes"),
        settings={"records": options.records, "dimension": DIMENSION},
        options=options,
    )
    codes = {length: code_of(length) for length in LENGTHS}
    for gallery in (Gallery(7), Gallery(7, effective_dimension=180.0)):
        segments = {
            n: segment_of(gallery, c, options.records) for n, c in codes.items()
        }
        vectors = gallery.non_mated(PROBES)
        for threshold in THRESHOLDS:
            rows = measure(segments, vectors, threshold, options.rounds)
            found.add([{"gallery": gallery.name} | row for row in rows])
    found.show("one thread, as for a million templates", COLUMNS)


if __name__ == "__main__":
    command.run(main)
