"""Responses of the exchange, turned into the values of `results`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from biometrics.client.results import (
    AgreementInfo,
    AlertInfo,
    CallerInfo,
    CheckpointInfo,
    CustodyInfo,
    DuplicateInfo,
    EnrolOutcome,
    EnrolStatus,
    EntryKeyInfo,
    ErasureInfo,
    Explanation,
    GalleryInfo,
    HolderAnswer,
    HolderInfo,
    LoadInfo,
    LoadMinuteInfo,
    MatchAnswer,
    Outcome,
    OwnEntryInfo,
    PermissionInfo,
    ProbeRefusal,
    ProtectOutcome,
    ReceivedFollowUp,
    RecordInfo,
    RecordSummary,
    RegionInfo,
    RegionMemberInfo,
    RegionPermissionInfo,
    ReplaceOutcome,
    RequestedFollowUp,
    ReviewInfo,
    SpaceInfo,
    TemplateInfo,
    UseInfo,
    VersionInfo,
    WithdrawReceipt,
)
from biometrics.client.words import word_of, words_of
from biometrics.errors import Fault
from biometrics.signing import SignedRequest
from biometrics.v1 import (
    agreement_pb2,
    audit_pb2,
    custody_pb2,
    duplicate_pb2,
    enrolment_pb2,
    followup_pb2,
    match_pb2,
    region_pb2,
    review_pb2,
    space_pb2,
    template_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp


def read_answer(message: match_pb2.MatchResponse) -> MatchAnswer:
    """Return the answer to one search."""
    return MatchAnswer(
        regional=_outcome(message.regional_outcome),
        holders=tuple(
            HolderAnswer(
                holder=answer.holder,
                outcome=_outcome(answer.outcome),
                reference=answer.reference.hex(),
            )
            for answer in message.answers
        ),
        receipt_status=word_of(match_pb2.ReceiptStatus, message.receipt_status),
        receipt=message.receipt.decode(errors="replace"),
        fallback_positions=words_of(template_pb2.Position, message.fallback_positions),
    )


def read_batch(
    message: match_pb2.BatchMatchResponse,
) -> tuple[MatchAnswer | ProbeRefusal, ...]:
    """Return one result a probe, in the order of the request."""
    return tuple(
        read_answer(result.answer)
        if result.HasField("answer")
        else ProbeRefusal(reason=result.refusal.reason, message=result.refusal.message)
        for result in message.results
    )


def read_enrolled(message: enrolment_pb2.EnrolResponse) -> EnrolOutcome:
    """Return what became of a record that was enrolled alone."""
    return EnrolOutcome(status=_status(message.outcome))


def read_chunk_outcomes(
    message: enrolment_pb2.BulkEnrolResponse,
) -> tuple[EnrolOutcome, ...]:
    """Return one outcome a record, in the order of the chunk."""
    return tuple(
        EnrolOutcome(
            status=_status(outcome.outcome),
            faults=tuple(
                Fault(field=fault.field, reason=fault.reason, message=fault.message)
                for fault in outcome.faults
            ),
        )
        for outcome in message.outcomes
    )


def read_protected(message: enrolment_pb2.ProtectResponse) -> ProtectOutcome:
    """Return what a protection has changed."""
    return ProtectOutcome(
        protected_at=read_moment(message.protect_time),
        added=tuple(message.added_requesters),
        removed=tuple(message.removed_requesters),
    )


def read_custody(message: custody_pb2.GetCustodyResponse) -> CustodyInfo:
    """Return whether one's galleries are open."""
    changed = message.HasField("change_time")
    return CustodyInfo(
        state=word_of(custody_pb2.CustodyState, message.state),
        since=read_moment(message.change_time) if changed else None,
        is_busy=message.busy,
        items_left=message.items_left,
        trouble=message.trouble,
    )


def read_erasures(
    message: custody_pb2.ListErasuresResponse,
) -> tuple[ErasureInfo, ...]:
    """Return one page of what keys of one's own are no more."""
    return tuple(
        ErasureInfo(
            number=erasure.number,
            kind=word_of(custody_pb2.ErasureKind, erasure.kind),
            deleted_at=read_moment(erasure.delete_time),
            records=erasure.record_count,
            certificate=erasure.certificate,
            verifier_key=message.verifier_key,
        )
        for erasure in message.erasures
    )


def read_checkpoint(message: audit_pb2.GetCheckpointResponse) -> CheckpointInfo:
    """Return the newest checkpoint of the log."""
    return CheckpointInfo(
        note=message.checkpoint,
        verifier_key=message.verifier_key,
        offered=message.offered,
        cosigned=tuple(message.cosigned),
    )


def read_own_entries(
    message: audit_pb2.ListOwnEntriesResponse,
) -> tuple[OwnEntryInfo, ...]:
    """Return entries of one's own, sealed."""
    return tuple(
        OwnEntryInfo(
            leaf_index=entry.leaf_index,
            slot=entry.slot,
            path=tuple(entry.path),
            key_id=entry.key_id,
            sealed=entry.sealed,
        )
        for entry in message.entries
    )


