"""Follow-ups: from a reference to a payload that is read once.

    requested -> confirmed -> released -> read
        |____________|___________|-> refused, expired

Each step is one operation of the writer, with its leaf in the log. It is made only
while every record behind it may be told to the requester: whatever protects one reaches
what was begun. What a requester is refused for that reason is refused as if the
reference had never been given, and what is under way stays, to its eyes, under way
until its time is over. While either side is suspended nothing goes on but its time, and
that a holder refuses.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.audit import Kind, Mention
from biometrics.errors import ExhaustedError, NotFoundError, PreconditionError
from biometrics.sealed import locked
from biometrics.store import follow_up_tables as tables
from biometrics.store.answer_rows import QuotaUse, Taken
from biometrics.store.custody import custody_of
from biometrics.store.custody_rows import CustodyState
from biometrics.store.failures import translated
from biometrics.store.follow_up_rows import Agreed, FollowUpState, ReceivedRow
from biometrics.store.masking import may_be_told
from biometrics.store.membership import (
    refuse_absent,
    refuse_apart,
    refuse_overtaken,
)
from biometrics.store.rows import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    import sqlalchemy as sa

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.budget import Budget
    from biometrics.store.custody import RequestKey
    from biometrics.store.follow_up_rows import (
        FollowUpRow,
        Gate,
        NewFollowUp,
        Refusal,
        Terms,
    )
    from biometrics.store.log import Log
    from biometrics.store.replies import Replies
    from biometrics.store.writer import Writer

_ANSWERING: Final = dt.timedelta(hours=limits.FOLLOW_UP_HOURS)
_KEPT: Final = dt.timedelta(days=limits.FOLLOW_UP_KEPT_DAYS)
# Of an end that needs no agreement.
_NOTHING: Final = Agreed(b"", b"")
# What is counted beside quotas of agreements; see `budget`.
_USE: Final = b"follow-ups "


class FollowUpTable:
    """The follow-ups of every pair of members."""

    def __init__(  # noqa: PLR0913 - whatever has a part in one
        self,
        writer: Writer,
        engine: sa.Engine,
        replies: Replies,
        *,
        budget: Budget,
        log: Log,
        clock: Clock,
        is_alone: bool,
    ) -> None:
        """Write by `writer`, read by `engine`; `clock` tells what is over.

        Where it is not alone, others put agreements in force too.
        """
        self._is_alone = is_alone
        self._writer = writer
        self._engine = engine
        self._replies = replies
        self._budget = budget
        self._log = log
        self._clock = clock

    def request(
        self,
        new: NewFollowUp,
        *,
        request: RequestKey,
        gate: Gate,
        make_reply: Callable[[dt.datetime | None], bytes],
    ) -> Future[bytes]:
        """Use a reference up, for a follow-up or for nothing.

        It is for nothing where the reference was never given, or to another, for
        something else, before too long or already used; and where not every record
        behind it may be told to the requester. It counts all the same.

        Args:
            new: what is asked for.
            request: which request asks for it.
            gate: what it has to pass.
            make_reply: makes the sealed body from the moment at which it expires, or
                from None where it is for nothing. Runs in the writer's thread and MUST
                NOT write.

        Returns:
            The body, once it is durable: that of before, of a replay. Raises
            RefusedError, ExhaustedError, GalleryLockedError or UnavailableError before
            the reference is looked at.
        """
        terms = new.terms

        def operation(connection: sa.Connection) -> bytes:
            agreed = self._permitted(connection, gate, terms)
            refuse_absent(connection, terms.holder)
            self._spend(connection, terms)
            _refuse_locked(connection, terms.holder)
            return make_reply(self._begin(connection, new, gate, agreed))

        return self._once(terms.requester, request, operation)

    def confirm(
        self,
        follow_up_id: bytes,
        holder: Member,
        *,
        confirmation: bytes,
        request: RequestKey,
        gate: Gate,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[bytes]:
        """Keep that a person at the holder has confirmed a follow-up.

        Args:
            follow_up_id: 32 bytes.
            holder: whose records it is about; no other's is found.
            confirmation: what that person signed.
            request: which request asks for it.
            gate: what it has to pass.
            make_reply: makes the sealed body from the moment at which it expires. Runs
                in the writer's thread and MUST NOT write.

        Returns:
            As `request`. Raises NotFoundError where it may not be told, is over, or
            was never there, which is one answer; PreconditionError where it is further;
            UnavailableError while the requester is suspended.
        """

        def operation(connection: sa.Connection) -> bytes:
            row = self._received(connection, follow_up_id, holder, gate)
            self._go_on(connection, row, gate, Kind.FOLLOW_UP_CONFIRMATION)
            tables.keep_confirmation(connection, follow_up_id, confirmation)
            return make_reply(row.ends_at)

        return self._once(holder, request, operation)

    def refuse(
        self,
        follow_up_id: bytes,
        holder: Member,
        *,
        refusal: Refusal,
        request: RequestKey,
        gate: Gate,
        make_reply: Callable[[], bytes],
    ) -> Future[bytes]:
        """Refuse a follow-up, until it is read; see `confirm`.

        It needs no agreement: one that has ended must not keep a holder from it.
        """

        def operation(connection: sa.Connection) -> bytes:
            row = self._received(connection, follow_up_id, holder, gate)
            self._close(connection, row, FollowUpState.REFUSED, refusal=refusal)
            return make_reply()

        return self._once(holder, request, operation)

    def release(
        self,
        follow_up_id: bytes,
        holder: Member,
        *,
        payload: bytes,
        request: RequestKey,
        gate: Gate,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[bytes]:
        """Keep the payload of a follow-up that was confirmed; see `confirm`."""

        def operation(connection: sa.Connection) -> bytes:
            row = self._received(connection, follow_up_id, holder, gate)
            self._go_on(connection, row, gate, Kind.FOLLOW_UP_RELEASE)
            tables.keep_payload(connection, follow_up_id, payload)
            return make_reply(row.ends_at)

        return self._once(holder, request, operation)

    def read(
        self,
        follow_up_id: bytes,
        requester: Member,
        *,
        request: RequestKey,
        gate: Gate,
        make_reply: Callable[[bytes], bytes],
    ) -> Future[bytes]:
        """Hand a payload out, once; it is deleted with that.

        Returns:
            As `request`. Raises NotFoundError for what is not the requester's;
            PreconditionError where nothing is there to be read: not yet, no more, or
            not for this requester, of which the first and the last are one answer;
            GalleryLockedError and UnavailableError while the holder has locked its
            galleries, or is suspended: then it is there still.
        """

        def operation(connection: sa.Connection) -> bytes:
            row = tables.find(connection, follow_up_id, self._clock.now())
            if row is None or row.terms.requester != requester:
                raise _no_follow_up()
            if row.state not in tables.LIVE:
                raise PreconditionError(
                    "FOLLOW_UP_OVER",
                    f"the follow-up is over: {row.state}; what is read is read once",
                )
            agreed = self._permitted(connection, gate, row.terms)
            refuse_absent(connection, row.terms.holder)
            _refuse_locked(connection, row.terms.holder)
            told = self._still_told(connection, row, gate)
            payload = tables.payload_of(connection, follow_up_id)
            if payload is None or not told:
                raise PreconditionError(
                    "NOTHING_TO_READ",
                    "the holder has given nothing yet; ask again until the follow-up"
                    " expires",
                )
            self._close(connection, row, FollowUpState.READ, agreed=agreed)
            return make_reply(bytes(payload))

        return self._once(requester, request, operation)

    def end_due(self, most: int) -> Future[int]:
        """End follow-ups whose time is over, and forget those that ended long ago.

        Args:
            most: at most so many.

        Returns:
            How many there were.
        """

        def operation(connection: sa.Connection) -> int:
            found = tables.over(connection, self._clock.now(), most)
            for row, is_to_end in found:
                if is_to_end:
                    self._close(connection, row, FollowUpState.EXPIRED)
                else:
                    tables.forget(connection, row.follow_up_id)
            return len(found)

        return self._writer.submit(operation)

    def keep_only(self, members: Collection[Member]) -> Future[int]:
        """Delete the follow-ups of whoever is no member any more; say how many."""
        return self._writer.submit(partial(tables.keep_only, members=members))

    def requested(self, requester: Member) -> list[FollowUpRow]:
        """Return the newest follow-ups that a member has asked for; any thread.

        Raises:
            StorageError: they cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            return tables.requested_by(connection, requester, self._clock.now())

    def received(self, holder: Member, gate: Gate) -> list[ReceivedRow]:
        """Return the oldest follow-ups that wait for a holder; last, for being read.

        Any thread. Without those whose records may not be told to the requester.

        Raises:
            StorageError: they cannot be read now.
        """
        now = self._clock.now()
        found: list[ReceivedRow] = []
        passed, most = 0, limits.MAX_FOLLOW_UPS_LISTED
        with translated(), self._engine.connect() as connection:
            # What may not be told takes nobody's place in the list.
            while len(found) < most and (
                rows := tables.received_by(connection, holder, now, passed)
            ):
                passed += len(rows)
                found += [
                    ReceivedRow(
                        row=row, references=tables.references_of(connection, row)
                    )
                    for row in rows
                    if self._still_told(connection, row, gate)
                ]
        return found[:most]

    def _begin(
        self, connection: sa.Connection, new: NewFollowUp, gate: Gate, agreed: Agreed
    ) -> dt.datetime | None:
        """Use a reference up; return when its follow-up expires, if it has one."""
        terms, now = new.terms, self._clock.now()
        records = tables.use_up(connection, new, now)
        if not self._may_be_told(connection, terms, records, gate):
            return None
        ends_at = now + _ANSWERING
        tables.add(connection, new, records, now=now, ends_at=ends_at)
        kind, sides = Kind.FOLLOW_UP_REQUEST, [terms.requester, terms.holder]
        self._tell(connection, new.follow_up_id, terms, kind, agreed, sides)
        return ends_at

    def _spend(self, connection: sa.Connection, terms: Terms) -> None:
        """Count a request for a follow-up.

        Raises:
            ExhaustedError: there were too many today.
        """
        use = QuotaUse(
            use=_USE + terms.holder.code.encode(),
            searches=1,
            most=limits.MAX_FOLLOW_UPS_PER_DAY,
        )
        taken = Taken(quotas=(use,))
        account = self._budget.account(connection, [(terms.requester, taken)])
        if not account.has_room(terms.requester, taken):
            raise ExhaustedError(
                "QUOTA_SPENT",
                f"at most {use.most} references of {terms.holder} are followed up on"
                " one day; ask again tomorrow",
            )
        account.take(terms.requester, taken)
        account.write(connection)

    def _received(
        self,
        connection: sa.Connection,
        follow_up_id: bytes,
        holder: Member,
        gate: Gate,
    ) -> FollowUpRow:
        """Return a follow-up that a holder may go on with.

        Raises:
            NotFoundError: there is none.
        """
        row = tables.find(connection, follow_up_id, self._clock.now())
        if (
            row is None
            or row.terms.holder != holder
            or row.state not in tables.LIVE
            or not self._still_told(connection, row, gate)
        ):
            raise _no_follow_up()
        return row

    def _permitted(self, connection: sa.Connection, gate: Gate, terms: Terms) -> Agreed:
        """Return what permits a follow-up, by agreements that are the last.

        Raises:
            RefusedError: nothing does.
            UnavailableError: another front end has put a newer one in force.
        """
        agreed = gate.permit(terms)
        if not self._is_alone:
            refuse_overtaken(connection, terms.holder, agreed.holder)
        return agreed

    def _go_on(
        self, connection: sa.Connection, row: FollowUpRow, gate: Gate, kind: Kind
    ) -> None:
        """Have a holder take a follow-up one step further, and tell it so.

        Raises:
            ExchangeError: nothing permits it, the requester is suspended, or another
                step comes before.
        """
        agreed = self._permitted(connection, gate, row.terms)
        refuse_absent(connection, row.terms.requester)
        _require(row, _COMES_AFTER[kind])
        holder = row.terms.holder
        self._tell(connection, row.follow_up_id, row.terms, kind, agreed, [holder])

    def _still_told(
        self, connection: sa.Connection, row: FollowUpRow, gate: Gate
    ) -> bool:
        """Say whether a follow-up's records may still be told to its requester."""
        records = tables.records_of(connection, row.follow_up_id)
        return self._may_be_told(connection, row.terms, records, gate)

    def _may_be_told(
        self,
        connection: sa.Connection,
        terms: Terms,
        records: Mapping[bytes, bytes],
        gate: Gate,
    ) -> bool:
        """Say whether records may be told to whoever follows up on them."""
        return may_be_told(
            connection,
            holder=terms.holder,
            requester=terms.requester,
            records=records,
            frozen=self._budget.frozen(connection, terms.requester, records),
            now=self._clock.now(),
            gate=gate,
        )

    def _close(
        self,
        connection: sa.Connection,
        row: FollowUpRow,
        state: FollowUpState,
        *,
        refusal: Refusal | None = None,
        agreed: Agreed = _NOTHING,
    ) -> None:
        """End a follow-up: nothing of it is left but that it was."""
        tables.close(
            connection,
            row.follow_up_id,
            state,
            refusal=refusal,
            kept_until=self._clock.now() + _KEPT,
        )
        sides = [row.terms.requester, row.terms.holder]
        kind = _ENDS[state]
        self._tell(connection, row.follow_up_id, row.terms, kind, agreed, sides)

    def _tell(  # noqa: PLR0917 - a step, and who is told of it
        self,
        connection: sa.Connection,
        follow_up_id: bytes,
        terms: Terms,
        kind: Kind,
        agreed: Agreed,
        sides: Collection[Member],
    ) -> None:
        """Append a step to the log; whoever is not a side of it is told nothing."""
        mentions = [
            Mention(
                member=side,
                kind=kind,
                other=(
                    terms.holder if side == terms.requester else terms.requester
                ).code,
                purpose=terms.purpose,
                agreement=(
                    agreed.requester if side == terms.requester else agreed.holder
                ),
                items=(follow_up_id,),
            )
            for side in sides
        ]
        self._log.append(connection, *mentions)

    def _once(
        self,
        member: Member,
        request: RequestKey,
        step: Callable[[sa.Connection], bytes],
    ) -> Future[bytes]:
        """Make a step that a request asks for, or find what that was answered."""

        def operation(connection: sa.Connection) -> bytes:
            found = self._replies.find_or_clear(
                connection, member, request.request_id, request.digest
            )
            if found is not None:
                return found
            refuse_apart(connection, member)
            body = step(connection)
            reply = Reply(
                request_id=request.request_id, digest=request.digest, body=body
            )
            self._replies.add(connection, member, reply)
            return body

        return self._writer.submit(operation)


