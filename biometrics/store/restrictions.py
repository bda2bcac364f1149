"""What holders took back: records, protections set late, agreements, whole galleries.

A backup is of one moment, and brings back what was taken away after it. So these are
listed apart, as often as one likes: the list is small, and says nothing that opens a
template. A restore carries it out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.store.agreements import supersede
from biometrics.store.custody import custody_of, set_custody
from biometrics.store.destruction import destroy
from biometrics.store.live import find_live
from biometrics.store.rows import CustodyState, Reason
from biometrics.store.schema import AGREEMENT, CUSTODY, PROTECTION, RECORD, TOMBSTONE
from biometrics.store.values import join_members, member_of, split_members
from biometrics.store.withdrawal import bury

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from biometrics.members import Member
    from biometrics.store.rows import LiveRecord, NewProtection

# Each table of the list: its rows by keyset, since there may be a million tombstones.
_WITHDRAWN: Final = (
    sa.select(TOMBSTONE)
    .where(
        sa.tuple_(TOMBSTONE.c.member, TOMBSTONE.c.lookup)
        > sa.tuple_(sa.bindparam("after_member"), sa.bindparam("after_lookup"))
    )
    .order_by(TOMBSTONE.c.member, TOMBSTONE.c.lookup)
    .limit(sa.bindparam("most"))
)
_PROTECTED: Final = (
    sa.select(
        RECORD.c.number,
        RECORD.c.member,
        RECORD.c.lookup,
        PROTECTION.c.excluded,
        PROTECTION.c.set_at,
    )
    .join_from(RECORD, PROTECTION)
    .where(
        PROTECTION.c.set_at.is_not(None),
        RECORD.c.number > sa.bindparam("after"),
    )
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_CLOSED: Final = (
    sa.select(CUSTODY)
    .where(CUSTODY.c.state != CustodyState.OPEN.value)
    .order_by(CUSTODY.c.member)
)
_AGREED: Final = sa.select(AGREEMENT).order_by(AGREEMENT.c.holder)
_ADD_TOMBSTONE: Final = sa.insert(TOMBSTONE)
_IS_GONE: Final = sa.select(TOMBSTONE.c.withdrawn_at).where(
    TOMBSTONE.c.member == sa.bindparam("of_member"),
    TOMBSTONE.c.lookup == sa.bindparam("of_lookup"),
)
_PROTECT: Final = (
    sa.update(PROTECTION)
    .where(PROTECTION.c.record_number == sa.bindparam("of_number"))
    .values(
        excluded=sa.bindparam("now_excluded"),
        record_tag=sa.bindparam("now_tag"),
        set_at=sa.bindparam("now"),
    )
)

WITHDRAWN: Final = "withdrawn"
PROTECTED: Final = "protected"
AGREED: Final = "agreed"
CLOSED: Final = "closed"


def restrictions(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield each as a document of texts and numbers, as a connection sees them."""
    yield from _withdrawn(connection)
    yield from _protected(connection)
    for row in connection.execute(_AGREED):
        yield {
            "kind": AGREED,
            "holder": row.holder,
            "revision": row.revision,
            "digest": row.digest.hex(),
            "data": row.data.hex(),
            "note": row.note.hex(),
        }
    for row in connection.execute(_CLOSED):
        yield {
            "kind": CLOSED,
            "member": row.member,
            "state": row.state,
            "at": row.changed_at,
        }