def read_entry_keys(
    message: audit_pb2.ListEntryKeysResponse,
) -> tuple[EntryKeyInfo, ...]:
    """Return one page of keys of one's own entries."""
    return tuple(
        EntryKeyInfo(key_id=key.key_id, hour=key.hour, handed=key.handed)
        for key in message.keys
    )


def read_reviews(message: review_pb2.ListReviewsResponse) -> tuple[ReviewInfo, ...]:
    """Return the freezes that can be reviewed."""
    return tuple(
        ReviewInfo(
            case=review.case_id,
            holder=review.holder,
            requester=review.requester,
            searches=review.search_count,
            lapses_on=review.lapse_day,
            requester_says=word_of(review_pb2.Verdict, review.requester_verdict),
            auditor_says=word_of(review_pb2.Verdict, review.auditor_verdict),
        )
        for review in message.reviews
    )


def read_requested(
    message: followup_pb2.ListRequestedFollowUpsResponse,
) -> tuple[RequestedFollowUp, ...]:
    """Return the follow-ups that one has asked for."""
    return tuple(
        RequestedFollowUp(
            follow_up_id=each.follow_up_id,
            holder=each.holder,
            state=word_of(followup_pb2.FollowUpState, each.state),
            refusal=word_of(followup_pb2.Refusal, each.refusal),
            requested_at=read_moment(each.request_time),
        )
        for each in message.follow_ups
    )


def read_received(
    message: followup_pb2.ListReceivedFollowUpsResponse,
) -> tuple[ReceivedFollowUp, ...]:
    """Return the follow-ups that wait for oneself.

    Raises:
        InvalidRequestError: the exchange gave something else than what is signed.
    """
    return tuple(
        ReceivedFollowUp(
            signed=SignedRequest.parse(each.note),
            state=word_of(followup_pb2.FollowUpState, each.state),
            references=tuple(each.references),
            record_count=each.record_count,
            confirmation=each.confirmation,
            requested_at=read_moment(each.request_time),
            expires_at=read_moment(each.expire_time),
        )
        for each in message.follow_ups
    )


def read_alerts(message: review_pb2.ListAlertsResponse) -> tuple[AlertInfo, ...]:
    """Return what gave cause for alerts."""
    return tuple(
        AlertInfo(
            kind=word_of(review_pb2.AlertKind, alert.kind),
            holder=alert.holder,
            requester=alert.requester,
            count=alert.count,
            space=alert.space,
        )
        for alert in message.alerts
    )


def read_withdrawn(message: enrolment_pb2.WithdrawResponse) -> WithdrawReceipt:
    """Return the receipt of a withdrawal."""
    return WithdrawReceipt(
        reference=message.reference,
        withdrawn_at=read_moment(message.withdraw_time),
        reason=word_of(enrolment_pb2.DisposalReason, message.reason),
        removed=_templates(message.removed_templates),
    )


