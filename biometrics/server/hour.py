"""How many calls were answered in the last hour, and how fast, minute by minute.

Kept of each member apart, since one's own calls tell one nothing new, and those of
others would tell whom they look for, and when. Times are in the steps of the figures.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from biometrics.clock import Clock
    from biometrics.members import Member

_SEARCHES: Final = frozenset(
    f"/biometrics.v1.MatchService/{name}" for name in ("Match", "BatchMatch")
)
_CHANGES: Final = frozenset(
    f"/biometrics.v1.EnrolmentService/{name}"
    for name in ("Enrol", "BulkEnrol", "Replace", "Protect", "Withdraw")
)
_ANSWERED: Final = "OK"
_HALF, _MOST = 0.5, 0.95


@dataclass(slots=True)
class Minute:
    """What was called in one minute.

    Attributes:
        searches: that were answered, by seconds, rounded up to a step.
        unanswered: searches that were not.
        changes: calls that enrol, replace, protect or withdraw, and were answered.
    """

    searches: Counter[float] = field(default_factory=Counter)
    unanswered: int = 0
    changes: int = 0

    def add(self, method: str, status: str, seconds: float) -> None:
        """Count a call."""
        if method in _SEARCHES and status == _ANSWERED:
            self.searches[seconds] += 1
        elif method in _SEARCHES:
            self.unanswered += 1
        elif method in _CHANGES and status == _ANSWERED:
            self.changes += 1

    def join(self, other: Minute) -> None:
        """Count what another has, too."""
        self.searches += other.searches
        self.unanswered += other.unanswered
        self.changes += other.changes

    @property
    def half_within(self) -> float:
        """In how many seconds half of the searches were answered; 0 without any."""
        return _within(self.searches, _HALF)

    @property
    def most_within(self) -> float:
        """Likewise 95 in a hundred."""
        return _within(self.searches, _MOST)


class Hour:
    """The last minutes, of every member; safe for many threads."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty, at the clock's minute."""
        self._clock = clock
        self._changing = threading.Lock()
        self._minutes: dict[int, dict[Member, Minute]] = {}

    def ended(self, member: Member, method: str, status: str, seconds: float) -> None:
        """Count a call.

        Args:
            member: whose it was.
            method: full name.
            status: `OK` or a reason.
            seconds: that it took, rounded up to a step.
        """
        now = self._now()
        with self._changing:
            if now not in self._minutes:
                first = now - limits.LOAD_MINUTES
                self._minutes = {m: v for m, v in self._minutes.items() if m > first}
            members = self._minutes.setdefault(now, {})
            if (minute := members.get(member)) is None:
                minute = members[member] = Minute()
            minute.add(method, status, seconds)

    def read(self, member: Member | None = None) -> list[tuple[int, Minute]]:
        """Return the last minutes, each with its number, in their order.

        Args:
            member: whose calls; None for those of all together.
        """
        now = self._now()
        with self._changing:
            return [
                (number, _joined(self._minutes.get(number, {}), member))
                for number in range(now - limits.LOAD_MINUTES + 1, now + 1)
            ]

    def _now(self) -> int:
        """Return the number of the minute: since 1970, in UTC."""
        return int(self._clock.now().timestamp()) // 60


def _joined(members: dict[Member, Minute], member: Member | None) -> Minute:
    """Return one minute of a member, or of all."""
    wanted: Iterable[Minute] = members.values()
    if member is not None:
        wanted = [found] if (found := members.get(member)) else []
    whole = Minute()
    for each in wanted:
        whole.join(each)
    return whole


def _within(searches: Counter[float], share: float) -> float:
    """Return the step within which a share of searches was answered."""
    left = share * searches.total()
    for seconds in sorted(searches):
        left -= searches[seconds]
        if left <= 0:
            return seconds
    return 0.0
