"""Who takes part, what is agreed, and how much is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionInfo:
    """What one requester may learn of one's own records today, in words."""

    requester: str
    modality: str
    purpose: str
    level: str


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
