"""The client SDK of the exchange: what a member's developer uses.

It needs the contract, the errors and the limits of this package, and signed notes to
know the exchange by, and nothing else of it: no server, no store, no matcher.
"""

from biometrics.client.aio import AsyncExchangeClient
from biometrics.client.client import ExchangeClient
from biometrics.client.inputs import Chunk, Probe, Record, Template
from biometrics.client.profile import Profile
from biometrics.client.results import (
    AgreementInfo,
    AlertInfo,
    CheckpointInfo,
    ChunkOutcome,
    CustodyInfo,
    DuplicateInfo,
    EnrolOutcome,
    EnrolStatus,
    EntryKeyInfo,
    ErasureInfo,
    Explanation,
    GalleryInfo,
    HolderAnswer,
    MatchAnswer,
    Outcome,
    OwnEntryInfo,
    PermissionInfo,
    ProbeRefusal,
    ProtectOutcome,
    ReceivedFollowUp,
    RecordInfo,
    RecordSummary,
    ReplaceOutcome,
    RequestedFollowUp,
    ReviewInfo,
    SpaceInfo,
    TemplateInfo,
    WithdrawReceipt,
)
from biometrics.signing import FollowUpPayload, FollowUpTicket

__all__ = [
    "AgreementInfo",
    "AlertInfo",
    "AsyncExchangeClient",
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
    "ReplaceOutcome",
    "RequestedFollowUp",
    "ReviewInfo",
    "SpaceInfo",
    "Template",
    "TemplateInfo",
    "WithdrawReceipt",
]
