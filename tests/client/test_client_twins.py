"""Both clients have every call, which is written once."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from biometrics.client import AsyncExchangeClient, ExchangeClient
from biometrics.client.blocking import finish, iterate
from biometrics.client.calls import AllCalls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CALLS = sorted(name for name in dir(AllCalls) if not name.startswith("_"))


@pytest.mark.parametrize("name", CALLS)
def test_both_have_it_with_its_signature_and_its_text(name: str):
    """A call that one of them lacks, or takes otherwise, is no call of the SDK."""
    call = getattr(AllCalls, name)
    blocking = getattr(ExchangeClient, name)
    assert getattr(AsyncExchangeClient, name) is call
    assert not inspect.iscoroutinefunction(blocking)
    assert call.__doc__.strip()
    assert blocking.__doc__.splitlines()[0] == call.__doc__.splitlines()[0]
    assert list(inspect.signature(blocking).parameters.values()) == [
        parameter.replace(annotation="Iterable[Chunk]")
        if parameter.name == "chunks"
        else parameter
        for parameter in inspect.signature(call).parameters.values()
    ]


def test_neither_has_more():
    """What is not a call is to open and to close."""
    for client in (ExchangeClient, AsyncExchangeClient):
        own = {name for name in dir(client) if not name.startswith("_")}
        assert own - set(CALLS) == {"close"}


def test_a_blocking_call_that_needs_an_event_loop_is_a_mistake():
    """It is told at once, rather than waited for."""
    with pytest.raises(AssertionError, match="event loop"):
        finish(asyncio.sleep(0))


def test_what_is_iterated_is_closed():
    """At its end, by whoever iterates, and after an error."""
    closed = []

    async def numbers(last: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(last):
                yield number
            raise ValueError(last)
        finally:
            closed.append(last)

    with pytest.raises(ValueError, match="2"):
        list(iterate(numbers(2)))
    begun = iterate(numbers(3))
    assert next(begun) == 0
    assert closed == [2]
    begun.close()
    assert closed == [2, 3]
