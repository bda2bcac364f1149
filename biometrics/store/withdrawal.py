"""What a withdrawal does to the tables, within the writer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.clock import from_microseconds, to_microseconds
from biometrics.errors import DefectError
from biometrics.store.entries import (
    add_withdrawal,
    end_of,
    is_of_one_record,
    reserve,
)
from biometrics.store.galleries import count_withdrawn
from biometrics.store.live import find_live, find_removed
from biometrics.store.masking import take_back
from biometrics.store.rows import Disposed, Reason, Removed, TemplateRow
from biometrics.store.schema import (
    RECORD,
    REFERENCE,
    REFERENCE_RECORD,
    TEMPLATE,
    TOMBSTONE,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member
    from biometrics.store.live import Live
    from biometrics.store.rows import LiveRecord

_NUMBER_OF_FIRST: Final = TEMPLATE.c.template_id - TEMPLATE.c.sample
_TEMPLATES: Final = sa.select(
    sa.func.count().label("templates"),
    sa.func.min(TEMPLATE.c.template_id).label("lowest"),
    sa.func.max(TEMPLATE.c.template_id).label("highest"),
    (sa.func.min(_NUMBER_OF_FIRST) == sa.func.max(_NUMBER_OF_FIRST)).label("is_one"),
).where(TEMPLATE.c.record_number == sa.bindparam("of_number"))
_COUNT_AMONG: Final = (
    sa.select(sa.func.count())
    .select_from(TEMPLATE)
    .where(TEMPLATE.c.template_id.between(sa.bindparam("low"), sa.bindparam("high")))
)
_SHOWN: Final = (
    sa.select(TEMPLATE.c.space, TEMPLATE.c.position, TEMPLATE.c.quality)
    .where(TEMPLATE.c.record_number == sa.bindparam("of_number"))
    .order_by(TEMPLATE.c.template_id)
)
_ADD_TOMBSTONE: Final = sa.insert(TOMBSTONE)
_DELETE: Final = sa.delete(RECORD).where(RECORD.c.number == sa.bindparam("of_number"))
_DELETE_EXPIRED_REFERENCES: Final = sa.delete(REFERENCE).where(
    REFERENCE.c.expires_at <= sa.bindparam("now"),
    REFERENCE.c.reference_digest.in_(
        sa.select(REFERENCE_RECORD.c.reference_digest).where(
            REFERENCE_RECORD.c.record_id == sa.bindparam("of_record")
        )
    ),
)


def remove(
    connection: sa.Connection,
    member: Member,
    lookup: bytes,
    *,
    now: int,
    check: Callable[[LiveRecord], None],
) -> tuple[Removed, int]:
    """Withdraw a record; one that is not there any more stays as it is.

    References given to requesters stay until they expire, and are refused as those that
    were never given; those of this record that have expired go now, and what was
    released of it and is not read.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        lookup: keyed hash of the holder's reference.
        now: microseconds.
        check: raises if the row is not the record's own.

    Returns:
        What was removed, now or before; and the journal position of that, or the
        journal's end if nothing changed.

    Raises:
        NotFoundError: no such record was ever enrolled.
        DefectError: other templates than its own would go (`RECORD_DAMAGED`), or
            what protects it is missing.
    """
    found = find_live(connection, member, lookup)
    if found is None:
        return find_removed(connection, member, lookup), end_of(connection)
    check(found.row)
    return bury(connection, member, found, now=now, reason=Reason.WITHDRAWN)


def dispose(
    connection: sa.Connection,
    member: Member,
    lookup: bytes,
    *,
    now: int,
    check: Callable[[LiveRecord], None],
) -> Disposed:
    """Remove a record that has expired; any other stays as it is.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        lookup: keyed hash of the holder's reference.
        now: microseconds.
        check: raises if the row, with its expiry, is not the record's own.

    Raises:
        DefectError: as `remove`.
    """
    found = find_live(connection, member, lookup)
    ends = found.row.attested.expires_at if found else None
    if found is None or ends is None or to_microseconds(ends) > now:
        return Disposed(done=False, position=end_of(connection))
    check(found.row)
    _, position = bury(connection, member, found, now=now, reason=Reason.EXPIRED)
    return Disposed(done=True, position=position)


def bury(
    connection: sa.Connection, member: Member, found: Live, *, now: int, reason: Reason
) -> tuple[Removed, int]:
    """Delete a record and leave a tombstone, which says no more than the reference.

    Returns:
        What was removed, and the journal position of that.
    """
    attested = found.row.attested
    position, following = reserve(connection, changes=1, templates=0)
    withdrawn, templates = take_out(connection, member, found, following)
    connection.execute(
        _ADD_TOMBSTONE,
        {
            "member": member.code,
            "lookup": attested.lookup,
            "withdrawn_at": now,
            "reason": reason.value,
        },
    )
    add_withdrawal(connection, position, member, attested.record, withdrawn=withdrawn)
    connection.execute(
        _DELETE_EXPIRED_REFERENCES, {"now": now, "of_record": attested.record}
    )
    take_back(connection, attested.record)
    moment = from_microseconds(now)
    return Removed(at=moment, reason=reason, templates=templates), position


def take_out(
    connection: sa.Connection, member: Member, found: Live, following: int
) -> tuple[range, tuple[TemplateRow, ...]]:
    """Delete the rows of a record.

    The sealed reference, what protects the record, the templates and all their wrapped
    keys go with the row.

    Args:
        connection: the writer's, in its transaction, with the journal's lock.
        member: the holder.
        found: the record.
        following: the number that the next template will get.

    Returns:
        The numbers of its templates, and what they were.

    Raises:
        DefectError: other templates than its own would go (`RECORD_DAMAGED`).
    """
    numbers = _numbers_of_templates(connection, found.number, following)
    rows = connection.execute(_SHOWN, {"of_number": found.number}).all()
    count_withdrawn(connection, member, found.number)
    connection.execute(_DELETE, {"of_number": found.number})
    return numbers, tuple(TemplateRow(*row) for row in rows)


def _numbers_of_templates(
    connection: sa.Connection, number: int, following: int
) -> range:
    """Return the numbers of a record's templates, which are about to be deleted.

    A row may be missing among them: its number is the record's own all the same.

    Args:
        connection: the writer's, in its transaction.
        number: of the record.
        following: the number that the next template will get.

    Raises:
        DefectError: the rows were not enrolled together, as when somebody gave the
            record another one's. Deleted with it, that person would be NO_MATCH.
    """
    row = connection.execute(_TEMPLATES, {"of_number": number}).one()
    if not row.templates:
        return range(0)
    numbers = range(row.lowest, row.highest + 1)
    among = connection.execute(_COUNT_AMONG, {"low": row.lowest, "high": row.highest})
    if (
        row.is_one
        and is_of_one_record(numbers, following)
        and among.scalar_one() == row.templates
    ):
        return numbers
    raise DefectError(
        "RECORD_DAMAGED",
        "the record's templates are not those it was enrolled with: the database is"
        " damaged; restore it from a backup",
    )
