"""What keys were deleted for good, and what was signed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics.clock import from_microseconds
from biometrics.store.custody_rows import DeletedKey, ErasureKind, ErasureRow
from biometrics.store.failures import translated
from biometrics.store.schema import ERASURE
from biometrics.store.values import member_of, word_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from biometrics.members import Member
    from biometrics.sealed import GalleryKeyRow
    from biometrics.store.writer import Writer

_ADD: Final = sa.insert(ERASURE)
_PENDING: Final = sa.select(ERASURE).where(
    ERASURE.c.member == sa.bindparam("of_member"), ERASURE.c.note.is_(None)
)
_OF_MEMBER: Final = (
    sa.select(ERASURE)
    .where(
        ERASURE.c.member == sa.bindparam("of_member"),
        ERASURE.c.number > sa.bindparam("after"),
    )
    .order_by(ERASURE.c.number)
    .limit(sa.bindparam("most"))
)
_LAST: Final = (
    sa.select(ERASURE)
    .where(ERASURE.c.member == sa.bindparam("of_member"))
    .order_by(ERASURE.c.number.desc())
    .limit(1)
)
_CERTIFY: Final = (
    sa.update(ERASURE)
    .where(ERASURE.c.number == sa.bindparam("of_number"), ERASURE.c.note.is_(None))
    .values(note=sa.bindparam("now_note"))
)


def add_erasure(  # noqa: PLR0913 - a column each
    connection: sa.Connection,
    member: Member,
    kind: ErasureKind,
    keys: Iterable[GalleryKeyRow],
    *,
    records: int,
    begun_at: int,
    deleted_at: int,
) -> None:
    """Note that keys are deleted, in the writer's transaction that deletes them.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        kind: why.
        keys: which.
        records: how many records only they could open.
        begun_at: microseconds; those records were gone, or went, by then.
        deleted_at: microseconds.
    """
    connection.execute(
        _ADD,
        {
            "member": member.code,
            "kind": kind.value,
            "key_list": "\n".join(
                f"{key.gallery} {key.epoch} {key.commitment.hex()}" for key in keys
            ),
            "records": records,
            "begun_at": begun_at,
            "deleted_at": deleted_at,
            "note": None,
        },
    )


class ErasureReader:
    """Reads erasures of every member, and their certificates; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def pending(self, member: Member) -> list[ErasureRow]:
        """Return those of a member that have no certificate yet."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_PENDING, {"of_member": member.code}).all()
        return [_erasure(row) for row in rows]

    def of(self, member: Member, after: int, most: int) -> list[ErasureRow]:
        """Return the next erasures of a member, in their order.

        Args:
            member: the holder.
            after: number of the last one of the page before, or 0.
            most: at most so many, at least 1.
        """
        values = {"of_member": member.code, "after": after, "most": most}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_OF_MEMBER, values).all()
        return [_erasure(row) for row in rows]

    def last(self, member: Member) -> ErasureRow | None:
        """Return the latest erasure of a member, or None."""
        with translated(), self._engine.connect() as connection:
            row = connection.execute(_LAST, {"of_member": member.code}).first()
        return None if row is None else _erasure(row)


class ErasureTable(ErasureReader):
    """Erasures of every member, and their certificates; any thread."""

    def __init__(self, writer: Writer, engine: sa.Engine) -> None:
        """Write by `writer`, read by `engine`."""
        super().__init__(engine)
        self._writer = writer

    def certify(self, number: int, note: bytes) -> None:
        """Keep the certificate of an erasure, unless it has one; durable on return.

        Raises:
            StorageError: it could not be written.
        """

        def operation(connection: sa.Connection) -> None:
            connection.execute(_CERTIFY, {"of_number": number, "now_note": note})

        self._writer.run(operation)


def _erasure(row: sa.Row[*tuple[Any, ...]]) -> ErasureRow:
    """Return a row as a value."""
    return ErasureRow(
        number=row.number,
        member=member_of(row.member),
        kind=word_of(ErasureKind, row.kind),
        keys=tuple(_key(line) for line in row.key_list.splitlines()),
        records=row.records,
        begun_at=from_microseconds(row.begun_at),
        deleted_at=from_microseconds(row.deleted_at),
        note=row.note,
    )


def _key(line: str) -> DeletedKey:
    """Return what `add_erasure` wrote of one key."""
    gallery, epoch, commitment = line.split(" ")
    return DeletedKey(
        gallery=gallery, epoch=int(epoch), commitment=bytes.fromhex(commitment)
    )
