"""Two copies of each shard on a Ray cluster: one is killed, and nobody notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cluster_world import RULES, ClusterWorld, outcomes, until
from fused import CALIBRATIONS
from world import face, unit

from biometrics.client import Outcome
from biometrics.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matcher.trial import Nodes

PEOPLE = 120
XAA = Member("XAA")


@pytest.fixture
def copied(cluster: str, tmp_path: Path) -> Iterator[ClusterWorld]:
    """An exchange with two shards, in two copies each."""
    world = ClusterWorld(tmp_path, agreements=RULES, calibrations=CALIBRATIONS)
    with world.on(cluster, shards=2, copies=2):
        until(world.is_whole)
        yield world


@pytest.fixture
def loss(nodes: Nodes) -> Iterator[Callable[[str], None]]:
    """Lose a node, by its name; another is there afterwards."""
    lost = []

    def lose(name: str) -> None:
        (node,) = [n for n in nodes._cluster.worker_nodes if n.node_id == name]
        lost.append(node)
        nodes._cluster.remove_node(node, allow_graceful=False)

    yield lose
    for _ in lost:
        nodes.add()


def nodes_of(world: ClusterWorld) -> list[str]:
    """Return which node each copy is on."""

    def node(_: object) -> Any:  # noqa: ANN401
        import ray  # noqa: PLC0415 - an extra

        return ray.get_runtime_context().get_node_id()

    return [world.ask(number, node) for number in range(len(world.remotes))]


def are_apart(world: ClusterWorld) -> bool:
    """Say whether copies of each shard are on nodes of their own."""
    nodes = nodes_of(world)
    return nodes[0] != nodes[1] and nodes[2] != nodes[3]


def have_keys(world: ClusterWorld) -> set[bool]:
    """Return whether copies have keys of XAA."""

    def has(shard: Any) -> Any:  # noqa: ANN401
        return shard._keys.is_unlocked(XAA)

    return {world.ask(number, has) for number in range(4)}


def test_who_is_there_is_found_whatever_copy_is_lost(copied: ClusterWorld) -> None:
    """Under load; and a lock is in effect on the one that is back as on the other."""
    copied.enrol(range(PEOPLE))
    assert are_apart(copied)
    with copied.searched(PEOPLE, range(3 * PEOPLE, 3 * PEOPLE + 11)) as searches:
        for victim in (0, 3):
            searches.go_on()
            copied.kill(victim)
            until(lambda: not copied.is_whole())
            copied.enrol(range(3 * PEOPLE + victim, 3 * PEOPLE + victim + 8))
            until(copied.is_whole)
        searches.go_on()
    assert searches.told.keys() == {(True, "match"), (False, "no-match")}
    client = copied.client("XCC")
    for number in (*range(PEOPLE), *range(3 * PEOPLE, 3 * PEOPLE + 11)):
        for _ in range(2):  # of either copy
            found = outcomes(client, face(unit(number)), "XAA")
            assert found == {"XAA": Outcome.MATCH}
    assert are_apart(copied)
    assert have_keys(copied) == {True}
    copied.client("XAA", "administrator").lock()
    assert have_keys(copied) == {False}
    found = outcomes(client, face(unit(1)), "XAA")
    assert found == {"XAA": Outcome.UNAVAILABLE}


def test_who_is_there_is_found_when_a_node_is_lost(
    copied: ClusterWorld, nodes: Nodes, loss: Callable[[str], None]
) -> None:
    """What was on it is placed where its other copies are not."""
    copied.enrol(range(PEOPLE))
    with copied.searched(PEOPLE) as searches:
        searches.go_on()
        workers = {node.node_id for node in nodes._cluster.worker_nodes}
        lost = min(workers & set(nodes_of(copied)))
        loss(lost)
        until(lambda: not copied.is_whole())
        until(copied.is_whole)
        searches.go_on()
    assert searches.told.keys() == {(True, "match"), (False, "no-match")}
    assert lost not in nodes_of(copied)
    assert are_apart(copied)


def test_copies_are_together_where_there_is_one_node(tmp_path: Path) -> None:
    """They protect from less then, and the exchange starts all the same."""
    pytest.importorskip("ray", reason="Ray is not installed: the extra `cluster`")
    from matcher import trial  # noqa: PLC0415 - an extra

    world = ClusterWorld(tmp_path, agreements=RULES, calibrations=CALIBRATIONS)
    with (
        trial.Nodes(1, memory_bytes=1 << 30, cores=2) as alone,
        world.on(alone.address, shards=1, copies=2),
    ):
        until(world.is_whole)
        assert len(set(nodes_of(world))) == 1
