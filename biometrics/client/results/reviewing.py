"""What gave cause to look."""

from __future__ import annotations

from dataclasses import dataclass


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
