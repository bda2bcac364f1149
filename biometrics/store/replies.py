"""Stored answers: a request that is sent again gets the answer it had.

A reply counts for `limits.REPLAY_WINDOW_SECONDS` and is deleted some time after, a
few with every commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import to_microseconds
from biometrics.errors import ConflictError
from biometrics.store.schema import REPLY

if TYPE_CHECKING:
    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.rows import Reply

_WINDOW: Final = limits.REPLAY_WINDOW_SECONDS * 1_000_000
_PURGE_EVERY: Final = _WINDOW // 10

_FIND: Final = sa.select(
    REPLY.c.reply_id, REPLY.c.digest, REPLY.c.body, REPLY.c.stored_at
).where(
    REPLY.c.member == sa.bindparam("of_member"),
    REPLY.c.request_id == sa.bindparam("of_request"),
)
_ADD: Final = sa.insert(REPLY)
_COLUMNS: Final = [column for column in REPLY.c if column is not REPLY.c.reply_id]
_ADD_NEW: Final = (
    sa.insert(REPLY)
    .from_select(
        _COLUMNS,
        sa.select(*(sa.bindparam(c.name, type_=c.type) for c in _COLUMNS)).where(
            ~sa.exists().where(
                REPLY.c.member == sa.bindparam("member"),
                REPLY.c.request_id == sa.bindparam("request_id"),
            )
        ),
    )
    .inline()  # the number of the row is not asked for, only whether there is one
    .execution_options(preserve_rowcount=True)
)
_FORGET: Final = sa.delete(REPLY).where(REPLY.c.reply_id == sa.bindparam("number"))
_OLDEST: Final = (
    sa.select(REPLY.c.reply_id, REPLY.c.stored_at)
    .order_by(REPLY.c.reply_id)
    .limit(sa.bindparam("most"))
)
_PURGE: Final = sa.delete(REPLY).where(
    REPLY.c.reply_id.in_(sa.bindparam("numbers", expanding=True))
)


class Replies:
    """The replies of every member."""

    def __init__(self, clock: Clock) -> None:
        """Judge by `clock` what is old."""
        self._clock = clock
        self._purge_due = 0  # microseconds; it is no use to look before

    def find(
        self,
        connection: sa.Connection,
        member: Member,
        request_id: bytes,
        digest: bytes,
    ) -> bytes | None:
        """Return the body stored for a request, or None.

        Raises:
            ConflictError: the request with that id was another one.
        """
        row = _row(connection, member, request_id)
        if row is None or self._is_old(row):
            return None
        if row.digest != digest:
            raise ConflictError(
                "REQUEST_ID_REUSED",
                "`request_id` was used for another request less than"
                f" {limits.REPLAY_WINDOW_SECONDS} seconds ago; make a new one",
            )
        return bytes(row.body)

    def find_or_clear(
        self,
        connection: sa.Connection,
        member: Member,
        request_id: bytes,
        digest: bytes,
    ) -> bytes | None:
        """Return the body stored for a request, or make room for one.

        Raises:
            ConflictError: the request with that id was another one.
        """
        row = _row(connection, member, request_id)
        if row is None:
            return None
        if self._is_old(row):
            connection.execute(_FORGET, {"number": row.reply_id})
            return None
        return self.find(connection, member, request_id, digest)

    def add_new(self, connection: sa.Connection, member: Member, reply: Reply) -> bool:
        """Store a reply if none is stored for the request, however old; say whether.

        One statement, where `find_or_clear` and `add` take two.
        """
        added = connection.execute(_ADD_NEW, self._row(member, reply))
        return bool(added.rowcount)

    def add(self, connection: sa.Connection, member: Member, reply: Reply) -> None:
        """Store a reply, in the transaction in which `find_or_clear` found none."""
        connection.execute(_ADD, self._row(member, reply))

    def _row(self, member: Member, reply: Reply) -> dict[str, Any]:
        """Return the row of a reply that is stored now."""
        return {
            "member": member.code,
            "request_id": reply.request_id,
            "digest": reply.digest,
            "body": reply.body,
            "stored_at": self._now(),
        }

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Delete at most `most` replies that are beyond their window."""
        now = self._now()
        if now < self._purge_due <= now + _PURGE_EVERY:  # or the clock was set back
            return
        oldest = connection.execute(_OLDEST, {"most": most}).all()
        old = [row.reply_id for row in oldest if _is_old(row, now)]
        if old:
            connection.execute(_PURGE, {"numbers": old})
        if len(old) < most:
            self._purge_due = now + _PURGE_EVERY

    def _is_old(self, row: sa.Row[*tuple[Any, ...]]) -> bool:
        """Say whether a reply is beyond its window."""
        return _is_old(row, self._now())

    def _now(self) -> int:
        """Return the time of day in microseconds."""
        return to_microseconds(self._clock.now())


def _is_old(row: sa.Row[*tuple[Any, ...]], now: int) -> bool:
    """Say whether a reply is beyond its window.

    One from the future was stored before the clock was set back. It counts as old,
    once it is a window ahead, or it would be kept until the clock comes by again.
    """
    return bool(abs(now - row.stored_at) >= _WINDOW)


def _row(
    connection: sa.Connection, member: Member, request_id: bytes
) -> sa.Row[*tuple[Any, ...]] | None:
    """Return the reply that is stored for a request, however old."""
    return connection.execute(
        _FIND, {"of_member": member.code, "of_request": request_id}
    ).first()
