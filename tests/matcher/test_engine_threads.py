"""Galleries may be changed and searched at once: every search sees one moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from coded import SEED, all_at, units

from matcher.engine import Engine

DIMENSION = 64
ADDED, ASKED = 5000, 20  # at least
SECONDS = 1.5


def engine_with(count: int, dimension: int) -> Engine[str]:
    """Return an engine with one gallery, `faces`, of so many rows."""
    engine: Engine[str] = Engine()
    engine.make("faces", dimension=dimension, seed=SEED)
    engine.add("faces", np.arange(count), units(1, count, dimension))
    return engine


class Growth:
    """A gallery that one thread changes and others search.

    Ids count up to `added` once they are acknowledged; `leaving` are those whose
    removal has been asked for, `gone` those whose removal has been acknowledged.
    """

    def __init__(self) -> None:
        """Begin with an empty gallery."""
        self.vectors = units(1, 40_000, DIMENSION)
        self.engine = engine_with(0, DIMENSION)
        self.added = 0
        self.leaving: set[int] = set()
        self.gone: set[int] = set()
        self.end = time.monotonic() + SECONDS
        self.searches = 0

    def run(self, work: Callable[[np.random.Generator], None], seed: int) -> None:
        """Do something again and again until the end, and until enough is done."""
        random = np.random.default_rng(seed)
        while self.added < len(self.vectors) - 300 and (
            time.monotonic() < self.end or self.added <= ADDED or self.searches <= ASKED
        ):
            assert time.monotonic() < self.end + 60, "it comes to nothing"
            work(random)

    def grow(self, random: np.random.Generator) -> None:
        """Add some rows, and sometimes remove some."""
        count = int(random.integers(1, 300))
        ids = np.arange(self.added, self.added + count)
        self.engine.add("faces", ids, self.vectors[ids])
        self.added += count
        if random.random() < 0.7:
            some = random.integers(0, self.added, 40).tolist()
            self.leaving.update(some)
            self.engine.remove("faces", np.array(some))
            self.gone.update(some)

    def compact(self, random: np.random.Generator) -> None:
        """Move rows."""
        self.engine.compact("faces", most_removed=float(random.choice([0, 0.1, 0.25])))

    def search(self, random: np.random.Generator) -> None:
        """Ask for rows that were there, and say what must and what must not be."""
        added, gone = self.added, self.gone.copy()
        if not added:
            return
        asked = random.integers(max(0, added - 3000), added, 16)
        probes = self.vectors[asked]
        found = self.engine.search("faces", probes, all_at(0.99, len(asked)))
        leaving = self.leaving.copy()
        for row, ids in zip(asked.tolist(), found, strict=True):
            assert row in ids or row in leaving, "a row was missed"
            assert not gone.intersection(ids.tolist()), "a removed row was found"
        self.searches += 1


def test_nothing_is_missed_while_a_gallery_grows():
    """What was added before a search began is found, what was removed is not."""
    world = Growth()
    tasks = [world.grow, world.compact, world.search, world.search]
    with ThreadPoolExecutor(len(tasks)) as pool:
        running = [pool.submit(world.run, task, n) for n, task in enumerate(tasks)]
    for task in running:
        task.result()
    assert world.added > ADDED
    assert world.searches > ASKED
    living = np.setdiff1d(np.arange(world.added), list(world.gone))
    assert world.engine.count("faces") == len(living)
    found = world.engine.search(
        "faces", world.vectors[living], all_at(0.99, 1).repeat(len(living))
    )
    assert all(row in ids for row, ids in zip(living.tolist(), found, strict=True))


@pytest.mark.parametrize("dimension", [64, 512])
def test_removals_during_compaction_hold(dimension: int):
    """Rows removed while their segments are joined stay removed; the others stay."""
    count = 8_192
    engine = engine_with(count, dimension)
    vectors = units(1, count, dimension)
    gone = np.random.default_rng(2).permutation(count)[:3_000]
    stopped = threading.Event()

    def compact() -> None:
        while not stopped.is_set():
            engine.compact("faces", most_removed=0)

    with ThreadPoolExecutor(1) as pool:
        compacting = pool.submit(compact)
        for some in gone.reshape(-1, 10):
            engine.remove("faces", some)
            assert not engine.holds("faces", some).any()
        stopped.set()
        compacting.result()
    living = np.setdiff1d(np.arange(count), gone)
    assert engine.count("faces") == len(living)
    for start in range(0, count, 512):
        rows = np.arange(start, start + 512)
        found = engine.search("faces", vectors[rows], all_at(0.9, 512))
        for row, ids in zip(rows.tolist(), found, strict=True):
            assert ids.tolist() == ([] if row in set(gone.tolist()) else [row])
    assert len(living) == len(np.unique(living))


def test_searches_of_a_gallery_that_is_dropped_find_it_or_nothing():
    """A search beside a drop answers from the gallery it saw, and never fails."""
    engine = engine_with(64, DIMENSION)
    vectors = units(1, 64, DIMENSION)
    stopped = threading.Event()

    def change() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            engine.drop("faces")
            seed = number.to_bytes(32, "big")
            engine.make("faces", dimension=DIMENSION, seed=seed)
            engine.add("faces", np.arange(64), vectors)

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        answers = []
        for _ in range(400):
            answers += engine.search("faces", vectors[:2], all_at(0.9, 2))
        stopped.set()
        changing.result()
    assert {tuple(ids.tolist()) for ids in answers} <= {(), (0,), (1,)}
