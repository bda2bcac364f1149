"""Finger minutiae in records of type 9 of a transaction by ANSI/NIST-ITL.

Two of the layouts that editions allow side by side: the standard's own fields, 9.005
to 9.012 (editions 2000 and 2007), and those that carry ANSI INCITS 378, 9.126 to 9.137.
What they say is brought to what ISO/IEC 19794-2 says: the origin is the upper left
corner, and angles run along the ridge or valley, in 256ths of a circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from biometrics import limits
from enrolment.formats.finger import FingerView, Minutia, MinutiaType
from enrolment.formats.itl_fields import finger_code, per_centimetre

if TYPE_CHECKING:
    from collections import Counter

    from biometrics.errors import InvalidRequestError
    from enrolment.formats.itl import ItlRecord

_IMPRESSION: Final = 3
_MOST_IMPRESSION: Final = 29
_MOST_MINUTIAE: Final = 255
_MOST_PIXELS: Final = 0x3FFF  # as ISO/IEC 19794-2 has room for
_CIRCLE: Final = 360
_UNSAID: Final = frozenset({254, 255})  # quality not reported, or failed

# The standard's own fields. Lengths are in hundredths of a millimetre.
_OWN_FINGER, _OWN_COUNT, _OWN_MINUTIAE = 6, 10, 12
_OWN_PER_CM: Final = 1000
_OWN_ITEMS: Final = 4  # index, place and angle, quality, type; ridge counts follow
_OWN_DIGITS: Final = 11  # XXXXYYYYTTT
_OWN_WORST: Final = 63
_OWN_TYPES: Final = {
    b"A": MinutiaType.ENDING,
    b"B": MinutiaType.BIFURCATION,
    b"C": MinutiaType.OTHER,  # compound
    b"D": MinutiaType.OTHER,  # undetermined
}

# Those of INCITS 378. Angles are in units of two degrees.
_WIDTH, _HEIGHT, _SCALE, _ACROSS, _DOWN = 128, 129, 130, 131, 132
_FINGER, _QUALITY, _COUNT, _MINUTIAE = 134, 135, 136, 137
_ITEMS: Final = 6  # index, x, y, angle, type, quality
_MOST_ANGLE: Final = 179


def read_type_9(record: ItlRecord, views: Counter[int]) -> FingerView:
    """Return the minutiae of a record.

    Args:
        record: of type 9.
        views: how many views of each position were read before; this one is added.

    Raises:
        InvalidRequestError: a field is wrong, or all are of other layouts.
    """
    if _MINUTIAE in record.fields:
        finger = finger_code(record, _FINGER)
        view = _read_incits(record, finger, views[finger])
    elif _OWN_MINUTIAE in record.fields:
        finger = finger_code(record, _OWN_FINGER)
        view = _read_own(record, finger, views[finger])
    else:
        raise _unread(record)
    views[finger] += 1
    return view


def _unread(record: ItlRecord) -> InvalidRequestError:
    """Return the error of a record that is laid out otherwise."""
    return record.wrong(
        _MINUTIAE,
        "is missing, as is 9.012: minutiae of vendors and of the extended feature set"
        " (9.331) are not read",
    )


def _read_incits(record: ItlRecord, finger: int, view: int) -> FingerView:
    """Read the fields that carry ANSI INCITS 378."""
    width = record.whole(_WIDTH, 1, _MOST_PIXELS)
    height = record.whole(_HEIGHT, 1, _MOST_PIXELS)
    unit = record.whole(_SCALE, 1, 2)
    minutiae = []
    for row in _rows(record, _MINUTIAE, _COUNT):
        if len(row) != _ITEMS:
            raise record.wrong(_MINUTIAE, f"has a minutia of other than {_ITEMS} items")
        _, x, y, angle, kind, quality = (
            record.count(_MINUTIAE, item, 0, _MOST_PIXELS) for item in row
        )
        if x >= width or y >= height:
            told = f"has a minutia outside {width} by {height} pixels"
            raise record.wrong(_MINUTIAE, told)
        if angle > _MOST_ANGLE or kind not in set(MinutiaType):
            raise record.wrong(_MINUTIAE, "has an angle or a type that is none")
        minutiae.append(
            Minutia(
                x=x,
                y=y,
                type=MinutiaType(kind),
                angle=_angle(2 * angle),
                quality=_rated(record, _MINUTIAE, quality),
            )
        )
    return FingerView(
        position_code=finger,
        view=view,
        impression=record.whole(_IMPRESSION, 0, _MOST_IMPRESSION),
        width=width,
        height=height,
        horizontal=per_centimetre(record, _ACROSS, unit),
        vertical=per_centimetre(record, _DOWN, unit),
        quality=_quality(record),
        minutiae=tuple(minutiae),
        extended_bytes=0,
    )


def _read_own(record: ItlRecord, finger: int, view: int) -> FingerView:
    """Read the standard's own fields.

    They count from the lower left corner of an image whose size they do not say: the
    frame is the smallest that holds all minutiae and that corner.
    """
    found = []
    for row in _rows(record, _OWN_MINUTIAE, _OWN_COUNT):
        if len(row) < _OWN_ITEMS or len(row[1]) != _OWN_DIGITS:
            told = "has a minutia without index, place and angle, quality and type"
            raise record.wrong(_OWN_MINUTIAE, told)
        x, y, angle = (
            record.count(_OWN_MINUTIAE, digits, 0, most)
            for digits, most in (
                (row[1][:4], _MOST_PIXELS),
                (row[1][4:8], _MOST_PIXELS),
                (row[1][8:], _CIRCLE - 1),
            )
        )
        record.count(_OWN_MINUTIAE, row[2], 0, _OWN_WORST)  # ranks of no scale here
        kind = _OWN_TYPES.get(row[3])
        if kind is None:
            raise record.wrong(_OWN_MINUTIAE, "has a type other than A, B, C and D")
        found.append((x, y, angle, kind))
    height = 1 + max((y for _, y, _, _ in found), default=0)
    return FingerView(
        position_code=finger,
        view=view,
        impression=record.whole(_IMPRESSION, 0, _MOST_IMPRESSION),
        width=1 + max((x for x, _, _, _ in found), default=0),
        height=height,
        horizontal=_OWN_PER_CM,
        vertical=_OWN_PER_CM,
        quality=None,
        minutiae=tuple(
            # The angle runs away from the ridge, against that of all others.
            Minutia(
                x=x,
                y=height - 1 - y,
                type=kind,
                angle=_angle(angle + _CIRCLE // 2),
                quality=None,
            )
            for x, y, angle, kind in found
        ),
        extended_bytes=0,
    )


def _rows(record: ItlRecord, number: int, count: int) -> list[list[bytes]]:
    """Return the minutiae of a field, as many as another field says."""
    rows = record.rows(number)
    said = record.whole(count, 1, _MOST_MINUTIAE)
    if said != len(rows):
        raise record.wrong(count, f"says {said} minutiae where there are {len(rows)}")
    return rows


def _angle(degrees: int) -> int:
    """Return degrees as 256ths of a circle."""
    return round(degrees % _CIRCLE * 256 / _CIRCLE) % 256


def _quality(record: ItlRecord) -> int | None:
    """Return the first quality of the view that was reported, if any was."""
    if _QUALITY not in record.fields:
        return None
    told = (
        _rated(record, _QUALITY, record.count(_QUALITY, row[0], 0, 255))
        for row in record.rows(_QUALITY)
    )
    return next((quality for quality in told if quality is not None), None)


def _rated(record: ItlRecord, number: int, quality: int) -> int | None:
    """Return a quality, or None if it is one of those that say that there is none."""
    if quality in _UNSAID:
        return None
    if quality > limits.MAX_QUALITY:
        told = f"has a quality of `{quality}`; there are 0 to {limits.MAX_QUALITY}"
        raise record.wrong(number, told)
    return quality
