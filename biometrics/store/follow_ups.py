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
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.audit import Kind, Mention
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.errors import ExhaustedError, NotFoundError, PreconditionError
from biometrics.sealed import Sealed, locked
from biometrics.store.answer_rows import QuotaUse, Taken
from biometrics.store.custody import custody_of
from biometrics.store.custody_rows import CustodyState
from biometrics.store.failures import translated
from biometrics.store.follow_up_rows import (
    Agreed,
    FollowUpRow,
    FollowUpState,
    ReceivedRow,
    Refusal,
    Terms,
)
from biometrics.store.masking import may_be_told
from biometrics.store.membership import refuse_absent, refuse_apart
from biometrics.store.rows import ReferenceRow, Reply
from biometrics.store.schema import (
    FOLLOW_UP,
    FOLLOW_UP_RECORD,
    RECORD,
    REFERENCE,
    REFERENCE_RECORD,
)
from biometrics.store.values import member_of, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.budget import Budget
    from biometrics.store.custody import RequestKey
    from biometrics.store.follow_up_rows import Gate, NewFollowUp
    from biometrics.store.log import Log
    from biometrics.store.replies import Replies
    from biometrics.store.writer import Writer

_ANSWERING: Final = dt.timedelta(hours=limits.FOLLOW_UP_HOURS)
_KEPT: Final = dt.timedelta(days=limits.FOLLOW_UP_KEPT_DAYS)
_LIVE: Final = frozenset(
    {FollowUpState.REQUESTED, FollowUpState.CONFIRMED, FollowUpState.RELEASED}
)
# Of an end that needs no agreement.
_NOTHING: Final = Agreed(b"", b"")
# What is counted beside quotas of agreements; see `budget`.
_USE: Final = b"follow-ups "

