"""Follow-ups, on either side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.signing import SignedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFollowUp:
    """A follow-up that one has asked for.

    Attributes:
        follow_up_id: names it; 64 hexadecimal digits.
        holder: member code.
        state: `requested` until it is over, then `refused`, `read` or `expired`.
        refusal: why it was refused, such as `basis-insufficient`; else empty.
        requested_at: when; it expires 48 hours later.
    """

    follow_up_id: str
    holder: str
    state: str
    refusal: str
    requested_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFollowUp:
    """A follow-up that waits for oneself.

    Attributes:
        signed: what the requester asks for, as it stands in the note: believe it once
            `signed.signer` has told who has signed it.
        state: `requested`, `confirmed` or `released`.
        references: one's own, of the records that it is about.
        record_count: how many these are; of more than 32 the first are told.
        confirmation: what the officer signed; empty before.
        requested_at: when.
        expires_at: when.
    """

    signed: SignedRequest = field(repr=False)
    state: str
    references: tuple[str, ...] = field(repr=False)
    record_count: int
    confirmation: bytes = field(repr=False)
    requested_at: dt.datetime
    expires_at: dt.datetime

    @property
    def follow_up_id(self) -> str:
        """What names it: it follows from the note, whatever the exchange says."""
        return self.signed.request.follow_up_id.hex()
