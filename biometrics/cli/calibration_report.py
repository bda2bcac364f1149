"""What a calibration found, for people or for a program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.calibration import FpirClass, comparisons_supported, searches_needed
from biometrics.cli.output import counted, print_line, print_note, print_table
from enrolment.calibrate.rates import slices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from biometrics.calibration import Weights
    from enrolment.calibrate.measure import Measured, Pair
    from enrolment.calibrate.rates import Rate


def show(measured: Measured, *, has_review: bool) -> None:
    """Print it."""
    found, calibration = measured.searches, measured.calibration
    mated = int(found.is_mated.sum())
    size = found.sizes[-1]
    print_line(
        f"{counted(len(found.probes), 'search')} against {counted(size, 'template')},"
        f" each but for the person's own; {mated:,} mated as well"
    )
    for reason, count in sorted(measured.refused.items()):
        if count:
            print_note(f"passed over: {counted(count, 'vector')}, {reason}")
    print_table(
        ("FPIR", "threshold", "estimate, 95 %", "of these searches", "FNIR there"),
        [_class_row(measured, fpir) for fpir in FpirClass],
        texts=("estimate, 95 %", "FNIR there"),
    )
    for fpir in FpirClass:
        print_line(_established(fpir, calibration.reach(fpir)))
    print_line(_fused(calibration.weights))
    for fpir in FpirClass:
        parts = [each for each in slices(measured, fpir) if each.by != "all"]
        if parts and calibration.reach(fpir):
            print_line(f"at the threshold of {fpir}:")
            print_table(
                ("by", "", "FPIR, 95 %", "FNIR, 95 %"),
                [
                    (each.by, each.name, _told(each.fpir), _told(each.fnir))
                    for each in parts
                ],
            )
    _show_pairs(measured.pairs, has_review=has_review)


def document(
    measured: Measured, path: Path, pictures: Sequence[Path]
) -> dict[str, object]:
    """Return what a program is told; of persons nothing."""
    found, calibration = measured.searches, measured.calibration
    evidence = calibration.evidence
    return {
        "space": calibration.space,
        "calibration": str(path),
        "pictures": [str(picture) for picture in pictures],
        "searches": len(found.probes),
        "subjects": evidence.subjects if evidence else 0,
        "mated_searches": int(found.is_mated.sum()),
        "weighed_by": calibration.weights.mates if calibration.weights else 0,
        "comparisons": found.sizes[-1],
        "supports_comparisons": comparisons_supported(found.sizes[-1]),
        "passed_over": dict(measured.refused),
        "classes": [
            {
                "fpir": fpir,
                "threshold": measured.threshold(fpir),
                "established_up_to": calibration.reach(fpir),
                "rates": [
                    {
                        "by": each.by,
                        "name": each.name,
                        "fpir": _document(each.fpir),
                        "fnir": _document(each.fnir),
                    }
                    for each in slices(measured, fpir)
                ],
            }
            for fpir in FpirClass
        ],
        "thresholds": [
            {
                "fpir": row.fpir,
                "comparisons": row.comparisons,
                "cosine": row.cosine,
                "estimate": row.estimate,
                "low": row.low,
                "established": row.is_established,
            }
            for row in calibration.rows
        ],
        "highest_pairs": [
            {"score": round(pair.score, 4), "doubtful": pair.is_doubtful}
            for pair in measured.pairs
        ],
    }


def _class_row(measured: Measured, fpir: FpirClass) -> tuple[object, ...]:
    """Return what is told of a class."""
    calibration = measured.calibration
    size = measured.searches.sizes[-1]
    row = next(
        each
        for each in calibration.rows
        if each.fpir is fpir and each.comparisons and each.comparisons >= size
    )
    whole = next(iter(slices(measured, fpir)))
    return (
        fpir,
        f"{row.cosine:.4f}",
        f"{row.estimate:.4f} ({row.low:.4f} to {row.cosine:.4f})",
        f"{whole.fpir.errors:,} of {whole.fpir.trials:,}",
        _told(whole.fnir),
    )


def _established(fpir: FpirClass, reach: int) -> str:
    """Return how far a class is established."""
    if reach:
        return f"{fpir} is established, up to {reach:,} comparisons"
    needed = searches_needed(fpir)
    return f"{fpir} is not established: that takes searches of {needed:,} people"


def _fused(weights: Weights | None) -> str:
    """Return whether scores can be fused with others of the same person."""
    if weights is None:
        least = limits.LEAST_CALIBRATION_SUBJECTS
        return (
            "scores cannot be fused with those of other templates of a person: that"
            f" takes {least} people with a second capture"
        )
    return (
        "scores can be fused with those of other templates of a person, by"
        f" {counted(weights.mates, 'mated search')}"
    )


def _show_pairs(pairs: Sequence[Pair], *, has_review: bool) -> None:
    """Print the highest scores of different people, and what to do about them."""
    doubtful = [pair for pair in pairs if pair.is_doubtful]
    if not doubtful:
        print_line("no score of two people is out of the ordinary")
        return
    print_line(
        f"{counted(len(doubtful), 'pair')} of people so much alike that they may be one"
        " person under two references, or failed captures. Look at each, and calibrate"
        " again: with `--same FILE.csv` for those that are one person, without the"
        " captures that failed. Each of them raises the thresholds."
    )
    # A reference may be seen by the operator who has the file, and by no log.
    named = sys.stdout.isatty()
    print_table(
        ("searched with", "found", "score", "searches expected so high"),
        [
            (
                pair.probe.subject if named else "hidden; use --review",
                pair.found.subject if named else "hidden; use --review",
                f"{pair.score:.3f}",
                f"{pair.expected:.1g}",
            )
            for pair in doubtful[: limits.MAX_REFUSALS_SHOWN]
        ],
        texts=("searched with", "found"),
    )
    if (more := len(doubtful) - limits.MAX_REFUSALS_SHOWN) > 0:
        told = "" if has_review else "; `--review FILE.csv` takes all"
        print_line(f"and {more:,} more{told}")


def _told(rate: Rate) -> str:
    """Return a rate in per cent, with its interval."""
    if rate.value is None:
        return "-"
    low, high = rate.interval
    return f"{100 * rate.value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def _document(rate: Rate) -> dict[str, object]:
    """Return a rate for JSON."""
    low, high = rate.interval
    return {"errors": rate.errors, "trials": rate.trials, "low": low, "high": high}