def read_replaced(message: enrolment_pb2.ReplaceResponse) -> ReplaceOutcome:
    """Return what a replacement has changed."""
    return ReplaceOutcome(
        replaced_at=read_moment(message.replace_time),
        sample=message.sample,
        generation=message.generation,
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


def read_permissions(
    message: agreement_pb2.ListPermissionsResponse,
) -> tuple[PermissionInfo, ...]:
    """Return what others may learn."""
    return tuple(
        PermissionInfo(
            requester=each.requester,
            modality=word_of(template_pb2.Modality, each.modality),
            purpose=word_of(match_pb2.Purpose, each.purpose),
            level=word_of(agreement_pb2.DisclosureLevel, each.level),
        )
        for each in message.permissions
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


def read_agreements(
    message: agreement_pb2.ListAgreementsResponse,
) -> tuple[AgreementInfo, ...]:
    """Return the clauses that one is a party to."""
    return tuple(
        AgreementInfo(
            holder=clause.holder,
            requester=clause.requester,
            effect=word_of(agreement_pb2.ClauseEffect, clause.effect),
            purposes=words_of(match_pb2.Purpose, clause.purposes),
            modalities=words_of(template_pb2.Modality, clause.modalities),
            level=word_of(agreement_pb2.DisclosureLevel, clause.level),
            valid_from=_date(clause.valid_from),
            valid_until=_date(clause.valid_until),
            legal_basis=clause.legal_basis,
            fpir=word_of(space_pb2.FpirClass, clause.fpir_class),
            measured_only=clause.measured_only,
            quota_per_day=clause.quota_per_day,
        )
        for clause in message.agreements
    )


def read_explanation(
    message: agreement_pb2.ExplainAgreementResponse,
) -> Explanation:
    """Return whether a search would be permitted, and why."""
    return Explanation(
        permitted=message.permitted,
        level=word_of(agreement_pb2.DisclosureLevel, message.level),
        decided_by=message.decided_by,
        text=message.explanation,
        own_version=read_own_version(message),
    )


def read_own_version(
    message: agreement_pb2.ListAgreementsResponse
    | agreement_pb2.ExplainAgreementResponse,
) -> VersionInfo | None:
    """Return which version of one's own agreement is in force."""
    if not message.HasField("own_version"):
        return None
    return VersionInfo(
        revision=message.own_version.revision,
        sha256=message.own_version.sha256,
        signers=tuple(message.own_version.signers),
    )


def read_spaces(message: space_pb2.ListSpacesResponse) -> tuple[SpaceInfo, ...]:
    """Return the template spaces of the exchange."""
    return tuple(
        SpaceInfo(
            name=space.name,
            modality=word_of(template_pb2.Modality, space.modality),
            extractor=space.extractor,
            extractor_version=space.extractor_version,
            positions=words_of(template_pb2.Position, space.positions),
            dimension=space.dimension,
            data_type=word_of(template_pb2.DataType, space.data_type),
            metric=word_of(space_pb2.Metric, space.metric),
            normalisation=word_of(space_pb2.Normalisation, space.normalisation),
            quality_scale=space.quality_scale,
            identity=space.identity,
            threshold_basis=word_of(space_pb2.ThresholdBasis, space.threshold_basis),
            calibrated=_date(space.calibration_day),
            calibration_sha256=space.calibration_sha256,
            established=words_of(space_pb2.FpirClass, space.established_fpir_classes),
            is_fused=space.is_fused,
            least_quality={
                word_of(template_pb2.Position, least.position): least.quality
                for least in space.least_qualities
            },
        )
        for space in message.spaces
    )


def read_caller(message: region_pb2.DescribeCallerResponse) -> CallerInfo:
    """Return who the caller is."""
    return CallerInfo(
        exchange=message.exchange_name,
        member=message.member,
        name=message.member_name,
        role=message.role,
        methods=frozenset(message.methods),
    )


def read_holders(message: region_pb2.ListHoldersResponse) -> tuple[HolderInfo, ...]:
    """Return the holders that one's member may search."""
    return tuple(
        HolderInfo(
            holder=each.holder,
            name=each.name,
            availability=word_of(region_pb2.Availability, each.availability),
            uses=_uses(each.uses),
        )
        for each in message.holders
    )


def read_load(message: region_pb2.GetLoadResponse) -> LoadInfo:
    """Return the load of the last hour."""
    return LoadInfo(
        minutes=tuple(
            LoadMinuteInfo(
                begin=dt.datetime.fromtimestamp(60 * each.minute, dt.UTC),
                searches=each.search_count,
                unanswered=each.unanswered_count,
                changes=each.enrolment_count,
                half_within_ms=each.half_within_ms,
                most_within_ms=each.most_within_ms,
            )
            for each in message.minutes
        ),
        whole_region=message.whole_region,
    )


def read_region(message: region_pb2.DescribeRegionResponse) -> RegionInfo:
    """Return all members, and what is agreed."""
    return RegionInfo(
        day=dt.date.fromisoformat(message.day),
        members=tuple(
            RegionMemberInfo(
                member=each.member,
                name=each.name,
                state=word_of(region_pb2.GalleriesState, each.state),
                templates_at_most=each.templates_at_most,
            )
            for each in message.members
        ),
        permissions=tuple(
            RegionPermissionInfo(
                holder=each.holder,
                requester=each.requester,
                uses=_uses(each.uses),
            )
            for each in message.permissions
        ),
    )


def read_moment(stamp: Timestamp) -> dt.datetime:
    """Return an aware moment in UTC."""
    return stamp.ToDatetime(tzinfo=dt.UTC)


def _uses(uses: Iterable[region_pb2.Use]) -> tuple[UseInfo, ...]:
    """Return what may be asked."""
    return tuple(
        UseInfo(
            purpose=word_of(match_pb2.Purpose, each.purpose),
            modality=word_of(template_pb2.Modality, each.modality),
            level=word_of(agreement_pb2.DisclosureLevel, each.level),
        )
        for each in uses
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


def _outcome(number: int) -> Outcome:
    """Return an outcome; one that this version does not know is `UNKNOWN`."""
    return Outcome(word_of(match_pb2.Outcome, number) or Outcome.UNKNOWN)


def _status(number: int) -> EnrolStatus:
    """Return a status; one that this version does not know is `UNKNOWN`."""
    return EnrolStatus(
        word_of(enrolment_pb2.EnrolOutcome, number) or EnrolStatus.UNKNOWN
    )


def _date(text: str) -> dt.date | None:
    """Return the day of YYYY-MM-DD, or None where it is open."""
    return dt.date.fromisoformat(text) if text else None
