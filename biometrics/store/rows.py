"""What goes into the store and what comes out of it, as plain values.

Nothing here holds a template, a reference or a reply in the clear: the callers
seal before they write and open after they read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from biometrics.sealed import Attested, shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from biometrics.members import Member
    from biometrics.sealed import Sealed


class NewTemplate(NamedTuple):
    """One sealed template of a record that is to be enrolled.

    Attributes:
        space: name of the template space.
        position: where on the body the sample was taken.
        modality: modality of the space.
        sample: ordinal of the template in its record, from 0.
        quality: 0 to 100, or None.
        sealed: the template, bound to all of the above.
    """

    space: str
    position: str
    modality: str
    sample: int
    quality: int | None
    sealed: Sealed

    def __repr__(self) -> str:
        """Return what it says, without what is sealed."""
        return shown(self, "sealed")


class NewRecord(NamedTuple):
    """One record that is to be enrolled.

    Attributes:
        record_id: 16 random bytes.
        lookup: 32 bytes, keyed hash of the holder's reference.
        content_digest: 32 bytes, keyed hash of all that the record says.
        sealed_reference: the holder's reference.
        generation: from 1.
        excluded: members that never learn of the record.
        legal_basis: why it may be enrolled.
        expires_at: moment from which it is as if withdrawn, or None.
        attest: returns the 32 bytes that attest all of this, given the number that its
            first template gets.
        templates: 1 to `limits.MAX_TEMPLATES_PER_RECORD`, in the order of samples.
        is_canary: whether it is nobody's, and no answer ever tells of it.
    """

    record_id: bytes
    lookup: bytes
    content_digest: bytes
    sealed_reference: Sealed
    generation: int
    excluded: frozenset[Member]
    legal_basis: str
    expires_at: dt.datetime | None
    attest: Callable[[int], bytes]
    templates: tuple[NewTemplate, ...]
    is_canary: bool = False

    def __repr__(self) -> str:
        """Return what it says, without what finds it and what is sealed."""
        hidden = ("lookup", "content_digest", "sealed_reference", "attest")
        return shown(self, *hidden)


class EnrolResult(Enum):
    """What became of one record of a chunk."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already-enrolled"  # same reference, same content
    REFERENCE_TAKEN = "reference-taken"  # same reference, other content
    REFERENCE_WITHDRAWN = "reference-withdrawn"  # never used again


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request was answered, kept for its replays.

    Attributes:
        request_id: 16 bytes, chosen by the caller, unique to its member.
        digest: 32 bytes, keyed hash of the request.
        body: the answer, sealed by the caller of the store.
    """

    request_id: bytes
    digest: bytes = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Records as they were written, with the numbers that they got.

    Attributes:
        member: the holder.
        first: journal position of the first one; the others follow on it.
        records: one or more.
        templates: of each record, number of its first template.
        tags: of each record, 32 bytes that attest it.
    """

    member: Member
    first: int
    records: Sequence[NewRecord] = field(repr=False)
    templates: Sequence[int] = field(repr=False)
    tags: Sequence[bytes] = field(repr=False)

    @property
    def last(self) -> int:
        """Journal position of the last one."""
        return self.first + len(self.records) - 1

    @property
    def size(self) -> int:
        """How many bytes their templates are, as far as these can differ."""
        templates = (one for record in self.records for one in record.templates)
        return sum(len(template.sealed.ciphertext) for template in templates)

    def changes(self) -> list[Change]:
        """Return what the journal has of them, while none of them is changed."""
        found = zip(self.records, self.templates, self.tags, strict=True)
        return [
            Change(
                position,
                ChangeKind.ENROLLED,
                self.member,
                record.record_id,
                tuple(
                    [
                        StoredTemplate(
                            number,
                            record.record_id,
                            record.lookup,
                            self.member,
                            template.space,
                            template.position,
                            template.modality,
                            template.sample,
                            record.generation,
                            template.quality,
                            template.sealed,
                            record.excluded,
                            record.expires_at,
                            tag,
                            record.is_canary,
                        )
                        for number, template in enumerate(record.templates, first)
                    ]
                ),
                range(0),
            )
            for position, (record, first, tag) in enumerate(found, self.first)
        ]


