"""Responses about who takes part, and what is agreed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from biometrics.client.responses.times import read_day
from biometrics.client.results.region import (
    AgreementInfo,
    CallerInfo,
    Explanation,
    HolderInfo,
    LoadInfo,
    LoadMinuteInfo,
    PermissionInfo,
    RegionInfo,
    RegionMemberInfo,
    RegionPermissionInfo,
    UseInfo,
    VersionInfo,
)
from biometrics.client.words import word_of, words_of
from biometrics.v1 import agreement_pb2, match_pb2, region_pb2, space_pb2, template_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable


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
            valid_from=read_day(clause.valid_from),
            valid_until=read_day(clause.valid_until),
            legal_basis=clause.legal_basis,
            fpir=word_of(space_pb2.FpirClass, clause.fpir_class),
            measured_only=clause.measured_only,
            quota_per_day=clause.quota_per_day,
        )
        for clause in message.agreements
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
