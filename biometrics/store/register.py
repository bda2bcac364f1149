"""What a holder is shown of its own galleries and records."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.clock import from_microseconds, to_microseconds
from biometrics.sealed import Sealed
from biometrics.store.entries import end_of
from biometrics.store.failures import translated
from biometrics.store.galleries import CANARIES
from biometrics.store.rows import (
    ExpiredRow,
    GalleryCount,
    Lives,
    Reason,
    RecordRow,
    TemplateRow,
)
from biometrics.store.schema import GALLERY, PROTECTION, RECORD, TEMPLATE, TOMBSTONE
from biometrics.store.values import moment_or_none, split_members, word_of

if TYPE_CHECKING:
    from biometrics.members import Member

_GALLERIES: Final = sa.select(
    GALLERY.c.space, GALLERY.c.records, GALLERY.c.templates
).where(GALLERY.c.member == sa.bindparam("of_member"), GALLERY.c.templates > 0)
_WHOLE: Final = sa.select(
    sa.select(sa.func.count(TEMPLATE.c.template_id)).scalar_subquery()
    == sa.select(
        sa.func.coalesce(sa.func.sum(GALLERY.c.templates), 0)
    ).scalar_subquery()
)
# A gallery's row stays when the last record is withdrawn.
_SPACES: Final = sa.select(GALLERY.c.space).where(
    GALLERY.c.member == sa.bindparam("of_member")
)
_FIRST: Final = (
    sa.select(TEMPLATE.c.template_id)
    .join_from(RECORD, TEMPLATE)
    .where(
        RECORD.c.member == sa.bindparam("of_member"),
        TEMPLATE.c.space == sa.bindparam("of_space"),
    )
    .order_by(RECORD.c.number)
    .limit(1)
)
_FIRST_RECORD: Final = sa.select(sa.func.min(RECORD.c.number)).where(
    RECORD.c.member == sa.bindparam("of_member")
)
_RECORDS: Final = (
    sa.select(RECORD, PROTECTION.c.excluded, PROTECTION.c.set_at)
    .join_from(RECORD, PROTECTION, isouter=True)  # a lost row is told, not passed over
    .where(
        RECORD.c.member == sa.bindparam("of_member"),
        RECORD.c.number > sa.bindparam("after"),
        sa.func.coalesce(PROTECTION.c.is_canary, 0) == sa.bindparam("of_canaries"),
    )
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
# By day here: a month has a length of its own.
_DAY_MICROSECONDS: Final = 86_400_000_000
_HELD: Final = sa.select(sa.func.count()).where(
    RECORD.c.member == sa.bindparam("of_member")
)
_CANARIES: Final = (
    sa.select(TEMPLATE.c.space, sa.func.count())
    .join_from(RECORD, TEMPLATE)
    .where(
        TEMPLATE.c.record_number.in_(CANARIES),
        RECORD.c.member == sa.bindparam("of_member"),
    )
    .group_by(TEMPLATE.c.space)
)
_EXPIRING: Final = (
    sa.select(
        (RECORD.c.expires_at <= sa.bindparam("now")).label("has_expired"),
        (RECORD.c.expires_at // _DAY_MICROSECONDS).label("day"),
        sa.func.count(),
    )
    .where(
        RECORD.c.expires_at.is_not(None),  # as the index has it
        RECORD.c.member == sa.bindparam("of_member"),
    )
    .group_by("has_expired", "day")
)
_DISPOSED: Final = (
    sa.select(
        TOMBSTONE.c.reason,
        (TOMBSTONE.c.withdrawn_at // _DAY_MICROSECONDS).label("day"),
        sa.func.count(),
    )
    .where(TOMBSTONE.c.member == sa.bindparam("of_member"))
    .group_by("reason", "day")
)
_EXPIRED: Final = (
    sa.select(RECORD.c.expires_at, RECORD.c.number, RECORD.c.member, RECORD.c.lookup)
    .where(
        RECORD.c.expires_at.is_not(None),  # as the index has it
        RECORD.c.expires_at.between(sa.bindparam("moment"), sa.bindparam("now")),
        sa.or_(
            RECORD.c.expires_at > sa.bindparam("moment"),
            RECORD.c.number > sa.bindparam("number"),
        ),
    )
    .order_by(RECORD.c.expires_at, RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_TEMPLATES: Final = (
    sa.select(
        TEMPLATE.c.record_number,
        TEMPLATE.c.space,
        TEMPLATE.c.position,
        TEMPLATE.c.quality,
    )
    .where(TEMPLATE.c.record_number.in_(sa.bindparam("numbers", expanding=True)))
    .order_by(TEMPLATE.c.template_id)
)


_FIRST_DAY: Final = dt.date(1970, 1, 1)


def _month(day: int) -> dt.date:
    """Return the first day of the month of a day since 1970; the last one there is."""
    most = (dt.date.max - _FIRST_DAY).days
    return (_FIRST_DAY + dt.timedelta(days=max(0, min(day, most)))).replace(day=1)


# Before every place; 0 is 1970.
FIRST_EXPIRED: Final = (0, 0)


class RecordReader:
    """Reads records, never templates; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def galleries(self, member: Member) -> list[GalleryCount]:
        """Return the member's galleries that hold something, by space."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_GALLERIES, {"of_member": member.code}).all()
        return [
            GalleryCount(space=space, records=records, templates=templates)
            # By code points: databases have orders of their own for text.
            for space, records, templates in sorted(rows, key=itemgetter(0))
        ]

    def canaries(self, member: Member) -> dict[str, int]:
        """Return how many canaries the member has, by space; each is one template."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_CANARIES, {"of_member": member.code}).all()
        return {space: int(count) for space, count in rows}

    def counted(self, member: Member) -> tuple[int, dict[str, int]]:
        """Return how many templates each gallery has at the journal's end, and that."""
        with translated(), self._engine.connect() as connection:
            end = end_of(connection)
            rows = connection.execute(_GALLERIES, {"of_member": member.code}).all()
        return end, {row.space: row.templates for row in rows}

    def is_whole(self) -> bool:
        """Say whether there are as many templates as all galleries together count."""
        with translated(), self._engine.connect() as connection:
            return bool(connection.execute(_WHOLE).scalar_one())

    def spaces(self, member: Member) -> list[str]:
        """Return the spaces in which the member has ever enrolled."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_SPACES, {"of_member": member.code})
            return list(rows.scalars())

    def first_template(self, member: Member, space: str) -> int | None:
        """Return the number of the member's first template in a space, if any."""
        values = {"of_member": member.code, "of_space": space}
        with translated(), self._engine.connect() as connection:
            found: int | None = connection.execute(_FIRST, values).scalar()
        return found

    def first_record(self, member: Member) -> int | None:
        """Return the journal position of the member's first record, if any."""
        with translated(), self._engine.connect() as connection:
            values = {"of_member": member.code}
            found: int | None = connection.execute(_FIRST_RECORD, values).scalar()
        return found

    def lives(self, member: Member, now: dt.datetime) -> Lives:
        """Return when the member's records expire."""
        values = {"of_member": member.code, "now": to_microseconds(now)}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_EXPIRING, values).all()
            held = connection.execute(_HELD, values).scalar_one()
        expiring: Counter[dt.date] = Counter()
        expired = 0
        for has_expired, day, count in rows:
            if has_expired:
                expired += count
            else:
                expiring[_month(day)] += count
        lasting = held - expired - expiring.total()
        return Lives(lasting=max(lasting, 0), expired=expired, expiring=expiring)

    def disposed(self, member: Member) -> dict[Reason, Counter[dt.date]]:
        """Return how many of the member's records went, by reason and month."""
        values = {"of_member": member.code}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_DISPOSED, values).all()
        found: dict[Reason, Counter[dt.date]] = defaultdict(Counter)
        for reason, day, count in rows:
            found[word_of(Reason, reason)][_month(day)] += count
        return dict(found)

    def expired(
        self, now: dt.datetime, after: tuple[int, int], most: int
    ) -> list[ExpiredRow]:
        """Return the next records that have expired, whoever holds them.

        Args:
            now: the moment.
            after: place of the last record of the page before, or `FIRST_EXPIRED`.
            most: at most so many, at least 1.
        """
        values = {
            "now": to_microseconds(now),
            "moment": after[0],
            "number": after[1],
            "most": most,
        }
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_EXPIRED, values).all()
        return [
            ExpiredRow(place=(moment, number), member=member, lookup=lookup)
            for moment, number, member, lookup in rows
        ]

    def records(
        self, member: Member, after_position: int, most: int, *, canaries: bool = False
    ) -> list[RecordRow]:
        """Return the member's next records, in the order of their numbers.

        Args:
            member: the holder.
            after_position: position of the last record of the page before, or 0.
            most: at most so many, at least 1.
            canaries: True for its canaries, and them alone.
        """
        values = {
            "of_member": member.code,
            "after": after_position,
            "most": most,
            "of_canaries": int(canaries),
        }
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_RECORDS, values).all()
            numbers = [row.number for row in rows]
            stored = connection.execute(_TEMPLATES, {"numbers": numbers}).all()
        templates: dict[int, list[TemplateRow]] = defaultdict(list)
        for number, space, position, quality in stored:
            templates[number].append(TemplateRow(space, position, quality))
        return [
            RecordRow(
                position=row.number,
                record_id=row.record_id,
                sealed_reference=Sealed(
                    key_id=row.reference_key_id,
                    wrapped_key=row.reference_wrapped_key,
                    ciphertext=row.reference_ciphertext,
                ),
                generation=row.generation,
                excluded=split_members(row.excluded),
                legal_basis=row.legal_basis,
                enrolled_at=from_microseconds(row.enrolled_at),
                expires_at=moment_or_none(row.expires_at),
                protected_at=moment_or_none(row.set_at),
                replaced_at=moment_or_none(row.replaced_at),
                templates=tuple(templates[row.number]),
            )
            for row in rows
        ]
