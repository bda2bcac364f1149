"""What an enrolment does to the tables, within the writer's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from biometrics.store.databases import find_lookups, insert_columns
from biometrics.store.entries import add_enrolments, reserve
from biometrics.store.galleries import count_enrolled
from biometrics.store.rows import Enrolled, EnrolResult
from biometrics.store.schema import PROTECTION, RECORD, TEMPLATE, TOMBSTONE
from biometrics.store.values import join_members, moment_or_null

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from biometrics.members import Member
    from biometrics.store.rows import NewRecord


def judge(
    connection: sa.Connection, member: Member, records: Sequence[NewRecord]
) -> list[EnrolResult]:
    """Say what becomes of each record, by two look-ups for the whole chunk."""
    lookups = [record.lookup for record in records]
    gone = find_lookups(connection, TOMBSTONE.c.reason, member.code, lookups)
    # A tombstone has no content.
    known: dict[bytes, bytes | None] = dict.fromkeys(gone)
    known |= find_lookups(connection, RECORD.c.content_digest, member.code, lookups)
    results = []
    for record in records:
        if record.lookup not in known:
            known[record.lookup] = record.content_digest
            results.append(EnrolResult.ENROLLED)
        elif known[record.lookup] is None:
            results.append(EnrolResult.REFERENCE_WITHDRAWN)
        elif known[record.lookup] == record.content_digest:
            results.append(EnrolResult.ALREADY_ENROLLED)
        else:
            results.append(EnrolResult.REFERENCE_TAKEN)
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """When things happened to a record, in microseconds; None for never."""

    enrolled_at: int
    protected_at: int | None = None
    replaced_at: int | None = None


def append(
    connection: sa.Connection,
    member: Member,
    records: Sequence[NewRecord],
    moments: Moments,
) -> Enrolled:
    """Add records with their templates, journal entries and counts.

    The templates of a record get consecutive numbers in the order of their samples,
    and no two records share any: the numbers of all are reserved at once, under a
    lock, and given out record after record.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        records: one or more, under whose references there is nothing.
        moments: of all of them.
    """
    sizes = [len(record.templates) for record in records]
    first, template_id = reserve(connection, changes=len(records), templates=sum(sizes))
    numbers = range(first, first + len(records))
    firsts = list(accumulate(sizes[:-1], initial=template_id))
    tags = [record.attest(at) for record, at in zip(records, firsts, strict=True)]
    insert_columns(connection, RECORD, _records(numbers, member, records, moments))
    insert_columns(
        connection, PROTECTION, _protections(numbers, records, tags, moments)
    )
    if any(sizes):
        insert_columns(connection, TEMPLATE, _templates(numbers, template_id, records))
    add_enrolments(connection, first, member, [record.record_id for record in records])
    count_enrolled(connection, member, records)
    return Enrolled(member, first, records, firsts, tags)


def _records(
    numbers: range, member: Member, records: Sequence[NewRecord], moments: Moments
) -> dict[str, Sequence[Any]]:
    """Return the rows of records, by column."""
    count = len(records)
    references = [record.sealed_reference for record in records]
    return {
        "number": numbers,
        "record_id": [record.record_id for record in records],
        "member": [member.code] * count,
        "lookup": [record.lookup for record in records],
        "content_digest": [record.content_digest for record in records],
        "reference_key_id": [each.key_id for each in references],
        "reference_wrapped_key": [each.wrapped_key for each in references],
        "reference_ciphertext": [each.ciphertext for each in references],
        "generation": [record.generation for record in records],
        "legal_basis": [record.legal_basis for record in records],
        "enrolled_at": [moments.enrolled_at] * count,
        "expires_at": [moment_or_null(record.expires_at) for record in records],
        "replaced_at": [moments.replaced_at] * count,
    }


def _protections(
    numbers: range,
    records: Sequence[NewRecord],
    tags: Sequence[bytes],
    moments: Moments,
) -> dict[str, Sequence[Any]]:
    """Return the rows that protect records, by column."""
    return {
        "record_number": numbers,
        "excluded": [
            join_members(record.excluded) if record.excluded else ""
            for record in records
        ],
        "record_tag": tags,
        "set_at": [moments.protected_at] * len(records),
        "is_canary": [int(record.is_canary) for record in records],
    }


def _templates(
    numbers: range, first: int, records: Sequence[NewRecord]
) -> dict[str, Sequence[Any]]:
    """Return the rows of the templates of records, by column."""
    templates = [template for record in records for template in record.templates]
    sealed = [template.sealed for template in templates]
    return {
        "template_id": range(first, first + len(templates)),
        "record_number": [
            number
            for number, record in zip(numbers, records, strict=True)
            for _ in record.templates
        ],
        "space": [template.space for template in templates],
        "position": [template.position for template in templates],
        "modality": [template.modality for template in templates],
        "sample": [template.sample for template in templates],
        "quality": [template.quality for template in templates],
        "key_id": [each.key_id for each in sealed],
        "wrapped_key": [each.wrapped_key for each in sealed],
        "ciphertext": [each.ciphertext for each in sealed],
    }
