"""Puts what a member has sealed under newer keys, a few values at a time.

What was begun shows in the tables alone: a gallery with more than one key. Whoever
finds that goes on with it, until no value is under the older one, which is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics.audit import Kind, Mention
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.sealed import REFERENCES, locked
from biometrics.store.custody import CustodyWriter, are_open
from biometrics.store.custody_rows import ErasureKind
from biometrics.store.entries import add_change, end_of, reserve
from biometrics.store.erasure import add_erasure
from biometrics.store.failures import translated
from biometrics.store.keys import key_of
from biometrics.store.rows import ChangeKind
from biometrics.store.schema import GALLERY_KEY, RECORD, TEMPLATE, TOMBSTONE
from biometrics.store.values import moment_or_none

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from biometrics.members import Member
    from biometrics.sealed import GalleryKeyRow, NewGalleryKey
    from biometrics.store.custody import RequestKey
    from biometrics.store.rows import Committed

_NEWER: Final = GALLERY_KEY.alias("newer")
_KEYS: Final = (
    sa.select(GALLERY_KEY)
    .where(GALLERY_KEY.c.member == sa.bindparam("of_member"))
    .order_by(GALLERY_KEY.c.key_id)
)
_OLD: Final = _KEYS.where(
    sa.exists().where(
        _NEWER.c.member == GALLERY_KEY.c.member,
        _NEWER.c.gallery == GALLERY_KEY.c.gallery,
        _NEWER.c.epoch > GALLERY_KEY.c.epoch,
    )
)
_ADD: Final = sa.insert(GALLERY_KEY)
# When the newest key of each gallery of a member was made.
_NEWEST: Final = (
    sa.select(sa.func.max(GALLERY_KEY.c.created_at).label("created_at"))
    .where(GALLERY_KEY.c.member == sa.bindparam("of_member"))
    .group_by(GALLERY_KEY.c.gallery)
    .subquery()
)
_OF_EPOCH: Final = sa.select(GALLERY_KEY.c.key_id).where(
    GALLERY_KEY.c.member == sa.bindparam("of_member"),
    GALLERY_KEY.c.gallery == sa.bindparam("of_gallery"),
    GALLERY_KEY.c.epoch >= sa.bindparam("from"),
)
_DELETE: Final = sa.delete(GALLERY_KEY).where(
    GALLERY_KEY.c.key_id.in_(sa.bindparam("key_ids", expanding=True))
)
_TEMPLATES: Final = (
    sa.select(
        TEMPLATE.c.template_id.label("number"),
        RECORD.c.record_id,
        TEMPLATE.c.modality,
        TEMPLATE.c.space,
        TEMPLATE.c.position,
        TEMPLATE.c.sample,
        RECORD.c.generation,
        TEMPLATE.c.wrapped_key,
    )
    .join_from(TEMPLATE, RECORD)
    .where(
        TEMPLATE.c.key_id == sa.bindparam("of_key"),
        TEMPLATE.c.template_id > sa.bindparam("after"),
    )
    .order_by(TEMPLATE.c.template_id)
    .limit(sa.bindparam("most"))
)
_REFERENCES: Final = (
    sa.select(
        RECORD.c.number,
        RECORD.c.record_id,
        sa.literal("").label("modality"),
        sa.literal("").label("space"),
        sa.literal("").label("position"),
        sa.literal(0).label("sample"),
        RECORD.c.generation,
        RECORD.c.reference_wrapped_key.label("wrapped_key"),
    )
    .where(
        RECORD.c.reference_key_id == sa.bindparam("of_key"),
        RECORD.c.number > sa.bindparam("after"),
    )
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_REWRAP_TEMPLATE: Final = (
    sa.update(TEMPLATE)
    .where(
        TEMPLATE.c.template_id == sa.bindparam("of_number"),
        TEMPLATE.c.key_id == sa.bindparam("of_key"),
    )
    .values(key_id=sa.bindparam("now_key"), wrapped_key=sa.bindparam("now_wrapped"))
)
_REWRAP_REFERENCE: Final = (
    sa.update(RECORD)
    .where(
        RECORD.c.number == sa.bindparam("of_number"),
        RECORD.c.reference_key_id == sa.bindparam("of_key"),
    )
    .values(
        reference_key_id=sa.bindparam("now_key"),
        reference_wrapped_key=sa.bindparam("now_wrapped"),
    )
)
_COUNT: Final = sa.select(
    sa.select(sa.func.count())
    .where(TEMPLATE.c.key_id.in_(sa.bindparam("key_ids", expanding=True)))
    .scalar_subquery()
    + sa.select(sa.func.count())
    .where(RECORD.c.reference_key_id.in_(sa.bindparam("key_ids", expanding=True)))
    .scalar_subquery()
)
_ARE_LEFT: Final = sa.select(
    sa.exists().where(TEMPLATE.c.key_id.in_(sa.bindparam("key_ids", expanding=True)))
    | sa.exists().where(
        RECORD.c.reference_key_id.in_(sa.bindparam("key_ids", expanding=True))
    )
)
_SINCE: Final = sa.select(sa.func.min(_NEWEST.c.created_at)).scalar_subquery()
_WITHDRAWN_AT: Final = sa.select(sa.func.min(TOMBSTONE.c.withdrawn_at)).where(
    TOMBSTONE.c.member == sa.bindparam("of_member"),
    TOMBSTONE.c.withdrawn_at > _SINCE,
)
# What a better sample took the place of is gone likewise.
_REPLACED_AT: Final = sa.select(sa.func.min(RECORD.c.replaced_at)).where(
    RECORD.c.member == sa.bindparam("of_member"), RECORD.c.replaced_at > _SINCE
)
_WITHDRAWN: Final = sa.select(sa.func.count()).where(
    TOMBSTONE.c.member == sa.bindparam("of_member"),
    TOMBSTONE.c.withdrawn_at <= sa.bindparam("until"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedValue:
    """The wrapped key of one value, and what the value belongs to.

    Attributes:
        number: of the template, or of the record for its reference.
        record: 16 bytes.
        modality: of the template; this and what follows as in `sealed.Binding`.
        space: name of the template space; empty for a reference.
        position: of the template.
        sample: of the template.
        generation: of the record.
        wrapped_key: as `Sealed.wrapped_key`.
    """

    number: int
    record: bytes
    modality: str
    space: str
    position: str
    sample: int
    generation: int
    wrapped_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """The key of one value, under a newer key."""

    number: int
    key_id: int
    wrapped_key: bytes = field(repr=False)


class RotationWriter(CustodyWriter):
    """Replaces the gallery keys of members."""

    def begin(
        self,
        member: Member,
        keys: Sequence[NewGalleryKey],
        *,
        change_id: bytes,
        request: RequestKey,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[Committed]:
        """Keep newer keys of a member's galleries, all at once.

        Args:
            member: the holder.
            keys: one for each gallery, of the epoch that follows.
            change_id: 16 random bytes, by which the journal tells this change.
            request: which request asks for it.
            make_reply: makes the sealed body from the moment of it. Runs in the
                writer's thread and MUST NOT write.

        Returns:
            As `RecordWriter.enrol`; raises GalleryLockedError if the galleries are
            closed. Where a rotation is not finished yet, nothing is kept, and the
            moment is when that was begun.
        """

        def operation(connection: sa.Connection) -> tuple[dt.datetime, int]:
            moment = self._begin(connection, member, keys, change_id)
            return moment, end_of(connection)

        return self._once(member, operation, request, make_reply)

    def begin_unasked(
        self, member: Member, keys: Sequence[NewGalleryKey], *, change_id: bytes
    ) -> Future[dt.datetime]:
        """Keep newer keys as `begin` does, where no request asks for it."""

        def operation(connection: sa.Connection) -> dt.datetime:
            return self._begin(connection, member, keys, change_id)

        return self._writer.submit(operation)

    def _begin(
        self,
        connection: sa.Connection,
        member: Member,
        keys: Sequence[NewGalleryKey],
        change_id: bytes,
    ) -> dt.datetime:
        """Keep newer keys unless there are some; return when they were made."""
        if not are_open(connection, [member]):
            raise locked(member)
        of_member = {"of_member": member.code}
        if connection.execute(_OLD, of_member).first() is not None:
            return from_microseconds(_begun_at(connection, member))
        if any(connection.execute(_OF_EPOCH, _epoch_of(key)).first() for key in keys):
            raise locked(member, is_rotated=True)  # by another front end
        if keys:
            connection.execute(_ADD, [_row(key) for key in keys])
            position, _ = reserve(connection, changes=1, templates=0)
            kind = ChangeKind.REKEYED
            add_change(connection, position, kind, member, change_id=change_id)
        self._tell_log(connection, member, Kind.ROTATION, keys)
        return self._clock.now()

    def withdrawn_since(self, member: Member) -> dt.datetime | None:
        """Return the first withdrawal or replacement under today's keys, if any.

        Of what went before they were made, only older ones would open it.
        """
        values = {"of_member": member.code}
        with translated(), self._engine.connect() as connection:
            moments = [
                connection.execute(asked, values).scalar()
                for asked in (_WITHDRAWN_AT, _REPLACED_AT)
            ]
        return moment_or_none(min(filter(None, moments), default=None))

    def old(self, member: Member) -> list[GalleryKeyRow]:
        """Return the keys of a member that newer ones are to replace."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_OLD, {"of_member": member.code}).all()
        return [key_of(row) for row in rows]

    def left(self, member: Member) -> int:
        """Return how many values are still under older keys."""
        key_ids = [key.key_id for key in self.old(member)]
        with translated(), self._engine.connect() as connection:
            return int(connection.execute(_COUNT, {"key_ids": key_ids}).scalar_one())

    def under(self, key: GalleryKeyRow, after: int, most: int) -> list[WrappedValue]:
        """Return the next values under a key, in the order of their numbers.

        Args:
            key: a key.
            after: number of the last value seen, 0 for none.
            most: at most so many, at least 1.
        """
        query = _REFERENCES if key.gallery == REFERENCES else _TEMPLATES
        values = {"of_key": key.key_id, "after": after, "most": most}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(query, values).all()
        return [
            WrappedValue(
                number=row.number,
                record=row.record_id,
                modality=row.modality,
                space=row.space,
                position=row.position,
                sample=row.sample,
                generation=row.generation,
                wrapped_key=row.wrapped_key,
            )
            for row in rows
        ]

    def rewrap(self, key: GalleryKeyRow, values: Sequence[Rewrapped]) -> Future[None]:
        """Put values under newer keys; what was withdrawn meanwhile stays away.

        Args:
            key: the key that they are under.
            values: one or more, none twice.
        """
        is_reference = key.gallery == REFERENCES
        statement = _REWRAP_REFERENCE if is_reference else _REWRAP_TEMPLATE
        rows = [
            {
                "of_number": value.number,
                "of_key": key.key_id,
                "now_key": value.key_id,
                "now_wrapped": value.wrapped_key,
            }
            for value in values
        ]

        def operation(connection: sa.Connection) -> None:
            connection.execute(statement, rows)

        return self._writer.submit(operation, weight=len(rows))

    def retire(self, member: Member, *, change_id: bytes) -> Future[int | None]:
        """Delete the older keys of a member, once no value is under any.

        Args:
            member: the holder.
            change_id: 16 random bytes, by which the journal tells this change.

        Returns:
            The journal position of it; None if there is a value left.
        """

        def operation(connection: sa.Connection) -> int | None:
            found = connection.execute(_OLD, {"of_member": member.code}).all()
            old = [key_of(row) for row in found]
            key_ids = [key.key_id for key in old]
            if not old:
                return end_of(connection)
            if connection.execute(_ARE_LEFT, {"key_ids": key_ids}).scalar_one():
                return None
            begun = _begun_at(connection, member)
            withdrawn = connection.execute(
                _WITHDRAWN, {"of_member": member.code, "until": begun}
            ).scalar_one()
            connection.execute(_DELETE, {"key_ids": key_ids})
            add_erasure(
                connection,
                member,
                ErasureKind.ROTATION,
                old,
                records=withdrawn,
                begun_at=begun,
                deleted_at=to_microseconds(self._clock.now()),
            )
            self._tell_log(connection, member, Kind.ERASURE, old)
            position, _ = reserve(connection, changes=1, templates=0)
            kind = ChangeKind.ROTATED
            add_change(connection, position, kind, member, change_id=change_id)
            return position

        future = self._writer.submit(operation)
        future.add_done_callback(self._tell_position)
        return future

    def _tell_log(
        self,
        connection: sa.Connection,
        member: Member,
        kind: Kind,
        keys: Sequence[NewGalleryKey],
    ) -> None:
        """Append to the log which keys of a member are new, or no more."""
        commitments = tuple(key.commitment for key in keys)
        mention = Mention(member=member, kind=kind, count=len(keys), items=commitments)
        self._log.append(connection, mention)

    def _tell_position(self, future: Future[int | None]) -> None:
        """Wake the journal's followers when a change is durable."""
        if not future.cancelled() and future.exception() is None:
            self._head.advance(future.result() or 0)


def _begun_at(connection: sa.Connection, member: Member) -> int:
    """Return when the first of the keys was made that older ones give way to.

    A gallery that was made since has a key that is its first, and not of the rotation.
    """
    rows = connection.execute(_KEYS, {"of_member": member.code}).all()
    newest: dict[str, Any] = {}
    for row in rows:
        if row.gallery not in newest or newest[row.gallery].epoch < row.epoch:
            newest[row.gallery] = row
    return min(
        int(newest[row.gallery].created_at)
        for row in rows
        if row.key_id != newest[row.gallery].key_id
    )


def _epoch_of(key: NewGalleryKey) -> dict[str, object]:
    """Return what tells the epoch of a key."""
    return {"of_member": key.member.code, "of_gallery": key.gallery, "from": key.epoch}


def _row(key: NewGalleryKey) -> dict[str, object]:
    """Return the row of a key."""
    return {
        "member": key.member.code,
        "gallery": key.gallery,
        "epoch": key.epoch,
        "wrapped": key.wrapped,
        "commitment": key.commitment,
        "created_at": to_microseconds(key.created_at),
    }
