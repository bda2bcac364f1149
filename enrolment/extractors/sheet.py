"""The contact sheet: what was found in the first pictures, to be looked at."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

from enrolment.extractors.preview import SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_COLUMNS: Final = 6
_GAP: Final = 12
_CAPTION: Final = 34  # two lines
_FOUND, _REFUSED = "#202020", "#b00000"


def make_sheet(
    shown: Sequence[tuple[NDArray[np.uint8] | None, str, str]],
) -> bytes:
    """Return a PNG.

    Args:
        shown: the pictures, one or more: what is drawn, or None if it could not be
            decoded; which picture of the load it is; and why it is refused, or
            nothing.
    """
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    step, tall = SIDE + _GAP, SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * tall + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, name, refused) in enumerate(shown):
        left = _GAP + number % columns * step
        top = _GAP + number // columns * tall
        if pixels is None:
            draw.rectangle([left, top, left + SIDE, top + SIDE], outline=_REFUSED)
        else:
            sheet.paste(Image.fromarray(pixels), (left, top))
        draw.text((left, top + SIDE + 2), name, fill=_FOUND)
        draw.text((left, top + SIDE + 16), refused, fill=_REFUSED)
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return data.getvalue()
