"""One at a time by key, in order, and nothing is kept of those who are done."""

from __future__ import annotations

import asyncio

import pytest

from biometrics.exclusive import Exclusive


def test_of_one_key_there_is_one_at_a_time_in_the_order_of_asking() -> None:
    """Those of another key do not wait."""

    async def run() -> list[str]:
        exclusive: Exclusive[str] = Exclusive()
        told: list[str] = []

        async def work(key: str, name: str) -> None:
            async with exclusive.of(key):
                told.append(f"{name} begins")
                await asyncio.sleep(0.02)
                told.append(f"{name} ends")

        await asyncio.gather(work("a", "one"), work("a", "two"), work("b", "other"))
        return told

    told = asyncio.run(run())
    assert told[:2] == ["one begins", "other begins"]
    assert told.index("two begins") > told.index("one ends")


def test_nothing_is_kept_of_keys_that_nobody_has() -> None:
    """Whether whoever had one ended well, failed, or gave up while waiting."""

    async def run() -> Exclusive[str]:
        exclusive: Exclusive[str] = Exclusive()
        with pytest.raises(KeyError):
            async with exclusive.of("a"):
                raise KeyError
        async with exclusive.of("a"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), exclusive.of("a"):
                    pass
        return exclusive

    exclusive = asyncio.run(run())
    assert exclusive._locks == exclusive._users == {}
