"""Edition 2011 of ISO/IEC 19794-2: the views of a record, behind its length."""

from __future__ import annotations

import datetime as dt
import struct
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

_IMPRESSIONS: Final = frozenset({*range(10), 24, 28, 29})
# Those above 10 are several fingers in one image.
_POSITIONS: Final = FINGERS | {13, 14, 15, *range(40, 51)}
_MOST_TECHNOLOGY: Final = 20
_MOST_VIEW: Final = 15
_BARE_BYTES: Final = 5  # of a minutia
_RATED_BYTES: Final = 6  # of one with its quality
_MOMENT: Final = struct.Struct(">HBBBBBH")  # year to second, milliseconds
_FILLER: Final = b"\xff"
_UNSAID: Final = frozenset({254, 255})  # quality not reported, or failed


def read_2011(octets: Octets) -> tuple[FingerView, ...]:
    """Read what follows the length in edition 2011."""
    count = read_view_count(octets, 2)
    certified = octets.uint(1, "certification_flag")
    octets.check("certification_flag", certified <= 1, "must be 0 or 1")
    return tuple(
        _read_representation(octets, f"views[{number}].", certified=bool(certified))
        for number in range(count)
    )


def _read_representation(octets: Octets, where: str, *, certified: bool) -> FingerView:
    """Read one representation of edition 2011."""
    start = octets.offset
    length = octets.uint(4, f"{where}length")
    _pass_capture(octets, where)
    quality = _read_qualities(octets, where)
    if certified:
        octets.take(3 * octets.uint(1, f"{where}certifications"), f"{where}certificate")
    position = read_code(octets, f"{where}position", _POSITIONS)
    view = octets.uint(1, f"{where}view")
    octets.check(
        f"{where}view", view <= _MOST_VIEW, f"`{view}` is more than {_MOST_VIEW}"
    )
    horizontal = read_rate(octets, where)
    vertical = read_rate(octets, where, "vertical")
    impression = read_code(octets, f"{where}impression", _IMPRESSIONS)
    width, height = read_size(octets, where), read_size(octets, where, "height")
    packed = octets.uint(1, f"{where}minutia_bytes")
    octets.check(
        f"{where}minutia_bytes",
        packed >> 4 in {_BARE_BYTES, _RATED_BYTES},
        "a minutia has 5 or 6 bytes",
    )
    octets.check(
        f"{where}ridge_ending",
        packed & 0x0F <= 1,
        "is neither 0 (valley) nor 1 (ridge)",
    )
    rate = _read_quality if packed >> 4 == _RATED_BYTES else _no_quality
    minutiae = read_minutia_list(octets, where, (width, height), rate)
    octets.check(f"{where}minutiae", bool(minutiae), "there is none")
    extended = pass_extended(octets, where)
    octets.check(
        f"{where}length",
        octets.offset - start == length,
        f"says {length} bytes where its fields have {octets.offset - start}",
    )
    return FingerView(
        position_code=position,
        view=view,
        impression=impression,
        width=width,
        height=height,
        horizontal=horizontal,
        vertical=vertical,
        quality=quality,
        minutiae=minutiae,
        extended_bytes=extended,
    )


def _pass_capture(octets: Octets, where: str) -> None:
    """Check and pass over when and with what the image was captured."""
    moment = octets.take(_MOMENT.size, f"{where}captured")
    octets.check(
        f"{where}captured",
        moment == _FILLER * len(moment) or _is_moment(moment),
        "is no date and time, nor all ones, which says that there is none",
    )
    technology = octets.uint(1, f"{where}technology")
    octets.check(
        f"{where}technology",
        technology <= _MOST_TECHNOLOGY,
        f"`{technology}` is no code of the standard",
    )
    octets.take(4, f"{where}device")


def _is_moment(data: bytes) -> bool:
    """Say whether bytes are a date and a time of day."""
    year, month, day, hour, minute, second, thousandth = _MOMENT.unpack(data)
    try:
        dt.date(year, month, day)
        dt.time(hour, minute, second, 1000 * thousandth)
    except ValueError:
        return False
    return True


def _read_qualities(octets: Octets, where: str) -> int | None:
    """Return the first quality that was reported, if any was."""
    found = None
    for number in range(octets.uint(1, f"{where}qualities")):
        name = f"{where}qualities[{number}]"
        quality = octets.uint(1, name)
        octets.check(
            name,
            quality <= limits.MAX_QUALITY or quality == _FILLER[0],
            f"`{quality}` is neither 0 to {limits.MAX_QUALITY} nor 255 (failed)",
        )
        octets.take(4, name)  # vendor and algorithm
        if found is None and quality <= limits.MAX_QUALITY:
            found = quality
    return found


def _read_quality(octets: Octets, where: str) -> int | None:
    """Read a minutia's quality; 254 and 255 say that there is none."""
    quality = octets.uint(1, where)
    octets.check(
        where,
        quality <= limits.MAX_QUALITY or quality in _UNSAID,
        f"`{quality}` is neither 0 to {limits.MAX_QUALITY} nor 254 nor 255",
    )
    return None if quality in _UNSAID else quality


def _no_quality(_octets: Octets, _where: str) -> None:
    """Read nothing: minutiae of five bytes have no quality."""
