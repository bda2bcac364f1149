"""Whether a member's galleries are open, and what becomes of their keys.

Each call of `CustodyWriter` is one operation of the writer. What opens, closes or
replaces keys is in the journal, so that who follows it learns of it in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.audit import Kind, Mention
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.sealed import locked
from biometrics.store.custody_rows import Custody, CustodyState
from biometrics.store.entries import add_change, end_of, reserve
from biometrics.store.failures import translated
from biometrics.store.membership import refuse_apart
from biometrics.store.rows import ChangeKind, Committed, Reply
from biometrics.store.schema import CUSTODY, FRONT_END_KEY, GALLERY_KEY
from biometrics.store.values import member_of, word_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.journal import JournalHead
    from biometrics.store.log import Log
    from biometrics.store.replies import Replies
    from biometrics.store.writer import Writer

_ALL: Final = sa.select(CUSTODY)
_OF_MEMBER: Final = sa.select(CUSTODY.c.state, CUSTODY.c.changed_at).where(
    CUSTODY.c.member == sa.bindparam("of_member")
)
# Of all members, few if any: a third of the time that naming them takes.
_CLOSED: Final = sa.select(CUSTODY.c.member).where(
    CUSTODY.c.state != CustodyState.OPEN.value
)
_KEYS: Final = sa.select(sa.func.count()).where(
    GALLERY_KEY.c.key_id.in_(sa.bindparam("key_ids", expanding=True))
)
_SET: Final = (
    sa.update(CUSTODY)
    .where(CUSTODY.c.member == sa.bindparam("of_member"))
    .values(state=sa.bindparam("now_state"), changed_at=sa.bindparam("now"))
)
_ADD: Final = sa.insert(CUSTODY)
_FORGET_LENT: Final = sa.delete(FRONT_END_KEY).where(
    FRONT_END_KEY.c.member == sa.bindparam("of_member")
)
_KINDS: Final = {
    CustodyState.OPEN: ChangeKind.UNLOCKED,
    CustodyState.LOCKED: ChangeKind.LOCKED,
    CustodyState.DESTROYED: ChangeKind.DESTROYED,
}


def are_open(connection: sa.Connection, members: Iterable[Member]) -> bool:
    """Say whether the galleries of all these members are open.

    Within the writer's transaction nothing can change this before the commit.
    """
    closed = set(connection.execute(_CLOSED).scalars())
    return closed.isdisjoint(member.code for member in members)


def refuse_closed(
    connection: sa.Connection, member: Member, key_ids: Iterable[int]
) -> None:
    """Refuse what was sealed for a member before its galleries were closed.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        key_ids: numbers of the gallery keys that it was sealed under.

    Raises:
        GalleryLockedError: they are closed now (`GALLERY_LOCKED`), or one of the keys
            was retired meanwhile (`KEYS_ROTATED`).
        RefusedError: the member was suspended meanwhile.
    """
    refuse_apart(connection, member)
    if not are_open(connection, [member]):
        raise locked(member)
    wanted = sorted(set(key_ids))
    if connection.execute(_KEYS, {"key_ids": wanted}).scalar_one() != len(wanted):
        raise locked(member, is_rotated=True)


def custody_of(connection: sa.Connection, member: Member) -> Custody:
    """Return whether a member's galleries are open, and since when."""
    row = connection.execute(_OF_MEMBER, {"of_member": member.code}).first()
    if row is None:
        return Custody(state=CustodyState.OPEN, since=None)
    return Custody(
        state=word_of(CustodyState, row.state), since=from_microseconds(row.changed_at)
    )


def set_custody(
    connection: sa.Connection,
    member: Member,
    state: CustodyState,
    *,
    now: int,
    change_id: bytes,
) -> int:
    """Open or close a member's galleries; return the journal position of it."""
    of_member = {"of_member": member.code}
    if state is not CustodyState.OPEN:
        connection.execute(_FORGET_LENT, of_member)
    values = {**of_member, "now_state": state.value, "now": now}
    if connection.execute(_SET, values).rowcount == 0:
        row = {"member": member.code, "state": state.value, "changed_at": now}
        connection.execute(_ADD, row)
    position, _ = reserve(connection, changes=1, templates=0)
    add_change(connection, position, _KINDS[state], member, change_id=change_id)
    return position


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What tells a request from others, and its replays.

    Attributes:
        request_id: 16 bytes.
        digest: 32 bytes, of the request.
    """

    request_id: bytes
    digest: bytes = field(repr=False)


class CustodyReader:
    """Reads whether galleries are open; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def custody(self, member: Member) -> Custody:
        """Return whether a member's galleries are open, and since when."""
        with translated(), self._engine.connect() as connection:
            return custody_of(connection, member)

    def closed(self) -> dict[Member, CustodyState]:
        """Return every member whose galleries are not open."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_ALL).all()
        states = {
            member_of(row.member): word_of(CustodyState, row.state) for row in rows
        }
        return {m: state for m, state in states.items() if state is not state.OPEN}


class CustodyWriter(CustodyReader):
    """Opens and closes the galleries of members."""

    def __init__(  # noqa: PLR0917 - as the other writers, and what they read by
        self,
        writer: Writer,
        engine: sa.Engine,
        replies: Replies,
        head: JournalHead,
        clock: Clock,
        *,
        log: Log,
    ) -> None:
        """Write by `writer`; `head` is advanced with every change made durable."""
        super().__init__(engine)
        self._writer = writer
        self._replies = replies
        self._head = head
        self._log = log
        self._clock = clock

    def set_open(
        self,
        member: Member,
        *,
        is_open: bool,
        change_id: bytes,
        request: RequestKey,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[Committed]:
        """Unlock or lock a member's galleries.

        From the commit of a lock on nothing is enrolled into them, and no answer
        becomes durable that compared with them.

        Args:
            member: the holder.
            is_open: whether they are to be open.
            change_id: 16 random bytes, by which the journal tells this change.
            request: which request asks for it.
            make_reply: makes the sealed body from the moment since which they are
                so. Runs in the writer's thread and MUST NOT write.

        Returns:
            As `RecordWriter.enrol`. Galleries that are destroyed are not locked any
            more: that changes nothing, and tells when they were.
        """

        def operation(connection: sa.Connection) -> tuple[dt.datetime, int]:
            before = custody_of(connection, member)
            moment, position = before.since or self._clock.now(), end_of(connection)
            if is_open is not (before.state is CustodyState.OPEN):
                moment = self._clock.now()
                position = set_custody(
                    connection,
                    member,
                    CustodyState.OPEN if is_open else CustodyState.LOCKED,
                    now=to_microseconds(moment),
                    change_id=change_id,
                )
                kind = Kind.UNLOCK if is_open else Kind.LOCK
                self._log.append(connection, Mention(member=member, kind=kind))
            return moment, position

        return self._once(member, operation, request, make_reply)

    def _once(
        self,
        member: Member,
        change: Callable[[sa.Connection], tuple[dt.datetime, int]],
        request: RequestKey,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[Committed]:
        """Make a change that a request asks for, or find what that was answered."""

        def operation(connection: sa.Connection) -> Committed:
            found = self._replies.find_or_clear(
                connection, member, request.request_id, request.digest
            )
            if found is not None:
                return Committed(
                    reply=found, position=end_of(connection), replayed=True
                )
            moment, position = change(connection)
            body = make_reply(moment)
            reply = Reply(
                request_id=request.request_id, digest=request.digest, body=body
            )
            self._replies.add(connection, member, reply)
            return Committed(reply=body, position=position, replayed=False)

        future = self._writer.submit(operation)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[Committed]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._head.advance(future.result().position)