_GIVEN: Final = sa.select(REFERENCE.c.reference_digest).where(
    REFERENCE.c.reference_digest == sa.bindparam("of_digest"),
    REFERENCE.c.holder == sa.bindparam("of_holder"),
    REFERENCE.c.requester == sa.bindparam("of_requester"),
    REFERENCE.c.purpose == sa.bindparam("of_purpose"),
    REFERENCE.c.modality == sa.bindparam("of_modality"),
    REFERENCE.c.expires_at > sa.bindparam("now"),
)
_GIVEN_RECORDS: Final = sa.select(
    REFERENCE_RECORD.c.record_id, REFERENCE_RECORD.c.lookup
).where(REFERENCE_RECORD.c.reference_digest == sa.bindparam("of_digest"))
_USE_UP: Final = sa.delete(REFERENCE).where(
    REFERENCE.c.reference_digest == sa.bindparam("of_digest")
)
_ADD: Final = sa.insert(FOLLOW_UP)
_ADD_RECORDS: Final = sa.insert(FOLLOW_UP_RECORD)
_IS_IT: Final = FOLLOW_UP.c.follow_up_id == sa.bindparam("of_follow_up")
_FIND: Final = sa.select(FOLLOW_UP).where(_IS_IT)
_PAYLOAD: Final = sa.select(FOLLOW_UP.c.payload).where(_IS_IT)
_RECORDS: Final = sa.select(
    FOLLOW_UP_RECORD.c.record_id, FOLLOW_UP_RECORD.c.lookup
).where(FOLLOW_UP_RECORD.c.follow_up_id == sa.bindparam("of_follow_up"))
_CONFIRM: Final = (
    sa.update(FOLLOW_UP)
    .where(_IS_IT)
    .values(
        state=FollowUpState.CONFIRMED.value, confirmation=sa.bindparam("now_confirmed")
    )
)
_RELEASE: Final = (
    sa.update(FOLLOW_UP)
    .where(_IS_IT)
    .values(
        state=FollowUpState.RELEASED.value,
        payload=sa.bindparam("now_payload"),
    )
)
_CLOSE: Final = (
    sa.update(FOLLOW_UP)
    .where(_IS_IT)
    .values(
        state=sa.bindparam("now_state"),
        refusal=sa.bindparam("now_refusal"),
        confirmation=None,
        payload=None,
        ends_at=sa.bindparam("now_ends"),
    )
)
_FORGET_RECORDS: Final = sa.delete(FOLLOW_UP_RECORD).where(
    FOLLOW_UP_RECORD.c.follow_up_id == sa.bindparam("of_follow_up")
)
_FORGET: Final = sa.delete(FOLLOW_UP).where(_IS_IT)
_OVER: Final = (
    sa.select(FOLLOW_UP)
    .where(FOLLOW_UP.c.ends_at <= sa.bindparam("now"))
    .order_by(FOLLOW_UP.c.ends_at)
    .limit(sa.bindparam("most"))
)
_REQUESTED: Final = (
    sa.select(FOLLOW_UP)
    .where(FOLLOW_UP.c.requester == sa.bindparam("of_member"))
    .order_by(FOLLOW_UP.c.requested_at.desc(), FOLLOW_UP.c.follow_up_id)
    .limit(limits.MAX_FOLLOW_UPS_LISTED)
)
_RECEIVED: Final = (
    sa.select(FOLLOW_UP)
    .where(
        FOLLOW_UP.c.holder == sa.bindparam("of_member"),
        FOLLOW_UP.c.state.in_(sorted(state.value for state in _LIVE)),
        FOLLOW_UP.c.ends_at > sa.bindparam("now"),
    )
    .order_by(
        sa.case((FOLLOW_UP.c.state == FollowUpState.RELEASED.value, 1), else_=0),
        FOLLOW_UP.c.requested_at,
        FOLLOW_UP.c.follow_up_id,
    )
    .limit(limits.MAX_FOLLOW_UPS_LISTED)
    .offset(sa.bindparam("passed"))
)
_OWN: Final = sa.select(
    RECORD.c.record_id,
    RECORD.c.generation,
    RECORD.c.reference_key_id,
    RECORD.c.reference_wrapped_key,
    RECORD.c.reference_ciphertext,
).where(
    RECORD.c.member == sa.bindparam("of_member"),
    RECORD.c.lookup == sa.bindparam("of_lookup"),
)
_OF_STRANGERS: Final = sa.delete(FOLLOW_UP).where(
    FOLLOW_UP.c.holder.not_in(sa.bindparam("members", expanding=True))
    | FOLLOW_UP.c.requester.not_in(sa.bindparam("members", expanding=True))
)


