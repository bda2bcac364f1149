"""THE table: which role may call which method, and how much of it.

A method without a row is served to nobody, and a server whose methods and rows
differ does not start.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]  # no stubs

from biometrics import limits
from biometrics.callers import Role
from biometrics.errors import DefectError
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
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.descriptor import ServiceDescriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row.

    Attributes:
        roles: whoever may call it.
        needs_deadline: False only where a call waits for as long as the caller
            likes; such calls are bounded apart from the others.
        most_at_once: how many calls of one member may run.
        most_bytes: of one message of a request.
        takes_turns: whether few run at a time, of each member in turn: where a person
            waits for the answer.
    """

    roles: frozenset[Role]
    needs_deadline: bool = True
    most_at_once: int = limits.MAX_RUNNING_CALLS_PER_MEMBER
    most_bytes: int = limits.MAX_QUESTION_BYTES
    takes_turns: bool = False


SERVICES: Final[tuple[ServiceDescriptor, ...]] = (
    match_pb2.DESCRIPTOR.services_by_name["MatchService"],
    enrolment_pb2.DESCRIPTOR.services_by_name["EnrolmentService"],
    custody_pb2.DESCRIPTOR.services_by_name["CustodyService"],
    duplicate_pb2.DESCRIPTOR.services_by_name["DuplicateService"],
    agreement_pb2.DESCRIPTOR.services_by_name["AgreementService"],
    review_pb2.DESCRIPTOR.services_by_name["ReviewService"],
    followup_pb2.DESCRIPTOR.services_by_name["FollowUpService"],
    space_pb2.DESCRIPTOR.services_by_name["SpaceService"],
    audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
    region_pb2.DESCRIPTOR.services_by_name["RegionService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
)

_CLIENT: Final = frozenset({Role.CLIENT})
_ENROLLER: Final = frozenset({Role.ENROLLER})
# Closes, opens and destroys all that a member has enrolled. Not the enroller: a system
# that runs unattended and reads others' files; taking it over must neither open what
# its member has closed nor end everything at one call.
_ADMINISTRATOR: Final = frozenset({Role.ADMINISTRATOR})
# How many records a gallery holds is what an auditor compares a log with. Their
# references are not: an auditor has no use for them.
_COUNTS: Final = Method(
    roles=frozenset({Role.ENROLLER, Role.AUDITOR, Role.ADMINISTRATOR})
)
# Freezes and alerts. Not the client: the system that searches must not be able to tell
# a frozen record from one that is not there.
_REVIEWS: Final = Method(roles=frozenset({Role.AUDITOR, Role.ADMINISTRATOR}))
# Keeps the region going, and is no member's: what a member alone is told, it is not.
_COORDINATOR: Final = frozenset({Role.COORDINATOR})
# What is agreed and what can be compared: everybody of a member but its witness,
# who countersigns the log and needs nothing else.
_RULES: Final = Method(roles=frozenset(Role) - _COORDINATOR - {Role.WITNESS})
_LOAD: Final = Method(roles=frozenset(Role) - {Role.WITNESS})
# What is public of the log, for those who verify it; and what is a member's own, which
# opens with its auditor's key alone.
_AUDITOR: Final = frozenset({Role.AUDITOR})
_PAGES: Final = Method(roles=_AUDITOR | _COORDINATOR | {Role.WITNESS})
_ANYBODY: Final = Method(roles=frozenset(Role))
# A person who decides what is told of a person. Neither the administrator, who need not
# see a record, nor the system that has them: it runs unattended, and gives what the
# officer has confirmed.
_OFFICER: Final = Method(roles=frozenset({Role.OFFICER}))

METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "/biometrics.v1.MatchService/Match": Method(
            roles=_CLIENT, most_bytes=limits.MAX_SEARCH_BYTES, takes_turns=True
        ),
        "/biometrics.v1.MatchService/BatchMatch": Method(
            roles=_CLIENT,
            most_at_once=limits.MAX_BATCHES_PER_MEMBER,
            most_bytes=limits.MAX_MESSAGE_BYTES,
        ),
        "/biometrics.v1.EnrolmentService/Enrol": Method(
            roles=_ENROLLER, most_bytes=limits.MAX_RECORD_BYTES
        ),
        "/biometrics.v1.EnrolmentService/BulkEnrol": Method(
            roles=_ENROLLER,
            most_at_once=limits.MAX_BULK_STREAMS_PER_MEMBER,
            most_bytes=limits.MAX_MESSAGE_BYTES,
        ),
        "/biometrics.v1.EnrolmentService/Withdraw": Method(roles=_ENROLLER),
        "/biometrics.v1.EnrolmentService/Replace": Method(
            roles=_ENROLLER, most_bytes=limits.MAX_SEARCH_BYTES
        ),
        "/biometrics.v1.EnrolmentService/Protect": Method(roles=_ENROLLER),
        "/biometrics.v1.EnrolmentService/PlantCanaries": Method(roles=_ENROLLER),
        "/biometrics.v1.EnrolmentService/ListGalleries": _COUNTS,
        "/biometrics.v1.EnrolmentService/SummariseRecords": _COUNTS,
        "/biometrics.v1.EnrolmentService/ListRecords": Method(roles=_ENROLLER),
        "/biometrics.v1.CustodyService/Lock": Method(roles=_ADMINISTRATOR),
        "/biometrics.v1.CustodyService/Unlock": Method(roles=_ADMINISTRATOR),
        "/biometrics.v1.CustodyService/GetSealingKey": Method(
            roles=_CLIENT | _ENROLLER | _ADMINISTRATOR
        ),
        "/biometrics.v1.CustodyService/Rotate": Method(roles=_ADMINISTRATOR),
        "/biometrics.v1.CustodyService/Destroy": Method(roles=_ADMINISTRATOR),
        "/biometrics.v1.CustodyService/GetCustody": _COUNTS,
        "/biometrics.v1.CustodyService/ListErasures": _COUNTS,
        # Of the enroller's own galleries: it learns what it could tell by its files.
        "/biometrics.v1.DuplicateService/FindDuplicates": Method(
            roles=_ENROLLER,
            most_at_once=limits.MAX_BULK_STREAMS_PER_MEMBER,
            most_bytes=limits.MAX_DUPLICATES_BYTES,
        ),
        "/biometrics.v1.AgreementService/ListAgreements": _RULES,
        "/biometrics.v1.AgreementService/ListPermissions": _RULES,
        "/biometrics.v1.AgreementService/ExplainAgreement": _RULES,
        "/biometrics.v1.ReviewService/ListReviews": _REVIEWS,
        "/biometrics.v1.ReviewService/DecideReview": _REVIEWS,
        "/biometrics.v1.ReviewService/ListAlerts": _REVIEWS,
        "/biometrics.v1.FollowUpService/RequestFollowUp": Method(
            roles=_CLIENT, most_bytes=limits.MAX_FOLLOW_UP_REQUEST_BYTES
        ),
        "/biometrics.v1.FollowUpService/ListRequestedFollowUps": Method(roles=_CLIENT),
        "/biometrics.v1.FollowUpService/ReadFollowUp": Method(roles=_CLIENT),
        "/biometrics.v1.FollowUpService/ListReceivedFollowUps": Method(
            roles=_ENROLLER | {Role.OFFICER}
        ),
        "/biometrics.v1.FollowUpService/ConfirmFollowUp": _OFFICER,
        "/biometrics.v1.FollowUpService/RefuseFollowUp": _OFFICER,
        "/biometrics.v1.FollowUpService/ReleaseFollowUp": Method(
            roles=_ENROLLER, most_bytes=limits.MAX_RELEASE_BYTES
        ),
        "/biometrics.v1.SpaceService/ListSpaces": _RULES,
        "/biometrics.v1.AuditService/GetCheckpoint": _PAGES,
        "/biometrics.v1.AuditService/GetTile": _PAGES,
        "/biometrics.v1.AuditService/ListLeaves": _PAGES,
        "/biometrics.v1.AuditService/ListOwnEntries": Method(roles=_AUDITOR),
        "/biometrics.v1.AuditService/ListEntryKeys": Method(roles=_AUDITOR),
        "/biometrics.v1.AuditService/AddCosignature": Method(
            roles=_AUDITOR | {Role.WITNESS}, most_bytes=limits.MAX_SEARCH_BYTES
        ),
        "/biometrics.v1.RegionService/DescribeCaller": _ANYBODY,
        "/biometrics.v1.RegionService/ListHolders": _RULES,
        "/biometrics.v1.RegionService/GetLoad": _LOAD,
        "/biometrics.v1.RegionService/DescribeRegion": Method(roles=_COORDINATOR),
        "/grpc.health.v1.Health/Check": _ANYBODY,
        "/grpc.health.v1.Health/List": _ANYBODY,
        "/grpc.health.v1.Health/Watch": Method(
            roles=frozenset(Role),
            needs_deadline=False,
            most_at_once=limits.MAX_WATCHES_PER_MEMBER,
        ),
    }
)
# What the console may ask for others, who have shown it their certificates: nothing
# that changes anything, and nothing with a template, a reference or an entry in it.
SHOWN: Final[Mapping[str, Method]] = MappingProxyType(
    {
        name: METHODS[name]
        for name in (
            "/biometrics.v1.EnrolmentService/ListGalleries",
            "/biometrics.v1.CustodyService/GetCustody",
            "/biometrics.v1.AgreementService/ListPermissions",
            "/biometrics.v1.ReviewService/ListReviews",
            "/biometrics.v1.ReviewService/ListAlerts",
            "/biometrics.v1.AuditService/GetCheckpoint",
            "/biometrics.v1.AuditService/GetTile",
            "/biometrics.v1.RegionService/DescribeCaller",
            "/biometrics.v1.RegionService/ListHolders",
            "/biometrics.v1.RegionService/GetLoad",
            "/biometrics.v1.RegionService/DescribeRegion",
        )
    }
)


def served_methods(services: Iterable[ServiceDescriptor]) -> frozenset[str]:
    """Return the full names of every method of `services`."""
    return frozenset(
        f"/{service.full_name}/{method.name}"
        for service in services
        for method in service.methods
    )


def check_table(
    services: Iterable[ServiceDescriptor], table: Mapping[str, Method] = METHODS
) -> None:
    """Refuse to start unless the served methods are exactly the table's rows.

    Raises:
        DefectError: a method has no row, a row no method, or a row no role.
    """
    served = served_methods(services)
    wrong = [
        *(f"`{name}` is served without a row" for name in sorted(served - set(table))),
        *(f"`{name}` is not served" for name in sorted(set(table) - served)),
        *(f"`{name}` has no role" for name in sorted(table) if not table[name].roles),
    ]
    if wrong:
        raise DefectError("METHOD_TABLE", f"the method table: {'; '.join(wrong)}")
