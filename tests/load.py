"""Systems of members that write and search while things are lost, and what is wrong."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from world import face, record, unit

from biometrics.client import Chunk, EnrolStatus, ExchangeClient, Outcome
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from victim import Victim

RECORDS = 10  # in a message
KEPT = 4  # of which stay
REPLACED = 2  # of these
SAMPLE = 12
# Sent again after a loss, they may have been enrolled before it.
THERE = {EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED}
SECONDS = 120.0
PAUSE_SECONDS = 0.05


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end, "it never was"
        time.sleep(PAUSE_SECONDS)


class Load:
    """Systems that write and search, and what was acknowledged to them."""

    def __init__(self, *victims: Victim, seed: int = 1) -> None:
        """Begin with nothing; each system asks one front end after the other."""
        self.victims = victims
        self.enrolled: set[int] = set()
        self.leaving: set[int] = set()  # a withdrawal was asked for
        self.withdrawn: set[int] = set()
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._stopping = threading.Event()
        self._numbers = itertools.count(1)
        work: list[Callable[[], None]] = [
            self.write,
            partial(self.search, seed),
            partial(self.search, seed + 1000),
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
        with ExitStack() as parts:
            enrollers = self.systems("XAA", "enroller", parts)
            while not self._stopping.is_set():
                client = next(enrollers)
                numbers = [next(self._numbers) for _ in range(RECORDS)]
                people = tuple(record(f"case-{n}", unit(n)) for n in numbers)
                try:
                    (told,) = client.enrol_many([Chunk(records=people)])
                    if not {each.status for each in told.outcomes} <= THERE:
                        continue  # nothing is said of some
                    self.enrolled.update(numbers)
                    for number in numbers[:REPLACED]:
                        client = next(enrollers)
                        client.replace(f"case-{number}", face(unit(number)))
                    for number in numbers[KEPT:]:
                        self.leaving.add(number)
                        client = next(enrollers)
                        client.withdraw(f"case-{number}")
                        self.withdrawn.add(number)
                except ExchangeError:
                    time.sleep(PAUSE_SECONDS)

    def search(self, seed: int) -> None:
        """Search for those who are there, who were, and who never were."""
        random = np.random.default_rng(seed)
        with ExitStack() as parts:
            clients = self.systems("XCC", "client", parts)
            while not self._stopping.is_set():
                there = sorted(self.enrolled - self.leaving)
                gone = sorted(self.withdrawn)
                for some in (there, gone, [10**9 + int(random.integers(10**6))]):
                    if some:
                        self.ask(next(clients), int(random.choice(some)))

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
        """Say whether people are found again, by whichever front end is asked."""
        there = sorted(self.enrolled - self.leaving)
        some = np.random.default_rng(len(there)).choice(there, SAMPLE)
        with ExitStack() as parts:
            clients = self.systems("XCC", "client", parts)
            return all(self.ask(next(clients), int(n)) == Outcome.MATCH for n in some)

    def figures(self, took: Mapping[str, Sequence[float]]) -> str:
        """Return how long it took until all were found again, and what was told."""
        lines = [
            f"{what}: {len(each)} times, {median(each):.1f} s, most {max(each):.1f} s"
            for what, each in sorted(took.items())
        ]
        return "\n".join(["", *lines, f"answers: {dict(self.told)}"])

    def said_of(self, what: str) -> str:
        """Return what the servers have in their logs of a part of them."""
        logs = [victim.root / "serve.log" for victim in self.victims]
        lines = [line for log in logs for line in log.read_text().splitlines()]
        return "\n".join(["", *(line for line in lines if f" {what}" in line)])

    def refuse_wrong(self) -> None:
        """Look at everybody once more, and at what is listed."""
        with ExitStack() as parts:
            clients = self.systems("XCC", "client", parts)
            for n in sorted(self.enrolled - self.leaving):
                assert self.ask(next(clients), n) == Outcome.MATCH
            for n in sorted(self.withdrawn):
                assert self.ask(next(clients), n) == Outcome.NO_MATCH
            enroller = next(self.systems("XAA", "enroller", parts))
            listed = {each.reference for each in enroller.records(page_size=500)}
        assert {f"case-{n}" for n in self.enrolled - self.leaving} <= listed
        assert not {f"case-{n}" for n in self.withdrawn} & listed
        assert self.wrong == []
        assert self.told["match"]
        assert self.told["no-match"]

    def systems(
        self, member: str, role: str, parts: ExitStack
    ) -> Iterator[ExchangeClient]:
        """Return a member's systems in turns, one for each front end.

        Each asks its own, and another one while that cannot be reached.
        """
        profiles = [victim.profile(member, role) for victim in self.victims]
        targets = [profile.target for profile in profiles]
        if len(targets) > 1:
            profiles = [
                replace(
                    profile,
                    target="ipv4:" + ",".join([*targets[at:], *targets[:at]]),
                    server_name="localhost",
                )
                for at, profile in enumerate(profiles)
            ]
        return itertools.cycle(
            [parts.enter_context(ExchangeClient(p)) for p in profiles]
        )
