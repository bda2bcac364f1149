"""What holders took back: withdrawals, protections set late, versions of agreements.

A backup is of one moment, and brings back what was taken away after it. So these are
listed apart, as often as one likes: the list is small, and says nothing that opens a
template. A restore carries it out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.store.agreements import supersede
from biometrics.store.live import find_live
from biometrics.store.schema import AGREEMENT, PROTECTION, RECORD, TOMBSTONE
from biometrics.store.values import member_of
from biometrics.store.withdrawal import remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        PROTECTION.c.record_tag,
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
                "tag": row.record_tag.hex(),
                "at": row.set_at,
            }
        after = rows[-1].number


def carry_out(connection: sa.Connection, document: Mapping[str, Any]) -> bool:
    """Do again what a document says; say whether anything was changed by it.

    Args:
        connection: in a transaction of a database that no exchange has open.
        document: as `restrictions` yields them, of a later moment than the
            database is of.

    Raises:
        DefectError: a record's rows are damaged.
    """
    if document["kind"] == AGREED:
        values = {name: bytes.fromhex(document[name]) for name in _BYTES_OF_AGREED}
        row = {"holder": document["holder"], "revision": document["revision"]}
        return supersede(connection, row | values)
    member = member_of(document["member"])
    lookup = bytes.fromhex(document["lookup"])
    found = find_live(connection, member, lookup)
    if document["kind"] == PROTECTED:
        tag = bytes.fromhex(document["tag"])
        if found is None or found.row.record_tag == tag:
            return False
        connection.execute(
            _PROTECT,
            {
                "of_number": found.number,
                "now_excluded": document["excluded"],
                "now_tag": tag,
                "now": document["at"],
            },
        )
        return True
    if found is not None:
        remove(connection, member, lookup, now=document["at"], check=lambda _row: None)
        return True
    # Enrolled and withdrawn since the backup: the reference is never used again.
    key = {"of_member": member.code, "of_lookup": lookup}
    if connection.execute(_IS_GONE, key).first() is None:
        connection.execute(
            _ADD_TOMBSTONE,
            {"member": member.code, "lookup": lookup, "withdrawn_at": document["at"]},
        )
    return False


_BYTES_OF_AGREED: Final = ("digest", "data", "note")
