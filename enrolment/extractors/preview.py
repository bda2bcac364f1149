"""A small picture with what was found drawn in, for a contact sheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from enrolment.formats.finger import FingerView, MinutiaType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Extracted, Picture

SIDE: Final = 280  # pixels, of the longer side
_FACE: Final = "#00c040"
_COLOURS: Final = {
    MinutiaType.ENDING: "#d02020",
    MinutiaType.BIFURCATION: "#1050d0",
    MinutiaType.OTHER: "#808000",
}
_DOT: Final = 3
_TAIL: Final = 11  # pixels, in the minutia's direction


def draw_preview(picture: Picture, extracted: Extracted | None) -> NDArray[np.uint8]:
    """Return the picture made small, with a face's box or a print's minutiae.

    A minutia is a dot with a line in its direction: red where a ridge ends, blue where
    it forks.
    """
    image = Image.fromarray(picture.pixels)
    image.thumbnail((SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    if extracted is not None and extracted.box is not None:
        scale = image.width / picture.pixels.shape[1]
        draw.rectangle([edge * scale for edge in extracted.box], outline=_FACE, width=3)
    if extracted is not None and isinstance(extracted.sample, FingerView):
        _draw_minutiae(draw, extracted.sample, image.width / extracted.sample.width)
    return np.array(image, np.uint8)


def _draw_minutiae(draw: ImageDraw.ImageDraw, view: FingerView, scale: float) -> None:
    """Draw the minutiae of a view."""
    for minutia in view.minutiae:
        x, y = minutia.x * scale, minutia.y * scale
        turned = minutia.angle * math.tau / 256
        end = (x + _TAIL * math.cos(turned), y - _TAIL * math.sin(turned))
        colour = _COLOURS[minutia.type]
        draw.line([(x, y), end], fill=colour, width=2)
        draw.ellipse([x - _DOT, y - _DOT, x + _DOT, y + _DOT], outline=colour, width=2)