class FollowUpTable:
    """The follow-ups of every pair of members."""

    def __init__(
        self,
        writer: Writer,
        engine: sa.Engine,
        replies: Replies,
        *,
        budget: Budget,
        log: Log,
        clock: Clock,
    ) -> None:
        """Write by `writer`, read by `engine`; `clock` tells what is over."""
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
            agreed = gate.permit(terms)
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
            agreed = gate.permit(row.terms)
            refuse_absent(connection, row.terms.requester)
            _require(row, FollowUpState.REQUESTED)
            values = {"of_follow_up": follow_up_id, "now_confirmed": confirmation}
            connection.execute(_CONFIRM, values)
            kind = Kind.FOLLOW_UP_CONFIRMATION
            self._tell(connection, row.follow_up_id, row.terms, kind, agreed, [holder])
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
            agreed = gate.permit(row.terms)
            refuse_absent(connection, row.terms.requester)
            _require(row, FollowUpState.CONFIRMED)
            values = {"of_follow_up": follow_up_id, "now_payload": payload}
            connection.execute(_RELEASE, values)
            kind = Kind.FOLLOW_UP_RELEASE
            self._tell(connection, row.follow_up_id, row.terms, kind, agreed, [holder])
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
            row = self._find(connection, follow_up_id)
            if row is None or row.terms.requester != requester:
                raise _no_follow_up()
            if row.state not in _LIVE:
                raise PreconditionError(
                    "FOLLOW_UP_OVER",
                    f"the follow-up is over: {row.state}; what is read is read once",
                )
            agreed = gate.permit(row.terms)
            refuse_absent(connection, row.terms.holder)
            _refuse_locked(connection, row.terms.holder)
            told = self._still_told(connection, row, gate)
            payload = connection.execute(
                _PAYLOAD, {"of_follow_up": follow_up_id}
            ).scalar_one()
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
            now = to_microseconds(self._clock.now())
            rows = connection.execute(_OVER, {"now": now, "most": most}).all()
            for found in rows:
                if word_of(FollowUpState, found.state) in _LIVE:
                    row = self._row(found)
                    self._close(connection, row, FollowUpState.EXPIRED)
                else:
                    connection.execute(_FORGET, {"of_follow_up": found.follow_up_id})
            return len(rows)

        return self._writer.submit(operation)

    def keep_only(self, members: Collection[Member]) -> Future[int]:
        """Delete the follow-ups of whoever is no member any more; say how many."""

        def operation(connection: sa.Connection) -> int:
            codes = [member.code for member in members]
            return connection.execute(_OF_STRANGERS, {"members": codes}).rowcount

        return self._writer.submit(operation)

    def requested(self, requester: Member) -> list[FollowUpRow]:
        """Return the newest follow-ups that a member has asked for; any thread.

        Raises:
            StorageError: they cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_REQUESTED, {"of_member": requester.code}).all()
        return [self._row(row) for row in rows]

    def received(self, holder: Member, gate: Gate) -> list[ReceivedRow]:
        """Return the oldest follow-ups that wait for a holder; last, for being read.

        Any thread. Without those whose records may not be told to the requester.

        Raises:
            StorageError: they cannot be read now.
        """
        values = {"of_member": holder.code, "now": to_microseconds(self._clock.now())}
        found: list[ReceivedRow] = []
        passed, most = 0, limits.MAX_FOLLOW_UPS_LISTED
        with translated(), self._engine.connect() as connection:
            # What may not be told takes nobody's place in the list.
            while len(found) < most and (
                rows := connection.execute(_RECEIVED, values | {"passed": passed}).all()
            ):
                passed += len(rows)
                found += [
                    ReceivedRow(row=row, references=_references(connection, row))
                    for row in map(self._row, rows)
                    if self._still_told(connection, row, gate)
                ]
        return found[:most]

    def _begin(
        self, connection: sa.Connection, new: NewFollowUp, gate: Gate, agreed: Agreed
    ) -> dt.datetime | None:
        """Use a reference up; return when its follow-up expires, if it has one."""
        terms, now = new.terms, self._clock.now()
        records = _presented(connection, new, now)
        if not self._may_be_told(connection, terms, records, gate):
            return None
        ends_at = now + _ANSWERING
        connection.execute(
            _ADD,
            {
                "follow_up_id": new.follow_up_id,
                "holder": terms.holder.code,
                "requester": terms.requester.code,
                "purpose": terms.purpose,
                "modality": terms.modality,
                "state": FollowUpState.REQUESTED.value,
                "note": new.note,
                "requested_at": to_microseconds(now),
                "ends_at": to_microseconds(ends_at),
            },
        )
        connection.execute(
            _ADD_RECORDS,
            [
                {
                    "follow_up_id": new.follow_up_id,
                    "record_id": record_id,
                    "lookup": lookup,
                }
                for record_id, lookup in records.items()
            ],
        )
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
        row = self._find(connection, follow_up_id)
        if (
            row is None
            or row.terms.holder != holder
            or row.state not in _LIVE
            or not self._still_told(connection, row, gate)
        ):
            raise _no_follow_up()
        return row

    def _still_told(
        self, connection: sa.Connection, row: FollowUpRow, gate: Gate
    ) -> bool:
        """Say whether a follow-up's records may still be told to its requester."""
        records = _records(connection, row.follow_up_id)
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
        values = {
            "of_follow_up": row.follow_up_id,
            "now_state": state.value,
            "now_refusal": None if refusal is None else refusal.value,
            "now_ends": to_microseconds(self._clock.now() + _KEPT),
        }
        connection.execute(_CLOSE, values)
        connection.execute(_FORGET_RECORDS, {"of_follow_up": row.follow_up_id})
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

    def _find(
        self, connection: sa.Connection, follow_up_id: bytes
    ) -> FollowUpRow | None:
        """Return a follow-up, whoever's it is."""
        row = connection.execute(_FIND, {"of_follow_up": follow_up_id}).first()
        return None if row is None else self._row(row)

    def _row(self, row: sa.Row[*tuple[Any, ...]]) -> FollowUpRow:
        """Return what a row says, and the clock."""
        state = word_of(FollowUpState, row.state)
        ends_at = from_microseconds(row.ends_at)
        if state in _LIVE and ends_at <= self._clock.now():
            state = FollowUpState.EXPIRED
        return FollowUpRow(
            follow_up_id=row.follow_up_id,
            terms=Terms(
                member_of(row.holder),
                member_of(row.requester),
                row.purpose,
                row.modality,
            ),
            state=state,
            refusal=None if row.refusal is None else word_of(Refusal, row.refusal),
            note=row.note,
            confirmation=row.confirmation,
            requested_at=from_microseconds(row.requested_at),
            ends_at=ends_at,
        )


