"""The leak budget at work without an exchange: the store's own code, in memory.

Searches are decided as the matcher decides them, by a clock that the benchmark moves:
a month of honest use takes seconds.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from biometrics import limits
from biometrics.clock import UTC, ManualClock
from biometrics.disclosure import Standing, Tally
from biometrics.members import Member
from biometrics.store import Budget, NearSearch, Taken
from biometrics.store.schema import ALERT, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Ledger", "allowing"]

START: Final = dt.datetime(2026, 1, 1, tzinfo=UTC)
_HOLDER: Final = Member("XAA")
_NOTHING: Final = Standing()


class Ledger:
    """What every requester has left; the holder is one.

    Attributes:
        clock: by which it is judged; the benchmark moves it.
        is_kept: whether anything is counted; else the defence is off.
        frozen: pairs of requester and record that were ever frozen, in their order.
    """

    def __init__(self, *, is_kept: bool = True) -> None:
        """Begin with nothing taken."""
        self.clock = ManualClock(START)
        self.is_kept = is_kept
        self.frozen: list[tuple[str, int]] = []
        self._engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        METADATA.create_all(self._engine)
        self._budget = Budget(self._engine, self.clock)
        self._cases = 0

    def close(self) -> None:
        """Forget everything."""
        self._engine.dispose()

    def tell(
        self, requester: str, found: Mapping[int, tuple[bool, bool]]
    ) -> dict[int, bool]:
        """Return which records a search tells of as matches.

        Args:
            requester: who asks.
            found: by record, whether it matches, and whether it is near.
        """
        if not self.is_kept or not found:
            return {record: matches for record, (matches, _) in found.items()}
        member = Member(requester)
        ids = {record: record.to_bytes(16, "big") for record in found}
        standings = self._budget.standings(member, ids.values())
        tally = Tally(standings)
        told = {
            record: tally.take(ids[record], is_near=is_near) and matches
            for record, (matches, is_near) in found.items()
        }
        numbers = {name: record for record, name in ids.items()}
        self.frozen += [(requester, numbers[name]) for name in sorted(tally.frozen)]
        matches = {ids[record]: _HOLDER for record, is_told in told.items() if is_told}
        self._take(member, tally, matches)
        return told

    def alerts(self) -> dict[str, int]:
        """Return how often each kind of alert was given."""
        with self._engine.connect() as connection:
            return {row.kind: row.times for row in connection.execute(sa.select(ALERT))}

    def is_frozen(self, requester: str, record: int) -> bool:
        """Say whether a record is frozen now."""
        name = record.to_bytes(16, "big")
        found = self._budget.standings(Member(requester), [name])
        return found.get(name, _NOTHING).is_frozen

    def _take(self, member: Member, tally: Tally, matches: dict[bytes, Member]) -> None:
        """Count a search."""
        near = []
        for name in tally.near.keys() | tally.frozen:
            self._cases += 1
            near.append(
                NearSearch(
                    record_id=name,
                    holder=_HOLDER,
                    is_named=True,
                    told=tally.near.get(name, 0),
                    freezes=name in tally.frozen,
                    case_id=self._cases.to_bytes(limits.CASE_BYTES, "big"),
                )
            )
        if near or matches:
            is_near = matches.keys() <= tally.near.keys()
            answers = ((_HOLDER, is_near),) if matches else ()
            taken = Taken(near=tuple(near), matches=matches, answers=answers)
            with self._engine.begin() as connection:
                account = self._budget.account(connection, [(member, taken)])
                account.take(member, taken)
                account.write(connection)
            self._budget.forget(is_durable=True)


@contextmanager
def allowing(told: int, told_to_all: int) -> Iterator[None]:
    """Let requesters be told so many near searches, in place of the product's."""
    before = limits.NEAR_SEARCHES_TOLD, limits.NEAR_SEARCHES_TOLD_TO_ALL
    bounds = vars(limits)
    try:
        bounds |= {
            "NEAR_SEARCHES_TOLD": told,
            "NEAR_SEARCHES_TOLD_TO_ALL": told_to_all,
        }
        yield
    finally:
        bounds |= {
            "NEAR_SEARCHES_TOLD": before[0],
            "NEAR_SEARCHES_TOLD_TO_ALL": before[1],
        }
