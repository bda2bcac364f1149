"""The synchronous client of the exchange.

    with ExchangeClient(Profile.load("XAA-client.toml")) as exchange:
        probe = Template(space="faces-v1", position="face", vector=embedding)
        answer = exchange.match(probe, purpose="border-check")
        if answer.regional == "match": ...

Every call has a deadline, every call with effects a request id, and a call that
the exchange could not take is tried again under the same one. Whatever goes wrong
is an error of `biometrics.errors`. One client serves many threads.
"""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

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
from biometrics.client.streams import BulkStream
from biometrics.errors import PreconditionError
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
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

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
    """A channel, and the services on it."""

    channel: grpc.Channel
    peers: Peers
    matching: match_pb2_grpc.MatchServiceStub
    enrolment: enrolment_pb2_grpc.EnrolmentServiceStub
    custody: custody_pb2_grpc.CustodyServiceStub
    duplicates: duplicate_pb2_grpc.DuplicateServiceStub
    agreements: agreement_pb2_grpc.AgreementServiceStub
    audit: audit_pb2_grpc.AuditServiceStub
    follow_ups: followup_pb2_grpc.FollowUpServiceStub
    region: region_pb2_grpc.RegionServiceStub
    reviews: review_pb2_grpc.ReviewServiceStub
    spaces: space_pb2_grpc.SpaceServiceStub

    @classmethod
    def open(cls, settings: ChannelSettings) -> Self:
        """Open a channel; it connects when it is first used."""
        channel = grpc.secure_channel(
            settings.peers.target, settings.credentials, settings.options
        )
        return cls(
            channel=channel,
            peers=settings.peers,
            matching=match_pb2_grpc.MatchServiceStub(channel),
            enrolment=enrolment_pb2_grpc.EnrolmentServiceStub(channel),
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
        return BulkStream(self.enrolment, self.peers, recipient)


class ExchangeClient:
    """A member's connection to the exchange; a context manager.

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

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the channel."""
        self.close()

    def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""
        for line in self._lines.take_all():
            line.channel.close()

    def match(
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
            self._call(self._line.matching.Match, request, deadline)
        )

    def match_many(
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
            self._call(self._line.matching.BatchMatch, request, deadline)
        )

    def enrol(
        self,
        record: Record,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> EnrolOutcome:
        """Enrol one record; it is durable and searchable when this returns."""
        request = self._requests.enrol(record, request_id)
        return responses.read_enrolled(
            self._call(self._line.enrolment.Enrol, request, deadline)
        )

    def enrol_many(
        self, chunks: Iterable[Chunk]
    ) -> Generator[ChunkOutcome, None, None]:
        """Enrol many records; yields what became of each chunk, when it is known.

        At most `limits.CHUNKS_IN_FLIGHT` chunks are taken from `chunks` ahead of
        their outcomes. Where the stream breaks, what was not acknowledged is sent
        again under the same request ids, `limits.CLIENT_TRIES` times without any
        progress. To stop, close the iterator: chunks in flight may still be
        enrolled, and a later run finds them `already-enrolled`.

        Args:
            chunks: taken one by one.

        Raises:
            InvalidRequestError: a chunk cannot be sent, or was refused as a whole.
        """
        source = iter(chunks)
        window = Window(self._requests)
        for chunk in itertools.islice(source, window.room):
            window.add(chunk)
        while window.is_waiting():
            with self._line.stream(self._recipient()) as stream:
                stream.send(*window.unacknowledged())
                pause = yield from stream.drive(window, source)
            if pause:
                time.sleep(pause)

    def withdraw(
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
            self._call(self._line.enrolment.Withdraw, request, deadline)
        )

    def plant_canaries(
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
        response = self._call(self._line.enrolment.PlantCanaries, request, deadline)
        return tuple(response.references)

    def replace(
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
            self._call(self._line.enrolment.Replace, request, deadline)
        )

    def protect(
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
            self._call(self._line.enrolment.Protect, request, deadline)
        )

    def galleries(self, *, deadline: float | None = None) -> tuple[GalleryInfo, ...]:
        """List one's own galleries."""
        request = enrolment_pb2.ListGalleriesRequest()
        return responses.read_galleries(
            self._call(self._line.enrolment.ListGalleries, request, deadline)
        )

    def lock(
        self, *, request_id: RequestId = None, deadline: float | None = None
    ) -> dt.datetime:
        """Close one's own galleries, until they are unlocked; restarts included.

        When this returns, no search is answered from them, nothing can be enrolled into
        them, and the exchange holds nothing in memory that opens them.

        Returns:
            Since when they are closed; the same moment where that was done before.
        """
        request = self._requests.lock(request_id)
        response = self._call(self._line.custody.Lock, request, deadline)
        return responses.read_moment(response.lock_time)

    def unlock(
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
            recipient = self._learn(left.seconds)
            request.sealed_key = recipient.hand_over(key, request.request_id)
        response = self._call(self._line.custody.Unlock, request, left.seconds)
        return responses.read_moment(response.unlock_time)

    def rotate(
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
        response = self._call(self._line.custody.Rotate, request, deadline)
        return responses.read_moment(response.begin_time)

    def destroy(
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
        response = self._call(self._line.custody.Destroy, request, deadline)
        return responses.read_moment(response.destroy_time)

    def custody(self, *, deadline: float | None = None) -> CustodyInfo:
        """Tell whether one's own galleries are open, and what is being done."""
        request = custody_pb2.GetCustodyRequest()
        return responses.read_custody(
            self._call(self._line.custody.GetCustody, request, deadline)
        )

    def erasures(self, *, deadline: float | None = None) -> Iterator[ErasureInfo]:
        """Iterate over what keys of one's own are no more; `deadline` is a page's."""
        request = custody_pb2.ListErasuresRequest(page_size=limits.MAX_PAGE_RECORDS)
        while True:
            response = self._call(self._line.custody.ListErasures, request, deadline)
            yield from responses.read_erasures(response)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def checkpoint(self, *, deadline: float | None = None) -> CheckpointInfo:
        """Return the newest checkpoint of the log, as an auditor or a witness."""
        request = audit_pb2.GetCheckpointRequest()
        return responses.read_checkpoint(
            self._call(self._line.audit.GetCheckpoint, request, deadline)
        )

    def log_tile(
        self, level: int, number: int, width: int, *, deadline: float | None = None
    ) -> bytes:
        """Return the first `width` hashes of a tile of the log, one behind another.

        Raises:
            NotFoundError: the log has fewer.
        """
        request = audit_pb2.GetTileRequest(level=level, number=number, width=width)
        return bytes(self._call(self._line.audit.GetTile, request, deadline).hashes)

    def log_leaves(
        self, first: int, count: int, *, deadline: float | None = None
    ) -> tuple[bytes, ...]:
        """Return leaves of the log; fewer at its end.

        Args:
            first: number of the first, from 0.
            count: 1 to `limits.MAX_PAGE_LEAVES`.
            deadline: seconds.
        """
        request = audit_pb2.ListLeavesRequest(first=first, count=count)
        return tuple(self._call(self._line.audit.ListLeaves, request, deadline).leaves)

    def log_entries(
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
            self._call(self._line.audit.ListOwnEntries, request, deadline)
        )

    def log_keys(self, *, deadline: float | None = None) -> Iterator[EntryKeyInfo]:
        """Iterate over the keys of one's own entries; `deadline` is a page's."""
        request = audit_pb2.ListEntryKeysRequest(page_size=limits.MAX_PAGE_RECORDS)
        while True:
            response = self._call(self._line.audit.ListEntryKeys, request, deadline)
            yield from responses.read_entry_keys(response)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def add_cosignature(
        self, checkpoint: bytes, *, deadline: float | None = None
    ) -> None:
        """Have a cosignature of one's witness kept; durable on return.

        Takes an auditor's or a witness's certificate.

        Args:
            checkpoint: signed by the log, and cosigned.
            deadline: seconds.

        Raises:
            InvalidRequestError: it is none of the log's, or not cosigned by the witness
                that one's member has named.
            PreconditionError: the member has named none, or it has cosigned more.
        """
        request = audit_pb2.AddCosignatureRequest(checkpoint=checkpoint)
        self._call(self._line.audit.AddCosignature, request, deadline)

    def reviews(self, *, deadline: float | None = None) -> tuple[ReviewInfo, ...]:
        """List the records that are frozen for a requester, of one's own two sides.

        Takes an auditor's or an administrator's certificate.
        """
        request = review_pb2.ListReviewsRequest()
        return responses.read_reviews(
            self._call(self._line.reviews.ListReviews, request, deadline)
        )

    def decide_review(
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
        response = self._call(self._line.reviews.DecideReview, request, deadline)
        return response.decided

    def alerts(self, *, deadline: float | None = None) -> tuple[AlertInfo, ...]:
        """List how often agreements were used in ways that gave cause for an alert."""
        request = review_pb2.ListAlertsRequest()
        return responses.read_alerts(
            self._call(self._line.reviews.ListAlerts, request, deadline)
        )

    def request_follow_up(
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
        response = self._call(self._line.follow_ups.RequestFollowUp, request, deadline)
        return responses.read_moment(response.expire_time)

    def requested_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[RequestedFollowUp, ...]:
        """List the newest follow-ups that one has asked for."""
        request = followup_pb2.ListRequestedFollowUpsRequest()
        return responses.read_requested(
            self._call(self._line.follow_ups.ListRequestedFollowUps, request, deadline)
        )

    def read_follow_up(
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
        response = self._call(self._line.follow_ups.ReadFollowUp, request, deadline)
        return bytes(response.sealed_payload)

    def received_follow_ups(
        self, *, deadline: float | None = None
    ) -> tuple[ReceivedFollowUp, ...]:
        """List what waits for oneself, as an officer or the system that enrols."""
        request = followup_pb2.ListReceivedFollowUpsRequest()
        return responses.read_received(
            self._call(self._line.follow_ups.ListReceivedFollowUps, request, deadline)
        )

    def confirm_follow_up(
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
        response = self._call(self._line.follow_ups.ConfirmFollowUp, request, deadline)
        return responses.read_moment(response.expire_time)

    def refuse_follow_up(
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
        self._call(self._line.follow_ups.RefuseFollowUp, request, deadline)

    def release_follow_up(
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
        response = self._call(self._line.follow_ups.ReleaseFollowUp, request, deadline)
        return responses.read_moment(response.expire_time)

    def duplicates(
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
            self._call(self._line.duplicates.FindDuplicates, request, deadline),
        )

    def caller(self, *, deadline: float | None = None) -> CallerInfo:
        """Tell who one is to the exchange, and what one may call."""
        request = region_pb2.DescribeCallerRequest()
        return responses.read_caller(
            self._call(self._line.region.DescribeCaller, request, deadline)
        )

    def holders(self, *, deadline: float | None = None) -> tuple[HolderInfo, ...]:
        """List the holders that one's member may search, and whether they can be."""
        request = region_pb2.ListHoldersRequest()
        return responses.read_holders(
            self._call(self._line.region.ListHolders, request, deadline)
        )

    def load(self, *, deadline: float | None = None) -> LoadInfo:
        """Tell how many calls of one's member were answered in the last hour."""
        request = region_pb2.GetLoadRequest()
        return responses.read_load(
            self._call(self._line.region.GetLoad, request, deadline)
        )

    def region(self, *, deadline: float | None = None) -> RegionInfo:
        """List all members and what is agreed, as the coordinator of the region."""
        request = region_pb2.DescribeRegionRequest()
        return responses.read_region(
            self._call(self._line.region.DescribeRegion, request, deadline)
        )

    def summary(self, *, deadline: float | None = None) -> RecordSummary:
        """Count one's own records: when they expire, and when and why others went."""
        request = enrolment_pb2.SummariseRecordsRequest()
        return responses.read_summary(
            self._call(self._line.enrolment.SummariseRecords, request, deadline)
        )

    def permissions(
        self, *, deadline: float | None = None
    ) -> tuple[PermissionInfo, ...]:
        """List what others may learn of one's own records today."""
        request = agreement_pb2.ListPermissionsRequest()
        return responses.read_permissions(
            self._call(self._line.agreements.ListPermissions, request, deadline)
        )

    def records(
        self,
        *,
        canaries: bool = False,
        page_size: int = limits.MAX_PAGE_RECORDS,
        deadline: float | None = None,
    ) -> Iterator[RecordInfo]:
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
            response = self._call(self._line.enrolment.ListRecords, request, deadline)
            yield from responses.read_records(response)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def agreements(self, *, deadline: float | None = None) -> tuple[AgreementInfo, ...]:
        """List the clauses in which one is a party; `deadline` is a page's."""
        request = agreement_pb2.ListAgreementsRequest(page_size=limits.MAX_PAGE_RECORDS)
        clauses: list[AgreementInfo] = []
        while True:
            response = self._call(
                self._line.agreements.ListAgreements, request, deadline
            )
            clauses += responses.read_agreements(response)
            if not response.next_page_token:
                return tuple(clauses)
            request.page_token = response.next_page_token

    def explain(
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
            self._call(self._line.agreements.ExplainAgreement, request, deadline)
        )

    def spaces(self, *, deadline: float | None = None) -> tuple[SpaceInfo, ...]:
        """List the template spaces of the exchange."""
        request = space_pb2.ListSpacesRequest()
        return responses.read_spaces(
            self._call(self._line.spaces.ListSpaces, request, deadline)
        )

    @property
    def _line(self) -> _Line:
        """The line for a call that begins now."""
        for idle in self._lines.take_idle():
            idle.channel.close()
        return self._lines.current()

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Call a method, in time; what carries templates is sealed, if it is to be."""
        if not self._sealer.seals(request):
            return self._send(method, request, deadline)
        left = self._remaining(deadline)
        recipient = self._sealer.recipient or self._learn(left.seconds)
        try:
            return self._send(method, recipient.seal(request), left.seconds)
        except PreconditionError as error:
            if error.reason != SEALED_TO_ANOTHER:
                raise
        # The exchange was restarted, and has another key.
        recipient = self._learn(left.seconds)
        return self._send(method, recipient.seal(request), left.seconds)

    def _remaining(self, deadline: float | None) -> Remaining:
        """Begin to count what is left of a deadline, by default the profile's."""
        return Remaining(self._deadline if deadline is None else deadline)

    def _learn(self, deadline: float | None) -> Recipient:
        """Return whom to seal to, as the exchange says now."""
        request = custody_pb2.GetSealingKeyRequest()
        line = self._line
        message = self._send(line.custody.GetSealingKey, request, deadline)
        return self._sealer.learn(message, line.peers.member)

    def _recipient(self) -> Recipient | None:
        """Return whom a stream is sealed to, if it is."""
        if not self._sealer.seals(enrolment_pb2.BulkEnrolRequest()):
            return None
        return self._learn(None)

    def _send(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Send a request as it is, in time."""
        timeout = self._deadline if deadline is None else deadline
        try:
            # An exchange that has answered is there: it is waited for while it starts
            # again. One that never has may be misnamed, and that is told at once.
            response = method(
                request, timeout=timeout, wait_for_ready=self._has_answered
            )
        except grpc.RpcError as error:
            raise translate(error, self._line.peers) from error
        self._has_answered = True
        return response
