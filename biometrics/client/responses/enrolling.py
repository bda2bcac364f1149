"""Responses about one's own records."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from biometrics.client.responses.times import read_moment
from biometrics.client.results.enrolling import (
    DuplicateInfo,
    EnrolOutcome,
    EnrolStatus,
    GalleryInfo,
    ProtectOutcome,
    RecordInfo,
    RecordSummary,
    ReplaceOutcome,
    TemplateInfo,
    WithdrawReceipt,
)
from biometrics.client.words import word_of
from biometrics.errors import Fault
from biometrics.v1 import duplicate_pb2, enrolment_pb2, template_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_enrolled(message: enrolment_pb2.EnrolResponse) -> EnrolOutcome:
    """Return what became of a record that was enrolled alone."""
    return _faultless(message.outcome)


def read_chunk_outcomes(
    message: enrolment_pb2.BulkEnrolResponse,
) -> tuple[EnrolOutcome, ...]:
    """Return one outcome a record, in the order of the chunk."""
    return tuple(map(_outcome, message.outcomes))


def _outcome(message: enrolment_pb2.RecordOutcome) -> EnrolOutcome:
    """Return what became of a record of a chunk."""
    if not message.faults:  # as of nearly all
        return _faultless(message.outcome)
    return EnrolOutcome(
        status=_status(message.outcome),
        faults=tuple(
            Fault(field=fault.field, reason=fault.reason, message=fault.message)
            for fault in message.faults
        ),
    )


@lru_cache(maxsize=64)
def _faultless(number: int) -> EnrolOutcome:
    """Return the outcome of records with which nothing is wrong."""
    return EnrolOutcome(status=_status(number))


def read_protected(message: enrolment_pb2.ProtectResponse) -> ProtectOutcome:
    """Return what a protection has changed."""
    return ProtectOutcome(
        protected_at=read_moment(message.protect_time),
        added=tuple(message.added_requesters),
        removed=tuple(message.removed_requesters),
    )


def read_replaced(message: enrolment_pb2.ReplaceResponse) -> ReplaceOutcome:
    """Return what a replacement has changed."""
    return ReplaceOutcome(
        replaced_at=read_moment(message.replace_time),
        sample=message.sample,
        generation=message.generation,
    )


def read_withdrawn(message: enrolment_pb2.WithdrawResponse) -> WithdrawReceipt:
    """Return the receipt of a withdrawal."""
    return WithdrawReceipt(
        reference=message.reference,
        withdrawn_at=read_moment(message.withdraw_time),
        reason=word_of(enrolment_pb2.DisposalReason, message.reason),
        removed=_templates(message.removed_templates),
    )


def read_galleries(
    message: enrolment_pb2.ListGalleriesResponse,
) -> tuple[GalleryInfo, ...]:
    """Return one's own galleries."""
    return tuple(
        GalleryInfo(
            space=gallery.space,
            records=gallery.record_count,
            templates=gallery.template_count,
            state=word_of(enrolment_pb2.GalleryState, gallery.state),
        )
        for gallery in message.galleries
    )


def read_records(
    message: enrolment_pb2.ListRecordsResponse,
) -> tuple[RecordInfo, ...]:
    """Return one page of one's own records."""
    return tuple(
        RecordInfo(
            reference=record.reference,
            templates=_templates(record.templates),
            excluded=tuple(record.excluded_requesters),
            legal_basis=record.legal_basis,
            enrolled_at=read_moment(record.enrol_time),
            expires_at=(
                read_moment(record.expire_time)
                if record.HasField("expire_time")
                else None
            ),
            protected_at=(
                read_moment(record.protect_time)
                if record.HasField("protect_time")
                else None
            ),
            replaced_at=(
                read_moment(record.replace_time)
                if record.HasField("replace_time")
                else None
            ),
            generation=record.generation,
        )
        for record in message.records
    )


def read_summary(message: enrolment_pb2.SummariseRecordsResponse) -> RecordSummary:
    """Return the counts of one's own records."""
    return RecordSummary(
        counted_at=read_moment(message.count_time),
        lasting=message.lasting_count,
        expired=message.expired_count,
        expiring=_months(message.expiring),
        later=message.later_count,
        disposed={
            word_of(enrolment_pb2.DisposalReason, each.reason): _months(each.disposed)
            for each in message.disposals
        },
    )


def read_duplicates(
    references: Iterable[str], message: duplicate_pb2.FindDuplicatesResponse
) -> tuple[DuplicateInfo, ...]:
    """Return one entry a reference that was asked about."""
    return tuple(
        DuplicateInfo(
            reference=reference,
            outcome=word_of(duplicate_pb2.DuplicateOutcome, each.outcome),
            others=tuple(each.others),
            count=each.other_count,
        )
        for reference, each in zip(references, message.results, strict=False)
    )


def _months(counts: Iterable[enrolment_pb2.MonthCount]) -> dict[str, int]:
    """Return counts by month."""
    return {count.month: count.record_count for count in counts}


def _templates(
    summaries: Iterable[enrolment_pb2.TemplateSummary],
) -> tuple[TemplateInfo, ...]:
    """Return what templates there are."""
    return tuple(
        TemplateInfo(
            space=template.space,
            position=word_of(template_pb2.Position, template.position),
            quality=template.quality if template.HasField("quality") else None,
        )
        for template in summaries
    )


def _status(number: int) -> EnrolStatus:
    """Return a status; one that this version does not know is `UNKNOWN`."""
    return EnrolStatus(
        word_of(enrolment_pb2.EnrolOutcome, number) or EnrolStatus.UNKNOWN
    )
