"""Fields that several types of record by ANSI/NIST-ITL write alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from enrolment.formats.itl import ItlRecord

PER_INCH: Final = 1
_CM_PER_INCH: Final = 2.54
_LEAST_PER_CM: Final = 99  # 250 pixels an inch
_MOST_PER_CM: Final = 0xFFFF
_MOST_POSITION: Final = 255
_FINGERS: Final = frozenset(range(1, 11))
# Taken plain, one thumb by itself: the same finger.
_PLAIN: Final = {11: 1, 12: 6}


def finger_code(record: ItlRecord, number: int) -> int:
    """Return the code of the one finger that a field names; 0 if it is not one.

    Raises:
        InvalidRequestError: there is no such field, or it has no code.
    """
    codes = [
        record.count(number, row[0], 0, _MOST_POSITION) for row in record.rows(number)
    ]
    return one_finger(codes)


def one_finger(codes: list[int]) -> int:
    """Return the code of ISO/IEC 19794-2 of one finger; 0 of several or of none."""
    if len(codes) != 1:
        return 0
    code = _PLAIN.get(codes[0], codes[0])
    return code if code in _FINGERS else 0


def per_centimetre(record: ItlRecord, number: int, unit: int) -> int:
    """Return a sampling rate in pixels per centimetre.

    Args:
        record: that has it.
        number: of its field.
        unit: 1 for pixels an inch, 2 for pixels a centimetre.

    Raises:
        InvalidRequestError: it is none that a finger is captured by.
    """
    rate = record.whole(number, 1, _MOST_PER_CM)
    if unit == PER_INCH:
        rate = round(rate / _CM_PER_INCH)
    if rate < _LEAST_PER_CM:
        told = f"is less than {_LEAST_PER_CM} pixels a centimetre"
        raise record.wrong(number, told)
    return rate
