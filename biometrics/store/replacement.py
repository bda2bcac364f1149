"""What a replacement does to the tables, within the writer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.store.enrolment import Moments, append
from biometrics.store.entries import add_withdrawal, reserve
from biometrics.store.live import find_live, find_removed, no_longer_there
from biometrics.store.withdrawal import take_out

if TYPE_CHECKING:
    import sqlalchemy as sa

    from biometrics.members import Member
    from biometrics.store.rows import NewRecord


def replace(
    connection: sa.Connection,
    member: Member,
    record: NewRecord,
    *,
    before: bytes,
    now: int,
) -> int | None:
    """Put a record, sealed anew as a whole, in the place of what it was.

    Its rows and templates get new numbers, so that whoever follows the journal sees
    an enrolment and then the withdrawal of what was there: never neither, and both
    of the same record. It keeps the moments of its enrolment and protection, and the
    references to it.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        record: what it is from now on; enrolled already under its reference.
        before: its tag as it was read, from which `record` was made.
        now: microseconds.

    Returns:
        The journal position of the withdrawal; None if the record was changed since
        it was read, and then nothing is.

    Raises:
        NotFoundError: the record is no longer there.
        DefectError: other templates than its own would go (`RECORD_DAMAGED`).
        ValueError: `record` is another record.
    """
    found = find_live(connection, member, record.lookup)
    if found is None:
        raise no_longer_there(
            find_removed(connection, member, record.lookup),
            "it has no template any more",
        )
    if found.row.record_tag != before:
        return None
    if found.row.attested.record != record.record_id:
        raise ValueError("what takes the place of a record is the same record")
    _, following = reserve(connection, changes=0, templates=0)
    withdrawn, _ = take_out(connection, member, found, following)
    moments = Moments(
        enrolled_at=found.enrolled_at,
        protected_at=found.set_at,
        replaced_at=now,
    )
    append(connection, member, [record], moments)
    position, _ = reserve(connection, changes=1, templates=0)
    add_withdrawal(connection, position, member, record.record_id, withdrawn=withdrawn)
    return position
