"""A calibration as a file: strict TOML, every fault at once.

    version = 1
    space = "face-own"
    definition = "face-own@5f..."  # of the space; may be left out if not measured
    basis = "measured"             # or "vendor", "unmeasured"
    dated = 2026-11-26
    method = "search maxima; generalised Pareto tail; bootstrap by subject"

    [evidence]                     # if measured, and only then
    searches = 30000
    subjects = 30000
    comparisons = 100000
    interval = 0.95

    [[threshold]]                  # three classes; each ascending
    fpir = "1e-3"
    comparisons = 131072           # a power of two; left out: however many
    cosine = 0.4102                # the safe end of the interval
    estimate = 0.4050              # if measured
    low = 0.4001                   # likewise
    established = true             # likewise; refused where the evidence is too little

    [fusion]                       # if mated searches were measured; may be left out
    mates = 2950
    decades = [0.0, 0.25, 0.5]     # of the false match rate, and so on
    cosine = [-1.0, 0.02, 0.04]    # that is reached so rarely
    weight = [-2.1, -1.8, -1.3]    # decimal logarithm of its likelihood ratio

A file claims no more than its own figures bear: a class is established only from
`searches_needed` subjects on, and only up to `comparisons_supported`.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final

from pydantic import Field

from biometrics import limits
from biometrics.calibration.calibration import Calibration, Evidence, Row
from biometrics.calibration.promise import (
    FpirClass,
    comparisons_supported,
    rarest_supported,
    rounded_up,
    searches_needed,
)
from biometrics.calibration.weights import Weights
from biometrics.errors import Fault
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    Word,
    configuration_error,
    decode_text,
)
from biometrics.templates import Basis, TemplateSpace

_TABLE: Final = "threshold"
_Count = Annotated[int, Field(ge=1, le=limits.MAX_COMPARISONS)]
_Cosine = Annotated[float, Field(gt=0.0, lt=1.0)]
_Text = Annotated[Line, Field(max_length=limits.MAX_METHOD_CHARACTERS)]


class _Evidence(Settings):
    """The table `[evidence]`."""

    searches: _Count
    subjects: _Count
    comparisons: _Count
    interval: Annotated[float, Field(gt=0.0, lt=1.0)]


class _Threshold(Settings):
    """One table `[[threshold]]`."""

    fpir: Word[FpirClass]
    comparisons: _Count | None = None
    cosine: _Cosine
    estimate: _Cosine | None = None
    low: _Cosine | None = None
    established: bool = False


_Steps = Field(min_length=2, max_length=limits.MAX_WEIGHTS)
_Weight = Annotated[float, Field(gt=-100.0, lt=100.0)]


class _Fusion(Settings):
    """The table `[fusion]`."""

    mates: _Count
    decades: Annotated[list[Annotated[float, Field(ge=0.0)]], _Steps]
    cosine: Annotated[list[Annotated[float, Field(ge=-1.0, lt=1.0)]], _Steps]
    weight: Annotated[list[_Weight], _Steps]


class _CalibrationFile(SettingsFile):
    """The whole file."""

    space: str
    definition: str | None = None
    basis: Word[Basis]
    dated: dt.date
    method: _Text
    evidence: _Evidence | None = None
    threshold: Annotated[
        list[_Threshold], Field(min_length=1, max_length=limits.MAX_THRESHOLDS)
    ]
    fusion: _Fusion | None = None


def parse_calibration(data: bytes, source: str, space: TemplateSpace) -> Calibration:
    """Read the calibration of a template space.

    Args:
        data: of the file.
        source: its name, for messages.
        space: that it must be of.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(decode_text(data, source), source)
    file = document.read_as(_CalibrationFile)
    faults = [
        *_space_faults(document, file, space),
        *_evidence_faults(document, file),
        *_order_faults(document, file),
        *_fusion_faults(document, file),
    ]
    if not faults:
        calibration = _value(file, data)
        faults = list(_class_faults(document, calibration))
        if not faults:
            return calibration
    raise configuration_error(faults)


def _value(file: _CalibrationFile, data: bytes) -> Calibration:
    """Return the file as a value."""
    rows = sorted(
        (
            Row(
                fpir=row.fpir,
                comparisons=row.comparisons,
                cosine=row.cosine,
                estimate=row.estimate,
                low=row.low,
                is_established=row.established,
            )
            for row in file.threshold
        ),
        key=lambda row: -row.fpir.rate,  # a stable sort: rows of a class ascend
    )
    evidence = file.evidence
    return Calibration(
        space=file.space,
        definition=file.definition,
        basis=file.basis,
        dated=file.dated,
        method=file.method,
        evidence=Evidence(**evidence.model_dump()) if evidence else None,
        rows=tuple(rows),
        digest=hashlib.sha256(data).hexdigest(),
        weights=_weights(file.fusion) if file.fusion else None,
    )


