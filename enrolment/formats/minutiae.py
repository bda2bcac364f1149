"""Finger minutiae by ISO/IEC 19794-2, editions 2005 and 2011, read strictly.

Record formats only, not those for cards. All integers are big-endian, a length is
believed only where it agrees with what is there, and what is reserved must be zero.
Extended data (ridge counts, cores and deltas, zonal quality, vendors' own) are passed
over whole. See `README.md` beside this module for the sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from enrolment.formats.finger import MinutiaeRecord
from enrolment.formats.finger_2005 import read_2005
from enrolment.formats.finger_2011 import read_2011
from enrolment.formats.octets import Octets

if TYPE_CHECKING:
    from enrolment.formats.finger import FingerView

_MAGIC: Final = b"FMR\0"
_EDITIONS: Final = {b" 20\0": (2005, read_2005), b"030\0": (2011, read_2011)}


def read_minutiae(data: bytes) -> MinutiaeRecord:
    """Return the record that `data` is from end to end.

    Raises:
        InvalidRequestError: it is none; the one fault names the first field that is
            wrong, such as `views[1].minutiae[3].x`.
    """
    octets = Octets(data)
    magic, version = octets.take(4, "format"), octets.take(4, "version")
    octets.check("format", magic == _MAGIC, "is not `FMR`, which finger minutiae are")
    octets.check(
        "version", version in _EDITIONS, "is neither ` 20` (2005) nor `030` (2011)"
    )
    edition, read_views = _EDITIONS[version]
    length = octets.uint(4, "length")
    octets.check(
        "length",
        length == len(data),
        f"says {length} bytes where there are {len(data)}; or this is ANSI INCITS 378,"
        " which looks alike and is not read",
    )
    views = read_views(octets)
    octets.check_end()
    _check_numbering(octets, views)
    return MinutiaeRecord(edition=edition, views=views)


def _check_numbering(octets: Octets, views: tuple[FingerView, ...]) -> None:
    """Check that no view of a position is there twice.

    Whether edition 2011 numbers the views of a position, or of the record, is done
    both ways by those who write it.
    """
    seen = set()
    for number, view in enumerate(views):
        name = (view.position_code, view.view)
        octets.check(
            f"views[{number}].view",
            name not in seen,
            f"`{view.view}` is there twice for position code `{view.position_code}`",
        )
        seen.add(name)
