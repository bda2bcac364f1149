"""What there is of one's own records, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.client.inputs import Chunk
    from biometrics.errors import Fault


class EnrolStatus(StrEnum):
    """What became of a record; equal to its word, such as `"enrolled"`."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already-enrolled"
    REFUSED = "refused"
    UNKNOWN = "unknown"


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
class GalleryInfo:
    """One's own templates in one space; `state` is `ready` if it is searched."""

    space: str
    records: int
    templates: int
    state: str


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
