"""The leak budget and the quotas, counted in the transaction of each answer.

Counts are kept by requester, record and day. A day that lies ahead counts as well, so
that a clock which was set back forgets nothing; and the clock is one that nobody sets
ahead, so that nothing is forgotten before its time.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import day_of, to_microseconds
from biometrics.disclosure import Standing, is_enumeration
from biometrics.store.failures import translated
from biometrics.store.rows import AlertKind
from biometrics.store.schema import FROZEN_RECORD, NEAR_SEARCH, QUOTA_USE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.rows import NearSearch, QuotaUse, Taken

_FREEZE: Final = dt.timedelta(hours=limits.FREEZE_HOURS)
_PURGE_EVERY: Final = limits.REPLAY_WINDOW_SECONDS * 1_000_000
_HOUR: Final = 3600 * 1_000_000

# What is counted beside quotas; those are named by 16 bytes, or none.
_MATCHES: Final = b"matches "
_NEAR_MATCHES: Final = b"near matches "

_IDS: Final[sa.BindParameter[bytes]] = sa.bindparam("ids", expanding=True)
_COUNTS: Final = (
    sa.select(
        NEAR_SEARCH.c.record_id,
        sa.func.sum(NEAR_SEARCH.c.searches).label("everybodys"),
        sa.func.sum(
            sa.case(
                (
                    NEAR_SEARCH.c.requester == sa.bindparam("of_requester"),
                    NEAR_SEARCH.c.searches,
                ),
                else_=0,
            )
        ).label("own"),
    )
    .where(NEAR_SEARCH.c.record_id.in_(_IDS), NEAR_SEARCH.c.day > sa.bindparam("after"))
    .group_by(NEAR_SEARCH.c.record_id)
)
_FROZEN: Final = sa.select(FROZEN_RECORD.c.record_id).where(
    FROZEN_RECORD.c.record_id.in_(_IDS),
    FROZEN_RECORD.c.requester == sa.bindparam("of_requester"),
    FROZEN_RECORD.c.lapses_at.is_(None)
    | (FROZEN_RECORD.c.lapses_at > sa.bindparam("now")),
)
_SPENT: Final = (
    sa.select(QUOTA_USE.c.use, sa.func.sum(QUOTA_USE.c.searches).label("spent"))
    .where(
        QUOTA_USE.c.requester == sa.bindparam("of_requester"),
        QUOTA_USE.c.use.in_(_IDS),
        QUOTA_USE.c.day > sa.bindparam("after"),
    )
    .group_by(QUOTA_USE.c.use)
)
# The same words on both databases.
_COUNT: Final = sa.text(
    "INSERT INTO near_search (record_id, requester, day, searches)"
    " VALUES (:record_id, :requester, :day, :searches)"
    " ON CONFLICT (record_id, requester, day)"
    " DO UPDATE SET searches = near_search.searches + excluded.searches"
)
_SPEND: Final = sa.text(
    "INSERT INTO quota_use (requester, use, day, searches)"
    " VALUES (:requester, :use, :day, :searches)"
    " ON CONFLICT (requester, use, day)"
    " DO UPDATE SET searches = quota_use.searches + excluded.searches"
)
_ALERT: Final = sa.text(
    "INSERT INTO alert (kind, holder, requester, times)"
    " VALUES (:kind, :holder, :requester, :times)"
    " ON CONFLICT (kind, holder, requester)"
    " DO UPDATE SET times = alert.times + excluded.times"
)
# What lapsed before is frozen anew, under another case.
_BEGIN: Final = sa.text(
    "INSERT INTO frozen_record (record_id, requester, holder, case_id, is_named,"
    " searches, lapses_at) VALUES (:record_id, :requester, :holder, :case_id,"
    " :is_named, :searches, :lapses_at)"
    " ON CONFLICT (record_id, requester) DO UPDATE SET"
    " case_id = excluded.case_id, is_named = excluded.is_named,"
    " searches = excluded.searches, lapses_at = excluded.lapses_at,"
    " requester_says = NULL, auditor_says = NULL"
)
_OLD_DAYS: Final = (
    sa.select(NEAR_SEARCH.c.record_id, NEAR_SEARCH.c.requester, NEAR_SEARCH.c.day)
    .where(NEAR_SEARCH.c.day <= sa.bindparam("after"))
    .limit(sa.bindparam("most"))
)
_FORGET_DAY: Final = sa.delete(NEAR_SEARCH).where(
    NEAR_SEARCH.c.record_id == sa.bindparam("of_record"),
    NEAR_SEARCH.c.requester == sa.bindparam("of_requester"),
    NEAR_SEARCH.c.day == sa.bindparam("of_day"),
)
_FORGET_USE: Final = sa.delete(QUOTA_USE).where(
    QUOTA_USE.c.day <= sa.bindparam("after")
)
_FORGET_FREEZES: Final = sa.delete(FROZEN_RECORD).where(
    FROZEN_RECORD.c.lapses_at <= sa.bindparam("before")
)


class Budget:
    """What is left to requesters, and what they have taken."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """Read by `engine`; `clock` says which day it is, and is never set ahead."""
        self._engine = engine
        self._clock = clock
        self._purge_due = 0  # microseconds

    def standings(
        self, requester: Member, records: Collection[bytes]
    ) -> Mapping[bytes, Standing]:
        """Return how a requester stands with some records; any thread.

        Raises:
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            return self._standings(connection, requester, records)

    def spent(
        self, requester: Member, uses: Collection[bytes]
    ) -> tuple[Mapping[bytes, int], dt.datetime]:
        """Return what was taken of quotas today, and when they renew; any thread.

        Raises:
            StorageError: it cannot be read now.
        """
        now = self._clock.now()
        tomorrow = now.date() + dt.timedelta(days=1)
        renews = dt.datetime.combine(tomorrow, dt.time(), dt.UTC)
        with translated(), self._engine.connect() as connection:
            return self._spent(connection, requester, uses), renews

    def has_room(
        self, connection: sa.Connection, requester: Member, taken: Taken
    ) -> bool:
        """Say whether what an answer takes is still there.

        Within the writer's transaction nothing can change this before the commit.
        """
        told = {near.record_id: near.told for near in taken.near if near.told}
        told |= dict.fromkeys(taken.matches.keys() - told.keys(), 0)
        standings = self._standings(connection, requester, told)
        nobody = Standing()
        return all(
            not standings.get(record, nobody).is_frozen
            and (not more or standings.get(record, nobody).has_room(more))
            for record, more in told.items()
        ) and self._can_spend(connection, requester, taken.quotas)

    def take(self, connection: sa.Connection, requester: Member, taken: Taken) -> None:
        """Count what an answer takes, in its transaction."""
        day = day_of(self._clock.now())
        _each(
            connection,
            _COUNT,
            [
                {
                    "record_id": near.record_id,
                    "requester": requester.code,
                    "day": day,
                    "searches": near.told,
                }
                for near in taken.near
                if near.told
            ],
        )
        _each(
            connection,
            _SPEND,
            [
                {
                    "requester": requester.code,
                    "use": quota.use,
                    "day": day,
                    "searches": quota.searches,
                }
                for quota in taken.quotas
            ],
        )
        self._note_matches(connection, requester, taken, day)
        self._freeze(connection, requester, [n for n in taken.near if n.freezes])
        alert(connection, AlertKind.FROZEN_HIT, taken.hidden, requester)
        alert(connection, AlertKind.CANARY, taken.canaries, requester)
        alert(connection, AlertKind.VARIED, taken.varied, requester)

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Forget a few rows that count no more; look now and then."""
        now = to_microseconds(self._clock.now())
        if now < self._purge_due <= now + _PURGE_EVERY:  # or the clock was set back
            return
        today = day_of(self._clock.now())
        values = {"after": today - limits.NEAR_DAYS, "most": most}
        old = connection.execute(_OLD_DAYS, values).all()
        _each(
            connection,
            _FORGET_DAY,
            [
                {"of_record": r.record_id, "of_requester": r.requester, "of_day": r.day}
                for r in old
            ],
        )
        connection.execute(_FORGET_USE, {"after": today - limits.NEAR_DAYS})
        kept = limits.NEAR_DAYS * 24 * _HOUR
        connection.execute(_FORGET_FREEZES, {"before": now - kept})
        if len(old) < most:
            self._purge_due = now + _PURGE_EVERY

    def _note_matches(
        self, connection: sa.Connection, requester: Member, taken: Taken, day: int
    ) -> None:
        """Count matches by holder; tell the auditor of what looks like enumeration."""
        by_holder: dict[Member, list[bool]] = {}
        for holder, is_near in taken.answers:
            by_holder.setdefault(holder, []).append(is_near)
        for holder, are_near in by_holder.items():
            matched, close = _use(_MATCHES, holder), _use(_NEAR_MATCHES, holder)
            for use, searches in ((matched, len(are_near)), (close, sum(are_near))):
                values = {"use": use, "day": day, "searches": searches}
                connection.execute(_SPEND, {"requester": requester.code, **values})
            month = self._spent(
                connection, requester, (matched, close), limits.NEAR_DAYS
            )
            today = self._spent(connection, requester, (matched,))[matched]
            if is_enumeration(
                matches=month[matched],
                near=month[close] if any(are_near) else 0,
                today=today,
                before=today - len(are_near),
            ):
                alert(connection, AlertKind.ENUMERATION, [holder], requester)

    def _standings(
        self, connection: sa.Connection, requester: Member, records: Collection[bytes]
    ) -> Mapping[bytes, Standing]:
        """Return how a requester stands with some records."""
        now = self._clock.now()
        values = {
            "of_requester": requester.code,
            "after": day_of(now) - limits.NEAR_DAYS,
            "now": to_microseconds(now),
        }
        found: dict[bytes, Standing] = {}
        for ids in _pages(records):
            frozen = set(connection.execute(_FROZEN, values | {"ids": ids}).scalars())
            counted = {
                row.record_id: (int(row.own), int(row.everybodys))
                for row in connection.execute(_COUNTS, values | {"ids": ids})
            }
            for record in frozen | counted.keys():
                own, everybodys = counted.get(record, (0, 0))
                found[record] = Standing(
                    own=own, everybodys=everybodys, is_frozen=record in frozen
                )
        return found

    def _spent(
        self,
        connection: sa.Connection,
        requester: Member,
        uses: Collection[bytes],
        days: int = 1,
    ) -> Mapping[bytes, int]:
        """Return what was taken today, or on the last days, by use."""
        values = {
            "of_requester": requester.code,
            "ids": list(uses),
            "after": day_of(self._clock.now()) - days,
        }
        rows = connection.execute(_SPENT, values)
        return {row.use: int(row.spent) for row in rows}

    def _can_spend(
        self, connection: sa.Connection, requester: Member, quotas: Iterable[QuotaUse]
    ) -> bool:
        """Say whether quotas have as much left."""
        wanted = {quota.use: quota for quota in quotas}
        if not wanted:
            return True
        spent = self._spent(connection, requester, wanted)
        return all(
            spent.get(use, 0) + quota.searches <= quota.most
            for use, quota in wanted.items()
        )

    def _freeze(
        self, connection: sa.Connection, requester: Member, near: list[NearSearch]
    ) -> None:
        """Freeze records for a requester, unless they are, and tell the auditor."""
        if not near:
            return
        standings = self._standings(connection, requester, [n.record_id for n in near])
        lapses_at = to_microseconds(self._clock.now() + _FREEZE)
        for each in near:
            standing = standings.get(each.record_id, Standing())
            if standing.is_frozen:
                continue
            values = {
                "record_id": each.record_id,
                "requester": requester.code,
                "holder": each.holder.code,
                "case_id": each.case_id,
                "is_named": int(each.is_named),
                "searches": standing.own,
                "lapses_at": lapses_at,
            }
            connection.execute(_BEGIN, values)
            alert(connection, AlertKind.FROZEN, [each.holder], requester)


def alert(
    connection: sa.Connection,
    kind: AlertKind,
    holders: Iterable[Member],
    requester: Member,
) -> None:
    """Tell the auditors of an agreement's two sides of a use that gives cause."""
    for holder in holders:
        values = {
            "kind": kind.value,
            "holder": holder.code,
            "requester": requester.code,
            "times": 1,
        }
        connection.execute(_ALERT, values)


def _use(of: bytes, holder: Member) -> bytes:
    """Return under what matches with a holder's records are counted."""
    return of + holder.code.encode()


def _each(
    connection: sa.Connection,
    statement: sa.Executable,
    rows: list[dict[str, object]],
) -> None:
    """Run a statement for each row; none is run for no row."""
    if rows:
        connection.execute(statement, rows)


def _pages(records: Collection[bytes]) -> Iterable[list[bytes]]:
    """Yield ids, as many as one query takes."""
    ids, most = list(records), limits.STORE_IDS_PER_QUERY
    return (ids[start : start + most] for start in range(0, len(ids), most))
