"""The asynchronous client of the exchange: `ExchangeClient` with `await`.

    async with AsyncExchangeClient(Profile.load("XAA-client.toml")) as exchange:
        probe = Template(space="faces-v1", position="face", vector=embedding)
        answer = await exchange.match(probe, purpose="border-check")

Make and use it within one event loop; many tasks may share it.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
import grpc.aio

from biometrics import limits
from biometrics.client import responses
from biometrics.client.bulk import Window
from biometrics.client.lines import Lines
from biometrics.client.messages import (
    RequestMaker,
    decide_review_request,
    explain_request,
)
from biometrics.client.sealer import Recipient, Remaining, Sealer
from biometrics.client.status import translate
from biometrics.client.streams import BulkStream, Source
from biometrics.errors import ExchangeError, PreconditionError
from biometrics.sealing import SEALED_TO_ANOTHER
from biometrics.signing import confirmation_note, seal_payload
from biometrics.v1 import (
    agreement_pb2,
    agreement_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    custody_pb2,
    custody_pb2_grpc,
    duplicate_pb2,
    duplicate_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    followup_pb2,
    followup_pb2_grpc,
    match_pb2_grpc,
    region_pb2,
    region_pb2_grpc,
    review_pb2,
    review_pb2_grpc,
    space_pb2,
    space_pb2_grpc,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Callable,
        Iterable,
        Sequence,
    )

    from google.protobuf.message import Message

    from biometrics.client.channel import ChannelSettings, Peers
    from biometrics.client.inputs import Chunk, Probe, Record, Template
    from biometrics.client.messages import RequestId
    from biometrics.client.profile import Profile
    from biometrics.client.results import (
        AgreementInfo,
        AlertInfo,
        CallerInfo,
        CheckpointInfo,
        ChunkOutcome,
        CustodyInfo,
        DuplicateInfo,
        EnrolOutcome,
        EntryKeyInfo,
        ErasureInfo,
        Explanation,
        GalleryInfo,
        HolderInfo,
        LoadInfo,
        MatchAnswer,
        OwnEntryInfo,
        PermissionInfo,
        ProbeRefusal,
        ProtectOutcome,
        ReceivedFollowUp,
        RecordInfo,
        RecordSummary,
        RegionInfo,
        ReplaceOutcome,
        RequestedFollowUp,
        ReviewInfo,
        SpaceInfo,
        WithdrawReceipt,
    )
    from biometrics.signing import FollowUpTicket, Signers, SigningKey

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A channel, and the services on it; bulk loads go over one of their own.

    Why, says `biometrics.client.streams`.
    """

    channel: grpc.aio.Channel
    bulk_channel: grpc.Channel
    peers: Peers
    matching: match_pb2_grpc.MatchServiceAsyncStub
    enrolment: enrolment_pb2_grpc.EnrolmentServiceAsyncStub
    loading: enrolment_pb2_grpc.EnrolmentServiceStub
    custody: custody_pb2_grpc.CustodyServiceAsyncStub
    duplicates: duplicate_pb2_grpc.DuplicateServiceAsyncStub
    agreements: agreement_pb2_grpc.AgreementServiceAsyncStub
    audit: audit_pb2_grpc.AuditServiceAsyncStub
    follow_ups: followup_pb2_grpc.FollowUpServiceAsyncStub
    region: region_pb2_grpc.RegionServiceAsyncStub
    reviews: review_pb2_grpc.ReviewServiceAsyncStub
    spaces: space_pb2_grpc.SpaceServiceAsyncStub

    @classmethod
    def open(cls, settings: ChannelSettings) -> Self:
        """Open the channels; they connect when they are first used."""
        named = (settings.peers.target, settings.credentials, settings.options)
        channel = grpc.aio.secure_channel(*named)
        bulk_channel = grpc.secure_channel(*named)
        return cls(
            channel=channel,
            bulk_channel=bulk_channel,
            peers=settings.peers,
            matching=match_pb2_grpc.MatchServiceStub(channel),
            enrolment=enrolment_pb2_grpc.EnrolmentServiceStub(channel),
            loading=enrolment_pb2_grpc.EnrolmentServiceStub(bulk_channel),
            custody=custody_pb2_grpc.CustodyServiceStub(channel),
            duplicates=duplicate_pb2_grpc.DuplicateServiceStub(channel),
            agreements=agreement_pb2_grpc.AgreementServiceStub(channel),
            audit=audit_pb2_grpc.AuditServiceStub(channel),
            follow_ups=followup_pb2_grpc.FollowUpServiceStub(channel),
            region=region_pb2_grpc.RegionServiceStub(channel),
            reviews=review_pb2_grpc.ReviewServiceStub(channel),
            spaces=space_pb2_grpc.SpaceServiceStub(channel),
        )

    def stream(self, recipient: Recipient | None) -> BulkStream:
        """Open a stream of a bulk enrolment."""
        return BulkStream(self.loading, self.peers, recipient)

    async def close(self) -> None:
        """Close the channels; calls that are running are cancelled."""
        self.bulk_channel.close()
        await self.channel.close()


