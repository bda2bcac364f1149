"""Time, so that everything else can be handed one.

`Clock` is the only way to the system's time; nothing else calls it.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol

UTC = dt.UTC


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""
        return dt.datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved; for tests and simulation."""

    def __init__(self, start: dt.datetime) -> None:
        """Start at `start`, an aware moment."""
        self._now = start
        self._elapsed = 0.0

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since the start."""
        return self._elapsed

    def advance(self, step: dt.timedelta) -> None:
        """Move on by `step`."""
        self._now += step
        self._elapsed += step.total_seconds()


class UnhurriedClock:
    """A clock that nobody sets ahead: what is to last so long lasts no less.

    It goes no faster than seconds pass, from the time of day at which it was made. One
    that is set back is told as it is: whoever judges by it keeps what it may yet need.
    """

    def __init__(self, clock: Clock, leeway: dt.timedelta) -> None:
        """Follow `clock`, which may be corrected by up to `leeway`."""
        self._clock = clock
        self._start = clock.now() - dt.timedelta(seconds=clock.monotonic()) + leeway

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""
        latest = self._start + dt.timedelta(seconds=self._clock.monotonic())
        return min(self._clock.now(), latest)

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        return self._clock.monotonic()


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(moment: dt.datetime) -> int:
    """Return microseconds since 1970 in UTC, the form in which moments are stored."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def day_of(moment: dt.datetime) -> int:
    """Return days since 1970 in UTC."""
    return (moment - _EPOCH).days


def from_microseconds(microseconds: int) -> dt.datetime:
    """Return the moment that `to_microseconds` wrote."""
    return _EPOCH + dt.timedelta(microseconds=microseconds)
