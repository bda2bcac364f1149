"""FollowUpService: from a reference to a payload that the exchange cannot read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from biometrics import limits
from biometrics.callers import CALLER, acting_as
from biometrics.disclosure import Purpose
from biometrics.errors import Fault, InvalidRequestError, RefusedError
from biometrics.server.custodian import Asked
from biometrics.signing import SignedRequest, refuse_other_confirmation
from biometrics.store import FollowUpState, NewFollowUp, Refusal, Terms
from biometrics.templates import Modality
from biometrics.v1 import followup_pb2 as v1
from biometrics.v1 import followup_pb2_grpc
from biometrics.wire import (
    caught,
    content_of,
    read_request_id,
    read_word,
    write_moment,
    write_word,
)

if TYPE_CHECKING:
    import datetime as dt

    import grpc

    from biometrics.members import Member
    from biometrics.server.follow_ups import FollowUps, Received
    from biometrics.store import FollowUpRow

    Context = grpc.aio.ServicerContext[Any, Any]
    Step = (
        v1.ReadFollowUpRequest
        | v1.ConfirmFollowUpRequest
        | v1.RefuseFollowUpRequest
        | v1.ReleaseFollowUpRequest
    )

# To the requester's eyes it is under way until it is over: what the holder did
# meanwhile may be taken back, and nobody is to see that.
_UNDER_WAY = frozenset({FollowUpState.CONFIRMED, FollowUpState.RELEASED})


class FollowUpService(followup_pb2_grpc.FollowUpServiceServicer):
    """What becomes of references; see `followup.proto` for the contract."""

    def __init__(self, *, follow_ups: FollowUps) -> None:
        """Answer with `follow_ups`."""
        self._follow_ups = follow_ups

    async def RequestFollowUp(
        self, request: v1.RequestFollowUpRequest, context: Context
    ) -> v1.RequestFollowUpResponse:
        """Use a reference up, and ask its holder."""
        requester = acting_as(request.requester)
        asked, new = _read_request(request, requester)

        def encode(ends_at: dt.datetime) -> bytes:
            return v1.RequestFollowUpResponse(
                follow_up_id=new.follow_up_id.hex(), expire_time=write_moment(ends_at)
            ).SerializeToString()

        body = await self._follow_ups.request(asked, new, encode)
        return v1.RequestFollowUpResponse.FromString(body)

    async def ListRequestedFollowUps(
        self, request: v1.ListRequestedFollowUpsRequest, context: Context
    ) -> v1.ListRequestedFollowUpsResponse:
        """List what the caller's member has asked for."""
        rows = await self._follow_ups.requested(CALLER.get().member)
        return v1.ListRequestedFollowUpsResponse(
            follow_ups=[_requested(row) for row in rows]
        )

    async def ReadFollowUp(
        self, request: v1.ReadFollowUpRequest, context: Context
    ) -> v1.ReadFollowUpResponse:
        """Hand a payload out, once."""
        asked, follow_up_id = _read_step(request, acting_as(request.requester))

        def encode(payload: bytes) -> bytes:
            return v1.ReadFollowUpResponse(sealed_payload=payload).SerializeToString()

        body = await self._follow_ups.read(asked, follow_up_id, encode)
        return v1.ReadFollowUpResponse.FromString(body)

    async def ListReceivedFollowUps(
        self, request: v1.ListReceivedFollowUpsRequest, context: Context
    ) -> v1.ListReceivedFollowUpsResponse:
        """List what waits for the caller's member."""
        found = await self._follow_ups.received(CALLER.get().member)
        return v1.ListReceivedFollowUpsResponse(
            follow_ups=[_received(each) for each in found]
        )

    async def ConfirmFollowUp(
        self, request: v1.ConfirmFollowUpRequest, context: Context
    ) -> v1.ConfirmFollowUpResponse:
        """Keep that an officer has confirmed a follow-up."""
        asked, follow_up_id = _read_step(request, acting_as(request.holder))
        faults: list[Fault] = []
        with caught(faults, "note"):
            refuse_other_confirmation(request.note, follow_up_id)
        if faults:
            raise InvalidRequestError.of(faults)

        def encode(ends_at: dt.datetime) -> bytes:
            ends = write_moment(ends_at)
            return v1.ConfirmFollowUpResponse(expire_time=ends).SerializeToString()

        body = await self._follow_ups.confirm(asked, follow_up_id, request.note, encode)
        return v1.ConfirmFollowUpResponse.FromString(body)

    async def RefuseFollowUp(
        self, request: v1.RefuseFollowUpRequest, context: Context
    ) -> v1.RefuseFollowUpResponse:
        """Refuse a follow-up."""
        asked, follow_up_id = _read_step(request, acting_as(request.holder))
        refusal = read_word(Refusal, v1.Refusal, request.refusal, "refusal")
        await self._follow_ups.refuse(asked, follow_up_id, refusal, lambda: b"")
        return v1.RefuseFollowUpResponse()

    async def ReleaseFollowUp(
        self, request: v1.ReleaseFollowUpRequest, context: Context
    ) -> v1.ReleaseFollowUpResponse:
        """Give the payload of a follow-up."""
        asked, follow_up_id = _read_step(request, acting_as(request.holder))
        size = limits.FOLLOW_UP_SEALED_BYTES
        if len(request.sealed_payload) != size:
            told = f"must have {size:,} bytes: filled up, then sealed, whatever it says"
            fault = Fault(field="sealed_payload", reason="WRONG_SIZE", message=told)
            raise InvalidRequestError.of([fault])

        def encode(ends_at: dt.datetime) -> bytes:
            ends = write_moment(ends_at)
            return v1.ReleaseFollowUpResponse(expire_time=ends).SerializeToString()

        body = await self._follow_ups.release(
            asked, follow_up_id, request.sealed_payload, encode
        )
        return v1.ReleaseFollowUpResponse.FromString(body)


