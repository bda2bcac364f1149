"""What the store takes and gives of follow-ups."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.members import Member
    from biometrics.store.rows import LiveRecord, ReferenceRow


class FollowUpState(StrEnum):
    """How far a follow-up is. Values are stored: never change one."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"  # by a person at the holder
    RELEASED = "released"  # the payload waits to be read
    REFUSED = "refused"
    READ = "read"
    EXPIRED = "expired"


class Refusal(StrEnum):
    """Why a holder refuses: a class, never a text. Values are stored."""

    BASIS_INSUFFICIENT = "basis-insufficient"
    PURPOSE_NOT_COVERED = "purpose-not-covered"
    REQUEST_NOT_PROVEN = "request-not-proven"  # the signature is not good
    MATCH_NOT_UPHELD = "match-not-upheld"  # a person finds it is somebody else
    NOTHING_TO_GIVE = "nothing-to-give"
    OTHER = "other"


class Terms(NamedTuple):
    """Who asks whom, and for what: what agreements are asked about."""

    holder: Member
    requester: Member
    purpose: str
    modality: str


class Agreed(NamedTuple):
    """Digests of the agreements that permit it, as each side is told them."""

    holder: bytes
    requester: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFollowUp:
    """A follow-up that is asked for.

    Attributes:
        follow_up_id: 32 bytes, SHA-256 of what was signed.
        reference_digest: 32 bytes, of the reference that is used up by it.
        terms: what the reference must have been given for.
        note: what the requester signed.
    """

    follow_up_id: bytes
    reference_digest: bytes = field(repr=False)
    terms: Terms
    note: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRow:
    """A follow-up.

    Attributes:
        follow_up_id: 32 bytes.
        terms: who asks whom, and for what.
        state: how far it is, expired once its time is over.
        refusal: why it was refused; None if it was not.
        note: what the requester signed.
        confirmation: what a person at the holder signed; None before.
        requested_at: when.
        ends_at: when it expires; of one that is over, when it is forgotten.
    """

    follow_up_id: bytes
    terms: Terms
    state: FollowUpState
    refusal: Refusal | None
    note: bytes = field(repr=False)
    confirmation: bytes | None = field(repr=False)
    requested_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRow:
    """A follow-up as its holder gets it.

    Attributes:
        row: itself.
        references: the holder's own of the records that it is about, sealed.
    """

    row: FollowUpRow
    references: tuple[ReferenceRow, ...]


class Gate(Protocol):
    """What every step of a follow-up has to pass; called in the writer's thread."""

    def permit(self, terms: Terms) -> Agreed:
        """Return by what it is permitted now.

        Raises:
            RefusedError: no agreement permits it at the level `reference`.
        """

    def check(self, holder: Member, row: LiveRecord) -> None:
        """Refuse a row that is not its record's own.

        Raises:
            SealError: it was changed.
        """
