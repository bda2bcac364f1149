"""Calls about one's own records: enrolled, changed, withdrawn and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.client.bulk import Window
from biometrics.client.calls.calls import Calls, pages
from biometrics.client.responses.enrolling import (
    read_duplicates,
    read_enrolled,
    read_galleries,
    read_protected,
    read_records,
    read_replaced,
    read_summary,
    read_withdrawn,
)
from biometrics.client.streams import Source
from biometrics.errors import ExchangeError
from biometrics.v1 import duplicate_pb2, enrolment_pb2

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Coroutine,
        Iterable,
        Sequence,
    )
    from typing import Any

    from biometrics.client.inputs import Chunk, Record, Template
    from biometrics.client.messages import RequestId
    from biometrics.client.results.enrolling import (
        ChunkOutcome,
        DuplicateInfo,
        EnrolOutcome,
        GalleryInfo,
        ProtectOutcome,
        RecordInfo,
        RecordSummary,
        ReplaceOutcome,
        WithdrawReceipt,
    )


class EnrolCalls(Calls):
    """Enrol records, change and withdraw them, and list what there is."""

    async def enrol(
        self,
        record: Record,
        *,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> EnrolOutcome:
        """Enrol one record; it is durable and searchable when this returns."""
        request = self._requests.enrol(record, request_id)
        return read_enrolled(
            await self._asker.call(self._on.enrolment.Enrol, request, deadline)
        )

    async def enrol_many(
        self, chunks: Iterable[Chunk] | AsyncIterable[Chunk]
    ) -> AsyncGenerator[ChunkOutcome, None]:
        """Enrol many records; yields what became of each chunk, when it is known.

        At most `limits.CHUNKS_IN_FLIGHT` chunks are taken from `chunks` ahead of
        their outcomes. Where the stream breaks, what was not acknowledged is sent
        again under the same request ids, `limits.CLIENT_TRIES` times without any
        progress. To stop, close the iterator, with `contextlib.aclosing` for instance:
        chunks in flight may still be enrolled, and a later run finds them
        `already-enrolled`.

        Args:
            chunks: taken one by one.

        Raises:
            InvalidRequestError: a chunk cannot be sent, or was refused as a whole.
        """
        source = Source(chunks)
        window = Window(self._requests)
        async for chunk in source.take(window.room):
            window.add(chunk)
        pause = 0.0
        while window.is_waiting():
            line = self._asker.line
            await line.pause(pause)
            with line.stream(await self._asker.recipient()) as stream:
                stream.send(*window.unacknowledged())
                while window.is_waiting():
                    try:
                        response = await line.wait(stream.receive)
                    except ExchangeError as error:
                        pause = window.pause_after(error)
                        break
                    yield window.settle(response)
                    async for chunk in source.take(window.room):
                        stream.send(window.add(chunk))
                else:
                    await line.wait(stream.finish)

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
        asked = enrolment_pb2.WithdrawRequest(reference=reference)
        request = self._requests.under(request_id, asked)
        return read_withdrawn(
            await self._asker.call(self._on.enrolment.Withdraw, request, deadline)
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
        response = await self._asker.call(
            self._on.enrolment.PlantCanaries, request, deadline
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
        return read_replaced(
            await self._asker.call(self._on.enrolment.Replace, request, deadline)
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
        asked = enrolment_pb2.ProtectRequest(
            reference=reference,
            excluded_requesters=excluded,
            exclude_nobody=exclude_nobody,
        )
        request = self._requests.under(request_id, asked)
        return read_protected(
            await self._asker.call(self._on.enrolment.Protect, request, deadline)
        )

    async def galleries(
        self, *, deadline: float | None = None
    ) -> tuple[GalleryInfo, ...]:
        """List one's own galleries."""
        request = enrolment_pb2.ListGalleriesRequest()
        return read_galleries(
            await self._asker.call(self._on.enrolment.ListGalleries, request, deadline)
        )

    def records(
        self,
        *,
        canaries: bool = False,
        page_size: int = limits.MAX_PAGE_RECORDS,
        deadline: float | None = None,
    ) -> AsyncGenerator[RecordInfo, None]:
        """Iterate over one's own records, page by page.

        Args:
            canaries: True for the canaries among them, and these alone.
            page_size: records of a page.
            deadline: seconds, of a page.
        """

        def page(
            token: str,
        ) -> Coroutine[Any, Any, enrolment_pb2.ListRecordsResponse]:
            request = enrolment_pb2.ListRecordsRequest(
                page_size=page_size, page_token=token, canaries=canaries
            )
            return self._asker.call(self._on.enrolment.ListRecords, request, deadline)

        return pages(page, read_records)

    async def summary(self, *, deadline: float | None = None) -> RecordSummary:
        """Count one's own records: when they expire, and when and why others went."""
        request = enrolment_pb2.SummariseRecordsRequest()
        return read_summary(
            await self._asker.call(
                self._on.enrolment.SummariseRecords, request, deadline
            )
        )

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
        return read_duplicates(
            references,
            await self._asker.call(
                self._on.duplicates.FindDuplicates, request, deadline
            ),
        )
