"""Writes finger minutiae as a record of ISO/IEC 19794-2:2005, which `minutiae` reads.

Laid out by the same open descriptions as the reader, see `README.md` beside this
module; without extended data.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from enrolment.formats.finger import FingerView, Minutia

_HEADER: Final = struct.Struct(">8sIHHHHHBB")
_VIEW: Final = struct.Struct(">BBBB")
_MINUTIA: Final = struct.Struct(">HHBB")
_NO_EQUIPMENT: Final = 0
_NO_EXTENDED: Final = b"\0\0"


def write_minutiae(view: FingerView) -> bytes:
    """Return a record of one view.

    Args:
        view: at most 255 minutiae, each within the image; sides below 2**14.
    """
    body = _VIEW.pack(
        view.position_code,
        view.view << 4 | view.impression,
        view.quality or 0,
        len(view.minutiae),
    )
    body += b"".join(_packed(minutia) for minutia in view.minutiae) + _NO_EXTENDED
    header = _HEADER.pack(
        b"FMR\0 20\0",
        _HEADER.size + len(body),
        _NO_EQUIPMENT,
        view.width,
        view.height,
        view.horizontal,
        view.vertical,
        1,  # view
        0,
    )
    return header + body


def _packed(minutia: Minutia) -> bytes:
    """Return the six bytes of a minutia."""
    return _MINUTIA.pack(
        minutia.type << 14 | minutia.x, minutia.y, minutia.angle, minutia.quality or 0
    )
