"""Whether what was told of records may still be told; and taking back what was.

A reference stands for all records that matched in one search, and so does a follow-up:
it stands while each of them may be told to the requester, or it stands for nothing.
The same search again gives a reference to what may be told then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.disclosure import Protection, may_learn
from biometrics.errors import DefectError
from biometrics.store.custody import custody_of
from biometrics.store.custody_rows import CustodyState
from biometrics.store.follow_up_rows import FollowUpState
from biometrics.store.live import find_live
from biometrics.store.schema import (
    FOLLOW_UP,
    FOLLOW_UP_RECORD,
    REFERENCE,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping

    from biometrics.members import Member
    from biometrics.store.follow_up_rows import Gate

_TAKE_BACK: Final = (
    sa.update(FOLLOW_UP)
    .where(
        FOLLOW_UP.c.state.in_(
            [FollowUpState.CONFIRMED.value, FollowUpState.RELEASED.value]
        )
    )
    .values(state=FollowUpState.REQUESTED.value, confirmation=None, payload=None)
)
_OF_RECORD: Final = sa.select(FOLLOW_UP_RECORD.c.follow_up_id).where(
    FOLLOW_UP_RECORD.c.record_id == sa.bindparam("of_record")
)
_TAKE_BACK_RECORD: Final = _TAKE_BACK.where(FOLLOW_UP.c.follow_up_id.in_(_OF_RECORD))
_TAKE_BACK_FROM: Final = _TAKE_BACK_RECORD.where(
    FOLLOW_UP.c.requester.in_(sa.bindparam("of_requesters", expanding=True))
)
_TAKE_BACK_ALL: Final = _TAKE_BACK.where(
    FOLLOW_UP.c.holder == sa.bindparam("of_holder")
)
_DROP_GIVEN: Final = sa.delete(REFERENCE).where(
    REFERENCE.c.holder == sa.bindparam("of_holder")
)


def may_be_told(  # noqa: PLR0913 - whatever may stand against it
    connection: sa.Connection,
    *,
    holder: Member,
    requester: Member,
    records: Mapping[bytes, bytes],
    frozen: Collection[bytes],
    now: dt.datetime,
    gate: Gate,
) -> bool:
    """Say whether a requester may learn of records, of every one of them.

    One whose row was changed is told to nobody.

    Args:
        connection: in a transaction; the writer's where it is to last till the commit.
        holder: whose they are.
        requester: who would learn of them.
        records: keyed hash of the holder's reference by id; of none nothing is told.
        frozen: those that are as if they were not there for the requester.
        now: by which it is judged what has expired.
        gate: believes no row.
    """
    if custody_of(connection, holder).state is CustodyState.DESTROYED:
        return False
    # Each is looked at, whatever came of those before.
    told = [
        _may_learn(
            _protection(connection, holder, record_id, lookup, gate),
            requester=requester,
            now=now,
            is_frozen=record_id in frozen,
        )
        for record_id, lookup in records.items()
    ]
    return bool(told) and all(told)


def _protection(  # noqa: PLR0917 - a record, and by what it is found and believed
    connection: sa.Connection,
    holder: Member,
    record_id: bytes,
    lookup: bytes,
    gate: Gate,
) -> Protection | None:
    """Return what protects a record; None of one that is gone, or was changed."""
    try:
        found = find_live(connection, holder, lookup)
        if found is None or found.row.attested.record != record_id:
            return None
        gate.check(holder, found.row)
    except DefectError:  # a seal that does not fit is one
        return None
    attested = found.row.attested
    return Protection(excluded=attested.excluded, expires_at=attested.expires_at)


def _may_learn(
    protection: Protection | None,
    *,
    requester: Member,
    now: dt.datetime,
    is_frozen: bool,
) -> bool:
    """Say whether a requester may learn of a record that may not be there."""
    return protection is not None and may_learn(
        protection, requester=requester, now=now, is_frozen=is_frozen
    )


def take_back(
    connection: sa.Connection,
    record_id: bytes,
    requesters: Collection[Member] | None = None,
) -> None:
    """Delete what was confirmed and released of a record, and is not read yet.

    Args:
        connection: the writer's, in its transaction.
        record_id: 16 bytes.
        requesters: from whom; None for everybody.
    """
    of_record = {"of_record": record_id}
    if requesters is None:
        connection.execute(_TAKE_BACK_RECORD, of_record)
    elif requesters:
        codes = [member.code for member in requesters]
        connection.execute(_TAKE_BACK_FROM, of_record | {"of_requesters": codes})


def take_back_all(connection: sa.Connection, holder: Member) -> None:
    """Delete what was released of all records of a holder, and what points to them."""
    of_holder = {"of_holder": holder.code}
    connection.execute(_TAKE_BACK_ALL, of_holder)
    connection.execute(_DROP_GIVEN, of_holder)
