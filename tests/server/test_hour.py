"""The last hour: each member's own, in coarse times, and never longer."""

from __future__ import annotations

import datetime as dt

from biometrics import limits
from biometrics.members import Member
from biometrics.server.hour import Hour

XAA, XBB = Member("XAA"), Member("XBB")
MATCH = "/biometrics.v1.MatchService/Match"
ENROL = "/biometrics.v1.EnrolmentService/Enrol"
LIST = "/biometrics.v1.SpaceService/ListSpaces"


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        """Begin somewhere within a minute."""
        self.moment = dt.datetime(2026, 5, 4, 3, 2, 30, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        """Return the moment."""
        return self.moment

    def monotonic(self) -> float:
        """Return seconds."""
        return self.moment.timestamp()

    def minutes(self, count: int) -> None:
        """Go on."""
        self.moment += dt.timedelta(minutes=count)


def test_calls_are_counted_by_what_they_are():
    """Searches that were answered or not, changes, and nothing else."""
    hour = Hour(Hands())
    for method, status in (
        *((MATCH, "OK"), (MATCH, "OK"), (MATCH, "EXCHANGE_BUSY"), (ENROL, "OK")),
        *((ENROL, "INVALID"), (LIST, "OK")),
    ):
        hour.ended(XAA, method, status, 0.064)
    _, minute = hour.read(XAA)[-1]
    assert minute.searches.total() == 2
    assert (minute.unanswered, minute.changes) == (1, 1)


def test_members_are_kept_apart_and_read_together():
    """Nobody's are among another's."""
    hour = Hour(Hands())
    hour.ended(XAA, MATCH, "OK", 0.032)
    hour.ended(XBB, MATCH, "OK", 0.512)
    assert hour.read(XAA)[-1][1].most_within == 0.032
    assert hour.read(XBB)[-1][1].most_within == 0.512
    whole = hour.read()[-1][1]
    assert (whole.searches.total(), whole.half_within) == (2, 0.032)
    assert hour.read(Member("XCC"))[-1][1].searches.total() == 0


def test_half_and_nearly_all_are_steps_that_calls_took():
    """Of twenty calls, one slow one is not nearly all; of nineteen it is."""
    hour = Hour(Hands())
    hour.ended(XAA, MATCH, "OK", 5.0)
    for _ in range(18):
        hour.ended(XAA, MATCH, "OK", 0.064)
    assert hour.read(XAA)[-1][1].most_within == 5.0
    hour.ended(XAA, MATCH, "OK", 0.064)
    minute = hour.read(XAA)[-1][1]
    assert (minute.half_within, minute.most_within) == (0.064, 0.064)


def test_an_hour_later_it_is_forgotten():
    """Sixty minutes are told, the present one among them, and no more are kept."""
    clock = Hands()
    hour = Hour(clock)
    hour.ended(XAA, MATCH, "OK", 0.064)
    clock.minutes(limits.LOAD_MINUTES - 1)
    told = hour.read(XAA)
    assert len(told) == limits.LOAD_MINUTES
    assert told[0][1].searches.total() == 1
    assert [number for number, _ in told] == list(range(told[0][0], told[-1][0] + 1))
    clock.minutes(1)
    assert all(not minute.searches for _, minute in hour.read(XAA))
    for _ in range(3 * limits.LOAD_MINUTES):
        clock.minutes(1)
        hour.ended(XAA, MATCH, "OK", 0.064)
    assert len(hour._minutes) == limits.LOAD_MINUTES
