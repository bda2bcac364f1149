"""The gRPC edge of enrolment."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from biometrics import limits
from biometrics.callers import CALLER
from biometrics.errors import InvalidRequestError
from biometrics.exclusive import Exclusive
from biometrics.store import EnrolResult
from biometrics.v1 import enrolment_pb2 as v1
from biometrics.v1 import enrolment_pb2_grpc
from biometrics.wire import read_page_size, write_moment, write_word
from enrolment.canaries import draw
from enrolment.enrol import conflict
from enrolment.wire import (
    Asked,
    read_asked,
    read_chunk,
    read_enrol,
    read_plant,
    read_protect,
    read_replace,
    read_withdraw,
    write_faults,
    write_position,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    import grpc

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store import (
        Protected,
        Reason,
        RecordRow,
        Removed,
        TemplateRow,
    )
    from biometrics.templates import TemplateSpaces
    from enrolment.enrol import Enrolment, Outcome
    from enrolment.protect import LateProtection
    from enrolment.register import Register
    from enrolment.replace import Replaced, Replacement
    from enrolment.wire import Enrolling
    from enrolment.withdraw import Withdrawal

RequestT = TypeVar("RequestT", v1.EnrolRequest, v1.BulkEnrolRequest)
_OUTCOMES = {
    EnrolResult.ENROLLED: v1.ENROL_OUTCOME_ENROLLED,
    EnrolResult.ALREADY_ENROLLED: v1.ENROL_OUTCOME_ALREADY_ENROLLED,
}


class EnrolmentService(enrolment_pb2_grpc.EnrolmentServiceServicer):
    """A holder's own records; see `enrolment.proto` for the contract."""

    def __init__(  # noqa: PLR0913 - the main paths, and what they read by
        self,
        *,
        enrolment: Enrolment,
        withdrawal: Withdrawal,
        replacement: Replacement,
        protection: LateProtection,
        register: Register,
        spaces: TemplateSpaces,
        clock: Clock,
    ) -> None:
        """Take the main paths."""
        self._enrolment = enrolment
        self._withdrawal = withdrawal
        self._replacement = replacement
        self._protection = protection
        self._register = register
        self._spaces = spaces
        self._clock = clock
        self._under_way: Exclusive[tuple[Member, bytes]] = Exclusive()

    async def Enrol(
        self, request: v1.EnrolRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.EnrolResponse:
        """Enrol one record."""
        body = await self._enrol(request, read_enrol, _write_enrol)
        return v1.EnrolResponse.FromString(body)

    async def BulkEnrol(
        self,
        request_iterator: AsyncIterator[v1.BulkEnrolRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[v1.BulkEnrolResponse]:
        """Enrol many records, a few chunks at a time."""
        slots = asyncio.Semaphore(limits.STREAM_CHUNKS_AHEAD)
        begun: asyncio.Queue[asyncio.Task[v1.BulkEnrolResponse] | None]
        begun = asyncio.Queue()  # bounded by the slots

        async def read() -> None:
            try:
                async for request in request_iterator:
                    await slots.acquire()
                    begun.put_nowait(asyncio.create_task(self._chunk(request)))
            finally:
                begun.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (chunk := await begun.get()) is not None:
                yield await chunk
                slots.release()
            await reader
        finally:
            reader.cancel()
            left = []
            while not begun.empty():
                if chunk := begun.get_nowait():
                    chunk.cancel()
                    left.append(chunk)
            await asyncio.gather(reader, *left, return_exceptions=True)

    async def _chunk(self, request: v1.BulkEnrolRequest) -> v1.BulkEnrolResponse:
        """Enrol one chunk."""
        body = await self._enrol(request, read_chunk, _write_chunk)
        response = v1.BulkEnrolResponse.FromString(body)
        response.request_id = request.request_id
        return response

    async def _enrol(
        self,
        request: RequestT,
        read: Callable[[RequestT, TemplateSpaces, dt.datetime], Enrolling],
        write: Callable[[Sequence[Outcome]], bytes],
    ) -> bytes:
        """Return what a request was answered before, or enrol what it holds.

        It is read on a thread: a chunk would keep searches waiting for milliseconds.
        """
        try:
            asked = await asyncio.to_thread(read_asked, request)
        except InvalidRequestError:
            await self._read(request, read)  # with whatever else is wrong
            raise
        # Parts of a chunk are stored before its id is: another under the same id must
        # find out that it is refused before any of its own is.
        async with self._under_way.of((asked.holder, asked.request_id)):
            known = await self._enrolment.known(asked)
            if known.body:
                return known.body
            enrolling = await self._read(request, read)
            return await self._enrolment.enrol(enrolling, known.digest, write)

    async def _read(
        self,
        request: RequestT,
        read: Callable[[RequestT, TemplateSpaces, dt.datetime], Enrolling],
    ) -> Enrolling:
        """Return what a request asks, or raise what is wrong with it."""
        return await asyncio.to_thread(read, request, self._spaces, self._clock.now())

    async def Withdraw(
        self, request: v1.WithdrawRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.WithdrawResponse:
        """Withdraw one record."""
        write = partial(_write_withdraw, request.reference)
        body = await self._withdrawal.withdraw(read_withdraw(request), write)
        return v1.WithdrawResponse.FromString(body)

    async def Replace(
        self, request: v1.ReplaceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.ReplaceResponse:
        """Replace one template of a record."""
        asked = read_replace(request, self._spaces)
        known = await self._enrolment.known(
            Asked(asked.holder, asked.request_id, asked.content)
        )
        body = known.body
        if body is None:
            body = await self._replacement.replace(asked, _write_replace)
        return v1.ReplaceResponse.FromString(body)

    async def Protect(
        self, request: v1.ProtectRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.ProtectResponse:
        """Set whom one record excludes."""
        body = await self._protection.protect(read_protect(request), _write_protect)
        return v1.ProtectResponse.FromString(body)

    async def PlantCanaries(
        self,
        request: v1.PlantCanariesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> v1.PlantCanariesResponse:
        """Plant records that are nobody's."""
        asked = read_plant(request, self._spaces)
        async with self._under_way.of((asked.holder, asked.request_id)):
            known = await self._enrolment.known(
                Asked(asked.holder, asked.request_id, asked.content)
            )
            body = known.body
            if body is None:
                references, planting = draw(asked, self._enrolment.random_bytes)
                write = partial(_write_plant, references)
                body = await self._enrolment.enrol(planting, known.digest, write)
        return v1.PlantCanariesResponse.FromString(body)

    async def ListGalleries(
        self,
        request: v1.ListGalleriesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> v1.ListGalleriesResponse:
        """List the caller's own galleries."""
        galleries = await self._register.galleries(CALLER.get().member)
        return v1.ListGalleriesResponse(
            galleries=[
                v1.Gallery(
                    space=count.space,
                    record_count=count.records,
                    template_count=count.templates,
                    state=v1.GalleryState.Value(f"GALLERY_STATE_{state}"),
                )
                for count, state in galleries
            ]
        )

    async def SummariseRecords(
        self,
        request: v1.SummariseRecordsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> v1.SummariseRecordsResponse:
        """Count the caller's own records."""
        summary = await self._register.summary(CALLER.get().member)
        # Counted in months, which have no length.
        most = 12 * summary.at.year + summary.at.month + limits.MONTHS_SUMMARISED
        expiring = summary.lives.expiring
        near = {m: n for m, n in expiring.items() if 12 * m.year + m.month <= most}
        return v1.SummariseRecordsResponse(
            count_time=write_moment(summary.at),
            lasting_count=summary.lives.lasting,
            expired_count=summary.lives.expired,
            expiring=_months(near),
            later_count=sum(expiring.values()) - sum(near.values()),
            disposals=[
                v1.DisposalSummary(
                    reason=_reason(reason), disposed=_months(summary.disposed[reason])
                )
                for reason in sorted(summary.disposed)
            ],
        )

    async def ListRecords(
        self,
        request: v1.ListRecordsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> v1.ListRecordsResponse:
        """List one page of the caller's own records."""
        size = read_page_size(request.page_size)
        page = await self._register.page(
            CALLER.get().member, size, request.page_token, canaries=request.canaries
        )
        return v1.ListRecordsResponse(
            records=[_summary(reference, row) for reference, row in page.records],
            next_page_token=page.next_token,
        )


def _write_enrol(outcomes: Sequence[Outcome]) -> bytes:
    """Return the response to one record, or raise why it is refused."""
    (outcome,) = outcomes
    if isinstance(outcome, InvalidRequestError):
        raise outcome
    if refusal := conflict(outcome):
        raise refusal
    return v1.EnrolResponse(outcome=_OUTCOMES[outcome]).SerializeToString()


def _write_chunk(outcomes: Sequence[Outcome]) -> bytes:
    """Return the response to a chunk."""
    # Responses behind one another are one that has the outcomes of all.
    return b"".join(_DONE.get(outcome) or _write_one(outcome) for outcome in outcomes)


def _write_one(outcome: Outcome) -> bytes:
    """Return the response to a chunk of one record."""
    if isinstance(outcome, InvalidRequestError):
        told = write_faults(outcome)
    elif refusal := conflict(outcome):
        told = write_faults(refusal)
    else:
        told = v1.RecordOutcome(outcome=_OUTCOMES[outcome])
    return v1.BulkEnrolResponse(outcomes=[told]).SerializeToString()


_DONE: Final[Mapping[Outcome, bytes]] = {each: _write_one(each) for each in _OUTCOMES}


def _write_plant(references: Sequence[str], outcomes: Sequence[Outcome]) -> bytes:
    """Return the response to canaries; under random references nothing is there."""
    del outcomes
    return v1.PlantCanariesResponse(references=references).SerializeToString()


def _write_withdraw(reference: str, removed: Removed) -> bytes:
    """Return the response to a withdrawal."""
    return v1.WithdrawResponse(
        withdraw_time=write_moment(removed.at),
        reference=reference,
        reason=_reason(removed.reason),
        removed_templates=map(_template, removed.templates),
    ).SerializeToString()


def _write_replace(done: Replaced) -> bytes:
    """Return the response to a replacement."""
    return v1.ReplaceResponse(
        replace_time=write_moment(done.at),
        sample=done.sample,
        generation=done.generation,
    ).SerializeToString()


def _write_protect(done: Protected) -> bytes:
    """Return the response to a protection."""
    return v1.ProtectResponse(
        protect_time=write_moment(done.at),
        added_requesters=sorted(member.code for member in done.added),
        removed_requesters=sorted(member.code for member in done.removed),
    ).SerializeToString()


def _reason(reason: Reason) -> v1.DisposalReason.ValueType:
    """Return the number of a reason."""
    return v1.DisposalReason.ValueType(write_word(v1.DisposalReason, reason))


def _months(counts: Mapping[dt.date, int]) -> list[v1.MonthCount]:
    """Return counts by month, in their order."""
    return [
        v1.MonthCount(month=f"{month:%Y-%m}", record_count=counts[month])
        for month in sorted(counts)
    ]


def _summary(reference: str, row: RecordRow) -> v1.RecordSummary:
    """Return what a holder sees of one record."""
    summary = v1.RecordSummary(
        reference=reference,
        templates=map(_template, row.templates),
        excluded_requesters=sorted(member.code for member in row.excluded),
        legal_basis=row.legal_basis,
        enrol_time=write_moment(row.enrolled_at),
        generation=row.generation,
    )
    if row.expires_at is not None:
        summary.expire_time.CopyFrom(write_moment(row.expires_at))
    if row.protected_at is not None:
        summary.protect_time.CopyFrom(write_moment(row.protected_at))
    if row.replaced_at is not None:
        summary.replace_time.CopyFrom(write_moment(row.replaced_at))
    return summary


def _template(row: TemplateRow) -> v1.TemplateSummary:
    """Return what a holder sees of one template."""
    return v1.TemplateSummary(
        space=row.space, position=write_position(row.position), quality=row.quality
    )
