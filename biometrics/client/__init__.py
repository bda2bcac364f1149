"""The client SDK of the exchange: what a member's developer uses.

It needs the contract, the errors and the limits of this package, and signed notes to
know the exchange by, and nothing else of it: no server, no store, no matcher.
"""

from biometrics.client.aio import AsyncExchangeClient
from biometrics.client.client import ExchangeClient
from biometrics.client.inputs import Chunk, Probe, Record, Template
from biometrics.client.profile import Profile
from biometrics.client.results.custody import CustodyInfo, ErasureInfo
from biometrics.client.results.enrolling import (
    ChunkOutcome,
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
from biometrics.client.results.follow_ups import ReceivedFollowUp, RequestedFollowUp
from biometrics.client.results.log import CheckpointInfo, EntryKeyInfo, OwnEntryInfo
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
from biometrics.client.results.reviewing import AlertInfo, ReviewInfo
from biometrics.client.results.searching import (
    HolderAnswer,
    MatchAnswer,
    Outcome,
    ProbeRefusal,
    SpaceInfo,
)
from biometrics.signing import FollowUpPayload, FollowUpTicket

__all__ = [
    "AgreementInfo",
    "AlertInfo",
    "AsyncExchangeClient",
    "CallerInfo",
    "CheckpointInfo",
    "Chunk",
    "ChunkOutcome",
    "CustodyInfo",
    "DuplicateInfo",
    "EnrolOutcome",
    "EnrolStatus",
    "EntryKeyInfo",
    "ErasureInfo",
    "ExchangeClient",
    "Explanation",
    "FollowUpPayload",
    "FollowUpTicket",
    "GalleryInfo",
    "HolderAnswer",
    "HolderInfo",
    "LoadInfo",
    "LoadMinuteInfo",
    "MatchAnswer",
    "Outcome",
    "OwnEntryInfo",
    "PermissionInfo",
    "Probe",
    "ProbeRefusal",
    "Profile",
    "ProtectOutcome",
    "ReceivedFollowUp",
    "Record",
    "RecordInfo",
    "RecordSummary",
    "RegionInfo",
    "RegionMemberInfo",
    "RegionPermissionInfo",
    "ReplaceOutcome",
    "RequestedFollowUp",
    "ReviewInfo",
    "SpaceInfo",
    "Template",
    "TemplateInfo",
    "UseInfo",
    "VersionInfo",
    "WithdrawReceipt",
]
