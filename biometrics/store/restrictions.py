"""What holders took back: records, protections set late, agreements, whole galleries.

A backup is of one moment, and brings back what was taken away after it. So these are
listed apart, as often as one likes: the list is small, and says nothing that opens a
template. A restore carries it out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import sqlalchemy as sa

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.store.agreements import supersede
from biometrics.store.custody import custody_of, set_custody
from biometrics.store.custody_rows import (
    CHANGE_ID_BYTES,
    CustodyState,
    ErasureKind,
)
from biometrics.store.destruction import destroy
from biometrics.store.keys import index_key_of
from biometrics.store.live import find_live
from biometrics.store.rows import Reason
from biometrics.store.schema import (
    AGREEMENT,
    CUSTODY,
    ERASURE,
    INDEX_KEY,
    PROTECTION,
    RECORD,
    TOMBSTONE,
)
from biometrics.store.values import join_members, member_of, split_members
from biometrics.store.withdrawal import bury

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from biometrics.members import Member
    from biometrics.store.rows import LiveRecord

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
_LOCKED: Final = (
    sa.select(CUSTODY)
    .where(CUSTODY.c.state == CustodyState.LOCKED.value)
    .order_by(CUSTODY.c.member)
)
# Of each destruction, also of galleries that their member has begun anew since.
_DESTROYED: Final = (
    sa.select(ERASURE.c.member, ERASURE.c.deleted_at)
    .where(ERASURE.c.kind == ErasureKind.DESTRUCTION.value)
    .order_by(ERASURE.c.number)
)
_IS_DESTROYED: Final = _DESTROYED.where(
    ERASURE.c.member == sa.bindparam("of_member"),
    ERASURE.c.deleted_at == sa.bindparam("at"),
)
_INDEX_KEYS: Final = sa.select(INDEX_KEY).order_by(INDEX_KEY.c.member)
_ADD_INDEX_KEY: Final = sa.insert(INDEX_KEY)
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
LOCKED: Final = "locked"
DESTROYED: Final = "destroyed"
INDEXED: Final = "indexed"


def restrictions(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield each as a document of texts and numbers, as a connection sees them.

    First come the keys that what follows is found and attested by, and destructions:
    what was enrolled afterwards is another's.
    """
    for row in connection.execute(_INDEX_KEYS):
        yield {"kind": INDEXED, "member": row.member, "wrapped": row.wrapped.hex()}
    for row in connection.execute(_DESTROYED):
        yield {"kind": DESTROYED, "member": row.member, "at": row.deleted_at}
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
    for row in connection.execute(_LOCKED):
        yield {"kind": LOCKED, "member": row.member, "at": row.changed_at}


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


class Attesting(Protocol):
    """Believes no row, and makes what others will believe."""

    def check(self, member: Member, row: LiveRecord) -> None:
        """Refuse a row that is not its record's own.

        Raises:
            SealError: it was changed.
        """

    def protect(
        self, member: Member, row: LiveRecord, excluded: frozenset[Member]
    ) -> bytes:
        """Return the tag of a record that excludes others than before.

        The record may be an older one than that which was protected.
        """


def carry_out(
    connection: sa.Connection,
    document: Mapping[str, Any],
    attesting: Attesting,
    random_bytes: Callable[[int], bytes],
) -> bool:
    """Do again what a document says; say whether anything was taken back by it.

    Args:
        connection: in a transaction of a database that no exchange has open.
        document: as `restrictions` yields them, of a later moment than the
            database is of.
        attesting: by the keys that are in the database.
        random_bytes: where the numbers of changes come from.

    Raises:
        ConfigurationError: the document is of a later version (`UNKNOWN_RESTRICTION`).
        DefectError: a record's rows are damaged.
        SealError: likewise.
    """
    kind = document["kind"]
    if kind == AGREED:
        values = {name: bytes.fromhex(document[name]) for name in _BYTES_OF_AGREED}
        row = {"holder": document["holder"], "revision": document["revision"]}
        return supersede(connection, row | values)
    member = member_of(document["member"])
    change_id = random_bytes(CHANGE_ID_BYTES)
    if kind == INDEXED:
        return _index(connection, member, document)
    if kind == DESTROYED:
        return _destroy(connection, member, document["at"], change_id)
    if kind == LOCKED:
        return _lock(connection, member, document["at"], change_id)
    if kind == PROTECTED:
        return _protect(connection, member, document, attesting)
    if kind == WITHDRAWN:
        return _withdraw(connection, member, document, attesting)
    raise ConfigurationError(
        "UNKNOWN_RESTRICTION",
        f"the list of restrictions has some of a kind `{kind}`, which a later version"
        " wrote; restore by that version",
    )


