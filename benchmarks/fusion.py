"""How many people are found by one finger, two, and a finger with a face, as promised?

People are drawn with a face and two fingers each, which are independent of one another.
Some calibrate both spaces, as `biometrics calibrate` does, by files; others search:
people who are enrolled by another capture of theirs, and people who are not. Each
decision is `matcher.fusion`'s on all records, exhaustively: that the exchange decides
so is shown by `tests/exchange/test_several_templates.py`.

Faces are as hard as `enrolment.synthetic` has them by default, fingers harder: the
scores of two people spread more, and of one person they are lower. No figure of these
is that of an extractor. Each search counts with its interval (Clopper and Pearson).

    python -m benchmarks.fusion [--records 12384] [--searches 20000]
        [--calibrating 4000] [--threads 2] [--json [FILE]] [--resume] [--quick]
"""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import command, machine, results, tables
from benchmarks.kit.intervals import clopper_pearson
from benchmarks.kit.tables import Column
from biometrics.calibration import Calibration, Calibrations, FpirClass
from biometrics.templates import Modality, Position, TemplateSpace
from enrolment.synthetic import Population, synthesise
from matcher.fusion import Rule, aim_at

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

KEY: Final = ("templates", "rule", "fpir")
# Harder than faces: pairs of people spread by 0.1, and a person's scores lie lower.
FINGER: Final = {"effective_dimension": 100.0, "mated": 0.76, "goats": 0.06}
FACE, RIGHT, LEFT = Position.FACE, Position.RIGHT_INDEX, Position.LEFT_INDEX
ASKED: Final = ((FACE,), (RIGHT,), (RIGHT, LEFT), (FACE, RIGHT), (FACE, RIGHT, LEFT))
SAMPLES: Final = 2
PROBES_AT_ONCE: Final = 512
QUICK: Final = {"records": 192, "searches": 400, "calibrating": 320}

