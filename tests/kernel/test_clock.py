"""Time comes from a clock that can be handed in."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from biometrics.clock import (
    UTC,
    ManualClock,
    SystemClock,
    from_microseconds,
    to_microseconds,
)

START = dt.datetime(2026, 1, 1, tzinfo=UTC)


def test_system_clock_is_aware_and_in_utc():
    """Moments carry their zone, so that none is compared with a local one."""
    assert SystemClock().now().utcoffset() == dt.timedelta(0)


def test_system_clock_does_not_go_back():
    """Later readings of the monotonic clock are not smaller."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_manual_clock_stands_until_it_is_moved():
    """Both of its times move by the same step."""
    clock = ManualClock(START)
    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    assert clock.now() == START
    clock.advance(dt.timedelta(seconds=90))
    assert clock.now() == START + dt.timedelta(seconds=90)
    assert clock.monotonic() == 90.0


def test_microseconds_count_from_1970():
    """The stored form is integer microseconds since 1970 in UTC."""
    assert to_microseconds(dt.datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_microseconds(dt.datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000


def test_moments_of_other_zones_are_stored_in_utc():
    """A moment is one moment wherever its clock hangs."""
    east = dt.timezone(dt.timedelta(hours=8))
    assert to_microseconds(START.astimezone(east)) == to_microseconds(START)


@given(st.datetimes(timezones=st.just(UTC)))
def test_stored_moments_come_back_exactly(moment: dt.datetime):
    """No microsecond is lost on the way to the database and back."""
    assert from_microseconds(to_microseconds(moment)) == moment
