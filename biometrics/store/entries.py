"""What every change writes into the journal, within the writer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.store.databases import insert_columns
from biometrics.store.rows import ChangeKind
from biometrics.store.schema import CHANGE, COUNTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.members import Member

_ADD: Final = sa.insert(CHANGE)
_END: Final = sa.select(COUNTER.c.journal_position)
_RESERVE: Final = (
    sa.update(COUNTER)
    .values(
        journal_position=COUNTER.c.journal_position + sa.bindparam("changes"),
        template_id=COUNTER.c.template_id + sa.bindparam("templates"),
    )
    .returning(COUNTER.c.journal_position, COUNTER.c.template_id)
)


def reserve(
    connection: sa.Connection, *, changes: int, templates: int
) -> tuple[int, int]:
    """Take the next numbers, under a lock that is held to the commit.

    Args:
        connection: the writer's, in its transaction.
        changes: how many journal positions.
        templates: how many template numbers.

    Returns:
        The first journal position and the first template number.
    """
    position, template_id = connection.execute(
        _RESERVE, {"changes": changes, "templates": templates}
    ).one()
    return position - changes + 1, template_id - templates + 1


def add_enrolments(
    connection: sa.Connection, first: int, member: Member, record_ids: Sequence[bytes]
) -> None:
    """Write enrolments at the positions from `first` on, which are reserved."""
    count = len(record_ids)
    columns: dict[str, Sequence[Any]] = {
        "position": range(first, first + count),
        "kind": [ChangeKind.ENROLLED.value] * count,
        "member": [member.code] * count,
        "record_id": record_ids,
    }
    insert_columns(connection, CHANGE, columns)


def add_withdrawal(
    connection: sa.Connection,
    position: int,
    member: Member,
    record_id: bytes,
    *,
    withdrawn: range,
) -> None:
    """Write a withdrawal at `position`, which is reserved.

    Args:
        connection: the writer's, in its transaction.
        position: of the journal.
        member: the holder.
        record_id: 16 bytes.
        withdrawn: numbers of the templates that go; empty, or `is_of_one_record`.
    """
    connection.execute(
        _ADD,
        {
            "position": position,
            "kind": ChangeKind.WITHDRAWN.value,
            "member": member.code,
            "record_id": record_id,
            "first_template": withdrawn.start if withdrawn else None,
            "templates": len(withdrawn) if withdrawn else None,
        },
    )


def add_change(
    connection: sa.Connection,
    position: int,
    kind: ChangeKind,
    member: Member,
    *,
    change_id: bytes,
) -> None:
    """Write a change of all galleries of a member at `position`, which is reserved.

    Args:
        connection: the writer's, in its transaction.
        position: of the journal.
        kind: what happened.
        member: the holder.
        change_id: 16 random bytes.
    """
    connection.execute(
        _ADD,
        {
            "position": position,
            "kind": kind.value,
            "member": member.code,
            "record_id": change_id,
            "first_template": None,
            "templates": None,
        },
    )


def is_of_one_record(numbers: range, following: int) -> bool:
    """Say whether templates of one record may have had these numbers.

    Args:
        numbers: of templates.
        following: the number that the next template will get.
    """
    return (
        1 <= numbers.start < numbers.stop <= following
        and len(numbers) <= limits.MAX_TEMPLATES_PER_RECORD
    )


def end_of(connection: sa.Connection) -> int:
    """Return the position of the last change that the connection can see."""
    return int(connection.execute(_END).scalar_one())
