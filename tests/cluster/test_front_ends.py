"""Two front ends of one exchange, whose galleries are in the same shards."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from cluster.processes import shard_processes
from load import wait_until
from victim import Victim
from world import face, record, unit

from biometrics.client import ExchangeClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

    from matcher.trial import Nodes

SHARDS = 3
AGAIN_SECONDS = 30
MATCH, NO_MATCH, UNAVAILABLE = "match", "no-match", "unavailable"


@pytest.fixture
def pair(
    nodes: Nodes, postgres: PostgresServer, tmp_path: Path
) -> Iterator[tuple[Victim, Victim]]:
    """Two that serve."""
    url = postgres.make()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one = Victim(tmp_path / "one")
    text = one.config.read_text()
    shared = f'"{url}"\nshared = true'
    text = text.replace('"data/exchange.sqlite"', shared)
    one.config.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "{nodes.address}"\n'
        f"shards = {SHARDS}\nshard_mb = 300\ntemplates_together = 8\n"
    )
    other = one.beside(tmp_path / "other")
    try:
        one.start()
        other.start()
        yield one, other
    finally:
        one.stop()
        other.stop()
        postgres.take_back(url)


def told(victim: Victim, person: int) -> str:
    """Return what a front end tells of a person."""
    with ExchangeClient(victim.profile("XCC", "client")) as client:
        found = client.match(
            face(unit(person)), purpose="border-check", holders=["XAA"]
        )
    return found.holders[0].outcome.value


def test_shards_are_of_all_front_ends(
    pair: tuple[Victim, Victim], nodes: Nodes
) -> None:
    """What one acknowledges the other answers; shards stay as long as one is there."""
    one, other = pair
    there = set(shard_processes(nodes))
    assert len(there) == SHARDS
    with ExitStack() as parts:
        enrollers = [
            parts.enter_context(ExchangeClient(each.profile("XAA", "enroller")))
            for each in pair
        ]
        administrators = [
            parts.enter_context(ExchangeClient(each.profile("XAA", "administrator")))
            for each in pair
        ]
        for person in range(40):
            enrollers[person % 2].enrol(record(f"R{person}", unit(person)))
            assert told(pair[1 - person % 2], person) == MATCH
        for person in range(0, 40, 3):
            enrollers[person % 2].withdraw(f"R{person}")
            assert told(pair[1 - person % 2], person) == NO_MATCH
        administrators[0].lock()
        assert told(one, 1) == told(other, 1) == UNAVAILABLE
        administrators[1].unlock()
        assert told(other, 1) == MATCH
        wait_until(lambda: told(one, 1) == MATCH)
        administrators[1].rotate()
        enrollers[0].enrol(record("R100", unit(100)))
        assert told(other, 100) == MATCH
        wait_until(lambda: not administrators[1].custody().is_busy)
        assert [told(each, 100) for each in pair] == [MATCH, MATCH]
    one.kill()
    for _ in range(20):
        assert told(other, 1) == MATCH
    one.start()
    assert told(one, 1) == MATCH
    other.stop()
    assert told(one, 1) == MATCH
    assert set(shard_processes(nodes)) == there
    one.stop()
    wait_until(lambda: not shard_processes(nodes))
    one.start()
    began = time.monotonic()
    wait_until(lambda: told(one, 1) == MATCH)
    assert time.monotonic() < began + AGAIN_SECONDS
