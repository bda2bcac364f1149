"""What is wrong with a record before it is sent; the exchange has the last word.

The same fields and reasons as the exchange has, of all that can be seen without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import Fault
from biometrics.templates import Position
from enrolment.admission import count_faults, reference_faults
from enrolment.formats.finger import FingerView
from enrolment.formats.image import ImageSample
from enrolment.formats.source import PictureSample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from enrolment.formats.source import Found, Sample

NO_EXTRACTOR: Final = "NO_EXTRACTOR"
NOT_EXTRACTED: Final = "PICTURE_NOT_EXTRACTED"
_POSITIONS: Final = frozenset(position.value for position in Position)


def record_faults(found: Found) -> list[Fault]:
    """Return everything that is wrong with a record."""
    faults = reference_faults(found.reference) + count_faults(len(found.samples))
    for number, sample in enumerate(found.samples):
        faults += [
            fault.under(f"templates[{number}]") for fault in _sample_faults(sample)
        ]
    return faults


def _sample_faults(sample: Sample) -> Iterator[Fault]:
    """Yield what is wrong with a sample."""
    if isinstance(sample, PictureSample):
        message = (
            "is a picture, whose extractor the exchange's template space names; try it"
            " without an exchange by `biometrics extract`"
        )
        yield Fault(field="data", reason=NOT_EXTRACTED, message=message)
        return
    if isinstance(sample, ImageSample):
        message = "is an image; enrol the embedding that an extractor makes of it"
        yield Fault(field="data", reason=NO_EXTRACTOR, message=message)
        return
    if isinstance(sample, FingerView):
        if fault := minutiae_fault(sample):
            yield fault
        return
    if sample.position is not None and sample.position not in _POSITIONS:
        shown = sample.position[: limits.MAX_NAME_CHARACTERS]
        message = f"`{shown}` is no position; there are {', '.join(sorted(_POSITIONS))}"
        yield Fault(field="position", reason="WRONG_POSITION", message=message)
    if sample.quality is not None and not 0 <= sample.quality <= limits.MAX_QUALITY:
        message = f"must be 0 to {limits.MAX_QUALITY}, or left out"
        yield Fault(field="quality", reason="WRONG_QUALITY", message=message)
    if fault := _vector_fault(sample.vector):
        yield fault


def minutiae_fault(view: FingerView) -> Fault | None:
    """Return what is wrong with a print, if anything is."""
    least, most = limits.MIN_MINUTIAE, limits.MAX_MINUTIAE
    count = len(view.minutiae)
    if not least <= count <= most:
        reason = "TOO_FEW_MINUTIAE" if count < least else "TOO_MANY_MINUTIAE"
        message = (
            f"{count} minutiae; there are {least} to {most}: an empty or a partial"
            " print has too few to be compared; capture again"
        )
        return Fault(field="data", reason=reason, message=message)
    if (view.placed()[:, :2] > limits.MAX_MINUTIA_PIXELS).any():
        message = (
            f"a minutia lies beyond {limits.MAX_MINUTIA_PIXELS} pixels at 500 an inch:"
            " is the resolution that the record gives right?"
        )
        return Fault(field="data", reason="WRONG_PLACE", message=message)
    return None


def _vector_fault(vector: NDArray[np.floating]) -> Fault | None:
    """Return what is wrong with a vector, if anything is."""
    least, most = limits.MIN_DIMENSION, limits.MAX_DIMENSION
    if not least <= len(vector) <= most:
        message = f"{len(vector)} components; there are {least} to {most}"
        return Fault(field="data", reason="WRONG_DIMENSION", message=message)
    sent = vector
    if vector.dtype != np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            sent = vector.astype(np.float32)
    # One pass says that all is well: no NaN or Inf has a finite square, nor zeros one.
    if 0 < np.vdot(sent, sent) < math.inf:
        return None
    if not np.isfinite(sent).all():
        message = "every component must be finite as float32; found NaN or Inf"
        return Fault(field="data", reason="NOT_FINITE", message=message)
    if not sent.any():
        message = "the vector is zero; the extractor failed, capture again"
        return Fault(field="data", reason="ZERO_VECTOR", message=message)
    return None
