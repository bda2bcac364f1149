"""Finds a record that is to be changed, within the writer's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.clock import from_microseconds
from biometrics.errors import NotFoundError
from biometrics.sealed import Attested
from biometrics.store.rows import LiveRecord, Reason, Removed
from biometrics.store.schema import PROTECTION, RECORD, TEMPLATE, TOMBSTONE
from biometrics.store.values import moment_or_none, split_members, word_of

if TYPE_CHECKING:
    from biometrics.members import Member

_LIVE: Final = (
    sa.select(
        RECORD.c.number,
        RECORD.c.record_id,
        RECORD.c.generation,
        RECORD.c.lookup,
        RECORD.c.enrolled_at,
        RECORD.c.expires_at,
        PROTECTION.c.excluded,
        PROTECTION.c.record_tag,
        PROTECTION.c.set_at,
        PROTECTION.c.is_canary,
        sa.select(sa.func.min(TEMPLATE.c.template_id - TEMPLATE.c.sample))
        .where(TEMPLATE.c.record_number == RECORD.c.number)
        .scalar_subquery()
        .label("first_template"),
    )
    .join_from(RECORD, PROTECTION, isouter=True)
    .where(
        RECORD.c.member == sa.bindparam("of_member"),
        RECORD.c.lookup == sa.bindparam("of_lookup"),
    )
)
_REMOVED: Final = sa.select(TOMBSTONE.c.withdrawn_at, TOMBSTONE.c.reason).where(
    TOMBSTONE.c.member == sa.bindparam("of_member"),
    TOMBSTONE.c.lookup == sa.bindparam("of_lookup"),
)


@dataclass(frozen=True, slots=True)
class Live:
    """A record that is there.

    Attributes:
        number: of its row.
        row: what its rows say of it.
        enrolled_at: microseconds.
        set_at: microseconds since which it excludes whom it excludes; None if that is
            since its enrolment.
    """

    number: int
    row: LiveRecord
    enrolled_at: int
    set_at: int | None


def find_live(connection: sa.Connection, member: Member, lookup: bytes) -> Live | None:
    """Return the record under a keyed hash of its reference, if it is there.

    Raises:
        DefectError: what protects it is missing, or names no members.
    """
    values = {"of_member": member.code, "of_lookup": lookup}
    row = connection.execute(_LIVE, values).first()
    if row is None:
        return None
    return Live(
        number=row.number,
        row=LiveRecord(
            attested=Attested(
                record=row.record_id,
                generation=row.generation,
                lookup=row.lookup,
                excluded=split_members(row.excluded),
                expires_at=moment_or_none(row.expires_at),
                first_template=row.first_template,
                is_canary=bool(row.is_canary),
            ),
            record_tag=row.record_tag,
        ),
        enrolled_at=row.enrolled_at,
        set_at=row.set_at,
    )


def find_removed(connection: sa.Connection, member: Member, lookup: bytes) -> Removed:
    """Return when and why the record was removed that is not there.

    Raises:
        NotFoundError: no such record was ever enrolled.
    """
    values = {"of_member": member.code, "of_lookup": lookup}
    row = connection.execute(_REMOVED, values).first()
    if row is None:
        raise NotFoundError(
            "NOT_ENROLLED", "no record is enrolled under this reference"
        )
    return Removed(
        at=from_microseconds(row.withdrawn_at),
        reason=word_of(Reason, row.reason),
        templates=(),
    )


def no_longer_there(removed: Removed, told: str) -> NotFoundError:
    """Return the error of a record that was removed.

    Args:
        removed: when and why.
        told: what that means for whoever asked.
    """
    how = "expired and was removed" if removed.reason is Reason.EXPIRED else "withdrawn"
    verb = "has" if removed.reason is Reason.EXPIRED else "was"
    return NotFoundError(
        "RECORD_WITHDRAWN",
        f"the record {verb} {how} at {removed.at:%Y-%m-%d %H:%M:%S} UTC: {told}",
    )
