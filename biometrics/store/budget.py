"""The leak budget and the quotas, counted in the transaction of each answer.

Counts are kept by requester, record and day. A day that lies ahead counts as well, so
that a clock which was set back forgets nothing; and the clock is one that nobody sets
ahead, so that nothing is forgotten before its time.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import day_of, to_microseconds
from biometrics.disclosure import Standing, is_enumeration
from biometrics.store.failures import translated
from biometrics.store.review_rows import AlertKind
from biometrics.store.schema import FROZEN_RECORD, NEAR_SEARCH, QUOTA_USE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.answer_rows import Taken

T = TypeVar("T")
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
        NEAR_SEARCH.c.requester,
        sa.func.sum(NEAR_SEARCH.c.searches).label("searches"),
    )
    .where(NEAR_SEARCH.c.record_id.in_(_IDS), NEAR_SEARCH.c.day > sa.bindparam("after"))
    .group_by(NEAR_SEARCH.c.record_id, NEAR_SEARCH.c.requester)
)
_FROZEN: Final = sa.select(FROZEN_RECORD.c.record_id, FROZEN_RECORD.c.requester).where(
    FROZEN_RECORD.c.record_id.in_(_IDS),
    FROZEN_RECORD.c.lapses_at.is_(None)
    | (FROZEN_RECORD.c.lapses_at > sa.bindparam("now")),
)
_SPENT: Final = (
    sa.select(
        QUOTA_USE.c.requester,
        QUOTA_USE.c.use,
        sa.func.sum(QUOTA_USE.c.searches).label("spent"),
    )
    .where(
        QUOTA_USE.c.requester.in_(sa.bindparam("requesters", expanding=True)),
        QUOTA_USE.c.use.in_(_IDS),
        QUOTA_USE.c.day > sa.bindparam("after"),
    )
    .group_by(QUOTA_USE.c.requester, QUOTA_USE.c.use)
)
# The same words on both databases.
_COUNT: Final = sa.text(
    "INSERT INTO near_search (record_id, requester, day, searches)"
    " VALUES (:record_id, :requester, :day, :searches)"
    " ON CONFLICT (record_id, requester, day)"
    " DO UPDATE SET searches = near_search.searches + excluded.searches"
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
        self._written: list[Account] = []  # in the transaction at hand
        self._spent: dict[Member, tuple[int, Mapping[bytes, int]]] = {}

    def standings(
        self, requester: Member, records: Collection[bytes]
    ) -> Mapping[bytes, Standing]:
        """Return how a requester stands with those records that it does; any thread.

        Raises:
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            felt = self._felt(connection, records)
        return {
            record: felt.standing(requester.code, record)
            for record in felt.everybodys.keys() | {r for _, r in felt.frozen}
        }

    def frozen(
        self, connection: sa.Connection, requester: Member, records: Collection[bytes]
    ) -> frozenset[bytes]:
        """Return those of some records that are frozen for a requester."""
        felt = self._felt(connection, records)
        return frozenset(r for r in records if (requester.code, r) in felt.frozen)

    def spent(self, requester: Member) -> tuple[Mapping[bytes, int], dt.datetime]:
        """Return what was taken of quotas today, and when they renew; any thread.

        As far as an answer has told since the start: of what is missing here nothing
        is known. It is for a refusal before anything is compared; whether there is
        room is decided in the transaction of the answer.
        """
        now = self._clock.now()
        tomorrow = now.date() + dt.timedelta(days=1)
        renews = dt.datetime.combine(tomorrow, dt.time(), dt.UTC)
        return self._known(requester, day_of(now)), renews

    def account(
        self, connection: sa.Connection, takings: Sequence[tuple[Member, Taken]]
    ) -> Account:
        """Return how the requesters of some answers stand, to be taken from at once.

        Within the writer's transaction nothing else can change it before the commit.
        """
        now = self._clock.now()
        day = day_of(now)
        records = {
            record
            for _, taken in takings
            for record in (*taken.matches, *(near.record_id for near in taken.near))
        }
        requesters = {requester for requester, _ in takings}
        quotas = {quota.use for _, taken in takings for quota in taken.quotas}
        matches = {
            use
            for _, taken in takings
            for holder, _ in taken.answers
            for use in _uses(holder)
        }
        return Account(
            day=day,
            lapses_at=to_microseconds(now + _FREEZE),
            felt=self._felt(connection, records),
            today=self._today(connection, requesters, quotas | matches, day),
            month=_spent(connection, requesters, matches, day - limits.NEAR_DAYS),
            written=self._written.append,
        )

    def renew(self) -> None:
        """Read anew what was taken of quotas."""
        self._spent.clear()

    def mark(self) -> int:
        """Return how many accounts are written, for `undo`."""
        return len(self._written)

    def undo(self, mark: int) -> None:
        """Take back what was written since `mark`."""
        del self._written[mark:]

    def forget(self, *, is_durable: bool = False) -> None:
        """Have no account pending: the transaction is over.

        Args:
            is_durable: it was committed; else nobody may know.
        """
        for account in self._written:
            for requester, spent in account.spent().items():
                known = self._known(requester, account.day)
                if is_durable:
                    self._spent[requester] = account.day, {**known, **spent}
                else:
                    self._spent.pop(requester, None)
        self._written.clear()

    def is_due(self) -> bool:
        """Say whether it is time to look for what can be deleted."""
        now = to_microseconds(self._clock.now())
        # Or the clock was set back.
        return not now < self._purge_due <= now + _PURGE_EVERY

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Forget a few rows that count no more."""
        now = to_microseconds(self._clock.now())
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

    def _known(self, requester: Member, day: int) -> Mapping[bytes, int]:
        """Return what is known to be used on a day, by use, as far as it is durable."""
        of_day, spent = self._spent.get(requester, (day, {}))
        return spent if of_day == day else {}

    def _today(
        self,
        connection: sa.Connection,
        requesters: Collection[Member],
        uses: Collection[bytes],
        day: int,
    ) -> Counter[tuple[Member, bytes]]:
        """Return what was used on a day; read only where it is not known.

        Whoever else writes it, `renew` is called before this.
        """
        known = {
            (requester, use): searches
            for requester in requesters
            for use, searches in self._known(requester, day).items()
        }
        for account in self._written:
            known |= account.today if account.day == day else {}
        missing = {r for r in requesters for use in uses if (r, use) not in known}
        return Counter({**_spent(connection, missing, uses, day - 1), **known})

    def _felt(self, connection: sa.Connection, records: Collection[bytes]) -> _Felt:
        """Return how often was felt for some records, and for whom they are frozen."""
        now = self._clock.now()
        after, moment = day_of(now) - limits.NEAR_DAYS, to_microseconds(now)
        felt = _Felt()
        for ids in _pages(records):
            frozen = connection.execute(_FROZEN, {"ids": ids, "now": moment})
            felt.frozen.update((row.requester, row.record_id) for row in frozen)
            for row in connection.execute(_COUNTS, {"ids": ids, "after": after}):
                felt.add(row.requester, row.record_id, int(row.searches))
        return felt


@dataclass(slots=True)
class _Felt:
    """How often was felt for some records, and for whom they are frozen.

    Attributes:
        own: near searches by code of the requester and record.
        everybodys: near searches by record.
        frozen: codes of requesters, with the record.
    """

    own: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    everybodys: Counter[bytes] = field(default_factory=Counter)
    frozen: set[tuple[str, bytes]] = field(default_factory=set)

    def add(self, requester: str, record: bytes, searches: int) -> None:
        """Count near searches."""
        self.own[requester, record] += searches
        self.everybodys[record] += searches

    def standing(self, requester: str, record: bytes) -> Standing:
        """Return how a requester stands with a record."""
        return Standing(
            own=self.own[requester, record],
            everybodys=self.everybodys[record],
            is_frozen=(requester, record) in self.frozen,
        )


class Account:
    """How requesters stand, within one transaction of the writer's.

    Answers take from it one after the other, each as if those before it were durable;
    `write` counts what they took, in few statements for all.

    Attributes:
        day: today, since 1970.
        today: what is used today, by requester and use.
    """

    def __init__(
        self,
        *,
        day: int,
        lapses_at: int,
        felt: _Felt,
        today: Counter[tuple[Member, bytes]],
        month: Counter[tuple[Member, bytes]],
        written: Callable[[Account], None],
    ) -> None:
        """Begin with what is counted already.

        Args:
            day: today, since 1970.
            lapses_at: until when a record is frozen that is from now, in microseconds.
            felt: of the records that the answers are about.
            today: what was used today of what they use, by requester.
            month: how often they matched in thirty days, likewise.
            written: is told once all is counted.
        """
        self.day = day
        self._lapses_at = lapses_at
        self._felt = felt
        self.today = today
        self._month = month
        self._written = written
        self._near: Counter[tuple[str, bytes]] = Counter()
        self._uses: Counter[tuple[Member, bytes]] = Counter()
        self._freezes: list[dict[str, object]] = []
        self._alerts: Counter[tuple[AlertKind, Member, Member]] = Counter()

    def has_room(self, requester: Member, taken: Taken) -> bool:
        """Say whether what an answer takes is still there."""
        told = {near.record_id: near.told for near in taken.near if near.told}
        told |= dict.fromkeys(taken.matches.keys() - told.keys(), 0)
        for record, more in told.items():
            standing = self._felt.standing(requester.code, record)
            if standing.is_frozen or (more and not standing.has_room(more)):
                return False
        return all(
            self.today[requester, quota.use] + quota.searches <= quota.most
            for quota in taken.quotas
        )

    def take(self, requester: Member, taken: Taken) -> None:
        """Take what an answer takes."""
        for near in taken.near:
            if near.told:
                self._felt.add(requester.code, near.record_id, near.told)
                self._near[requester.code, near.record_id] += near.told
        for quota in taken.quotas:
            self._use(requester, quota.use, quota.searches)
        self._note_matches(requester, taken)
        self._freeze(requester, taken)
        for holder in taken.hidden:
            self._alerts[AlertKind.FROZEN_HIT, holder, requester] += 1
        for holder in taken.canaries:
            self._alerts[AlertKind.CANARY, holder, requester] += 1
        for holder in taken.varied:
            self._alerts[AlertKind.VARIED, holder, requester] += 1

    def spent(self) -> dict[Member, dict[bytes, int]]:
        """Return what was used today, by requester and use."""
        found: defaultdict[Member, dict[bytes, int]] = defaultdict(dict)
        for (requester, use), searches in self.today.items():
            found[requester][use] = searches
        return found

    def write(self, connection: sa.Connection) -> None:
        """Count what was taken."""
        _each(
            connection,
            _COUNT,
            [
                {
                    "record_id": record,
                    "requester": requester,
                    "day": self.day,
                    "searches": searches,
                }
                for (requester, record), searches in self._near.items()
            ],
        )
        for uses in _pages(self._uses.items()):
            values: dict[str, object] = {"day": self.day}
            for n, ((requester, use), searches) in enumerate(uses):
                values |= {f"r{n}": requester.code, f"u{n}": use, f"s{n}": searches}
            connection.execute(_spending(len(uses)), values)
        _each(connection, _BEGIN, self._freezes)
        _each(
            connection,
            _ALERT,
            [
                {
                    "kind": kind.value,
                    "holder": holder.code,
                    "requester": requester.code,
                    "times": times,
                }
                for (kind, holder, requester), times in self._alerts.items()
            ],
        )
        self._written(self)

    def _use(self, requester: Member, use: bytes, searches: int) -> None:
        """Count what is used on one day."""
        self.today[requester, use] += searches
        self._uses[requester, use] += searches

    def _note_matches(self, requester: Member, taken: Taken) -> None:
        """Count matches by holder; tell the auditor of what looks like enumeration."""
        by_holder: dict[Member, list[bool]] = {}
        for holder, is_near in taken.answers:
            by_holder.setdefault(holder, []).append(is_near)
        for holder, are_near in by_holder.items():
            matched, close = _uses(holder)
            for use, searches in ((matched, len(are_near)), (close, sum(are_near))):
                if searches:
                    self._use(requester, use, searches)
                    self._month[requester, use] += searches
            today = self.today[requester, matched]
            if is_enumeration(
                matches=self._month[requester, matched],
                near=self._month[requester, close] if any(are_near) else 0,
                today=today,
                before=today - len(are_near),
            ):
                self._alerts[AlertKind.ENUMERATION, holder, requester] += 1

    def _freeze(self, requester: Member, taken: Taken) -> None:
        """Freeze records for a requester, unless they are, and tell the auditor."""
        for near in taken.near:
            standing = self._felt.standing(requester.code, near.record_id)
            if not near.freezes or standing.is_frozen:
                continue
            self._felt.frozen.add((requester.code, near.record_id))
            self._freezes.append(
                {
                    "record_id": near.record_id,
                    "requester": requester.code,
                    "holder": near.holder.code,
                    "case_id": near.case_id,
                    "is_named": int(near.is_named),
                    "searches": standing.own,
                    "lapses_at": self._lapses_at,
                }
            )
            self._alerts[AlertKind.FROZEN, near.holder, requester] += 1


# Every search spends: at once, for each statement gives the interpreter's lock away.
@lru_cache(maxsize=128)
def _spending(uses: int) -> sa.TextClause:
    """Return what counts so many uses of one day."""
    rows = ", ".join(f"(:r{n}, :u{n}, :day, :s{n})" for n in range(uses))
    return sa.text(
        f"INSERT INTO quota_use (requester, use, day, searches) VALUES {rows}"  # noqa: S608
        " ON CONFLICT (requester, use, day)"
        " DO UPDATE SET searches = quota_use.searches + excluded.searches"
    )


def _uses(holder: Member) -> tuple[bytes, bytes]:
    """Return under what matches with a holder's records are counted, and near ones."""
    code = holder.code.encode()
    return _MATCHES + code, _NEAR_MATCHES + code


def _spent(
    connection: sa.Connection,
    requesters: Collection[Member],
    uses: Collection[bytes],
    after: int,
) -> Counter[tuple[Member, bytes]]:
    """Return what was used since a day, by requester and use."""
    found = Counter({(each, use): 0 for each in requesters for use in uses})
    if found:
        codes = {requester.code: requester for requester in requesters}
        values = {"requesters": list(codes), "ids": list(uses), "after": after}
        for row in connection.execute(_SPENT, values):
            found[codes[row.requester], row.use] = int(row.spent)
    return found


def _each(
    connection: sa.Connection,
    statement: sa.Executable,
    rows: list[dict[str, object]],
) -> None:
    """Run a statement for each row; none is run for no row."""
    if rows:
        connection.execute(statement, rows)


def _pages(those: Iterable[T]) -> Iterable[list[T]]:
    """Yield ids or the like, as many as one statement takes."""
    every, most = list(those), limits.STORE_IDS_PER_QUERY
    return (every[start : start + most] for start in range(0, len(every), most))