class AsyncExchangeClient:
    """A member's connection to the exchange; an asynchronous context manager.

    Every method takes `deadline` in seconds, by default the profile's, and may
    raise any `ExchangeError` but a `ConfigurationError`.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Prepare a channel; it connects when it is first used.

        Args:
            profile: where the exchange is, and who the client is.
            random_bytes: where request ids come from.

        Raises:
            ConfigurationError: a certificate or key cannot be read or does not fit.
        """
        self._deadline = profile.deadline_seconds
        self._has_answered = False
        self._requests = RequestMaker(random_bytes)
        self._lines = Lines(profile, _Line.open)
        self._sealer = Sealer(profile.verifier)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""
        for line in self._lines.take_all():
            await line.close()

    async def match(
        self,
        probe: Template | Probe,
        *,
        purpose: str,
        holders: Sequence[str] = (),
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> MatchAnswer:
        """Search for one person.

        Args:
            probe: the person's template; a `Probe` says also who must not learn of it.
            purpose: word such as `border-check`.
            holders: member codes to search; by default all that the agreements
                permit.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.
        """
        request = self._requests.match(probe, purpose, holders, request_id)
        return responses.read_answer(
            await self._call(self._line.matching.Match, request, deadline)
        )

    async def match_many(
        self,
        probes: Sequence[Template | Probe],
        *,
        purpose: str,
        holders: Sequence[str] = (),
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> tuple[MatchAnswer | ProbeRefusal, ...]:
        """Search for 1 to `limits.MAX_PROBES_PER_BATCH` persons at once.

        Returns:
            One result a probe, in the order of `probes`.
        """
        request = self._requests.batch(probes, purpose, holders, request_id)
        return responses.read_batch(
            await self._call(self._line.matching.BatchMatch, request, deadline)
        )

    async def enrol(
        self,
        record: Record,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> EnrolOutcome:
        """Enrol one record; it is durable and searchable when this returns."""
        request = self._requests.enrol(record, request_id)
        return responses.read_enrolled(
            await self._call(self._line.enrolment.Enrol, request, deadline)
        )

    async def enrol_many(
        self, chunks: Iterable[Chunk] | AsyncIterable[Chunk]
    ) -> AsyncGenerator[ChunkOutcome, None]:
        """Enrol many records; yields what became of each chunk, when it is known.

        As `ExchangeClient.enrol_many`. Close the iterator to stop, with
        `contextlib.aclosing` for instance.

        Args:
            chunks: taken one by one, at most `limits.CHUNKS_IN_FLIGHT` ahead.

        Raises:
            InvalidRequestError: a chunk cannot be sent, or was refused as a whole.
        """
        source = Source(chunks)
        window = Window(self._requests)
        async for chunk in source.take(window.room):
            window.add(chunk)
        pause = 0.0
        while window.is_waiting():
            await asyncio.sleep(pause)
            with self._line.stream(await self._recipient()) as stream:
                stream.send(*window.unacknowledged())
                while window.is_waiting():
                    try:
                        response = await asyncio.to_thread(stream.receive)
                    except ExchangeError as error:
                        pause = window.pause_after(error)
                        break
                    yield window.settle(response)
                    async for chunk in source.take(window.room):
                        stream.send(window.add(chunk))
                else:
                    await asyncio.to_thread(stream.finish)

    async def withdraw(
        self,
        reference: str,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> WithdrawReceipt:
        """Withdraw one record; no search finds it when this returns.

        Returns:
            When it was withdrawn, and what was removed; the first moment, and nothing,
            where that was done before.

        Raises:
            NotFoundError: no record was ever enrolled under the reference.
        """
        request = self._requests.withdraw(reference, request_id)
        return responses.read_withdrawn(
            await self._call(self._line.enrolment.Withdraw, request, deadline)
        )

    async def plant_canaries(
        self,
        count: int,
        *,
        space: str,
        position: str,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> tuple[str, ...]:
        """Plant records that are nobody's, in one of one's own galleries.

        The exchange draws their templates, and gives them to nobody. No answer tells of
        them; one's auditor sees by `alerts` whose searches would have matched some.

        Args:
            count: how many, 1 to `limits.MAX_CANARIES_PLANTED`.
            space: name of the template space.
            position: such as `face`.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            Their references. `withdraw` takes them out again.
        """
        request = self._requests.plant(count, space, position, request_id)
        response = await self._call(
            self._line.enrolment.PlantCanaries, request, deadline
        )
        return tuple(response.references)

    async def replace(
        self,
        reference: str,
        template: Template,
        *,
        sample: int | None = None,
        accept_lower_quality: bool = False,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> ReplaceOutcome:
        """Put a better sample in the place of one of a record's templates.

        Until this returns, searches find the record by the one or by the other, never
        by both and never by neither; from then on by the new one alone.

        Args:
            reference: that the record was enrolled under.
            template: the new one, of the same space and position as the old.
            sample: which template of the record, in the order in which it lists them;
                to be given where several are of that space and position.
            accept_lower_quality: True lets a template of lower quality replace it.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Raises:
            NotFoundError: the record is not there, or has no such template.
            PreconditionError: the new one is of lower quality.
        """
        request = self._requests.replace(
            reference,
            template,
            request_id,
            sample=sample,
            accept_lower_quality=accept_lower_quality,
        )
        return responses.read_replaced(
            await self._call(self._line.enrolment.Replace, request, deadline)
        )

    async def protect(
        self,
        reference: str,
        *,
        excluded: Sequence[str] = (),
        exclude_nobody: bool = False,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> ProtectOutcome:
        """Set which members must never learn of a record that is enrolled.

        When this returns, no search that begins later tells them of it, nor one
        whose answer was not durable before. An answer that was durable can be
        repeated under its request id, and is told as it was.

        Args:
            reference: that the record was enrolled under.
            excluded: member codes; the complete new set, not only the new ones.
            exclude_nobody: True takes every exclusion away; to be given where
                `excluded` is empty, and only there.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Raises:
            NotFoundError: no record was ever enrolled under the reference, or it
                was withdrawn.
        """
        request = self._requests.protect(
            reference, excluded, request_id, exclude_nobody=exclude_nobody
        )
        return responses.read_protected(
            await self._call(self._line.enrolment.Protect, request, deadline)
        )

    async def galleries(
        self, *, deadline: float | None = None
    ) -> tuple[GalleryInfo, ...]:
        """List one's own galleries."""
        request = enrolment_pb2.ListGalleriesRequest()
        return responses.read_galleries(
            await self._call(self._line.enrolment.ListGalleries, request, deadline)
        )

    async def lock(
        self, *, request_id: RequestId = None, deadline: float | None = None
    ) -> dt.datetime:
        """Close one's own galleries, until they are unlocked; restarts included.

        When this returns, no search is answered from them, nothing can be enrolled into
        them, and the exchange holds nothing in memory that opens them.

        Returns:
            Since when they are closed; the same moment where that was done before.
        """
        request = self._requests.lock(request_id)
        response = await self._call(self._line.custody.Lock, request, deadline)
        return responses.read_moment(response.lock_time)

    async def unlock(
        self,
        *,
        key: bytes | None = None,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Open one's own galleries; they are searchable when this returns.

        Args:
            key: one's key-encryption key, 32 bytes, where the exchange does not have
                it. It is sealed to the exchange that the profile's `verifier` tells.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            Since when they are open.

        Raises:
            ConfigurationError: `key` is given, and the profile has no `verifier`.
            UnauthenticatedError: the exchange did not prove that it is the one.
            PreconditionError: one's key-encryption key is not at hand.
            UnavailableError: loading takes longer (`GALLERY_LOADING`); it goes on.
        """
        request = self._requests.unlock(request_id)
        left = self._remaining(deadline)
        if key is not None:
            recipient = await self._learn(left.seconds)
            request.sealed_key = recipient.hand_over(key, request.request_id)
        response = await self._call(self._line.custody.Unlock, request, left.seconds)
        return responses.read_moment(response.unlock_time)

    async def rotate(
        self, *, request_id: RequestId = None, deadline: float | None = None
    ) -> dt.datetime:
        """Begin to replace the keys that everything of one's own is sealed under.

        When this returns, whatever is sealed from then on is under newer keys; the rest
        follows by itself: `custody` tells how far it is, and `erasures` has the
        certificate at its end. Where a rotation is under way, nothing is begun.

        Returns:
            When the rotation was begun that is under way now.

        Raises:
            UnavailableError: the galleries are locked.
        """
        request = self._requests.rotate(request_id)
        response = await self._call(self._line.custody.Rotate, request, deadline)
        return responses.read_moment(response.begin_time)

    async def destroy(
        self,
        *,
        confirm_holder: str,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Destroy one's own galleries, for good; `unlock` begins anew with empty ones.

        When this returns, nothing opens any more what was enrolled. Its rows are
        deleted by and by: `custody` tells how far that is, and `erasures` has the
        certificate at its end.

        Args:
            confirm_holder: one's own member code, so that nothing is destroyed by
                mistake.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            When the keys were destroyed; the same moment where that was done before.

        Raises:
            InvalidRequestError: `confirm_holder` is not one's own code.
        """
        request = self._requests.destroy(confirm_holder, request_id)
        response = await self._call(self._line.custody.Destroy, request, deadline)
        return responses.read_moment(response.destroy_time)

    async def custody(self, *, deadline: float | None = None) -> CustodyInfo:
        """Tell whether one's own galleries are open, and what is being done."""
        request = custody_pb2.GetCustodyRequest()
        return responses.read_custody(
            await self._call(self._line.custody.GetCustody, request, deadline)
        )

    async def erasures(
        self, *, deadline: float | None = None
    ) -> AsyncIterator[ErasureInfo]:
        """Iterate over what keys of one's own are no more; `deadline` is a page's."""
        request = custody_pb2.ListErasuresRequest(page_size=limits.MAX_PAGE_RECORDS)
        while True:
            response = await self._call(
                self._line.custody.ListErasures, request, deadline
            )
            for erasure in responses.read_erasures(response):
                yield erasure
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def checkpoint(self, *, deadline: float | None = None) -> CheckpointInfo:
        """Return the newest checkpoint of the log, as an auditor or a witness."""
        request = audit_pb2.GetCheckpointRequest()
        return responses.read_checkpoint(
            await self._call(self._line.audit.GetCheckpoint, request, deadline)
        )

    async def log_tile(
        self, level: int, number: int, width: int, *, deadline: float | None = None
    ) -> bytes:
        """Return the first `width` hashes of a tile of the log, one behind another.

        Raises:
            NotFoundError: the log has fewer.
        """
        request = audit_pb2.GetTileRequest(level=level, number=number, width=width)
        response = await self._call(self._line.audit.GetTile, request, deadline)
        return bytes(response.hashes)

    async def log_leaves(
        self, first: int, count: int, *, deadline: float | None = None
    ) -> tuple[bytes, ...]:
        """Return leaves of the log; fewer at its end.

        Args:
            first: number of the first, from 0.
            count: 1 to `limits.MAX_PAGE_LEAVES`.
            deadline: seconds.
        """
        request = audit_pb2.ListLeavesRequest(first=first, count=count)
        response = await self._call(self._line.audit.ListLeaves, request, deadline)
        return tuple(response.leaves)

    async def log_entries(
        self, first: int, count: int, *, deadline: float | None = None
    ) -> tuple[OwnEntryInfo, ...]:
        """Return the entries of one's own below leaves of the log.

        Args:
            first: number of the first leaf, from 0.
            count: how many leaves, 1 to `limits.MAX_PAGE_ENTRIES`.
            deadline: seconds.
        """
        request = audit_pb2.ListOwnEntriesRequest(first=first, count=count)
        return responses.read_own_entries(
            await self._call(self._line.audit.ListOwnEntries, request, deadline)
        )

    async def log_keys(
        self, *, deadline: float | None = None
    ) -> AsyncIterator[EntryKeyInfo]:
        """Iterate over the keys of one's own entries; `deadline` is a page's."""
        request = audit_pb2.ListEntryKeysRequest(page_size=limits.MAX_PAGE_RECORDS)
        while True:
            response = await self._call(
                self._line.audit.ListEntryKeys, request, deadline
            )
            for key in responses.read_entry_keys(response):
                yield key
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def add_cosignature(
        self, checkpoint: bytes, *, deadline: float | None = None
    ) -> None:
        """Have a cosignature of one's witness kept; durable on return."""
        request = audit_pb2.AddCosignatureRequest(checkpoint=checkpoint)
        await self._call(self._line.audit.AddCosignature, request, deadline)

    async def reviews(self, *, deadline: float | None = None) -> tuple[ReviewInfo, ...]:
        """List the records that are frozen for a requester, of one's own two sides.

        Takes an auditor's or an administrator's certificate.
        """
        request = review_pb2.ListReviewsRequest()
        return responses.read_reviews(
            await self._call(self._line.reviews.ListReviews, request, deadline)
        )

    async def decide_review(
        self, case: str, verdict: str, *, deadline: float | None = None
    ) -> bool:
        """Say whether a freeze should last; it is done once both sides say the same.

        Args:
            case: from `reviews`.
            verdict: `confirm` or `lift`.
            deadline: seconds.

        Returns:
            Whether it is done now.

        Raises:
            NotFoundError: it has lapsed, or was lifted.
            RefusedError: one is neither the requester's administrator nor the holder's
                auditor.
        """
        request = decide_review_request(case, verdict)
        response = await self._call(self._line.reviews.DecideReview, request, deadline)
        return response.decided

    async def alerts(self, *, deadline: float | None = None) -> tuple[AlertInfo, ...]:
        """List how often agreements were used in ways that gave cause for an alert."""
        request = review_pb2.ListAlertsRequest()
        return responses.read_alerts(
            await self._call(self._line.reviews.ListAlerts, request, deadline)
        )

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
        request = self._requests.follow_up(ticket, request_id)
        response = await self._call(
            self._line.follow_ups.RequestFollowUp, request, deadline
        )
        return responses.read_moment(response.expire_time)

    async def requested_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[RequestedFollowUp, ...]:
        """List the newest follow-ups that one has asked for."""
        request = followup_pb2.ListRequestedFollowUpsRequest()
        return responses.read_requested(
            await self._call(
                self._line.follow_ups.ListRequestedFollowUps, request, deadline
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
        asked = ticket.signed.request.follow_up_id.hex()
        request = self._requests.read_follow_up(asked, request_id)
        response = await self._call(
            self._line.follow_ups.ReadFollowUp, request, deadline
        )
        return bytes(response.sealed_payload)

    async def received_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[ReceivedFollowUp, ...]:
        """List what waits for oneself, as an officer or the system that enrols."""
        request = followup_pb2.ListReceivedFollowUpsRequest()
        return responses.read_received(
            await self._call(
                self._line.follow_ups.ListReceivedFollowUps, request, deadline
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
        request = self._requests.confirm_follow_up(
            follow_up.follow_up_id, note, request_id
        )
        response = await self._call(
            self._line.follow_ups.ConfirmFollowUp, request, deadline
        )
        return responses.read_moment(response.expire_time)

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
        await self._call(self._line.follow_ups.RefuseFollowUp, request, deadline)

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
        request = self._requests.release_follow_up(
            follow_up.follow_up_id, sealed, request_id
        )
        response = await self._call(
            self._line.follow_ups.ReleaseFollowUp, request, deadline
        )
        return responses.read_moment(response.expire_time)

    async def duplicates(
        self, references: Sequence[str], *, deadline: float | None = None
    ) -> tuple[DuplicateInfo, ...]:
        """Say which others of one's own records some of them resemble.

        Nobody else learns of it, and nothing is changed.

        Args:
            references: 1 to `limits.MAX_DUPLICATES_ASKED`.
            deadline: seconds.
        """
        request = duplicate_pb2.FindDuplicatesRequest(references=references)
        return responses.read_duplicates(
            references,
            await self._call(self._line.duplicates.FindDuplicates, request, deadline),
        )

    async def caller(self, *, deadline: float | None = None) -> CallerInfo:
        """Tell who one is to the exchange, and what one may call."""
        request = region_pb2.DescribeCallerRequest()
        return responses.read_caller(
            await self._call(self._line.region.DescribeCaller, request, deadline)
        )

    async def holders(self, *, deadline: float | None = None) -> tuple[HolderInfo, ...]:
        """List the holders that one's member may search, and whether they can be."""
        request = region_pb2.ListHoldersRequest()
        return responses.read_holders(
            await self._call(self._line.region.ListHolders, request, deadline)
        )

    async def load(self, *, deadline: float | None = None) -> LoadInfo:
        """Tell how many calls of one's member were answered in the last hour."""
        request = region_pb2.GetLoadRequest()
        return responses.read_load(
            await self._call(self._line.region.GetLoad, request, deadline)
        )

    async def region(self, *, deadline: float | None = None) -> RegionInfo:
        """List all members and what is agreed, as the coordinator of the region."""
        request = region_pb2.DescribeRegionRequest()
        return responses.read_region(
            await self._call(self._line.region.DescribeRegion, request, deadline)
        )

    async def summary(self, *, deadline: float | None = None) -> RecordSummary:
        """Count one's own records: when they expire, and when and why others went."""
        request = enrolment_pb2.SummariseRecordsRequest()
        return responses.read_summary(
            await self._call(self._line.enrolment.SummariseRecords, request, deadline)
        )

    async def permissions(
        self, *, deadline: float | None = None
    ) -> tuple[PermissionInfo, ...]:
        """List what others may learn of one's own records today."""
        request = agreement_pb2.ListPermissionsRequest()
        return responses.read_permissions(
            await self._call(self._line.agreements.ListPermissions, request, deadline)
        )

    async def records(
        self,
        *,
        canaries: bool = False,
        page_size: int = limits.MAX_PAGE_RECORDS,
        deadline: float | None = None,
    ) -> AsyncIterator[RecordInfo]:
        """Iterate over one's own records, page by page.

        Args:
            canaries: True for the canaries among them, and these alone.
            page_size: records of a page.
            deadline: seconds, of a page.
        """
        request = enrolment_pb2.ListRecordsRequest(
            page_size=page_size, canaries=canaries
        )
        while True:
            response = await self._call(
                self._line.enrolment.ListRecords, request, deadline
            )
            for record in responses.read_records(response):
                yield record
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def agreements(
        self, *, deadline: float | None = None
    ) -> tuple[AgreementInfo, ...]:
        """List the clauses in which one is a party; `deadline` is a page's."""
        request = agreement_pb2.ListAgreementsRequest(page_size=limits.MAX_PAGE_RECORDS)
        method = self._line.agreements.ListAgreements
        clauses: list[AgreementInfo] = []
        while True:
            response = await self._call(method, request, deadline)
            clauses += responses.read_agreements(response)
            if not response.next_page_token:
                return tuple(clauses)
            request.page_token = response.next_page_token

    async def explain(
        self,
        *,
        holder: str,
        requester: str,
        purpose: str,
        modality: str,
        deadline: float | None = None,
    ) -> Explanation:
        """Say whether a search would be permitted today, and which line decides."""
        request = explain_request(holder, requester, purpose, modality)
        return responses.read_explanation(
            await self._call(self._line.agreements.ExplainAgreement, request, deadline)
        )

    async def spaces(self, *, deadline: float | None = None) -> tuple[SpaceInfo, ...]:
        """List the template spaces of the exchange."""
        request = space_pb2.ListSpacesRequest()
        return responses.read_spaces(
            await self._call(self._line.spaces.ListSpaces, request, deadline)
        )

    async def _recipient(self) -> Recipient | None:
        """Return whom a stream is sealed to, if it is."""
        if not self._sealer.seals(enrolment_pb2.BulkEnrolRequest()):
            return None
        return await self._learn(None)

    @property
    def _line(self) -> _Line:
        """The line for a call that begins now."""
        return self._lines.current()

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Call a method, in time; what carries templates is sealed, if it is to be."""
        for idle in self._lines.take_idle():
            await idle.close()
        if not self._sealer.seals(request):
            return await self._send(method, request, deadline)
        left = self._remaining(deadline)
        recipient = self._sealer.recipient or await self._learn(left.seconds)
        try:
            return await self._send(method, recipient.seal(request), left.seconds)
        except PreconditionError as error:
            if error.reason != SEALED_TO_ANOTHER:
                raise
        # The exchange was restarted, and has another key.
        recipient = await self._learn(left.seconds)
        return await self._send(method, recipient.seal(request), left.seconds)

    def _remaining(self, deadline: float | None) -> Remaining:
        """Begin to count what is left of a deadline, by default the profile's."""
        return Remaining(self._deadline if deadline is None else deadline)

    async def _learn(self, deadline: float | None) -> Recipient:
        """Return whom to seal to, as the exchange says now."""
        request = custody_pb2.GetSealingKeyRequest()
        line = self._line
        message = await self._send(line.custody.GetSealingKey, request, deadline)
        return self._sealer.learn(message, line.peers.member)

    async def _send(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Send a request as it is, in time."""
        timeout = self._deadline if deadline is None else deadline
        try:
            # An exchange that has answered is there: it is waited for while it starts
            # again. One that never has may be misnamed, and that is told at once.
            response = await method(
                request, timeout=timeout, wait_for_ready=self._has_answered
            )
        except grpc.RpcError as error:
            raise translate(error, self._line.peers) from error
        self._has_answered = True
        return response