def _index(
    connection: sa.Connection, member: Member, document: Mapping[str, Any]
) -> bool:
    """Have the index key of a member that had none at the backup."""
    if index_key_of(connection, member) is None:
        row = {"member": member.code, "wrapped": bytes.fromhex(document["wrapped"])}
        connection.execute(_ADD_INDEX_KEY, row)
    return False


def _destroy(
    connection: sa.Connection, member: Member, at: int, change_id: bytes
) -> bool:
    """Destroy the galleries of a member again, which then stay so till it unlocks."""
    values = {"of_member": member.code, "at": at}
    if connection.execute(_IS_DESTROYED, values).first() is not None:
        return False
    destroy(connection, member, now=at, change_id=change_id)
    return True


def _lock(connection: sa.Connection, member: Member, at: int, change_id: bytes) -> bool:
    """Lock the galleries of a member again."""
    if custody_of(connection, member).state is not CustodyState.OPEN:
        return False
    set_custody(connection, member, CustodyState.LOCKED, now=at, change_id=change_id)
    return True


def _protect(
    connection: sa.Connection,
    member: Member,
    document: Mapping[str, Any],
    attesting: Attesting,
) -> bool:
    """Protect a record again; one that was enrolled since the backup is kept out.

    Its holder would load it again from a file that knows nothing of the protection.
    """
    lookup = bytes.fromhex(document["lookup"])
    if custody_of(connection, member).state is CustodyState.DESTROYED:
        # What is there is from before the destruction, and will be deleted.
        gone = {**document, "reason": Reason.WITHDRAWN.value}
        return _withdraw(connection, member, gone, attesting)
    found = find_live(connection, member, lookup)
    if found is None:
        return _keep_out(connection, member, lookup, document["at"], Reason.WITHDRAWN)
    excluded = split_members(document["excluded"])
    if found.row.attested.excluded == excluded:
        return False
    attesting.check(member, found.row)
    connection.execute(
        _PROTECT,
        {
            "of_number": found.number,
            "now_excluded": join_members(excluded),
            "now_tag": attesting.protect(member, found.row, excluded),
            "now": document["at"],
        },
    )
    return True


def _withdraw(
    connection: sa.Connection,
    member: Member,
    document: Mapping[str, Any],
    attesting: Attesting,
) -> bool:
    """Withdraw a record again, if it is there."""
    lookup, reason = bytes.fromhex(document["lookup"]), Reason(document["reason"])
    found = find_live(connection, member, lookup)
    if found is not None:
        attesting.check(member, found.row)
        bury(connection, member, found, now=document["at"], reason=reason)
        return True
    # Enrolled and withdrawn since the backup: the reference is never used again.
    _keep_out(connection, member, lookup, document["at"], reason)
    return False


def _keep_out(  # noqa: PLR0917 - a column each
    connection: sa.Connection, member: Member, lookup: bytes, at: int, reason: Reason
) -> bool:
    """Have a reference never used again; say whether it could have been."""
    key = {"of_member": member.code, "of_lookup": lookup}
    if connection.execute(_IS_GONE, key).first() is not None:
        return False
    connection.execute(
        _ADD_TOMBSTONE,
        {
            "member": member.code,
            "lookup": lookup,
            "withdrawn_at": at,
            "reason": reason.value,
        },
    )
    return True


_BYTES_OF_AGREED: Final = ("digest", "data", "note")
