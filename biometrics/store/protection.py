"""What protects records: set anew in the writer's transaction, and held to there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import from_microseconds
from biometrics.store.live import find_live, find_removed, no_longer_there
from biometrics.store.masking import take_back
from biometrics.store.rows import Protected
from biometrics.store.schema import PROTECTION, TEMPLATE
from biometrics.store.values import join_members

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Sequence

    from biometrics.members import Member
    from biometrics.store.answer_rows import SeenRecord
    from biometrics.store.rows import LiveRecord, NewProtection

_SET: Final = (
    sa.update(PROTECTION)
    .where(PROTECTION.c.record_number == sa.bindparam("of_number"))
    .values(
        excluded=sa.bindparam("now_excluded"),
        record_tag=sa.bindparam("now_tag"),
        set_at=sa.bindparam("now"),
    )
)
_TAGS: Final = (
    sa.select(TEMPLATE.c.template_id, PROTECTION.c.record_tag)
    .join_from(
        TEMPLATE, PROTECTION, TEMPLATE.c.record_number == PROTECTION.c.record_number
    )
    .where(TEMPLATE.c.template_id.in_(sa.bindparam("ids", expanding=True)))
)


def protect(
    connection: sa.Connection,
    member: Member,
    lookup: bytes,
    *,
    now: int,
    attest: Callable[[LiveRecord], NewProtection],
) -> Protected:
    """Exclude other members from a record than before; the same ones change nothing.

    Args:
        connection: the writer's, in its transaction.
        member: the holder.
        lookup: keyed hash of the holder's reference.
        now: microseconds.
        attest: returns what is to protect the record; raises if the rows found are
            not the record's own.

    Raises:
        NotFoundError: no such record was ever enrolled (`NOT_ENROLLED`), or it was
            withdrawn (`RECORD_WITHDRAWN`).
        DefectError: what protects it is missing, or names no members.
    """
    found = find_live(connection, member, lookup)
    if found is None:
        raise no_longer_there(
            find_removed(connection, member, lookup),
            "no search finds it, and it needs no protection any more",
        )
    before, after = found.row.attested.excluded, attest(found.row)
    at = found.enrolled_at if found.set_at is None else found.set_at
    if after.excluded != before:
        at = now
        values = {
            "of_number": found.number,
            "now_excluded": join_members(after.excluded),
            "now_tag": after.record_tag,
            "now": now,
        }
        connection.execute(_SET, values)
        take_back(connection, found.row.attested.record, after.excluded)
    return Protected(
        at=from_microseconds(at),
        added=after.excluded - before,
        removed=before - after.excluded,
    )


def has_expired(records: Sequence[SeenRecord], now: dt.datetime) -> bool:
    """Say whether some of the records seen have expired by now."""
    return any(r.expires_at is not None and r.expires_at <= now for r in records)


def tags_of(
    connection: sa.Connection, template_ids: Collection[int]
) -> dict[int, bytes]:
    """Return what attests the protection of records now, by one of their templates.

    Templates that are there no more are left out. Within the writer's transaction
    nothing can change this before the commit.
    """
    ids, most = list(template_ids), limits.STORE_IDS_PER_QUERY
    return {
        row.template_id: row.record_tag
        for start in range(0, len(ids), most)
        for row in connection.execute(_TAGS, {"ids": ids[start : start + most]})
    }