def _weights(fusion: _Fusion) -> Weights:
    """Return the table as a value."""
    return Weights(
        mates=fusion.mates,
        cosines=tuple(fusion.cosine),
        decades=tuple(fusion.decades),
        weights=tuple(fusion.weight),
    )


def _class_faults(document: Document, calibration: Calibration) -> Iterator[Fault]:
    """Yield where a stricter class would match sooner than another."""
    sizes = {row.comparisons or limits.MAX_COMPARISONS for row in calibration.rows}
    for size in sorted(sizes):
        told = calibration.thresholds(size)
        for looser, stricter in pairwise(FpirClass):
            if told[stricter].cosine < told[looser].cosine:
                message = (
                    f"of {stricter} must be no lower than that of {looser}; it is, for"
                    f" {size:,} comparisons"
                )
                yield document.fault((_TABLE,), "WRONG_ORDER", message)


def _space_faults(
    document: Document, file: _CalibrationFile, space: TemplateSpace
) -> Iterator[Fault]:
    """Yield what shows that a calibration is another space's."""
    if file.space != space.name:
        told = f"must be `{space.name}`, whose file this is"
        yield document.fault(("space",), "WRONG_SPACE", told)
    elif file.definition not in {None, space.identity}:
        told = (
            f"is of another definition of `{space.name}` than that of today,"
            f" `{space.identity}`: extractor or centre differ; calibrate anew"
        )
        yield document.fault(("definition",), "WRONG_DEFINITION", told)
    if file.definition is None and file.basis is Basis.MEASURED:
        told = "is missing; a measurement is of one definition of a space"
        yield document.fault(("definition",), "MISSING_KEY", told)


def _evidence_faults(document: Document, file: _CalibrationFile) -> Iterator[Fault]:
    """Yield where a calibration claims more than its figures bear."""
    evidence = file.evidence
    if (evidence is None) is (file.basis is Basis.MEASURED):
        told = "belongs to the basis `measured`, and to no other"
        yield document.fault(("evidence",), "WRONG_EVIDENCE", told)
        return
    if evidence is not None and evidence.subjects > evidence.searches:
        told = "are more than searches; every one made one or more"
        yield document.fault(("evidence", "subjects"), "WRONG_EVIDENCE", told)
    for number, row in enumerate(file.threshold):
        if row.established:
            yield from _claim_faults(document, number, row, evidence)


def _claim_faults(
    document: Document, number: int, row: _Threshold, evidence: _Evidence | None
) -> Iterator[Fault]:
    """Yield why a row that says so is not established."""
    place = (_TABLE, number, "established")
    if evidence is None or row.comparisons is None:
        told = "is for thresholds that were measured for a number of comparisons"
        yield document.fault(place, "NOT_ESTABLISHED", told)
        return
    needed = searches_needed(row.fpir)
    if evidence.subjects < needed:
        told = f"takes searches of {needed:,} subjects, not {evidence.subjects:,}"
        yield document.fault(place, "NOT_ESTABLISHED", told)
    most = comparisons_supported(evidence.comparisons)
    if row.comparisons > most:
        told = f"holds up to {most:,} comparisons; calibrate on larger galleries"
        yield document.fault(place, "NOT_ESTABLISHED", told)


def _order_faults(document: Document, file: _CalibrationFile) -> Iterator[Fault]:
    """Yield where thresholds are missing, or are no steps upwards."""
    numbers = list(enumerate(file.threshold))
    for fpir in FpirClass:
        rows = [(number, row) for number, row in numbers if row.fpir is fpir]
        if not rows:
            told = f"has no threshold for the class {fpir}; give one of each"
            yield document.fault((_TABLE,), "MISSING_CLASS", told)
        for (_, before), (number, row) in pairwise(rows):
            if before.comparisons is None or (
                row.comparisons is not None and row.comparisons <= before.comparisons
            ):
                told = "must be more than in the threshold of this class before"
                place = (_TABLE, number, "comparisons")
                yield document.fault(place, "WRONG_ORDER", told)
            if row.cosine < before.cosine:
                told = "must be no lower than in the threshold of this class before"
                yield document.fault((_TABLE, number, "cosine"), "WRONG_ORDER", told)
    for number, row in numbers:
        if row.comparisons is not None and row.comparisons != rounded_up(
            row.comparisons
        ):
            told = f"must be a power of two, such as {rounded_up(row.comparisons)}"
            yield document.fault((_TABLE, number, "comparisons"), "WRONG_COUNT", told)


