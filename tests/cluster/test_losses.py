"""Shards, a node, the exchange and the database are lost at random, under load.

Nobody gets a wrong answer, and no write that was acknowledged is lost. `poe losses` is
two hundred of them; CI has one of each kind, apart from other tests, as every loss is
waited for until all are found again.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest
from victim import Victim
from world import face, record, unit

from biometrics.client import Chunk, EnrolStatus, ExchangeClient, Outcome
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import PostgresServer

    from matcher.trial import Nodes

LOSSES = int(os.environ.get("LOSSES", "0"))
SEED = int(os.environ.get("LOSSES_SEED", "1"))
SHARDS = 3
RECORDS = 10  # in a message
KEPT = 4  # of which stay
REPLACED = 2  # of these
SAMPLE = 12
# Sent again after a loss, they may have been enrolled before it.
THERE = {EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED}
SECONDS = 120.0
PAUSE_SECONDS = 0.05
LOAD_SECONDS = 1.0  # between two losses


class Load:
    """Systems that write and search, and what was acknowledged to them."""

    def __init__(self, victim: Victim) -> None:
        """Begin with nothing."""
        self.victim = victim
        self.enrolled: set[int] = set()
        self.leaving: set[int] = set()  # a withdrawal was asked for
        self.withdrawn: set[int] = set()
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._stopping = threading.Event()
        self._numbers = itertools.count(1)
        work: list[Callable[[], None]] = [
            self.write,
            partial(self.search, SEED),
            partial(self.search, SEED + 1000),
        ]
        self._threads = [threading.Thread(target=each) for each in work]

    def begin(self) -> None:
        """Let them."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them finish what they have begun."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def write(self) -> None:
        """Enrol people, replace what there is of some, and withdraw most."""
        with self.enroller() as client:
            while not self._stopping.is_set():
                numbers = [next(self._numbers) for _ in range(RECORDS)]
                people = tuple(record(f"case-{n}", unit(n)) for n in numbers)
                try:
                    (told,) = client.enrol_many([Chunk(records=people)])
                    if not {each.status for each in told.outcomes} <= THERE:
                        continue  # nothing is said of some
                    self.enrolled.update(numbers)
                    for number in numbers[:REPLACED]:
                        client.replace(f"case-{number}", face(unit(number)))
                    for number in numbers[KEPT:]:
                        self.leaving.add(number)
                        client.withdraw(f"case-{number}")
                        self.withdrawn.add(number)
                except ExchangeError:
                    time.sleep(PAUSE_SECONDS)

    def search(self, seed: int) -> None:
        """Search for those who are there, who were, and who never were."""
        random = np.random.default_rng(seed)
        with self.client() as client:
            while not self._stopping.is_set():
                there = sorted(self.enrolled - self.leaving)
                gone = sorted(self.withdrawn)
                for some in (there, gone, [10**9 + int(random.integers(10**6))]):
                    if some:
                        self.ask(client, int(random.choice(some)))

    def ask(self, client: ExchangeClient, number: int) -> Outcome | None:
        """Search for somebody; note what would be wrong."""
        is_there = number in self.enrolled - self.leaving
        is_gone = number in self.withdrawn or number not in self.enrolled
        try:
            answer = client.match(
                face(unit(number)), purpose="border-check", holders=["XAA"]
            )
        except ExchangeError:
            time.sleep(PAUSE_SECONDS)
            return None
        (told,) = answer.holders
        self.told[told.outcome.value] += 1
        is_wrong = (
            is_there and number not in self.leaving and told.outcome == Outcome.NO_MATCH
        ) or (is_gone and told.outcome == Outcome.MATCH)
        if is_wrong:
            self.wrong.append(f"{number}: {told.outcome}")
        return told.outcome

    def is_whole(self) -> bool:
        """Say whether people are found again, wherever they are."""
        there = sorted(self.enrolled - self.leaving)
        some = np.random.default_rng(len(there)).choice(there, SAMPLE)
        with self.client() as client:
            return all(self.ask(client, int(n)) == Outcome.MATCH for n in some)

    def enroller(self) -> ExchangeClient:
        """Return a system that enrols."""
        return ExchangeClient(self.victim.profile("XAA", "enroller"))

    def client(self) -> ExchangeClient:
        """Return a system that searches."""
        return ExchangeClient(self.victim.profile("XCC", "client"))


@pytest.fixture
def load(nodes: Nodes, postgres: PostgresServer, tmp_path: Path) -> Iterator[Load]:
    """An exchange on PostgreSQL and in shards, with systems that use it."""
    url = postgres.make()
    victim = Victim(tmp_path)
    text = victim.config.read_text().replace("data/exchange.sqlite", url)
    victim.config.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "{nodes.address}"\n'
        f"shards = {SHARDS}\nshard_mb = 300\ntemplates_together = 8\n"
    )
    load = Load(victim)
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
        load.victim.kill()
        load.victim.start()
    else:
        postgres.kill()
        postgres.start()


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end, "it never was"
        time.sleep(PAUSE_SECONDS)


@pytest.mark.skipif(not LOSSES, reason="apart from others: `poe losses`")
def test_whatever_is_lost_nobody_is_answered_wrongly(
    load: Load, nodes: Nodes, postgres: PostgresServer
) -> None:
    """Who is enrolled is found or UNAVAILABLE, and found again; nobody else is."""
    random = np.random.default_rng(SEED)
    order = ["node", "database", "exchange", "shard"]
    took: dict[str, list[float]] = defaultdict(list)
    until(lambda: len(load.enrolled - load.leaving) >= SAMPLE)
    for number in range(LOSSES):
        time.sleep(LOAD_SECONDS)
        what = order[number] if number < len(order) else str(random.choice(order))
        begun = time.monotonic()
        lose(what, load, nodes, postgres=postgres, turn=int(random.integers(100)))
        until(load.is_whole)
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
    with load.client() as client:
        for n in sorted(load.enrolled - load.leaving):
            assert load.ask(client, n) == Outcome.MATCH
        for n in sorted(load.withdrawn):
            assert load.ask(client, n) == Outcome.NO_MATCH
    with load.enroller() as client:
        listed = {each.reference for each in client.records(page_size=500)}
    assert {f"case-{n}" for n in load.enrolled - load.leaving} <= listed
    assert not {f"case-{n}" for n in load.withdrawn} & listed
    assert load.wrong == []
    assert load.told["match"]
    assert load.told["no-match"]
