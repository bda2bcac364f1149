"""The services of the exchange, on one channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from biometrics.v1 import (
    agreement_pb2_grpc,
    audit_pb2_grpc,
    custody_pb2_grpc,
    duplicate_pb2_grpc,
    enrolment_pb2_grpc,
    followup_pb2_grpc,
    match_pb2_grpc,
    region_pb2_grpc,
    review_pb2_grpc,
    space_pb2_grpc,
)

if TYPE_CHECKING:
    import grpc
    import grpc.aio


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What can be called. Of an asyncio channel, each call is one to be awaited.

    The types are those of a blocking channel; a `Line` alone calls what it finds here,
    and knows which of the two it has.
    """

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
    def on(cls, channel: grpc.Channel | grpc.aio.Channel) -> Self:
        """Return the services of a channel."""
        return cls(
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
