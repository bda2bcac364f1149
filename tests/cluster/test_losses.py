"""Shards, a node, the exchange and the database are lost at random, under load.

Nobody gets a wrong answer, and no write that was acknowledged is lost. `poe losses` is
two hundred of them, and fifty where each shard has two copies; CI has one of each kind,
apart from other tests, as every loss is waited for until all are found again.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest
from load import SAMPLE, Load, wait_until
from victim import Victim

from biometrics.cli.status import read_figures, summary
from biometrics.demo.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer

    from matcher.trial import Nodes

LOSSES = int(os.environ.get("LOSSES", "0"))
SEED = int(os.environ.get("LOSSES_SEED", "1"))
SHARDS = 3
LOAD_SECONDS = 1.0  # between two losses
FIGURES = f"127.0.0.1:{free_port()}"


@pytest.fixture(params=[1])
def load(
    nodes: Nodes,
    postgres: PostgresServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Load]:
    """An exchange on PostgreSQL and in shards, with systems that use it.

    There is one copy of each shard, unless a test says otherwise.
    """
    url = postgres.make()
    victim = Victim(tmp_path)
    text = victim.config.read_text().replace("data/exchange.sqlite", url)
    victim.config.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "{nodes.address}"\n'
        f"shards = {SHARDS}\ncopies = {request.param}\nshard_mb = 300\n"
        f'templates_together = 8\n[metrics]\nlisten = "{FIGURES}"\n'
    )
    load = Load(victim, seed=SEED)
    try:
        victim.start()
        load.begin()
        yield load
    finally:
        load.stop()
        victim.end()
        postgres.take_back(url)


def shard_processes(nodes: Nodes) -> list[int]:
    """Return the processes of shards on some nodes."""
    raylets = {
        str(node.all_processes["raylet"][0].process.pid)
        for node in nodes._cluster.list_all_nodes()
    }
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent in raylets and title.startswith(b"ray::Shard"):
            found.append(int(process.name))
    return found


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
    elif what == "exchange":
        load.victims[0].kill()
        load.victims[0].start()
    else:
        postgres.kill()
        postgres.start()


@pytest.mark.skipif(not LOSSES, reason="apart from others: `poe losses`")
def test_whatever_is_lost_nobody_is_answered_wrongly(
    load: Load, nodes: Nodes, postgres: PostgresServer
) -> None:
    """Who is enrolled is found or UNAVAILABLE, and found again; nobody else is."""
    random = np.random.default_rng(SEED)
    order = ["node", "database", "exchange", "shard"]
    took: dict[str, list[float]] = defaultdict(list)
    wait_until(lambda: len(load.enrolled - load.leaving) >= SAMPLE)
    for number in range(LOSSES):
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
    told = {
        what: f"{len(each)} times, {median(each):.1f} s, at most {max(each):.1f} s"
        for what, each in sorted(took.items())
    }
    print(f"\n{told}\nanswers: {dict(load.told)}")  # noqa: T201 - the figures
    load.refuse_wrong()


@pytest.mark.skipif(not LOSSES, reason="apart from others: `poe losses`")
@pytest.mark.parametrize("load", [2], indirect=True)
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
    assert "unavailable" not in load.told
