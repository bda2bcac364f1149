"""What a worker process does with one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.errors import Fault, InvalidRequestError
from enrolment.extractors.answer import Answer
from enrolment.extractors.picture import decode
from enrolment.extractors.preview import draw_preview

if TYPE_CHECKING:
    from enrolment.extractors.extractor import Extractor


def answer(extractor: Extractor, data: bytes, *, preview: bool) -> Answer:
    """Return what becomes of a picture; never raises.

    Args:
        extractor: what to extract with.
        data: the picture's file.
        preview: whether a small picture is wanted with what was found drawn in.
    """
    picture = extracted = None
    faults: tuple[Fault, ...] = ()
    try:
        picture = decode(data)
        extracted = extractor.extract(picture)
    except InvalidRequestError as error:
        faults = (Fault(field="", reason=error.reason, message=error.message),)
    except MemoryError:
        told = "needs more memory than there is"
        faults = (Fault(field="", reason="PICTURE_TOO_LARGE", message=told),)
    except Exception as error:  # noqa: BLE001 - a package's own, of any sort
        told = f"cannot be extracted: the extractor raised {type(error).__name__}"
        faults = (Fault(field="", reason="NOT_EXTRACTED", message=told),)
    drawn = None
    if preview and picture is not None:
        drawn = draw_preview(picture, extracted)
    return Answer(extracted=extracted, faults=faults, preview=drawn)
