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
from biometrics.store.databases import insert_rows
from biometrics.store.schema import REPLY

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_FIND_ALL: Final = sa.select(
    REPLY.c.member,
    REPLY.c.request_id,
    REPLY.c.reply_id,
    REPLY.c.digest,
    REPLY.c.body,
    REPLY.c.stored_at,
).where(
    REPLY.c.member.in_(sa.bindparam("members", expanding=True)),
    REPLY.c.request_id.in_(sa.bindparam("requests", expanding=True)),
)
_ADD: Final = sa.insert(REPLY)
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
        return _body(row.digest, row.body, digest)

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
        return _body(row.digest, row.body, digest)

    def page(
        self, connection: sa.Connection, requests: Sequence[tuple[Member, bytes]]
    ) -> ReplyPage:
        """Return what is stored for some requests, to be read and written at once."""
        values = {
            "members": list({member.code for member, _ in requests}),
            "requests": list({request_id for _, request_id in requests}),
        }
        rows = connection.execute(_FIND_ALL, values).all()
        kept = {
            (row.member, row.request_id): (row.digest, row.body)
            for row in rows
            if not self._is_old(row)
        }
        asked = {(member.code, request_id) for member, request_id in requests}
        old = [
            row.reply_id
            for row in rows
            if self._is_old(row) and (row.member, row.request_id) in asked
        ]
        return ReplyPage(kept, old, self._now())

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

    def is_due(self) -> bool:
        """Say whether it is time to look for what can be deleted."""
        now = self._now()
        # Or the clock was set back.
        return not now < self._purge_due <= now + _PURGE_EVERY

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Delete at most `most` replies that are beyond their window."""
        now = self._now()
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


class ReplyPage:
    """The replies of a few requests, within one transaction of the writer's."""

    def __init__(
        self,
        kept: dict[tuple[str, bytes], tuple[bytes, bytes]],
        old: list[int],
        now: int,
    ) -> None:
        """Take digest and body of those stored, and the rows beyond their window."""
        self._kept = kept
        self._old = old
        self._now = now
        self._rows: list[dict[str, Any]] = []

    def find(self, member: Member, request_id: bytes, digest: bytes) -> bytes | None:
        """Return the body stored for a request, or None.

        Raises:
            ConflictError: the request with that id was another one.
        """
        found = self._kept.get((member.code, request_id))
        return None if found is None else _body(*found, digest)

    def add(
        self, member: Member, request_id: bytes, digest: bytes, body: bytes
    ) -> None:
        """Add a reply where `find` has found none; `write` stores it."""
        self._kept[member.code, request_id] = digest, body
        self._rows.append(
            {
                "member": member.code,
                "request_id": request_id,
                "digest": digest,
                "body": body,
                "stored_at": self._now,
            }
        )

    def write(self, connection: sa.Connection) -> None:
        """Store what was added, in place of what is beyond its window."""
        if self._old:
            connection.execute(_PURGE, {"numbers": self._old})
        insert_rows(connection, REPLY, self._rows)


def _body(stored: bytes, body: bytes, digest: bytes) -> bytes:
    """Return a stored reply to a request.

    Raises:
        ConflictError: it is of another one.
    """
    if stored != digest:
        raise ConflictError(
            "REQUEST_ID_REUSED",
            "`request_id` was used for another request less than"
            f" {limits.REPLAY_WINDOW_SECONDS} seconds ago; make a new one",
        )
    return bytes(body)


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
