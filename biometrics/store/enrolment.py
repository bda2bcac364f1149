"""What an enrolment does to the tables, within the writer's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics.store.databases import insert_rows
from biometrics.store.entries import add_enrolments, reserve
from biometrics.store.galleries import count_enrolled
from biometrics.store.rows import EnrolResult
from biometrics.store.schema import PROTECTION, RECORD, TEMPLATE, TOMBSTONE
from biometrics.store.values import join_members, moment_or_null

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.members import Member
    from biometrics.store.rows import NewRecord, NewTemplate

# Live records and tombstones of a chunk's references, in one statement. A
# tombstone has no content.
_KNOWN: Final = sa.union_all(
    sa.select(RECORD.c.lookup, RECORD.c.content_digest).where(
        RECORD.c.member == sa.bindparam("of_member"),
        RECORD.c.lookup.in_(sa.bindparam("lookups", expanding=True)),
    ),
    sa.select(TOMBSTONE.c.lookup, sa.null()).where(
        TOMBSTONE.c.member == sa.bindparam("of_member"),
        TOMBSTONE.c.lookup.in_(sa.bindparam("lookups", expanding=True)),
    ),
)


def judge(
    connection: sa.Connection, member: Member, records: Sequence[NewRecord]
) -> list[EnrolResult]:
    """Say what becomes of each record, by one look-up for the whole chunk."""
    known: dict[bytes, bytes | None] = {
        row.lookup: row.content_digest
        for row in connection.execute(
            _KNOWN,
            {
                "of_member": member.code,
                "lookups": [record.lookup for record in records],
            },
        )
    }
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
) -> int:
    """Add records with their templates, journal entries and counts.

    The templates of a record get consecutive numbers in the order of their samples,
    and no two records share any: the numbers of all are reserved at once, under a
    lock, and given out record after record.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        records: one or more, under whose references there is nothing.
        moments: of all of them.

    Returns:
        The journal position of the last one.
    """
    size = sum(len(record.templates) for record in records)
    first, template_id = reserve(connection, changes=len(records), templates=size)
    rows, protections, templates = [], [], []
    for number, record in enumerate(records, first):
        rows.append(_record_row(number, member, record, moments))
        protections.append(_protection_row(number, record, template_id, moments))
        for template in record.templates:
            templates.append(_template_row(template_id, number, template))
            template_id += 1
    insert_rows(connection, RECORD, rows)
    insert_rows(connection, PROTECTION, protections)
    insert_rows(connection, TEMPLATE, templates)
    add_enrolments(connection, first, member, [record.record_id for record in records])
    count_enrolled(connection, member, records)
    return first + len(records) - 1


def _record_row(
    number: int, member: Member, record: NewRecord, moments: Moments
) -> dict[str, Any]:
    """Return the row of one record."""
    reference = record.sealed_reference
    return {
        "number": number,
        "record_id": record.record_id,
        "member": member.code,
        "lookup": record.lookup,
        "content_digest": record.content_digest,
        "reference_key_id": reference.key_id,
        "reference_wrapped_key": reference.wrapped_key,
        "reference_ciphertext": reference.ciphertext,
        "generation": record.generation,
        "legal_basis": record.legal_basis,
        "enrolled_at": moments.enrolled_at,
        "expires_at": moment_or_null(record.expires_at),
        "replaced_at": moments.replaced_at,
    }


def _protection_row(
    number: int, record: NewRecord, first_template: int, moments: Moments
) -> dict[str, Any]:
    """Return the row that protects one record."""
    return {
        "record_number": number,
        "excluded": join_members(record.excluded),
        "record_tag": record.attest(first_template),
        "set_at": moments.protected_at,
        "is_canary": int(record.is_canary),
    }


def _template_row(
    template_id: int, number: int, template: NewTemplate
) -> dict[str, Any]:
    """Return the row of one template."""
    return {
        "template_id": template_id,
        "record_number": number,
        "space": template.space,
        "position": template.position,
        "modality": template.modality,
        "sample": template.sample,
        "quality": template.quality,
        "key_id": template.sealed.key_id,
        "wrapped_key": template.sealed.wrapped_key,
        "ciphertext": template.sealed.ciphertext,
    }
