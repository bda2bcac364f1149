"""Shards, a node, front ends and the database are lost at random, under load.

Nobody gets a wrong answer, and no write that was acknowledged is lost. `poe losses` is
two hundred of them, half of which one front end serves and half of which two that have
the same shards, and fifty where each shard has two copies; CI has one of each kind,
apart from other tests, as every loss is waited for until all are found again.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from cluster.processes import shard_processes
from cluster_world import RULES
from load import SAMPLE, Load, wait_until
from victim import Victim

from biometrics.cli.status import read_figures, summary
from biometrics.demo.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

    from matcher.trial import Nodes

LOSSES = int(os.environ.get("LOSSES", "0"))
SEED = int(os.environ.get("LOSSES_SEED", "1"))
SHARDS = 3
LOAD_SECONDS = 1.0  # between two losses
FIGURES = f"127.0.0.1:{free_port()}"


class Serves(NamedTuple):
    """How many there are."""

    front_ends: int
    copies: int


@pytest.fixture
def load(
    nodes: Nodes,
    postgres: PostgresServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Load]:
    """An exchange on PostgreSQL and in shards, with systems that use it."""
    serves: Serves = request.param
    url = postgres.make()
    victim = Victim(tmp_path, agreement=RULES["XAA"])
    text = victim.config.read_text()
    store = f'"{url}"' + "\nshared = true" * (serves.front_ends > 1)
    text = text.replace('"data/exchange.sqlite"', store)
    figures = f'[metrics]\nlisten = "{FIGURES}"\n' * (serves.front_ends == 1)
    victim.config.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "{nodes.address}"\n'
        f"shards = {SHARDS}\ncopies = {serves.copies}\nshard_mb = 300\n"
        f"templates_together = 8\n{figures}"
    )
    places = [tmp_path / f"beside-{n}" for n in range(1, serves.front_ends)]
    for place in places:
        place.mkdir()
    load = Load(victim, *map(victim.beside, places), seed=SEED)
    try:
        for each in load.victims:
            each.start()
        load.begin()
        yield load
    finally:
        load.stop()
        for each in load.victims:
            each.stop()
        postgres.take_back(url)


def lose(
    what: str, load: Load, nodes: Nodes, *, postgres: PostgresServer, turn: int
) -> None:
    """Lose something; what nobody else starts anew is started."""
    if what == "shard":
        there = sorted(shard_processes(nodes))
        os.kill(there[turn % len(there)], signal.SIGKILL)
    elif what == "node":
        workers = sorted(nodes._cluster.worker_nodes, key=lambda n: n.unique_id)
        node = workers[turn % len(workers)]
        processes = [
            one.process for all_ in node.all_processes.values() for one in all_
        ]
        nodes._cluster.remove_node(node, allow_graceful=False)
        for process in processes:
            process.wait()
    elif what == "front end":
        victim = load.victims[turn % len(load.victims)]
        victim.kill()
        victim.start()
    else:
        postgres.kill()
        postgres.start()


@pytest.mark.skipif(not LOSSES, reason="apart from others: `poe losses`")
@pytest.mark.parametrize("load", [Serves(1, 1), Serves(2, 1)], indirect=True, ids=str)
def test_whatever_is_lost_nobody_is_answered_wrongly(
    load: Load, nodes: Nodes, postgres: PostgresServer
) -> None:
    """Who is enrolled is found or UNAVAILABLE, and found again; nobody else is."""
    random = np.random.default_rng(SEED)
    order = ["node", "database", "front end", "shard"]
    took: dict[str, list[float]] = defaultdict(list)
    wait_until(lambda: len(load.enrolled - load.leaving) >= SAMPLE)
    for number in range(max(len(order), LOSSES // 2)):
        time.sleep(LOAD_SECONDS)
        what = order[number] if number < len(order) else str(random.choice(order))
        begun = time.monotonic()
        lose(what, load, nodes, postgres=postgres, turn=int(random.integers(100)))
        wait_until(load.is_whole)
        took[what].append(time.monotonic() - begun)
        if what == "node":
            nodes.add()
        assert load.wrong == []
    load.stop()
    print(load.figures(took))  # noqa: T201 - the figures
    load.refuse_wrong()


@pytest.mark.skipif(not LOSSES, reason="apart from others: `poe losses`")
@pytest.mark.parametrize("load", [Serves(1, 2)], indirect=True, ids=str)
def test_of_two_copies_one_is_lost_and_nobody_is_unavailable(
    load: Load, nodes: Nodes, postgres: PostgresServer
) -> None:
    """Whoever is searched for meanwhile is told what is so."""

    def lost() -> int:
        told = summary(read_figures(FIGURES))["copies_lost"]
        assert isinstance(told, int)
        return told

    random = np.random.default_rng(SEED)
    took: dict[str, list[float]] = defaultdict(list)
    wait_until(lambda: len(load.enrolled - load.leaving) >= SAMPLE)
    for number in range(-(-LOSSES // 4)):
        wait_until(lambda: lost() == 0)
        time.sleep(LOAD_SECONDS)
        what = ("node", "shard")[number % 2]
        begun = time.monotonic()
        lose(what, load, nodes, postgres=postgres, turn=int(random.integers(100)))
        wait_until(lambda: lost() > 0)
        if what == "node":  # the others have no cores left
            nodes.add()
        wait_until(lambda: lost() == 0)
        took[what].append(time.monotonic() - begun)
        assert load.wrong == []
    load.stop()
    print(f"\n{dict(took)}\nanswers: {dict(load.told)}")  # noqa: T201 - the figures
    load.refuse_wrong()
    # On a machine that others use as well the other copy may be slow to answer, once.
    assert load.told["unavailable"] <= -(-LOSSES // 4), load.said_of("matcher")
