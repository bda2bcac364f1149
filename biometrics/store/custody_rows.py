"""What the store keeps of keys: whose galleries are open, and what was deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.members import Member


# Of a change of custody in the journal, where an enrolment has its record's.
CHANGE_ID_BYTES: Final = 16


class CustodyState(StrEnum):
    """Whether the galleries of a member can be sealed to and opened."""

    OPEN = "open"
    LOCKED = "locked"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Whether a member's galleries are open.

    Attributes:
        state: whether they are.
        since: when that was last changed; None if it never was.
    """

    state: CustodyState
    since: dt.datetime | None


class ErasureKind(StrEnum):
    """Why keys were deleted for good."""

    ROTATION = "rotation"  # what is left is under newer ones
    DESTRUCTION = "destruction"  # nothing is left


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedKey:
    """A gallery key that is no more.

    Attributes:
        gallery: name of the gallery.
        epoch: from 1.
        commitment: 32 bytes, by which whoever had the key could tell that it was it.
    """

    gallery: str
    epoch: int
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRow:
    """Keys that were deleted for good.

    Attributes:
        number: ascending.
        member: the holder.
        kind: why.
        keys: which.
        records: of a rotation, withdrawn ever up to `begun_at`; of a destruction, all.
        begun_at: from when on nothing more was sealed under them.
        deleted_at: when they were deleted.
        note: the certificate; None until it is issued.
    """

    number: int
    member: Member
    kind: ErasureKind
    keys: tuple[DeletedKey, ...]
    records: int
    begun_at: dt.datetime
    deleted_at: dt.datetime
    note: bytes | None = field(repr=False)
