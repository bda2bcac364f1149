"""What an answer to a search leaves behind: what it told, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from biometrics.audit import Mention
    from biometrics.members import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReference:
    """A reference that was given to a requester for a follow-up.

    Attributes:
        reference_digest: 32 bytes, digest of the reference; the store never sees it.
        holder: whose records it stands for.
        requester: who may use it.
        purpose: why was searched; it may be used for nothing else.
        modality: of the probe.
        records: keyed hash of the holder's reference by id of each that matched.
        expires_at: when it ends.
    """

    reference_digest: bytes = field(repr=False)
    holder: Member
    requester: Member
    purpose: str
    modality: str
    records: Mapping[bytes, bytes] = field(repr=False)
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRecord:
    """A record as it was when it was decided that a requester may learn of it.

    Attributes:
        template_id: of one of its templates.
        record_tag: 32 bytes, which attest what protected it.
        expires_at: moment from which nobody learns of it, or None; attested.
    """

    template_id: int
    record_tag: bytes = field(repr=False)
    expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSearch:
    """How one request felt for one record.

    Attributes:
        record_id: 16 bytes.
        holder: whose it is.
        is_named: whether the answer names the holder.
        told: near searches that are told.
        freezes: whether one more was near, and freezes the record for the requester.
        case_id: random bytes, by which a review names the freeze.
    """

    record_id: bytes
    holder: Member
    is_named: bool
    told: int
    freezes: bool
    case_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """What one request takes from one quota.

    Attributes:
        use: what is counted: digest of an agreement, or empty for all of them.
        searches: that the request makes.
        most: that are permitted on a day.
    """

    use: bytes
    searches: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an answer takes from the leak budget and from quotas.

    Attributes:
        matches: holder by id of the records that make it a match.
        answers: for each question and holder that matches, whether by none but records
            near their thresholds. Counted once, or a holder that has enrolled somebody
            many times would be alerted to one search for that person.
        near: the records near whose thresholds it was.
        hidden: holder of each record that would have matched and is frozen.
        varied: holders searched with a probe that many of its requester's resemble.
        canaries: holder, once a question, with canaries that would have matched.
        quotas: what it takes from each.
    """

    matches: Mapping[bytes, Member] = field(default_factory=dict)
    answers: tuple[tuple[Member, bool], ...] = ()
    near: tuple[NearSearch, ...] = ()
    hidden: tuple[Member, ...] = ()
    canaries: tuple[Member, ...] = ()
    varied: tuple[Member, ...] = ()
    quotas: tuple[QuotaUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """What an answer tells of, named or unnamed.

    Attributes:
        searched: every holder with whose records was compared, matched or not.
        records: every record that makes it a match.
        references: those that it gives to the requester.
        mentions: what the log tells of it, the requester first.
        taken: what is counted with it.
    """

    searched: frozenset[Member] = frozenset()
    records: tuple[SeenRecord, ...] = ()
    references: tuple[NewReference, ...] = ()
    mentions: tuple[Mention, ...] = ()
    taken: Taken = Taken()