_FUSION: Final = "fusion"
_SLACK: Final = 1e-6  # of what is expected, for numbers that were rounded


def _fusion_faults(document: Document, file: _CalibrationFile) -> Iterator[Fault]:
    """Yield where weights are no steps, or weigh more than was measured."""
    fusion, evidence = file.fusion, file.evidence
    if fusion is None:
        return
    if evidence is None:
        told = "belongs to the basis `measured`, and to no other"
        yield document.fault((_FUSION,), "WRONG_EVIDENCE", told)
        return
    faults = list(_step_faults(document, fusion))
    yield from faults
    most = rarest_supported(evidence.subjects, evidence.comparisons)
    if fusion.decades[-1] > most:
        told = f"must end by {most:.2f}, which is all that so many searches support"
        yield document.fault((_FUSION, "decades"), "NOT_ESTABLISHED", told)
    expected = 0.0 if faults else _weights(fusion).expected
    if expected > 1 + _SLACK:
        told = (
            f"weighs too much: strangers' likelihood ratios are {expected:.4f} on"
            " average, and may be 1"
        )
        yield document.fault((_FUSION, "weight"), "NOT_ESTABLISHED", told)


def _step_faults(document: Document, fusion: _Fusion) -> Iterator[Fault]:
    """Yield where weights are no steps upwards from the beginning on."""
    if not len(fusion.decades) == len(fusion.cosine) == len(fusion.weight):
        told = "must have as many of each of `decades`, `cosine` and `weight`"
        yield document.fault((_FUSION,), "WRONG_COUNT", told)
    if (fusion.decades[0], fusion.cosine[0]) != (0.0, -1.0):
        told = "must begin with 0 decades at a cosine of -1"
        yield document.fault((_FUSION,), "WRONG_ORDER", told)
    for name in ("decades", "cosine"):
        if any(after <= before for before, after in pairwise(getattr(fusion, name))):
            told = "must rise from step to step"
            yield document.fault((_FUSION, name), "WRONG_ORDER", told)
    if sorted(fusion.weight) != fusion.weight:
        told = "must not fall from step to step"
        yield document.fault((_FUSION, "weight"), "WRONG_ORDER", told)


def write_calibration(calibration: Calibration) -> str:
    """Return a calibration as the text of its file; the digest is not in it."""
    lines = [
        "# The thresholds of one template space: where a search matches, by the FPIR",
        "# that an agreement promises and the comparisons that the exchange makes.",
        "# `biometrics calibrate` makes it; restart the exchange after an edit.",
        "version = 1",
        f"space = {json.dumps(calibration.space)}",
    ]
    if calibration.definition is not None:
        lines.append(f"definition = {json.dumps(calibration.definition)}")
    lines += [
        f'basis = "{calibration.basis}"',
        f"dated = {calibration.dated.isoformat()}",
        f"method = {json.dumps(calibration.method)}",
    ]
    if evidence := calibration.evidence:
        lines += [
            "",
            "[evidence]",
            f"searches = {evidence.searches}",
            f"subjects = {evidence.subjects}",
            f"comparisons = {evidence.comparisons}",
            f"interval = {evidence.interval!r}",
        ]
    if weights := calibration.weights:
        lines += [
            "",
            "# By which a score is weighed beside those of other fingers, or a face.",
            "[fusion]",
            f"mates = {weights.mates}",
            f"decades = {json.dumps(weights.decades)}",
            f"cosine = {json.dumps(weights.cosines)}",
            f"weight = {json.dumps(weights.weights)}",
        ]
    for row in calibration.rows:
        lines += ["", "[[threshold]]", *_row_lines(row)]
    return "\n".join([*lines, ""])


def _row_lines(row: Row) -> Iterator[str]:
    """Yield the lines of one threshold."""
    yield f'fpir = "{row.fpir}"'
    if row.comparisons is not None:
        yield f"comparisons = {row.comparisons}"
    yield f"cosine = {row.cosine!r}"
    if row.estimate is not None:
        yield f"estimate = {row.estimate!r}"
    if row.low is not None:
        yield f"low = {row.low!r}"
    if row.is_established:
        yield "established = true"