def _read_request(
    message: v1.RequestFollowUpRequest, requester: Member
) -> tuple[Asked, NewFollowUp]:
    """Return a request, whose note says what the request does.

    Raises:
        InvalidRequestError: with every fault at once.
        RefusedError: somebody else has signed it.
    """
    faults: list[Fault] = []
    request_id = follow_up_id = digest = b""
    terms = None
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    if len(message.reference) != limits.REFERENCE_BYTES:
        told = f"must be {limits.REFERENCE_BYTES} bytes, as an answer gave them"
        fault = Fault(field="reference", reason="WRONG_REFERENCE", message=told)
        faults.append(fault)
    with caught(faults, "note"):
        _refuse_long(message.note)
        signed = SignedRequest.parse(message.note).request
        follow_up_id, digest = signed.follow_up_id, signed.reference_digest
        words = signed.purpose, signed.modality
        if words[0] not in set(Purpose) or words[1] not in set(Modality):
            told = "`purpose` and `modality` must be words of the contract"
            raise InvalidRequestError("UNKNOWN_VALUE", told)
        if digest != hashlib.sha256(message.reference).digest():
            raise InvalidRequestError("OTHER_REFERENCE", "is about another reference")
        terms = Terms(signed.holder, signed.requester, *words)
    if faults or terms is None:
        raise InvalidRequestError.of(faults)
    if terms.requester != requester:
        raise RefusedError(
            "NOT_YOURSELF",
            f"the note is of `{terms.requester}` but the certificate is for"
            f" `{requester}`; a member acts only as itself",
        )
    new = NewFollowUp(
        follow_up_id=follow_up_id,
        reference_digest=digest,
        terms=terms,
        note=message.note,
    )
    return Asked(requester, request_id, content_of(message)), new


def _refuse_long(note: bytes) -> None:
    """Refuse a note with more in it than a request needs.

    Raises:
        InvalidRequestError: it has.
    """
    if len(note) > limits.MAX_FOLLOW_UP_NOTE_BYTES:
        told = f"must have at most {limits.MAX_FOLLOW_UP_NOTE_BYTES:,} bytes"
        raise InvalidRequestError("TOO_LONG", told)


def _read_step(message: Step, member: Member) -> tuple[Asked, bytes]:
    """Return who asks, and for which follow-up.

    Raises:
        InvalidRequestError: with every fault at once.
    """
    faults: list[Fault] = []
    request_id = follow_up_id = b""
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    try:
        follow_up_id = bytes.fromhex(message.follow_up_id)
    except ValueError:
        follow_up_id = b""
    size = limits.FOLLOW_UP_ID_BYTES
    if len(follow_up_id) != size:
        told = (
            f"must be {2 * size} hexadecimal digits, as a list of follow-ups has them"
        )
        faults.append(Fault(field="follow_up_id", reason="WRONG_ID", message=told))
    if faults:
        raise InvalidRequestError.of(faults)
    return Asked(member, request_id, content_of(message)), follow_up_id


def _requested(row: FollowUpRow) -> v1.RequestedFollowUp:
    """Return what a requester sees of a follow-up."""
    state = FollowUpState.REQUESTED if row.state in _UNDER_WAY else row.state
    return v1.RequestedFollowUp(
        follow_up_id=row.follow_up_id.hex(),
        holder=row.terms.holder.code,
        state=v1.FollowUpState.ValueType(write_word(v1.FollowUpState, state)),
        refusal=v1.Refusal.ValueType(
            0 if row.refusal is None else write_word(v1.Refusal, row.refusal)
        ),
        request_time=write_moment(row.requested_at),
    )


def _received(received: Received) -> v1.ReceivedFollowUp:
    """Return what a holder sees of a follow-up."""
    row = received.row
    return v1.ReceivedFollowUp(
        follow_up_id=row.follow_up_id.hex(),
        requester=row.terms.requester.code,
        state=v1.FollowUpState.ValueType(write_word(v1.FollowUpState, row.state)),
        references=received.references,
        record_count=received.records,
        note=row.note,
        confirmation=row.confirmation or b"",
        request_time=write_moment(row.requested_at),
        expire_time=write_moment(row.ends_at),
    )
