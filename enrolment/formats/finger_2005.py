"""Edition 2005 of ISO/IEC 19794-2: the views of a record, behind its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from biometrics import limits
from enrolment.formats.finger import FingerView
from enrolment.formats.finger_fields import (
    FINGERS,
    pass_extended,
    read_code,
    read_minutia_list,
    read_rate,
    read_size,
    read_view_count,
)

if TYPE_CHECKING:
    from enrolment.formats.octets import Octets

_IMPRESSIONS: Final = frozenset({0, 1, 2, 3, 8})


def read_2005(octets: Octets) -> tuple[FingerView, ...]:
    """Read what follows the length in edition 2005."""
    octets.uint(2, "capture_equipment")  # certification and a vendor's number
    width, height = read_size(octets, ""), read_size(octets, "", "height")
    horizontal, vertical = read_rate(octets, ""), read_rate(octets, "", "vertical")
    count = read_view_count(octets, 1)
    octets.check("reserved", octets.uint(1, "reserved") == 0, "must be 0")
    views = []
    for number in range(count):
        where = f"views[{number}]."
        position = read_code(octets, f"{where}position", FINGERS)
        packed = octets.uint(1, f"{where}impression")
        impression = packed & 0x0F
        octets.check(
            f"{where}impression",
            impression in _IMPRESSIONS,
            f"`{impression}` is no code of the standard",
        )
        quality = octets.uint(1, f"{where}quality")
        octets.check(
            f"{where}quality",
            quality <= limits.MAX_QUALITY,
            f"`{quality}` is more than {limits.MAX_QUALITY}",
        )
        size = (width, height)
        minutiae = read_minutia_list(octets, where, size, _read_quality)
        views.append(
            FingerView(
                position_code=position,
                view=packed >> 4,
                impression=impression,
                width=width,
                height=height,
                horizontal=horizontal,
                vertical=vertical,
                quality=quality or None,  # 0: the standard's worst, or not reported
                minutiae=minutiae,
                extended_bytes=pass_extended(octets, where),
            )
        )
    return tuple(views)


def _read_quality(octets: Octets, where: str) -> int | None:
    """Read a minutia's quality; 0 says that there is none."""
    quality = octets.uint(1, where)
    octets.check(where, quality <= limits.MAX_QUALITY, f"`{quality}` is more than 100")
    return quality or None
