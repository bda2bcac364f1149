"""Destroys what a member has enrolled: the keys at once, their rows a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.audit import Kind, Mention
from biometrics.clock import to_microseconds
from biometrics.store.custody import CustodyWriter, custody_of, set_custody
from biometrics.store.custody_rows import CustodyState, ErasureKind
from biometrics.store.entries import end_of
from biometrics.store.erasure import add_erasure
from biometrics.store.failures import translated
from biometrics.store.keys import key_of
from biometrics.store.masking import take_back_all
from biometrics.store.schema import GALLERY, GALLERY_KEY, RECORD, TEMPLATE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from concurrent.futures import Future

    from biometrics.members import Member
    from biometrics.store.custody import RequestKey
    from biometrics.store.rows import Committed

_KEYS: Final = sa.select(GALLERY_KEY).where(
    GALLERY_KEY.c.member == sa.bindparam("of_member")
)
_OVERWRITE: Final = (
    sa.update(GALLERY_KEY)
    .where(GALLERY_KEY.c.key_id == sa.bindparam("of_key"))
    .values(wrapped=sa.bindparam("zeros"))
)
_COUNT: Final = sa.select(sa.func.count()).where(
    RECORD.c.member == sa.bindparam("of_member")
)
_NEXT: Final = (
    sa.select(RECORD.c.number)
    .where(RECORD.c.member == sa.bindparam("of_member"))
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_SPACES: Final = (
    sa.select(
        TEMPLATE.c.space,
        sa.func.count().label("templates"),
        sa.func.count(TEMPLATE.c.record_number.distinct()).label("records"),
    )
    .where(TEMPLATE.c.record_number.in_(sa.bindparam("numbers", expanding=True)))
    .group_by(TEMPLATE.c.space)
)
_ADJUST: Final = (
    sa.update(GALLERY)
    .where(
        GALLERY.c.member == sa.bindparam("of_member"),
        GALLERY.c.space == sa.bindparam("of_space"),
    )
    .values(
        records=GALLERY.c.records - sa.bindparam("fewer_records"),
        templates=GALLERY.c.templates - sa.bindparam("fewer_templates"),
    )
)
_DELETE: Final = sa.delete(RECORD).where(
    RECORD.c.number.in_(sa.bindparam("numbers", expanding=True))
)
_LAST: Final = tuple(
    sa.delete(table).where(table.c.member == sa.bindparam("of_member"))
    for table in (GALLERY, GALLERY_KEY)
)


def destroy(
    connection: sa.Connection, member: Member, *, now: int, change_id: bytes
) -> int:
    """Overwrite a member's wrapped gallery keys; return the journal position of it.

    Args:
        connection: in a transaction.
        member: the holder.
        now: microseconds.
        change_id: 16 random bytes.
    """
    of_member = {"of_member": member.code}
    keys = [key_of(row) for row in connection.execute(_KEYS, of_member)]
    for key in keys:
        # Of the same size, in the place of what was there.
        zeros = {"of_key": key.key_id, "zeros": bytes(len(key.wrapped))}
        connection.execute(_OVERWRITE, zeros)
    add_erasure(
        connection,
        member,
        ErasureKind.DESTRUCTION,
        keys,
        records=connection.execute(_COUNT, of_member).scalar_one(),
        begun_at=now,
        deleted_at=now,
    )
    take_back_all(connection, member)
    state = CustodyState.DESTROYED
    return set_custody(connection, member, state, now=now, change_id=change_id)


class DestructionWriter(CustodyWriter):
    """Destroys the galleries of members."""

    def destroy(
        self,
        member: Member,
        *,
        change_id: bytes,
        request: RequestKey,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[Committed]:
        """Overwrite a member's wrapped gallery keys; nothing opens anything from then.

        The rows that they opened are deleted afterwards, by `delete_some`.

        Args:
            member: the holder.
            change_id: 16 random bytes, by which the journal tells this change.
            request: which request asks for it.
            make_reply: makes the sealed body from the moment of it, the first one if
                that was done before. Runs in the writer's thread and MUST NOT write.

        Returns:
            As `RecordWriter.enrol`.
        """

        def operation(connection: sa.Connection) -> tuple[dt.datetime, int]:
            before = custody_of(connection, member)
            moment = self._clock.now()
            if before.state is CustodyState.DESTROYED:
                return before.since or moment, end_of(connection)
            now = to_microseconds(moment)
            position = destroy(connection, member, now=now, change_id=change_id)
            self._log.append(connection, Mention(member=member, kind=Kind.DESTRUCTION))
            return moment, position

        return self._once(member, operation, request, make_reply)

    def delete_some(self, member: Member, most: int) -> Future[bool]:
        """Delete some rows of a member whose keys are destroyed.

        Tombstones stay: whoever was withdrawn is not enrolled again by the next load of
        an old file.

        Args:
            member: the holder.
            most: at most so many records, at least 1.

        Returns:
            Whether there are more; False if the galleries are not destroyed.
        """

        def operation(connection: sa.Connection) -> bool:
            if custody_of(connection, member).state is not CustodyState.DESTROYED:
                return False
            of_member = {"of_member": member.code}
            some = of_member | {"most": most}
            if numbers := list(connection.execute(_NEXT, some).scalars()):
                _delete_records(connection, member, numbers)
                return True
            for statement in _LAST:
                connection.execute(statement, of_member)
            return False

        return self._writer.submit(operation, weight=most)

    def left(self, member: Member) -> int:
        """Return how many records of a member there still are."""
        with translated(), self._engine.connect() as connection:
            values = {"of_member": member.code}
            return int(connection.execute(_COUNT, values).scalar_one())


def _delete_records(
    connection: sa.Connection, member: Member, numbers: list[int]
) -> None:
    """Delete records with all that is theirs, and count them out."""
    rows = connection.execute(_SPACES, {"numbers": numbers}).all()
    for row in rows:
        connection.execute(
            _ADJUST,
            {
                "of_member": member.code,
                "of_space": row.space,
                "fewer_records": row.records,
                "fewer_templates": row.templates,
            },
        )
    connection.execute(_DELETE, {"numbers": numbers})