_COMES_AFTER: Final = {
    Kind.FOLLOW_UP_CONFIRMATION: FollowUpState.REQUESTED,
    Kind.FOLLOW_UP_RELEASE: FollowUpState.CONFIRMED,
}
_ENDS: Final = {
    FollowUpState.REFUSED: Kind.FOLLOW_UP_REFUSAL,
    FollowUpState.READ: Kind.FOLLOW_UP_READING,
    FollowUpState.EXPIRED: Kind.FOLLOW_UP_EXPIRY,
}


def _require(row: FollowUpRow, state: FollowUpState) -> None:
    """Refuse a step that another one comes before, or that was made.

    Raises:
        PreconditionError: the follow-up is not that far, or further.
    """
    if row.state is not state:
        raise PreconditionError(
            "WRONG_STATE",
            f"the follow-up is {row.state}, and must be {state} for this",
        )


def _refuse_locked(connection: sa.Connection, holder: Member) -> None:
    """Refuse what would tell of a holder that has locked its galleries.

    Raises:
        GalleryLockedError: it has.
    """
    if custody_of(connection, holder).state is CustodyState.LOCKED:
        raise locked(holder)


def _no_follow_up() -> NotFoundError:
    """Return the one error of what may not be told, is over, or was never there."""
    return NotFoundError(
        "NO_SUCH_FOLLOW_UP",
        "no follow-up of yours that is open has this id; list them",
    )
