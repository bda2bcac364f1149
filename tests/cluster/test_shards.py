"""Galleries in three shards on a Ray cluster: the answers of one machine.

In its long form, `poe shards`, for a hundred thousand searches.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from cluster_world import RULES, TOGETHER, ClusterWorld, outcomes, unlike, until
from fused import CALIBRATIONS, FINGERS
from world import World, at_cosine, face, unit

from biometrics.client import Chunk, MatchAnswer, Outcome, Probe, Record, Template
from biometrics.members import Member
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from biometrics.client import ExchangeClient

SEARCHES = int(os.environ.get("SHARD_SEARCHES", "200"))
SEED = int(os.environ.get("SHARD_SEED", "1"))
BATCH = 16  # probes of a request
SHARDS = 3
PEOPLE = 200
FEW = 4


@pytest.fixture(scope="module")
def sharded(
    cluster: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterWorld]:
    """An exchange with three shards, in which two holders have enrolled people."""
    root = tmp_path_factory.mktemp("sharded")
    world = ClusterWorld(root, agreements=RULES, calibrations=CALIBRATIONS)
    with world.on(cluster, shards=SHARDS):
        yield world


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange with the same agreements, on one machine."""
    root = tmp_path_factory.mktemp("whole")
    with World(root, agreements=RULES, calibrations=CALIBRATIONS) as world:
        yield world


def finger(vector: NDArray[np.float32]) -> Template:
    """Return a template of a finger."""
    return Template(space=FINGERS, position="left-index", vector=vector)


def finger_of(number: int) -> NDArray[np.float32]:
    """Return somebody's finger."""
    return unit(1_000_000 + number)


def batch(client: ExchangeClient, probes: list[Probe]) -> list[list[str]]:
    """Return what searches answer, of each holder."""
    told = client.match_many(probes, purpose="border-check", holders=["XAA", "XBB"])
    answers = [each for each in told if isinstance(each, MatchAnswer)]
    assert len(answers) == len(probes)
    return [[held.outcome.value for held in answer.holders] for answer in answers]


def places(world: World, holder: str) -> set[int]:
    """Return the numbers of the shards that have something of a holder."""
    sharing = Sharing(SHARDS, TOGETHER)
    journal = world.exchange.store.journal
    return {
        sharing.place_of(stored)
        for change in journal.changes(0, journal.end())
        for stored in change.templates
        if stored.member == Member(holder)
    }


def enrol(world: World, holder: str, numbers: range) -> None:
    """Enrol people, each with a face, and two thirds with a finger."""
    people = tuple(
        Record(
            reference=f"case-{n}",
            templates=(face(unit(n)), *([finger(finger_of(n))] if n % 3 else [])),
        )
        for n in numbers
    )
    list(world.enroller(holder).enrol_many([Chunk(records=people)]))


def test_answers_are_those_of_one_machine(sharded: ClusterWorld, whole: World) -> None:
    """Whatever is enrolled, withdrawn, locked, opened, rotated and destroyed."""
    random = np.random.default_rng(SEED)

    def draw() -> Probe:
        """Return a probe that is like somebody, more or less; half have a finger."""
        number, seed = (int(random.integers(n)) for n in (2 * PEOPLE, 1 << 30))
        like = at_cosine(unit(number), random.uniform(0.3, 0.6), seed=seed)
        other = at_cosine(finger_of(number), random.uniform(0, 0.6), seed=seed)
        further = (finger(other),) if seed % 2 else ()
        return Probe(template=face(like), further=further)

    def compare(share: float) -> Counter[str]:
        """Search for a share of all; return how often both were told what."""
        told: Counter[str] = Counter()
        for _ in range(-(-round(share * SEARCHES) // BATCH)):
            asked = [draw() for _ in range(BATCH)]
            here, there = (batch(world.client("XCC"), asked) for world in worlds)
            assert here == there
            told.update(outcome for outcomes in here for outcome in outcomes)
        return told

    worlds = (sharded, whole)
    for world in worlds:
        enrol(world, "XAA", range(PEOPLE))
        enrol(world, "XBB", range(PEOPLE, PEOPLE + FEW))
    assert compare(0.3).keys() == {"match", "no-match"}
    assert {s.templates > 0 for s in sharded.exchange.shards()} == {True}
    for world in worlds:
        for number in range(0, PEOPLE, 2):
            world.enroller("XAA").withdraw(f"case-{number}")
    compare(0.2)
    for world in worlds:
        world.client("XAA", "administrator").lock()
    assert "unavailable" in compare(0.05)
    for world in worlds:
        enrol(world, "XBB", range(2 * PEOPLE - FEW, 2 * PEOPLE))
        world.client("XAA", "administrator").unlock()
    compare(0.2)
    for world in worlds:
        world.client("XAA", "administrator").rotate()
        enrol(world, "XAA", range(2 * PEOPLE, 2 * PEOPLE + FEW))
    compare(0.2)
    for world in worlds:
        world.client("XBB", "administrator").destroy(confirm_holder="XBB")
    assert "not-comparable" in compare(0.05)


def test_a_lost_shard_makes_nobody_a_stranger(sharded: ClusterWorld) -> None:
    """Searches of its holders are UNAVAILABLE until it is back; others' go on."""
    enrol(sharded, "XRA", range(1000, 1000 + FEW))
    enrol(sharded, "XAA", range(2000, 2000 + PEOPLE))
    victim = min({0, 1, 2} - places(sharded, "XRA"))
    assert victim in places(sharded, "XAA")
    stopping = threading.Event()
    told: dict[str, Counter[str]] = {n: Counter() for n in ("XAA", "XRA", "nobody")}

    enrolled = range(2000, 2000 + PEOPLE), range(3000, 3000 + 8 * FEW)
    nobody = [unit(n) for n in unlike(range(5000, 5500), *enrolled)]

    def search(first: int) -> None:
        random = np.random.default_rng(first)
        client = sharded.client("XCC")

        def ask(name: str, vector: NDArray[np.float32], holder: str) -> None:
            told[name][outcomes(client, face(vector), holder)[holder].value] += 1

        while not stopping.is_set():
            ask("XAA", unit(2000 + int(random.integers(PEOPLE // 2))), "XAA")
            ask("XRA", unit(1000 + int(random.integers(FEW))), "XRA")
            ask("nobody", nobody[int(random.integers(len(nobody)))], "XAA")

    threads = [threading.Thread(target=search, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: told["nobody"]["no-match"] > FEW)
        sharded.kill(victim)
        until(lambda: told["XAA"]["unavailable"] > 0)
        # What is written meanwhile is in effect when it is back.
        enrol(sharded, "XAA", range(3000, 3000 + 8 * FEW))
        for number in range(2000 + PEOPLE // 2, 2000 + PEOPLE):
            sharded.enroller("XAA").withdraw(f"case-{number}")
        until(lambda: all(shard.is_ready for shard in sharded.exchange.shards()))
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert told["XAA"].keys() == {"match", "unavailable"}
    assert told["XRA"].keys() == {"match"}
    assert told["nobody"].keys() == {"no-match", "unavailable"}
    client = sharded.client("XCC")
    for number in (*range(2000, 2000 + PEOPLE), *range(3000, 3000 + 8 * FEW)):
        is_there = number < 2000 + PEOPLE // 2 or number >= 3000
        wanted = Outcome.MATCH if is_there else Outcome.NO_MATCH
        assert outcomes(client, face(unit(number)), "XAA") == {"XAA": wanted}


def test_signals_do_what_they_did(cluster: str) -> None:
    """Whoever runs nodes is ended by SIGTERM, and they with it."""
    assert cluster
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
