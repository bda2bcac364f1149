"""The state of the region, as the SDK tells it: synchronous and asynchronous alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from biometrics import limits
from biometrics.client import AsyncExchangeClient, ExchangeClient
from biometrics.errors import RefusedError

if TYPE_CHECKING:
    from tests.console.console_world import ConsoleWorld


def test_a_member_is_told_who_it_is_and_whom_it_may_ask(world: ConsoleWorld):
    """And how its own calls went, over both clients."""
    profile = world.profile("XAA")

    async def ask() -> list[object]:
        async with AsyncExchangeClient(profile) as exchange:
            load = await exchange.load()
            return [await exchange.caller(), await exchange.holders(), load]

    with ExchangeClient(profile) as exchange:
        caller, holders, load = exchange.caller(), exchange.holders(), exchange.load()
        with pytest.raises(RefusedError):
            exchange.region()
    assert asyncio.run(ask())[:2] == [caller, holders]
    assert (caller.member, caller.role) == ("XAA", "client")
    assert "/biometrics.v1.MatchService/Match" in caller.methods
    assert "/biometrics.v1.CustodyService/Lock" not in caller.methods
    told = {each.holder: each.availability for each in holders}
    assert told["XBB"] == "unavailable"
    assert told["XCC"] == "answering"
    assert told["XEE"] == "not-told"
    assert "XAA" not in told
    assert (len(load.minutes), load.whole_region) == (limits.LOAD_MINUTES, False)


def test_the_coordinator_is_told_of_all(world: ConsoleWorld):
    """Every member, once, with one word for its galleries."""
    profile = world.profile("XAA", "coordinator")
    with ExchangeClient(profile) as exchange:
        region, load = exchange.region(), exchange.load()
        with pytest.raises(RefusedError):
            exchange.holders()
    states = {each.member: each.state for each in region.members}
    assert len(states) == len(region.members) == 8
    assert (states["XBB"], states["XCC"], states["XDD"]) == ("locked", "ready", "none")
    pairs = [(each.holder, each.requester) for each in region.permissions]
    assert pairs == sorted(set(pairs))
    assert ("XRA", "XBB") not in pairs  # which is forbidden
    assert load.whole_region
