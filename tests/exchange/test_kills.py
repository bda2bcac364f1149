"""A stop with kill -9 loses nothing that was acknowledged."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from victim import Victim
from world import face, record, unit

from biometrics.client import Chunk, ExchangeClient
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KILLS = 20
# Codes are joined and kept all the time, in many small segments.
HASTY = """\
import sys
from biometrics import limits
from matcher.engine import engine
limits.KEPT_EVERY_CHANGES = 7
limits.COMPACT_SECONDS = 0.02
limits.ERASE_SECONDS = 0.1
engine.TAIL_ROWS = 32
from biometrics.cli import main
main(sys.argv[1:])
"""
HASTY_KILLS = 5
MOST_SECONDS_TO_LIVE = 0.4


class Ledger:
    """What was acknowledged, by reference: subjects enrolled, hidden or withdrawn."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.enrolled: dict[str, int] = {}
        self.hidden: dict[str, int] = {}
        self.hiding: set[str] = set()
        self.withdrawn: dict[str, int] = {}
        self.withdrawing: set[str] = set()

    def work(self, client: ExchangeClient, tag: str, fresh: Callable[[], int]) -> None:
        """Enrol singly and in chunks, withdraw and protect, until it is gone."""
        while True:
            number = fresh()
            one = f"{tag}-{number}"
            client.enrol(record(one, unit(number)))
            self.enrolled[one] = number
            numbers = [fresh() for _ in range(20)]
            many = tuple(record(f"{tag}-{n}", unit(n)) for n in numbers)
            for told in client.enrol_many([Chunk(records=many)]):
                assert {o.status for o in told.outcomes} == {"enrolled"}
                self.enrolled |= {f"{tag}-{n}": n for n in numbers}
            self.withdrawing.add(one)
            client.withdraw(one)
            self.withdrawn[one] = self.enrolled.pop(one)
            other = f"{tag}-{numbers[0]}"
            self.hiding.add(other)
            client.protect(other, excluded=["XCC"])
            self.hidden[other] = self.enrolled.pop(other)


def test_no_acknowledged_write_is_lost_and_nobody_withdrawn_comes_back(
    victim: Victim,
) -> None:
    """After each of 20 kills everything is as it was acknowledged."""
    kill_time_and_again(victim, KILLS)


def test_nor_is_it_by_a_kill_while_codes_are_kept(hasty: Victim) -> None:
    """After each of 5 kills codes on disk are whole, and go with the database."""
    kill_time_and_again(hasty, HASTY_KILLS)
    assert list((hasty.root / "data/segments/XAA").rglob("*.segment"))
    log = (hasty.root / "serve.log").read_text()
    assert log.count("ready on") == HASTY_KILLS + 1
    assert "WARNING" not in log.replace("WARNING: All log messages before absl", "")
    assert "made anew" not in log


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Victim]:
    """An exchange to be killed that keeps its codes all the time."""
    victim = Victim(tmp_path, ("-c", HASTY))
    yield victim
    if victim.process is not None:
        victim.kill()


def kill_time_and_again(victim: Victim, kills: int) -> None:
    """Write, kill, start and check, so many times."""
    ledger = Ledger()
    random = np.random.default_rng(7)
    numbers = iter(range(10**9))
    lock = threading.Lock()

    def fresh() -> int:
        with lock:
            return next(numbers)

    def write(client: ExchangeClient, tag: str) -> None:
        try:
            ledger.work(client, tag, fresh)
        except (ExchangeError, ValueError):
            return  # the kill, or the channel that was closed after it

    for round_number in range(kills):
        victim.start()
        check(victim, ledger, random)
        profile = victim.profile("XAA", "enroller")
        clients = [ExchangeClient(profile) for _ in range(2)]
        writers = [
            threading.Thread(target=write, args=(client, f"k{round_number}-{n}"))
            for n, client in enumerate(clients)
        ]
        for writer in writers:
            writer.start()
        time.sleep(float(random.uniform(0.05, MOST_SECONDS_TO_LIVE)))
        victim.kill()
        for client in clients:
            client.close()  # or it would go on trying
        for writer in writers:
            writer.join()
    victim.start()
    check(victim, ledger, random)
    assert len(ledger.enrolled) > kills
    assert len(ledger.withdrawn) > kills
    assert ledger.hidden


def check(victim: Victim, ledger: Ledger, random: np.random.Generator) -> None:
    """Compare what the exchange lists and finds with what it acknowledged."""
    with ExchangeClient(victim.profile("XAA", "enroller")) as client:
        listed = {r.reference for r in client.records(page_size=500)}
    lost = {*ledger.enrolled, *ledger.hidden} - listed - ledger.withdrawing
    assert lost == set()
    assert listed & set(ledger.withdrawn) == set()
    with ExchangeClient(victim.profile("XCC", "client")) as client:
        for held, outcome in (
            (ledger.enrolled, "match"),
            (ledger.hidden, "no-match"),
            (ledger.withdrawn, "no-match"),
        ):
            begun = (ledger.withdrawing | ledger.hiding) - set(ledger.hidden)
            sure = sorted(set(held) - (begun - set(ledger.withdrawn)))
            for reference in random.choice(sure, min(10, len(sure)), replace=False):
                probe = face(unit(held[reference]))
                answer = client.match(probe, purpose="border-check")
                assert {a.outcome for a in answer.holders} == {outcome}
