"""Two front ends of one exchange, whose galleries are in the same shards."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
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


@contextmanager
def serving(
    nodes: Nodes, postgres: PostgresServer, folder: Path, *, shards: int, others: int
) -> Iterator[tuple[Victim, Victim]]:
    """Have two that serve, each with so many shards."""
    url = postgres.make()
    for name in ("one", "other"):
        (folder / name).mkdir()
    one = Victim(folder / "one")
    text = one.config.read_text()
    shared = f'"{url}"\nshared = true'
    text = text.replace('"data/exchange.sqlite"', shared)
    one.config.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "{nodes.address}"\n'
        f"shards = {shards}\nshard_mb = 300\ntemplates_together = 8\n"
    )
    other = one.beside(folder / "other")
    text = other.config.read_text()
    other.config.write_text(
        text.replace(f"\nshards = {shards}\n", f"\nshards = {others}\n")
    )
    try:
        one.start()
        other.start()
        yield one, other
    finally:
        one.stop()
        other.stop()
        postgres.take_back(url)


@pytest.fixture
def pair(
    nodes: Nodes, postgres: PostgresServer, tmp_path: Path
) -> Iterator[tuple[Victim, Victim]]:
    """Two that have the same shards."""
    with serving(nodes, postgres, tmp_path, shards=SHARDS, others=SHARDS) as both:
        yield both


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


def test_a_lock_is_in_effect_on_shards_that_nobody_has_any_more(
    nodes: Nodes, postgres: PostgresServer, tmp_path: Path
) -> None:
    """The last front end with that number of them has ended, and they are there yet."""
    from matcher.remote import on_cluster  # noqa: PLC0415 - an extra

    def holders_of_keys() -> list[int]:
        """Return of how many members each shard has keys."""
        import ray  # noqa: PLC0415 - an extra
        from ray.util import list_named_actors  # noqa: PLC0415

        with on_cluster(nodes.address, memory_bytes=0):
            asked = [
                ray.get_actor(name).__ray_call__.remote(lambda s: len(s._keys.members))
                for name in list_named_actors()
            ]
            held: list[int] = ray.get(asked)
        return held

    with serving(nodes, postgres, tmp_path, shards=2, others=1) as (one, other):
        with ExchangeClient(one.profile("XAA", "enroller")) as enroller:
            enroller.enrol(record("R1", unit(1)))
        assert told(one, 1) == told(other, 1) == MATCH
        one.stop()
        assert holders_of_keys() == [1, 1, 1]
        with ExchangeClient(other.profile("XAA", "administrator")) as administrator:
            administrator.lock()
        assert holders_of_keys() == [0, 0, 0]
