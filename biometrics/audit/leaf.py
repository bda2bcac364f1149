"""The public part of a leaf: a version, the hour, and a root. Nothing else, ever.

1 byte    version, 1
4 bytes   hours since 1970 in UTC, big-endian
32 bytes  root over the entries; see `slots`
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from biometrics.audit.tree import HASH_BYTES
from biometrics.errors import InvalidRequestError

VERSION: Final = 1
LEAF_BYTES: Final = 1 + 4 + HASH_BYTES
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HOUR: Final = dt.timedelta(hours=1)
_FORM: Final = "%Y-%m-%dT%HZ"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What everybody sees of what happened.

    Attributes:
        hour: hours since 1970.
        root: 32 bytes.
    """

    hour: int
    root: bytes

    @property
    def data(self) -> bytes:
        """The leaf as the log has it."""
        return bytes((VERSION,)) + self.hour.to_bytes(4, "big") + self.root

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a leaf.

        Raises:
            InvalidRequestError: it is none of this version.
        """
        if len(data) != LEAF_BYTES or data[0] != VERSION:
            raise InvalidRequestError(
                "NOT_A_LEAF", f"is no leaf of version {VERSION} of the log"
            )
        return cls(int.from_bytes(data[1:5], "big"), data[5:])


def hour_of(moment: dt.datetime) -> int:
    """Return the hour in which a moment lies, since 1970."""
    return (moment - _EPOCH) // _HOUR


@lru_cache(maxsize=64)  # of today
def write_hour(hour: int) -> str:
    """Return an hour in words, as `2026-03-01T12Z`."""
    return (_EPOCH + hour * _HOUR).strftime(_FORM)


def read_hour(text: str) -> int:
    """Return the hour that `write_hour` wrote.

    Raises:
        ValueError: it wrote nothing like it.
    """
    return hour_of(dt.datetime.strptime(text, _FORM).replace(tzinfo=dt.UTC))