def _withdrawn(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield every tombstone."""
    after: dict[str, object] = {"after_member": "", "after_lookup": b""}
    most = limits.STORE_IDS_PER_QUERY
    while rows := connection.execute(_WITHDRAWN, after | {"most": most}).all():
        for row in rows:
            yield {
                "kind": WITHDRAWN,
                "member": row.member,
                "lookup": row.lookup.hex(),
                "at": row.withdrawn_at,
                "reason": row.reason,
            }
        after = {"after_member": rows[-1].member, "after_lookup": rows[-1].lookup}


def _protected(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield every protection that is not as it was enrolled."""
    after, most = 0, limits.STORE_IDS_PER_QUERY
    while rows := connection.execute(_PROTECTED, {"after": after, "most": most}).all():
        for row in rows:
            yield {
                "kind": PROTECTED,
                "member": row.member,
                "lookup": row.lookup.hex(),
                "excluded": row.excluded,
                "at": row.set_at,
            }
        after = rows[-1].number


def carry_out(
    connection: sa.Connection,
    document: Mapping[str, Any],
    attest: Callable[[Member, LiveRecord, str], NewProtection],
    random_bytes: Callable[[int], bytes],
) -> bool:
    """Do again what a document says; say whether anything was changed by it.

    Args:
        connection: in a transaction of a database that no exchange has open.
        document: as `restrictions` yields them, of a later moment than the
            database is of.
        attest: returns whom a member's record is to exclude, of codes with a space
            between, with the tag that attests it; the record may be an older one than
            that which was protected. Raises if the row is not the record's own.
        random_bytes: where the numbers of changes come from.

    Raises:
        DefectError: a record's rows are damaged.
        SealError: likewise.
    """
    kind = document["kind"]
    if kind == AGREED:
        values = {name: bytes.fromhex(document[name]) for name in _BYTES_OF_AGREED}
        row = {"holder": document["holder"], "revision": document["revision"]}
        return supersede(connection, row | values)
    member = member_of(document["member"])
    if kind == CLOSED:
        return _close(connection, member, document, random_bytes)
    if kind == PROTECTED:
        return _protect(connection, member, document, attest)
    return _withdraw(connection, member, document)


def _close(
    connection: sa.Connection,
    member: Member,
    document: Mapping[str, Any],
    random_bytes: Callable[[int], bytes],
) -> bool:
    """Lock or destroy the galleries of a member again."""
    state, before = (
        CustodyState(document["state"]),
        custody_of(connection, member).state,
    )
    if before in {state, CustodyState.DESTROYED}:
        return False
    moment = {"now": document["at"], "change_id": random_bytes(_CHANGE_ID_BYTES)}
    if state is CustodyState.DESTROYED:
        destroy(connection, member, **moment)
    else:
        set_custody(connection, member, state, **moment)
    return True


def _protect(
    connection: sa.Connection,
    member: Member,
    document: Mapping[str, Any],
    attest: Callable[[Member, LiveRecord, str], NewProtection],
) -> bool:
    """Protect a record again, if it is there."""
    found = find_live(connection, member, bytes.fromhex(document["lookup"]))
    excluded = split_members(document["excluded"])
    if found is None or found.row.attested.excluded == excluded:
        return False
    new = attest(member, found.row, document["excluded"])
    connection.execute(
        _PROTECT,
        {
            "of_number": found.number,
            "now_excluded": join_members(new.excluded),
            "now_tag": new.record_tag,
            "now": document["at"],
        },
    )
    return True


def _withdraw(
    connection: sa.Connection, member: Member, document: Mapping[str, Any]
) -> bool:
    """Withdraw a record again, if it is there."""
    lookup, reason = bytes.fromhex(document["lookup"]), Reason(document["reason"])
    found = find_live(connection, member, lookup)
    if found is not None:
        bury(connection, member, found, now=document["at"], reason=reason)
        return True
    # Enrolled and withdrawn since the backup: the reference is never used again.
    key = {"of_member": member.code, "of_lookup": lookup}
    if connection.execute(_IS_GONE, key).first() is None:
        connection.execute(
            _ADD_TOMBSTONE,
            {
                "member": member.code,
                "lookup": lookup,
                "withdrawn_at": document["at"],
                "reason": reason.value,
            },
        )
    return False


_CHANGE_ID_BYTES: Final = 16
_BYTES_OF_AGREED: Final = ("digest", "data", "note")