_ENDS: Final = {
    FollowUpState.REFUSED: Kind.FOLLOW_UP_REFUSAL,
    FollowUpState.READ: Kind.FOLLOW_UP_READING,
    FollowUpState.EXPIRED: Kind.FOLLOW_UP_EXPIRY,
}


def end_all(connection: sa.Connection) -> None:
    """Have no reference and no follow-up left, in a database that was restored.

    What was used up or read since the backup must not be there again, and the backup
    does not know what that was. The same search gives a new reference.
    """
    connection.execute(sa.delete(FOLLOW_UP))
    connection.execute(sa.delete(REFERENCE))


def _presented(
    connection: sa.Connection, new: NewFollowUp, now: dt.datetime
) -> Mapping[bytes, bytes]:
    """Use a reference up, and return the records behind it; none of a wrong one.

    One that was given to another, or for something else, stays as it is.
    """
    of_digest = {"of_digest": new.reference_digest}
    values = {
        "of_holder": new.terms.holder.code,
        "of_requester": new.terms.requester.code,
        "of_purpose": new.terms.purpose,
        "of_modality": new.terms.modality,
        "now": to_microseconds(now),
    }
    if connection.execute(_GIVEN, of_digest | values).first() is None:
        return {}
    rows = connection.execute(_GIVEN_RECORDS, of_digest).all()
    connection.execute(_USE_UP, of_digest)
    return {row.record_id: row.lookup for row in rows}


def _records(connection: sa.Connection, follow_up_id: bytes) -> Mapping[bytes, bytes]:
    """Return the records that a follow-up is about, until it is over."""
    rows = connection.execute(_RECORDS, {"of_follow_up": follow_up_id})
    return {row.record_id: row.lookup for row in rows}


def _references(
    connection: sa.Connection, row: FollowUpRow
) -> tuple[ReferenceRow, ...]:
    """Return the holder's own references of the records of a follow-up, sealed."""
    found = []
    for lookup in _records(connection, row.follow_up_id).values():
        values = {"of_member": row.terms.holder.code, "of_lookup": lookup}
        own = connection.execute(_OWN, values).first()
        if own is None:  # withdrawn since, and the next look will tell
            continue
        sealed = Sealed(
            key_id=own.reference_key_id,
            wrapped_key=own.reference_wrapped_key,
            ciphertext=own.reference_ciphertext,
        )
        found.append(ReferenceRow(own.record_id, own.generation, sealed))
    return tuple(found)


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
