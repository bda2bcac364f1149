"""Searches before bulk loads: small parts while anybody searches, never none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from biometrics import limits
from biometrics.precedence import Precedence

if TYPE_CHECKING:
    from collections.abc import Coroutine

MANY = 100
FEW = limits.RECORDS_BETWEEN_SEARCHES


async def load(precedence: Precedence, records: int = MANY) -> int:
    """Return how many records a loader may take first when its turn comes."""
    async with aclosing(precedence.parts(records)) as parts:
        return (await anext(parts)).stop


async def is_waiting(loading: Coroutine[None, None, int]) -> bool:
    """Say whether a loader has no turn yet, and end it."""
    task = asyncio.create_task(loading)
    done, _ = await asyncio.wait([task], timeout=0.05)
    task.cancel()
    return not done


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give way for as long as a search lasts."""
    monkeypatch.setattr(limits, "GIVE_WAY_SECONDS", 60.0)


def test_where_nobody_searches_loads_run_freely() -> None:
    """All records at once, and one loader beside the other."""

    async def run() -> None:
        precedence = Precedence()
        async with aclosing(precedence.parts(MANY)) as parts:
            assert await anext(parts) == slice(0, MANY)
            assert await load(precedence) == MANY
            assert [part async for part in parts] == []

    asyncio.run(run())


@pytest.mark.usefixtures("patient")
def test_a_load_waits_for_the_last_of_the_searches() -> None:
    """Then it has a small part, and not more records than there are."""

    async def run() -> None:
        precedence = Precedence()
        with precedence.searching():
            with precedence.searching():
                assert await is_waiting(load(precedence))
            assert await is_waiting(load(precedence))
        assert await load(precedence) == FEW
        assert await load(precedence, FEW - 1) == FEW - 1

    asyncio.run(run())


@pytest.mark.usefixtures("patient")
def test_a_search_that_fails_has_ended_too() -> None:
    """Nobody waits for it any more."""

    async def run() -> None:
        precedence = Precedence()
        with pytest.raises(KeyError), precedence.searching():
            raise KeyError
        assert await load(precedence) == FEW

    asyncio.run(run())


def test_where_searches_never_end_loads_go_on() -> None:
    """A part comes after `limits.GIVE_WAY_SECONDS`, search or no search, to the end."""

    async def run() -> None:
        precedence = Precedence()
        with precedence.searching():
            parts = [part async for part in precedence.parts(2 * FEW + 1)]
        assert parts == [
            slice(0, FEW),
            slice(FEW, 2 * FEW),
            slice(2 * FEW, 2 * FEW + 1),
        ]

    asyncio.run(run())


def test_a_chunk_that_has_begun_goes_on_freely_once_nobody_searches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is left of it is one part."""

    async def run() -> None:
        precedence = Precedence()
        async with aclosing(precedence.parts(MANY)) as parts:
            with precedence.searching():
                assert await anext(parts) == slice(0, FEW)
            monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 0.0)
            assert [part async for part in parts] == [slice(FEW, MANY)]

    asyncio.run(run())


@pytest.mark.usefixtures("patient")
def test_between_searches_one_chunk_is_loaded_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To its end, so that streams get answers however many load at once."""
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 60.0)

    async def run() -> None:
        precedence = Precedence()
        with precedence.searching():
            pass
        async with aclosing(precedence.parts(2 * FEW)) as parts:
            async for _ in parts:
                assert await is_waiting(load(precedence))
        assert await load(precedence) == FEW

    asyncio.run(run())


@pytest.mark.usefixtures("patient")
def test_a_single_record_does_not_wait() -> None:
    """Somebody stands behind it as well."""

    async def run() -> None:
        precedence = Precedence()
        with precedence.searching():
            assert await load(precedence, 1) == 1

    asyncio.run(run())


def test_a_while_after_the_last_search_loads_run_freely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A queue that is over slows nobody down."""

    async def run() -> None:
        precedence = Precedence()
        with precedence.searching():
            pass
        assert await load(precedence) == FEW
        monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 0.0)
        assert await load(precedence) == MANY

    asyncio.run(run())