COLUMNS: Final = (
    Column("templates", "templates"),
    Column("rule", "decided"),
    Column("fpir", "promised\nFPIR"),
    Column("established", "established"),
    Column("realised", "realised\nFPIR", ".2%"),
    Column("realised_low", "95 %\nfrom", ".3%"),
    Column("realised_high", "to", ".3%"),
    Column("fnir", "FNIR", ".2%"),
    Column("fnir_low", "95 %\nfrom", ".2%"),
    Column("fnir_high", "to", ".2%"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of everybody's body: unit vectors, float32 (people, samples, dimension).

    Those who calibrate come first, then those who are enrolled, then strangers.
    """

    space: TemplateSpace
    vectors: NDArray[np.float32]


def draw(position: Position, seed: int, people: int) -> Part:
    """Draw one part of everybody's body."""
    harder = {} if position is FACE else FINGER
    made = synthesise(
        Population(seed=seed, subjects=people, samples=SAMPLES, failed=0.0, **harder)
    )
    vectors = made.embedding.astype(np.float64)
    centre = vectors.mean(axis=0)
    unit = vectors - centre
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    is_face = position is FACE
    space = TemplateSpace(
        name="face" if is_face else "finger",
        modality=Modality.FACE if is_face else Modality.FINGERPRINT,
        extractor="synthetic",
        extractor_version="1",
        positions=frozenset({FACE} if is_face else {RIGHT, LEFT}),
        dimension=unit.shape[1],
        centre=np.zeros(unit.shape[1]),
    )
    # Pairs of look-alikes follow one another: people are dealt, everywhere alike.
    dealt = np.random.default_rng(seed).permutation(people)
    shaped = unit.reshape(people, SAMPLES, -1)[dealt]
    return Part(space, shaped.astype(np.float32))


def calibrated(
    part: Part, position: Position, options: argparse.Namespace
) -> Calibration:
    """Calibrate a space on the enrolled, by searches of those who calibrate."""
    count, last = options.calibrating, options.calibrating + options.records
    from enrolment.calibrate.captures import Captures  # noqa: PLC0415 - of an extra
    from enrolment.calibrate.measure import measure  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory() as folder:
        gallery, probes = Path(folder, "gallery.npz"), Path(folder, "probes.npz")
        # Those who calibrate are enrolled too, so that some searches are mated.
        for path, rows in (
            (gallery, part.vectors[:last, 0]),
            (probes, part.vectors[:count, 1]),
        ):
            subject = np.array([f"p{number}" for number in range(len(rows))])
            np.savez(path, embedding=rows, subject=subject)
        return measure(
            part.space,
            Captures([gallery], part.space, position),
            Captures([probes], part.space, position),
            today=dt.datetime.now(dt.UTC).date(),
            searches=count,
            same={},
            seed=options.seed,
            progress=lambda *_: None,
        ).calibration


def decisions(
    parts: Sequence[Part], rules: Sequence[Rule], rows: slice, sample: int, size: int
) -> NDArray[np.bool_]:
    """Return by which rules each search matches somebody, and whom: (rules, q, 2).

    The last axis is whether it matches its own record, and whether another's.

    Args:
        parts: of the body, in the order of the rules' templates.
        rules: that decide.
        rows: people who search.
        sample: capture that they search with.
        size: people who are enrolled, from the first, each by capture 0.
    """
    people = np.arange(rows.start, rows.stop)
    told = np.zeros((len(rules), len(people), 2), bool)
    lows = [
        min(rule.bands[number].threshold for rule in rules)
        for number in range(len(parts))
    ]
    for start in range(0, len(people), PROBES_AT_ONCE):
        some = people[start : start + PROBES_AT_ONCE]
        scores = np.stack(
            [part.vectors[some, sample] @ part.vectors[:size, 0].T for part in parts]
        )
        # No rule matches a record of which no template reaches its band.
        seen = (scores >= np.array(lows)[:, None, None]).any(axis=0)
        for probe, record in np.argwhere(seen).tolist():
            found = {
                number: [float(score)]
                for number, score in enumerate(scores[:, probe, record])
            }
            kind = int(record != some[probe])
            for place, rule in enumerate(rules):
                told[place, start + probe, kind] |= rule.matches(found)
    return told


def questions(
    spaces: Sequence[TemplateSpace],
    known: dict[str, Calibration],
    comparisons: dict[str, int],
) -> Iterator[tuple[str, FpirClass, bool, Rule]]:
    """Yield each way to decide, promise, whether that is established, and the rule."""
    plain = {name: replace(each, weights=None) for name, each in known.items()}
    ways = {"alone": plain}
    if len(spaces) > 1:
        ways = {"fused": known, "strictest": plain}
    for name, calibrations in ways.items():
        held = Calibrations(calibrations.values())
        aim = aim_at(spaces, held, comparisons.__getitem__)
        for fpir in (FpirClass.HUNDREDTH, FpirClass.THOUSANDTH):
            yield name, fpir, fpir in aim.established, aim.rules[fpir]


def parse() -> argparse.Namespace:
    """Return the options, `--quick` ones instead of defaults if asked for."""
    parser = command.Parser("fusion", __doc__, quick=QUICK)
    parser.add_argument("--records", default=12_384, help="who are enrolled")
    parser.add_argument("--searches", default=20_000, help="of strangers")
    parser.add_argument("--calibrating", default=4_000, help="people")
    parser.add_argument("--threads", default=2)
    parser.add_argument("--seed", type=command.natural, default=1)
    return parser.parse_args()


def main() -> None:
    """Calibrate, search by each set of templates, and print and keep the rates."""
    options = parse()
    machine.use_threads(options.threads)
    names = ("records", "searches", "calibrating", "seed")
    kept = results.Results(
        __doc__.split("\n", maxsplit=1)[0],
        key=KEY,
        settings={name: getattr(options, name) for name in names} | {"finger": FINGER},
        options=options,
    )
    size = options.calibrating + options.records
    tables.progress("people")
    positions = (FACE, RIGHT, LEFT)
    parts = {
        position: draw(position, options.seed + number, size + options.searches)
        for number, position in enumerate(positions)
    }
    known = {}
    for position in (FACE, RIGHT):
        tables.progress(f"calibration of {position}")
        name = parts[position].space.name
        known[name] = calibrated(parts[position], position, options)
    # Both fingers are held, in one space: its calibration has to bear twice as many,
    # rounded up to a power of two. That is why sizes are such.
    comparisons = {"face": size, "finger": 2 * size}
    for asked in ASKED:
        if kept.has(templates=" + ".join(asked)):
            continue
        there = [parts[position] for position in asked]
        ways = list(questions([p.space for p in there], known, comparisons))
        tables.progress(" and ".join(asked))
        rules = [rule for *_, rule in ways]
        strangers = decisions(
            there, rules, slice(size, size + options.searches), 1, size
        )
        mates = decisions(there, rules, slice(options.calibrating, size), 1, size)
        for place, (way, fpir, is_established, _) in enumerate(ways):
            false = int(strangers[place, :, 1].sum())
            missed = int((~mates[place, :, 0]).sum())
            kept.add([_row(asked, way, fpir, is_established, (false, missed), options)])
    kept.show("found and falsely found", COLUMNS)


def _row(
    asked: Sequence[Position],
    way: str,
    fpir: FpirClass,
    is_established: bool,  # noqa: FBT001 - likewise
    counts: tuple[int, int],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return a row."""
    false, missed = counts
    low, high = clopper_pearson(false, options.searches)
    under, over = clopper_pearson(missed, options.records)
    return {
        "templates": " + ".join(asked),
        "rule": way,
        "fpir": fpir.value,
        "established": "yes" if is_established else "no",
        "realised": false / options.searches,
        "realised_low": low,
        "realised_high": high,
        "fnir": missed / options.records,
        "fnir_low": under,
        "fnir_high": over,
    }


if __name__ == "__main__":
    command.run(main)
