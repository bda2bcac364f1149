"""What the exchange answers, as frozen values.

Words are the contract's, in lower case with hyphens: `no-match`, `border-check`.
No value here has a field for a score or a stored template, because the contract
has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from biometrics.client.inputs import Chunk
    from biometrics.errors import Fault
    from biometrics.signing import SignedRequest


class Outcome(StrEnum):
    """What came out of a search; equal to its word, such as `"no-match"`."""

    MATCH = "match"
    # Proves nothing: the person may be enrolled and protected from this requester.
    NO_MATCH = "no-match"
    # The search could not be made. Never a statement about a person.
    UNAVAILABLE = "unavailable"
    # The holder has never had a gallery in the probe's space.
    NOT_COMPARABLE = "not-comparable"
    # A word of a newer exchange, which this version does not know.
    UNKNOWN = "unknown"


class EnrolStatus(StrEnum):
    """What became of a record; equal to its word, such as `"enrolled"`."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already-enrolled"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderAnswer:
    """What one holder's galleries answer.

    Attributes:
        holder: member code.
        outcome: the outcome at this holder.
        reference: 32 hexadecimal digits for a follow-up with the holder, or empty.
    """

    holder: str
    outcome: Outcome
    reference: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchAnswer:
    """The answer to one search.

    Attributes:
        regional: over every holder searched, the unnamed ones included.
        holders: those that an agreement names to the requester, by code.
        receipt_status: `not-issued` or `issued`.
        receipt: the text of it; `kept` has it with the answer.
        fallback_positions: those that the probe was compared with beside its own.
    """

    regional: Outcome
    holders: tuple[HolderAnswer, ...]
    receipt_status: str
    receipt: str = field(default="", repr=False)
    fallback_positions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The answer as the lines that its receipt commits to."""
        lines = [f"regional {self.regional}"]
        for each in self.holders:
            given = f" {each.reference}" if each.reference else ""
            lines.append(f"{each.holder} {each.outcome}{given}")
        lines += [f"fallback {position}" for position in self.fallback_positions]
        return "\n".join(lines) + "\n"

    @property
    def kept(self) -> str:
        """The answer with its receipt, as a file for `audit verify --receipt`."""
        return json.dumps({"answer": self.text, "receipt": self.receipt})


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """The newest checkpoint of the log.

    Attributes:
        note: itself, signed.
        verifier_key: by which the exchange says that it is to be checked.
        offered: the one that witnesses are to cosign.
        cosigned: those that were, signed and cosigned, the largest first.
    """

    note: bytes
    verifier_key: str
    offered: bytes
    cosigned: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEntryInfo:
    """An entry of the log of one's own, sealed to one's auditor.

    Attributes:
        leaf_index: number of the leaf that it is below.
        slot: where it stands there.
        path: from there to the root of the leaf.
        key_id: which key it is sealed by.
        sealed: itself.
    """

    leaf_index: int
    slot: int
    path: tuple[bytes, ...] = field(repr=False)
    key_id: bytes
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryKeyInfo:
    """A key of entries of one's own.

    Attributes:
        key_id: by which entries name it.
        hour: since 1970, in which it sealed.
        handed: the key, sealed to one's auditor; empty if to nobody.
    """

    key_id: bytes
    hour: int
    handed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRefusal:
    """Why one probe of several was not searched for."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolOutcome:
    """What became of one record, and everything that is wrong with a refused one."""

    status: EnrolStatus
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutcome:
    """What became of one chunk: durable and searchable, or refused with reasons.

    Attributes:
        chunk: the chunk, as it was given.
        outcomes: one a record, in the order of the chunk.
    """

    chunk: Chunk = field(repr=False)
    outcomes: tuple[EnrolOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectOutcome:
    """What a protection has changed.

    Attributes:
        protected_at: since when the record excludes just whom it excludes.
        added: members that it did not exclude before, by code.
        removed: members that it excludes no longer, by code.
    """

    protected_at: dt.datetime
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceOutcome:
    """What a replacement has changed.

    Attributes:
        replaced_at: when.
        sample: which template of the record, in the order in which it lists them.
        generation: of the record: 1 as it was enrolled, and one more each time.
    """

    replaced_at: dt.datetime
    sample: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryInfo:
    """One's own templates in one space; `state` is `ready` if it is searched."""

    space: str
    records: int
    templates: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyInfo:
    """Whether one's own galleries are open.

    Attributes:
        state: `open`, `locked` or `destroyed`.
        since: when that was last changed; None if it never was.
        is_busy: whether a rotation or a destruction is under way.
        items_left: of that, how many values or records.
        trouble: what keeps it from going on; empty if nothing does.
    """

    state: str
    since: dt.datetime | None
    is_busy: bool
    items_left: int
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureInfo:
    """Keys of one's own galleries that are no more.

    Attributes:
        number: ascending.
        kind: `rotation` or `destruction`.
        deleted_at: when they were deleted.
        records: how many withdrawn or destroyed records they and earlier ones opened.
        certificate: signed note; empty until it is issued.
        verifier_key: by which the exchange says that it is signed; compare it with your
            own copy.
    """

    number: int
    kind: str
    deleted_at: dt.datetime
    records: int
    certificate: bytes = field(repr=False)
    verifier_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateInfo:
    """What one of one's own records resembles.

    Attributes:
        reference: that it was enrolled under.
        outcome: `compared`, `not-enrolled` or `unavailable`.
        others: references of one's own that it resembles; at most 16 of them.
        count: how many it resembles.
    """

    reference: str = field(repr=False)
    outcome: str
    others: tuple[str, ...] = field(repr=False)
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSummary:
    """Counts of one's own records.

    Attributes:
        counted_at: when.
        lasting: records that do not expire.
        expired: records that have, and are about to be withdrawn.
        expiring: records by month, such as `2031-05`, of the next twenty years.
        later: records that expire after that.
        disposed: records that are no longer there, by reason and month.
    """

    counted_at: dt.datetime
    lasting: int
    expired: int
    expiring: dict[str, int]
    later: int
    disposed: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionInfo:
    """What one requester may learn of one's own records today, in words."""

    requester: str
    modality: str
    purpose: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """That a record has a template, and what sort."""

    space: str
    position: str
    quality: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawReceipt:
    """That a record is no longer there; it is not signed.

    Attributes:
        reference: that it was enrolled under.
        withdrawn_at: when, now or before.
        reason: `withdrawn` by its holder, or `expired`.
        removed: what this request removed; empty if that was done before.
    """

    reference: str = field(repr=False)
    withdrawn_at: dt.datetime
    reason: str
    removed: tuple[TemplateInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInfo:
    """One record of one's own, without any template.

    `protected_at` is when `excluded` was last changed, `replaced_at` when a template
    was last replaced; None if never. `generation` is 1 and one more each time that one
    was.
    """

    reference: str = field(repr=False)
    templates: tuple[TemplateInfo, ...]
    excluded: tuple[str, ...]
    legal_basis: str
    enrolled_at: dt.datetime
    expires_at: dt.datetime | None
    protected_at: dt.datetime | None
    replaced_at: dt.datetime | None
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementInfo:
    """One clause of what a holder lets a requester learn.

    Attributes:
        holder: member code.
        requester: member code, or `*` for all.
        effect: `permit` or `forbid`.
        purposes: words such as `border-check`.
        modalities: words such as `face`.
        level: `presence`, `holder` or `reference`; empty for a clause that forbids.
        valid_from: first day, in UTC, or None.
        valid_until: last day, in UTC, or None.
        legal_basis: of the clause.
        fpir: such as `1e-3`, which sets the threshold; empty for a clause that forbids.
        measured_only: whether it permits nothing where that is not established.
        quota_per_day: how many searches it permits on one day; 0 where it forbids.
    """

    holder: str
    requester: str
    effect: str
    purposes: tuple[str, ...]
    modalities: tuple[str, ...]
    level: str
    valid_from: dt.date | None
    valid_until: dt.date | None
    legal_basis: str
    fpir: str = ""
    measured_only: bool = False
    quota_per_day: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """Which version of one's own agreement is in force.

    `sha256` is that of the file, in hexadecimal digits; `signers` are the names of
    those who have signed it.
    """

    revision: int
    sha256: str
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Whether a search would be permitted today, and which line decides.

    `own_version` is what is in force of the holder's agreement, if one is the holder.
    """

    permitted: bool
    level: str
    decided_by: str
    text: str
    own_version: VersionInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceInfo:
    """One template space of the exchange.

    `least_quality` is that which templates are enrolled with, by position; others take
    any. `established` are the classes of FPIR that its calibration supports at present;
    `is_fused` says whether its scores can be fused with others of the same person.
    `calibrated` is its day, and `calibration_sha256` that of its file. `identity` has a
    digest of all that makes templates comparable, the centre too.
    """

    name: str
    modality: str
    extractor: str
    extractor_version: str
    positions: tuple[str, ...]
    dimension: int
    data_type: str
    metric: str
    normalisation: str
    quality_scale: str
    identity: str
    threshold_basis: str
    calibrated: dt.date | None = None
    calibration_sha256: str = ""
    established: tuple[str, ...] = ()
    is_fused: bool = False
    least_quality: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewInfo:
    """A record that is frozen for a requester; neither side is told which.

    Attributes:
        case: names the freeze.
        holder: member code; empty where answers do not name it to the requester.
        requester: member code.
        searches: near the threshold, which the requester was told before.
        lapses_on: day, YYYY-MM-DD in UTC; empty if it was confirmed.
        requester_says: `confirm`, `lift`, or empty for nothing yet.
        auditor_says: likewise.
    """

    case: str
    holder: str
    requester: str
    searches: int
    lapses_on: str
    requester_says: str
    auditor_says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInfo:
    """How often the use of an agreement gave cause for an alert.

    Attributes:
        kind: `frozen`, `frozen-hit`, which its holder alone is told, or `enumeration`;
            `drift`, of no agreement but of a calibration.
        holder: member code; empty for all of them together.
        requester: member code.
        count: how often, ever; of `enumeration` the requester is told 1.
        space: name of the template space that drifts; else empty.
    """

    kind: str
    holder: str
    requester: str
    count: int
    space: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFollowUp:
    """A follow-up that one has asked for.

    Attributes:
        follow_up_id: names it; 64 hexadecimal digits.
        holder: member code.
        state: `requested` until it is over, then `refused`, `read` or `expired`.
        refusal: why it was refused, such as `basis-insufficient`; else empty.
        requested_at: when; it expires 48 hours later.
    """

    follow_up_id: str
    holder: str
    state: str
    refusal: str
    requested_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFollowUp:
    """A follow-up that waits for oneself.

    Attributes:
        signed: what the requester asks for, as it stands in the note: believe it once
            `signed.signer` has told who has signed it.
        state: `requested`, `confirmed` or `released`.
        references: one's own, of the records that it is about.
        record_count: how many these are; of more than 32 the first are told.
        confirmation: what the officer signed; empty before.
        requested_at: when.
        expires_at: when.
    """

    signed: SignedRequest = field(repr=False)
    state: str
    references: tuple[str, ...] = field(repr=False)
    record_count: int
    confirmation: bytes = field(repr=False)
    requested_at: dt.datetime
    expires_at: dt.datetime

    @property
    def follow_up_id(self) -> str:
        """What names it: it follows from the note, whatever the exchange says."""
        return self.signed.request.follow_up_id.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerInfo:
    """Who the caller is to the exchange.

    Attributes:
        exchange: its name, for people.
        member: member code.
        name: of the member, for people.
        role: such as `auditor`.
        methods: full names of those that the role may call.
    """

    exchange: str
    member: str
    name: str
    role: str
    methods: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseInfo:
    """One thing that a requester may ask a holder today, and how much it is told."""

    purpose: str
    modality: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderInfo:
    """One holder that one's member may search today.

    Attributes:
        holder: member code.
        name: of the member, for people.
        availability: `answering`, `unavailable`, or `not-told` where answers do not
            name the holder.
        uses: what may be asked.
    """

    holder: str
    name: str
    availability: str
    uses: tuple[UseInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMinuteInfo:
    """What was called in one minute.

    Attributes:
        begin: of the minute.
        searches: that were answered.
        unanswered: searches that were not.
        changes: calls that enrol, replace, protect or withdraw, and were answered.
        half_within_ms: within how many milliseconds half of the searches were
            answered, in coarse steps; 0 where there was none.
        most_within_ms: likewise 95 in a hundred.
    """

    begin: dt.datetime
    searches: int
    unanswered: int
    changes: int
    half_within_ms: int
    most_within_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadInfo:
    """The last hour: of one's own member, or to the coordinator of all."""

    minutes: tuple[LoadMinuteInfo, ...]
    whole_region: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionMemberInfo:
    """One member of the exchange.

    Attributes:
        member: member code.
        name: for people.
        state: of its galleries: `ready`, `loading`, `locked`, `damaged`, `destroyed`,
            `suspended`, or `none` if it never enrolled.
        templates_at_most: that it holds, rounded up to a power of four.
    """

    member: str
    name: str
    state: str
    templates_at_most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPermissionInfo:
    """What one holder lets one requester learn today."""

    holder: str
    requester: str
    uses: tuple[UseInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionInfo:
    """All members, and what is agreed between them on a day."""

    day: dt.date
    members: tuple[RegionMemberInfo, ...]
    permissions: tuple[RegionPermissionInfo, ...]
