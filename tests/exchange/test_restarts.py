"""The exchange is restarted under load, and no caller of the SDK sees an error.

`poe restarts` does it a hundred times.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.client import AsyncExchangeClient, Profile
from biometrics.demo.process import ServerProcess, free_port
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from pathlib import Path

RESTARTS = int(os.environ.get("RESTARTS", "2"))
CALLERS = 4
DEADLINE_SECONDS = 30.0


async def search(profile: Path, done: asyncio.Event, failures: list[str]) -> int:
    """Search until told to stop; return how often somebody was found."""
    found = 0
    async with AsyncExchangeClient(Profile.load(profile)) as client:
        while not done.is_set():
            try:
                answer = await client.match(
                    face(unit(1)),
                    purpose="border-check",
                    holders=["XRA"],
                    deadline=DEADLINE_SECONDS,
                )
            except ExchangeError as error:
                failures.append(f"{error.reason}: {error.message}")
            else:
                found += answer.holders[0].outcome == "match"
                assert answer.holders[0].outcome == "match"
            await asyncio.sleep(0.02)
    return found


def serve_again(config: Path, log: Path, profile: Path) -> None:
    """Serve for a moment, and stop as a service manager would."""
    with ServerProcess(config, log) as server:
        server.wait_until_ready(Profile.load(profile))
        time.sleep(0.3)
    assert log.read_text().endswith("stopped\n")


async def restart_under_load(config: Path, profile: Path) -> tuple[int, list[str]]:
    """Restart again and again while callers search."""
    done, failures = asyncio.Event(), []
    log = config.with_name("serve.log")
    async with asyncio.timeout(60 * RESTARTS):
        with ServerProcess(config, log) as first:
            await asyncio.to_thread(first.wait_until_ready, Profile.load(profile))
            searching = [
                asyncio.create_task(search(profile, done, failures))
                for _ in range(CALLERS)
            ]
            await asyncio.sleep(0.3)
        for _ in range(RESTARTS - 1):
            await asyncio.to_thread(serve_again, config, log, profile)
        with ServerProcess(config, log) as last:
            await asyncio.to_thread(last.wait_until_ready, Profile.load(profile))
            await asyncio.sleep(0.3)
            done.set()
            return sum(await asyncio.gather(*searching)), failures


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_caller_of_the_sdk_sees_a_restart(tmp_path: Path):
    """Calls that run are finished, and those that come meanwhile are tried again."""
    port = free_port()
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XRA").enrol(record("one", unit(1)))
        config = world.root / "exchange.toml"
        profile = world.root / "clients/XAA-client.toml"
    for path in (config, profile):
        path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    found, failures = asyncio.run(restart_under_load(config, profile))
    assert failures == []
    assert found >= 4 * RESTARTS
    print(f"{RESTARTS} restarts, {found} searches, none failed")  # noqa: T201
