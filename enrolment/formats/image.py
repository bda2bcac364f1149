"""An image as a container holds it; an extractor makes a template of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biometrics.templates import Modality


class Coding(StrEnum):
    """How the bytes of an image are coded."""

    RAW = "raw"  # rows from the top, pixels from the left, of 8 bits a component
    WSQ = "WSQ"
    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_2000 = "JPEG 2000"
    PNG = "PNG"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSample:
    """One image of one sample, not decoded.

    Attributes:
        data: as it is coded.
        coding: how.
        width: in pixels, as the container says.
        height: likewise.
        horizontal: pixels per centimetre, or None if the container does not say.
        vertical: likewise.
        modality: of what it shows, or None if that is none that is compared here.
        position: word such as `right-thumb`, or None if it is not one known position.
        quality: 0 to 100, or None if it was not reported.
    """

    data: bytes = field(repr=False)
    coding: Coding
    width: int
    height: int
    horizontal: int | None
    vertical: int | None
    modality: Modality | None
    position: str | None
    quality: int | None
