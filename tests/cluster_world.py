"""A world whose galleries are in shards, on a Ray cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from world import AGREEMENTS, World, agreement, face, permit, record, unit

from biometrics import limits
from biometrics.client import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from biometrics.client import ExchangeClient, Outcome, Probe, Template
    from matcher.remote import RayShard

TOGETHER = 8
SECONDS = 60.0
SEARCHES = 200
STRANGE = 0.3  # cosine from which on somebody may be near the threshold
QUOTA = f"quota_per_day = {limits.MAX_QUOTA_PER_DAY}\n"
RULES = AGREEMENTS | {
    "XAA": agreement("XAA", permit("XCC", "reference") + QUOTA),
    "XBB": agreement("XBB", permit("XCC", "holder") + QUOTA),
}


class ClusterWorld(World):
    """A world whose galleries are in shards.

    Attributes:
        remotes: all that were made, in their order.
    """

    remotes: list[RayShard]

    @contextmanager
    def on(self, address: str, *, shards: int, copies: int = 1) -> Iterator[None]:
        """Have its galleries on a cluster while the block runs."""
        from matcher import remote  # noqa: PLC0415 - an extra

        settings = self.root / "exchange.toml"
        settings.write_text(
            f'{settings.read_text()}\n[matcher]\nengine = "ray"\n'
            f'address = "{address}"\nshards = {shards}\ncopies = {copies}\n'
            f"shard_mb = 300\ntemplates_together = {TOGETHER}\n"
        )
        self.remotes = []
        make = remote.RayShard.__init__

        def made(shard: RayShard, *plan: Any, **more: Any) -> None:  # noqa: ANN401
            make(shard, *plan, **more)
            self.remotes.append(shard)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(remote.RayShard, "__init__", made)
            with self:
                yield

    def is_whole(self) -> bool:
        """Say whether every copy of every shard is searched."""
        return all(each.is_ready for each in self.exchange.shards())

    def enrol(self, numbers: range) -> None:
        """Enrol people of XAA."""
        people = tuple(record(f"case-{n}", unit(n)) for n in numbers)
        list(self.enroller("XAA").enrol_many([Chunk(records=people)]))

    @contextmanager
    def searched(self, people: int, *others: range) -> Iterator[Searches]:
        """Search for people of XAA, and as many who are not there, meanwhile.

        `others` are enrolled meanwhile.
        """
        searches = Searches(self, people, others)
        searches.begin()
        try:
            yield searches
        finally:
            searches.stop()

    def ask(self, number: int, question: Callable[[Any], object]) -> Any:  # noqa: ANN401
        """Return what is so of the shard in a process, by its number among all."""
        import ray  # noqa: PLC0415 - an extra

        asked = self.remotes[number]._actor.__ray_call__
        return ray.get(asked.remote(question))

    def kill(self, number: int) -> None:
        """Kill the process of a shard, as a machine does that is gone."""
        os.kill(self.ask(number, lambda _: os.getpid()), signal.SIGKILL)


class Searches:
    """Systems that search all the while.

    Attributes:
        told: how often what was told, of those who are there and of others.
    """

    def __init__(
        self, world: ClusterWorld, people: int, others: Sequence[range]
    ) -> None:
        """Search for the first of XAA, and as many after them; `others` come."""
        self.told: Counter[tuple[bool, str]] = Counter()
        self._world, self._people = world, people
        self._numbers = unlike(range(2 * people), range(people), *others)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._search, args=(seed,)) for seed in range(3)
        ]

    def begin(self) -> None:
        """Let them."""
        for thread in self._threads:
            thread.start()

    def go_on(self) -> None:
        """Wait for some more searches."""
        enough = self.told.total() + SEARCHES
        until(lambda: self.told.total() >= enough)

    def stop(self) -> None:
        """Let them finish what they have begun."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _search(self, seed: int) -> None:
        random, client = np.random.default_rng(seed), self._world.client("XCC")
        while not self._stopping.is_set():
            number = int(random.choice(self._numbers))
            outcome = outcomes(client, face(unit(number)), "XAA")["XAA"]
            self.told[number < self._people, outcome.value] += 1


def unlike(numbers: range, *enrolled: range) -> list[int]:
    """Return those who are not even a little like anybody else who is enrolled.

    After twenty searches for somebody who is, whoever asks is told no more of the
    other's record: that is right, and looks like nobody.
    """
    there = [n for each in enrolled for n in each]
    faces = np.array([unit(n) for n in there])
    return [
        n
        for n in numbers
        if float((faces @ unit(n))[[other != n for other in there]].max()) < STRANGE
    ]


def until(is_so: Callable[[], bool]) -> float:
    """Wait until something is so; return how long that took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() < began + SECONDS, "it never was"
        time.sleep(0.02)
    return time.monotonic() - began


def outcomes(
    client: ExchangeClient, probe: Probe | Template, *holders: str
) -> dict[str, Outcome]:
    """Return what a search answers, by holder."""
    asked = holders or ("XAA", "XBB")
    answer = client.match(probe, purpose="border-check", holders=asked)
    return {told.holder: told.outcome for told in answer.holders}
