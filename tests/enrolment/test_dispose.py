"""Nothing is disposed of by a clock that cannot be right."""

from __future__ import annotations

import asyncio
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from biometrics.clock import UTC, ManualClock
from biometrics.errors import UnavailableError
from enrolment.dispose import Disposal, Swept


class Jumping(ManualClock):
    """A clock whose time of day can be set."""

    def set_ahead(self, step: dt.timedelta) -> None:
        """Set the time of day; no second goes by."""
        self._now += step


def test_a_clock_that_was_set_ahead_deletes_nobody() -> None:
    """Seconds that went by count, however many, and an hour of the clock's own."""
    clock = Jumping(dt.datetime(2030, 1, 1, tzinfo=UTC))
    asked: list[dt.datetime] = []

    def expired(now: dt.datetime, *_: object) -> list[Any]:
        asked.append(now)
        return []

    with ThreadPoolExecutor(1) as workers:
        nothing: Any = SimpleNamespace(expired=expired)
        disposal = Disposal(
            members=(),
            rows=nothing,
            records=nothing,
            precedence=nothing,
            vault=nothing,
            workers=workers,
            clock=clock,
        )
        clock.advance(dt.timedelta(days=900))
        assert asyncio.run(disposal.sweep()) == Swept(disposed=0, left=0)
        clock.set_ahead(dt.timedelta(minutes=59))
        asyncio.run(disposal.sweep())
        clock.set_ahead(dt.timedelta(minutes=2))
        with pytest.raises(UnavailableError, match="set ahead"):
            asyncio.run(disposal.sweep())
    assert len(asked) == 2
