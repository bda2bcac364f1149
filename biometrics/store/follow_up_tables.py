"""The tables of follow-ups: what is asked of them, within one transaction.

No rule is here: who may go on with what, and what is told of it, says
`biometrics.store.follow_ups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.sealed import Sealed
from biometrics.store.follow_up_rows import (
    FollowUpRow,
    FollowUpState,
    Refusal,
    Terms,
)
from biometrics.store.rows import ReferenceRow
from biometrics.store.schema import (
    FOLLOW_UP,
    FOLLOW_UP_RECORD,
    RECORD,
    REFERENCE,
    REFERENCE_RECORD,
)
from biometrics.store.values import member_of, word_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping

    from biometrics.members import Member
    from biometrics.store.follow_up_rows import NewFollowUp

LIVE: Final = frozenset(
    {FollowUpState.REQUESTED, FollowUpState.CONFIRMED, FollowUpState.RELEASED}
)

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
        FOLLOW_UP.c.state.in_(sorted(state.value for state in LIVE)),
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


def use_up(
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


def add(
    connection: sa.Connection,
    new: NewFollowUp,
    records: Mapping[bytes, bytes],
    *,
    now: dt.datetime,
    ends_at: dt.datetime,
) -> None:
    """Keep a follow-up that is asked for, and the records that it is about."""
    terms = new.terms
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


def find(
    connection: sa.Connection, follow_up_id: bytes, now: dt.datetime
) -> FollowUpRow | None:
    """Return a follow-up, whoever's it is."""
    row = connection.execute(_FIND, {"of_follow_up": follow_up_id}).first()
    return None if row is None else _row(row, now)


def records_of(connection: sa.Connection, follow_up_id: bytes) -> Mapping[bytes, bytes]:
    """Return the records that a follow-up is about, until it is over."""
    rows = connection.execute(_RECORDS, {"of_follow_up": follow_up_id})
    return {row.record_id: row.lookup for row in rows}


def references_of(
    connection: sa.Connection, row: FollowUpRow
) -> tuple[ReferenceRow, ...]:
    """Return the holder's own references of the records of a follow-up, sealed."""
    found = []
    for lookup in records_of(connection, row.follow_up_id).values():
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


def keep_confirmation(
    connection: sa.Connection, follow_up_id: bytes, confirmation: bytes
) -> None:
    """Have a follow-up be confirmed."""
    values = {"of_follow_up": follow_up_id, "now_confirmed": confirmation}
    connection.execute(_CONFIRM, values)


def keep_payload(
    connection: sa.Connection, follow_up_id: bytes, payload: bytes
) -> None:
    """Have a follow-up be released."""
    values = {"of_follow_up": follow_up_id, "now_payload": payload}
    connection.execute(_RELEASE, values)


def payload_of(connection: sa.Connection, follow_up_id: bytes) -> bytes | None:
    """Return what was given, if it was and is not read yet."""
    payload: bytes | None = connection.execute(
        _PAYLOAD, {"of_follow_up": follow_up_id}
    ).scalar_one()
    return payload


def close(
    connection: sa.Connection,
    follow_up_id: bytes,
    state: FollowUpState,
    *,
    refusal: Refusal | None,
    kept_until: dt.datetime,
) -> None:
    """End a follow-up: nothing of it is left but that it was."""
    values = {
        "of_follow_up": follow_up_id,
        "now_state": state.value,
        "now_refusal": None if refusal is None else refusal.value,
        "now_ends": to_microseconds(kept_until),
    }
    connection.execute(_CLOSE, values)
    connection.execute(_FORGET_RECORDS, {"of_follow_up": follow_up_id})


def over(
    connection: sa.Connection, now: dt.datetime, most: int
) -> list[tuple[FollowUpRow, bool]]:
    """Return follow-ups whose time is over, and whether they are still to be ended."""
    values = {"now": to_microseconds(now), "most": most}
    return [
        (_row(row, now), word_of(FollowUpState, row.state) in LIVE)
        for row in connection.execute(_OVER, values).all()
    ]


def forget(connection: sa.Connection, follow_up_id: bytes) -> None:
    """Delete a follow-up that was ended."""
    connection.execute(_FORGET, {"of_follow_up": follow_up_id})


def keep_only(connection: sa.Connection, members: Collection[Member]) -> int:
    """Delete the follow-ups of whoever is no member any more; say how many."""
    codes = [member.code for member in members]
    return connection.execute(_OF_STRANGERS, {"members": codes}).rowcount


def requested_by(
    connection: sa.Connection, requester: Member, now: dt.datetime
) -> list[FollowUpRow]:
    """Return the newest follow-ups that a member has asked for."""
    rows = connection.execute(_REQUESTED, {"of_member": requester.code}).all()
    return [_row(row, now) for row in rows]


def received_by(
    connection: sa.Connection, holder: Member, now: dt.datetime, passed: int
) -> list[FollowUpRow]:
    """Return some that wait for a holder, the oldest first, but for those passed."""
    values = {
        "of_member": holder.code,
        "now": to_microseconds(now),
        "passed": passed,
    }
    return [_row(row, now) for row in connection.execute(_RECEIVED, values).all()]


def end_all(connection: sa.Connection) -> None:
    """Have no reference and no follow-up left, in a database that was restored.

    What was used up or read since the backup must not be there again, and the backup
    does not know what that was. The same search gives a new reference.
    """
    connection.execute(sa.delete(FOLLOW_UP))
    connection.execute(sa.delete(REFERENCE))


def _row(row: sa.Row[*tuple[Any, ...]], now: dt.datetime) -> FollowUpRow:
    """Return what a row says, and the clock."""
    state = word_of(FollowUpState, row.state)
    ends_at = from_microseconds(row.ends_at)
    if state in LIVE and ends_at <= now:
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
