"""Shards that are lost while nobody asks anything, and what is left of a lost node."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster.processes import shard_processes
from cluster_world import RULES, ClusterWorld, outcomes, until
from fused import CALIBRATIONS
from world import face, unit

from biometrics import limits
from biometrics.client import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matcher.trial import Nodes

PEOPLE = 40
SHARDS = 3


@pytest.fixture
def quiet(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ClusterWorld]:
    """An exchange with three shards, of which nobody asks anything."""
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.5)
    world = ClusterWorld(tmp_path, agreements=RULES, calibrations=CALIBRATIONS)
    with world.on(nodes.address, shards=SHARDS):
        world.enrol(range(PEOPLE))
        yield world


def test_it_is_noticed_and_nobody_is_unavailable_for_it(quiet: ClusterWorld) -> None:
    """It is back before anybody asks."""
    quiet.kill(0)
    until(lambda: not quiet.is_whole())
    until(quiet.is_whole)
    client = quiet.client("XCC")
    for number in range(PEOPLE):
        assert outcomes(client, face(unit(number)), "XAA") == {"XAA": Outcome.MATCH}


def test_what_ran_on_a_lost_node_ends(quiet: ClusterWorld, nodes: Nodes) -> None:
    """Nobody waits for its processes, which have keys: they end with it."""
    workers = {
        node.all_processes["raylet"][0].process.pid
        for node in nodes._cluster.worker_nodes
    }
    ran = {quiet.ask(n, lambda _: (os.getpid(), os.getppid())) for n in range(SHARDS)}
    process, node = next(each for each in ran if each[1] in workers)
    assert process in shard_processes(nodes)
    os.kill(node, signal.SIGKILL)
    until(lambda: not quiet.is_whole())
    nodes.add()
    until(quiet.is_whole)
    until(lambda: not Path(f"/proc/{process}").exists())