@dataclass(frozen=True, slots=True)
class Added:
    """Records that are durable.

    Attributes:
        results: one a record, in their order.
        position: journal position of the last one; the journal's end where none was
            enrolled.
        enrolled: those that were.
    """

    results: list[EnrolResult]
    position: int
    enrolled: Enrolled | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A write that is durable.

    Attributes:
        reply: the body that was stored, now or when it was first asked for.
        position: journal position of the last change that it made; the journal's
            end where it made none.
        replayed: whether `reply` was stored by an earlier request.
        enrolled: the records that it enrolled, if it did nothing else.
    """

    reply: bytes = field(repr=False)
    position: int
    replayed: bool
    enrolled: Enrolled | None = None


class StoredTemplate(NamedTuple):
    """One sealed template, with what decides who may learn of its record.

    Attributes:
        template_id: number of the template; never used for another one.
        record_id: 16 bytes.
        lookup: 32 bytes, keyed hash of the holder's reference.
        member: the holder.
        space: name of the template space.
        position: where on the body the sample was taken.
        modality: modality of the space.
        sample: ordinal of the template in its record.
        generation: generation of the record.
        quality: 0 to 100, or None.
        sealed: the template.
        excluded: members that never learn of the record.
        expires_at: moment from which the record is as if withdrawn, or None.
        record_tag: 32 bytes, as the record was given it.
        is_canary: whether the record is nobody's.
    """

    template_id: int
    record_id: bytes
    lookup: bytes
    member: Member
    space: str
    position: str
    modality: str
    sample: int
    generation: int
    quality: int | None
    sealed: Sealed
    excluded: frozenset[Member]
    expires_at: dt.datetime | None
    record_tag: bytes
    is_canary: bool = False

    def __repr__(self) -> str:
        """Return what it says, without what finds its record and what is sealed."""
        return shown(self, "lookup", "sealed", "record_tag")

    @property
    def attested(self) -> Attested:
        """What the tag of its record attests."""
        return Attested(
            record=self.record_id,
            generation=self.generation,
            lookup=self.lookup,
            excluded=self.excluded,
            expires_at=self.expires_at,
            first_template=self.template_id - self.sample,
            is_canary=self.is_canary,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRecord:
    """What its rows say of a record that is to be changed.

    Attributes:
        attested: what its tag attests.
        record_tag: 32 bytes, as the record was given it.
    """

    attested: Attested
    record_tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProtection:
    """Whom a record is to exclude from now on.

    Attributes:
        excluded: members that never learn of it; all of them.
        record_tag: 32 bytes, which attest them.
    """

    excluded: frozenset[Member]
    record_tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """What a record excludes now, and what was changed.

    Attributes:
        at: since when it excludes just these.
        added: members that it did not exclude before.
        removed: members that it excludes no longer.
    """

    at: dt.datetime
    added: frozenset[Member]
    removed: frozenset[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReference:
    """A holder's sealed reference, with what it is bound to.

    Attributes:
        record_id: 16 bytes.
        member: the holder.
        generation: generation of the record.
        lookup: 32 bytes, keyed hash of the reference.
        sealed: the reference.
    """

    record_id: bytes
    member: Member
    generation: int
    lookup: bytes = field(repr=False)
    sealed: Sealed = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """A stored answer, with what it is bound to.

    Attributes:
        member: who asked.
        request_id: 16 bytes.
        body: the answer, sealed.
    """

    member: Member
    request_id: bytes
    body: bytes = field(repr=False)


class Reason(StrEnum):
    """Why a record is no longer there."""

    WITHDRAWN = "withdrawn"  # by its holder
    EXPIRED = "expired"  # by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a withdrawal has removed.

    Attributes:
        at: when the record was removed, now or before.
        reason: why it was.
        templates: what went now, in the order in which it was enrolled; empty of a
            record that was removed before, of which nothing but this is known.
    """

    at: dt.datetime
    reason: Reason
    templates: tuple[TemplateRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposed:
    """What became of a record that was to be disposed of.

    Attributes:
        done: whether it was removed now.
        position: journal position of that; the journal's end where it was not.
    """

    done: bool
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredRow:
    """A record whose row says that it has expired, which nobody has attested yet.

    Attributes:
        place: by which pages go on.
        member: code of the holder.
        lookup: keyed hash of the holder's reference.
    """

    place: tuple[int, int]
    member: str
    lookup: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRecord:
    """All that is stored of one record, for whoever seals it anew.

    Attributes:
        row: what its rows say of it, with the tag that attests it.
        content_digest: 32 bytes, of the record as it was enrolled.
        sealed_reference: the holder's reference.
        legal_basis: why it was enrolled.
        templates: in the order of their samples.
    """

    row: LiveRecord
    content_digest: bytes = field(repr=False)
    sealed_reference: Sealed = field(repr=False)
    legal_basis: str
    templates: tuple[StoredTemplate, ...]


class ReferenceRow(NamedTuple):
    """A holder's reference of one of its records."""

    record_id: bytes
    generation: int
    sealed_reference: Sealed


class ChangeKind(StrEnum):
    """What happened to a record, or to all galleries of a member."""

    ENROLLED = "enrolled"
    WITHDRAWN = "withdrawn"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    REKEYED = "rekeyed"  # there are newer keys beside those before
    ROTATED = "rotated"  # no value is under the keys before any more; they are gone
    DESTROYED = "destroyed"


class Change(NamedTuple):
    """One entry of the journal.

    Attributes:
        position: from 1, without a gap, in the order of the commits.
        kind: what happened.
        member: the holder.
        record_id: 16 bytes, of the record; of a change of all galleries random ones.
        templates: of an enrolment whose record is still there; else empty.
        withdrawn: numbers of the templates that a withdrawal took, of that record
            alone; none of them is there any more, nor will be. Empty for an
            enrolment, and for a withdrawal that schema 0001 wrote.
    """

    position: int
    kind: ChangeKind
    member: Member
    record_id: bytes
    templates: tuple[StoredTemplate, ...]
    withdrawn: range

    @property
    def is_gone(self) -> bool:
        """Whether it is an enrolment, read with templates, of which there are none.

        Its record was withdrawn before it was read, by a change that comes later.
        """
        return self.kind is ChangeKind.ENROLLED and not self.templates


class TemplateRow(NamedTuple):
    """What a holder is shown of one template of its own."""

    space: str
    position: str
    quality: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """What a holder is shown of one record of its own.

    Attributes:
        position: journal position of its enrolment or last replacement, by which pages
            go on.
        record_id: 16 bytes.
        sealed_reference: the holder's reference.
        generation: generation of the record.
        excluded: members that never learn of it.
        legal_basis: why it was enrolled.
        enrolled_at: when.
        expires_at: moment from which it is as if withdrawn, or None.
        protected_at: when `excluded` was last changed; None if never.
        replaced_at: when one of its templates was last replaced; None if never.
        templates: in the order in which they were enrolled.
    """

    position: int
    record_id: bytes
    sealed_reference: Sealed = field(repr=False)
    generation: int
    excluded: frozenset[Member]
    legal_basis: str
    enrolled_at: dt.datetime
    expires_at: dt.datetime | None
    protected_at: dt.datetime | None
    replaced_at: dt.datetime | None
    templates: tuple[TemplateRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryCount:
    """How much one gallery holds, expired records included.

    Attributes:
        space: name of the template space.
        records: records with at least one template in the space.
        templates: templates in the space.
    """

    space: str
    records: int
    templates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """When a member's records expire.

    Attributes:
        lasting: records that do not expire.
        expired: records that have expired.
        expiring: records by the first day of the month in which they expire.
    """

    lasting: int
    expired: int
    expiring: Mapping[dt.date, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRow:
    """One version of what a holder lets others learn.

    Attributes:
        holder: whose it is.
        revision: from 1.
        digest: 32 bytes, SHA-256 of `data`.
        data: the file, as it was signed.
        note: the signed note of it.
    """

    holder: Member
    revision: int
    digest: bytes
    data: bytes = field(repr=False)
    note: bytes = field(repr=False)
