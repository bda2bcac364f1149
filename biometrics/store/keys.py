"""Wrapped keys of galleries and indexes; the store never sees one unwrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics.clock import from_microseconds, to_microseconds
from biometrics.sealed import GalleryKeyRow
from biometrics.store.failures import translated
from biometrics.store.schema import GALLERY_KEY, INDEX_KEY, SIGNING_KEY
from biometrics.store.values import member_of

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.sealed import NewGalleryKey
    from biometrics.store.writer import Writer

_OF_MEMBER: Final = (
    sa.select(GALLERY_KEY)
    .where(GALLERY_KEY.c.member == sa.bindparam("of_member"))
    .order_by(GALLERY_KEY.c.key_id)
)
_OF_EPOCH: Final = sa.select(GALLERY_KEY).where(
    GALLERY_KEY.c.member == sa.bindparam("of_member"),
    GALLERY_KEY.c.gallery == sa.bindparam("of_gallery"),
    GALLERY_KEY.c.epoch == sa.bindparam("of_epoch"),
)
_OF_NUMBER: Final = sa.select(GALLERY_KEY.c.member, GALLERY_KEY.c.gallery).where(
    GALLERY_KEY.c.key_id == sa.bindparam("number")
)
_ADD: Final = sa.insert(GALLERY_KEY)
_INDEX: Final = sa.select(INDEX_KEY.c.wrapped).where(
    INDEX_KEY.c.member == sa.bindparam("of_member")
)
_ADD_INDEX: Final = sa.insert(INDEX_KEY)
_SIGNING: Final = sa.select(SIGNING_KEY.c.wrapped)
_ADD_SIGNING: Final = sa.insert(SIGNING_KEY)


def index_key_of(connection: sa.Connection, member: Member) -> bytes | None:
    """Return a member's wrapped index key, or None."""
    found = connection.execute(_INDEX, {"of_member": member.code}).scalar()
    return None if found is None else bytes(found)


class KeyReader:
    """Reads wrapped keys; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def gallery_keys(self, member: Member) -> list[GalleryKeyRow]:
        """Return every gallery key of a member, in the order of their numbers."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_OF_MEMBER, {"of_member": member.code}).all()
        return [key_of(row) for row in rows]

    def gallery_of(self, key_id: int) -> tuple[Member, str] | None:
        """Return whose the gallery key of a number is, and of which gallery, if any."""
        with translated(), self._engine.connect() as connection:
            row = connection.execute(_OF_NUMBER, {"number": key_id}).one_or_none()
        return None if row is None else (member_of(row.member), row.gallery)

    def index_key(self, member: Member) -> bytes | None:
        """Return the member's wrapped index key, or None."""
        with translated(), self._engine.connect() as connection:
            return index_key_of(connection, member)

    def signing_key(self) -> bytes | None:
        """Return the exchange's wrapped signing key, or None."""
        with translated(), self._engine.connect() as connection:
            found = connection.execute(_SIGNING).scalar()
        return None if found is None else bytes(found)


class KeyTable(KeyReader):
    """Keeps wrapped keys. The first writer of a key wins, and all get its row.

    What adds a key returns when it is durable. It MUST NOT be called by an
    operation of the writer, such as `make_reply`.
    """

    def __init__(self, writer: Writer, engine: sa.Engine) -> None:
        """Write by `writer`, read by `engine`."""
        super().__init__(engine)
        self._writer = writer

    def add_gallery_key(self, row: NewGalleryKey) -> GalleryKeyRow:
        """Keep a gallery key; return the one that its epoch has.

        Raises:
            StorageError: it could not be made durable.
        """
        epoch = {
            "of_member": row.member.code,
            "of_gallery": row.gallery,
            "of_epoch": row.epoch,
        }
        values = {
            "member": row.member.code,
            "gallery": row.gallery,
            "epoch": row.epoch,
            "wrapped": row.wrapped,
            "commitment": row.commitment,
            "created_at": to_microseconds(row.created_at),
        }

        def operation(connection: sa.Connection) -> GalleryKeyRow:
            if connection.execute(_OF_EPOCH, epoch).first() is None:
                connection.execute(_ADD, values)
            return key_of(connection.execute(_OF_EPOCH, epoch).one())

        return self._writer.run(operation)

    def add_index_key(self, member: Member, wrapped: bytes) -> bytes:
        """Keep a wrapped index key; return the one that the member has.

        Raises:
            StorageError: it could not be made durable.
        """

        def operation(connection: sa.Connection) -> bytes:
            found = connection.execute(_INDEX, {"of_member": member.code}).scalar()
            if found is not None:
                return bytes(found)
            connection.execute(_ADD_INDEX, {"member": member.code, "wrapped": wrapped})
            return wrapped

        return self._writer.run(operation)

    def add_signing_key(self, wrapped: bytes) -> bytes:
        """Keep a wrapped signing key; return the one that the exchange has.

        Raises:
            StorageError: it could not be made durable.
        """

        def operation(connection: sa.Connection) -> bytes:
            found = connection.execute(_SIGNING).scalar()
            if found is not None:
                return bytes(found)
            connection.execute(_ADD_SIGNING, {"signing_key_id": 1, "wrapped": wrapped})
            return wrapped

        return self._writer.run(operation)


def key_of(row: sa.Row[*tuple[Any, ...]]) -> GalleryKeyRow:
    """Return a row of `gallery_key` as a value."""
    return GalleryKeyRow(
        key_id=row.key_id,
        member=member_of(row.member),
        gallery=row.gallery,
        epoch=row.epoch,
        wrapped=row.wrapped,
        commitment=row.commitment,
        created_at=from_microseconds(row.created_at),
    )
