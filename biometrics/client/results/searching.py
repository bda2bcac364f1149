"""What a search answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


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
class ProbeRefusal:
    """Why one probe of several was not searched for."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceInfo:
    """One template space of the exchange.

    `least_quality` is that which templates are enrolled with, by position; others take
    any. `established` are the classes of FPIR that its calibration supports at present;
    `is_fused` says whether its scores can be fused with others of the same person.
    `calibrated` is its day, and `calibration_sha256` that of its file. `identity` has a
    digest of all that makes templates comparable, the centre too. `kind` is `vector` or
    `minutiae`, which has no `dimension`, `metric` and `normalisation`.
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
    kind: str = "vector"
