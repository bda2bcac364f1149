"""Searches begin in turn, and more at once where they share more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from biometrics import limits
from biometrics.callers import CALLER, ENDS, Caller, Role
from biometrics.members import Member
from biometrics.server.admission import InTurn
from biometrics.server.handlers import Call
from biometrics.server.methods import Method

if TYPE_CHECKING:
    import grpc

SEARCH, OTHER = "/test.Echo/Search", "/test.Echo/Other"
METHODS = {
    SEARCH: Method(roles=frozenset({Role.CLIENT}), takes_turns=True),
    OTHER: Method(roles=frozenset({Role.CLIENT})),
}


async def begun(in_turn: InTurn, calls: list[tuple[str, str]]) -> int:
    """Return how many of some calls, each a method and a member, begin at once."""
    count = 0
    end = asyncio.Event()

    async def one(method: str, member: str) -> None:
        nonlocal count
        CALLER.set(Caller(member=Member(member), role=Role.CLIENT, name=""))
        ENDS.set(None)
        call = Call(method, cast("grpc.aio.ServicerContext[object, object]", None))
        async with in_turn.around(call):
            count += 1
            await end.wait()

    tasks = [asyncio.create_task(one(*each)) for each in calls]
    await asyncio.sleep(0.01)
    found = count
    end.set()
    await asyncio.gather(*tasks)
    assert count == len(calls)
    assert in_turn.waiting() == 0
    return found


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        (0, limits.LEAST_SEARCHES_AT_ONCE),
        (3 * limits.ROWS_FOR_ONE_MORE_AT_ONCE, limits.LEAST_SEARCHES_AT_ONCE + 3),
        (10**9, limits.LEAST_SEARCHES_AT_ONCE + limits.MOST_MORE_AT_ONCE),
    ],
)
def test_more_begin_at_once_where_a_pass_reads_more(rows: int, most: int):
    """Of one member, and one each of others; what is no search does not wait."""
    calls = [(SEARCH, "XAA")] * (limits.MAX_SEARCHES_AT_ONCE + 9)
    calls += [(SEARCH, "XBB"), (SEARCH, "XBB"), (SEARCH, "XCC"), (OTHER, "XDD")]
    in_turn = InTurn(METHODS, 60.0, rows=lambda: float(rows))
    assert asyncio.run(begun(in_turn, calls)) == most + 3
