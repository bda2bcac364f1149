"""What auditors and administrators are shown: alerts, and freezes to review."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from biometrics.members import Member


class AlertKind(StrEnum):
    """What an auditor is told of."""

    FROZEN = "frozen"  # a record was frozen for the requester
    FROZEN_HIT = "frozen-hit"  # one that is would have matched
    ENUMERATION = "enumeration"  # most matches are near the threshold: of strangers
    VARIED = "varied"  # it has searched with many probes that resemble one another
    CANARY = "canary"  # a record that is nobody's would have matched


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """How often the use of an agreement gave cause for an alert.

    Attributes:
        kind: the cause.
        holder: whose agreement it is.
        requester: who used it.
        count: how often.
    """

    kind: AlertKind
    holder: Member
    requester: Member
    count: int


class Verdict(StrEnum):
    """What a review says of a freeze."""

    CONFIRM = "confirm"  # it lasts
    LIFT = "lift"  # it ends, and its counts begin anew


class Side(StrEnum):
    """Who reviews: both have to say the same."""

    REQUESTER = "requester"
    AUDITOR = "auditor"  # of the holder


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeRow:
    """A freeze, as those who review it are shown it; it names no record.

    Attributes:
        case_id: names it.
        holder: whose agreement was used.
        requester: who used it.
        is_named: whether answers name the holder to the requester.
        searches: near searches that were told before it.
        lapses_at: when it ends; None if it was confirmed.
        said: what each side has said so far.
    """

    case_id: bytes
    holder: Member
    requester: Member
    is_named: bool
    searches: int
    lapses_at: dt.datetime | None
    said: Mapping[Side, Verdict]
