"""Calls about a match that is followed up, of its two sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.client.calls.calls import Calls
from biometrics.client.responses.follow_ups import read_received, read_requested
from biometrics.client.responses.times import read_moment
from biometrics.signing import confirmation_note, seal_payload
from biometrics.v1 import followup_pb2

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.client.messages import RequestId
    from biometrics.client.results.follow_ups import ReceivedFollowUp, RequestedFollowUp
    from biometrics.signing import FollowUpTicket, Signers, SigningKey


class FollowUpCalls(Calls):
    """Ask for a follow-up and read it; confirm, refuse and release it."""

    async def request_follow_up(
        self,
        ticket: FollowUpTicket,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Ask the holder of a reference; it is used up, whatever comes of it.

        Args:
            ticket: what is asked and signed, made by `FollowUpTicket.make`. Keep its
                text before: it alone opens what the holder gives.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            When it expires.

        Raises:
            NotFoundError: the reference cannot be followed up, whatever the cause.
            RefusedError: no agreement permits it.
        """
        asked = followup_pb2.RequestFollowUpRequest(
            reference=ticket.reference, note=ticket.signed.note.data
        )
        request = self._requests.under(request_id, asked)
        response = await self._asker.call(
            self._on.follow_ups.RequestFollowUp, request, deadline
        )
        return read_moment(response.expire_time)

    async def requested_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[RequestedFollowUp, ...]:
        """List the newest follow-ups that one has asked for."""
        request = followup_pb2.ListRequestedFollowUpsRequest()
        return read_requested(
            await self._asker.call(
                self._on.follow_ups.ListRequestedFollowUps, request, deadline
            )
        )

    async def read_follow_up(
        self,
        ticket: FollowUpTicket,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> bytes:
        """Return what the holder gave, sealed: once. `ticket.open` opens it.

        Keep it until it is opened: the exchange has deleted it.

        Raises:
            PreconditionError: nothing is there yet (`NOTHING_TO_READ`), or the
                follow-up is over.
        """
        asked = followup_pb2.ReadFollowUpRequest(
            follow_up_id=ticket.signed.request.follow_up_id.hex()
        )
        request = self._requests.under(request_id, asked)
        response = await self._asker.call(
            self._on.follow_ups.ReadFollowUp, request, deadline
        )
        return bytes(response.sealed_payload)

    async def received_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[ReceivedFollowUp, ...]:
        """List what waits for oneself, as an officer or the system that enrols."""
        request = followup_pb2.ListReceivedFollowUpsRequest()
        return read_received(
            await self._asker.call(
                self._on.follow_ups.ListReceivedFollowUps, request, deadline
            )
        )

    async def confirm_follow_up(
        self,
        follow_up: ReceivedFollowUp,
        *,
        key: SigningKey,
        signers: Signers,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Confirm a follow-up, as an officer who has looked at the record.

        Args:
            follow_up: as it was listed.
            key: one's own, by which one is listed to sign for the holder.
            signers: one's own copy of the list of signers.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            When it expires.

        Raises:
            UnauthenticatedError: the request is not signed by whom the list has for
                its requester, or `key` is not listed.
            NotFoundError: it is over, or may not be told any more.
        """
        note = confirmation_note(follow_up.signed, key, signers)
        asked = followup_pb2.ConfirmFollowUpRequest(
            follow_up_id=follow_up.follow_up_id, note=note
        )
        request = self._requests.under(request_id, asked)
        response = await self._asker.call(
            self._on.follow_ups.ConfirmFollowUp, request, deadline
        )
        return read_moment(response.expire_time)

    async def refuse_follow_up(
        self,
        follow_up_id: str,
        refusal: str,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> None:
        """Refuse a follow-up, as an officer.

        Args:
            follow_up_id: as it was listed.
            refusal: word such as `basis-insufficient`; the requester is told it.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Raises:
            NotFoundError: it is over, or may not be told any more.
        """
        request = self._requests.refuse_follow_up(follow_up_id, refusal, request_id)
        await self._asker.call(self._on.follow_ups.RefuseFollowUp, request, deadline)

    async def release_follow_up(
        self,
        follow_up: ReceivedFollowUp,
        content: bytes,
        *,
        key: SigningKey,
        signers: Signers,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Give the payload of a follow-up that another person has confirmed.

        Args:
            follow_up: as it was listed, confirmed.
            content: 1 to `limits.MAX_FOLLOW_UP_BYTES` bytes, which the requester alone
                opens.
            key: one's own, not that of who has confirmed.
            signers: one's own copy of the list of signers.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            When it expires.

        Raises:
            UnauthenticatedError: request or confirmation are not signed as they must
                be, or both persons are one.
            NotFoundError: it is over, or may not be told any more.
        """
        sealed = seal_payload(
            follow_up.signed, follow_up.confirmation, content, key, signers
        )
        asked = followup_pb2.ReleaseFollowUpRequest(
            follow_up_id=follow_up.follow_up_id, sealed_payload=sealed
        )
        request = self._requests.under(request_id, asked)
        response = await self._asker.call(
            self._on.follow_ups.ReleaseFollowUp, request, deadline
        )
        return read_moment(response.expire_time)
