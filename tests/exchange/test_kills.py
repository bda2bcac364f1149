"""A stop with kill -9 loses nothing that was acknowledged."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
from world import face, record, unit

from biometrics.client import Chunk, ExchangeClient
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from victim import Victim

KILLS = 20
MOST_SECONDS_TO_LIVE = 0.4


class Ledger:
    """What was acknowledged, by reference: the subject's number, or withdrawn."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.enrolled: dict[str, int] = {}
        self.withdrawn: dict[str, int] = {}
        self.withdrawing: set[str] = set()

    def work(self, client: ExchangeClient, tag: str, fresh: Callable[[], int]) -> None:
        """Enrol singly and in chunks, and withdraw, until the exchange is gone."""
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


def test_no_acknowledged_write_is_lost_and_nobody_withdrawn_comes_back(
    victim: Victim,
) -> None:
    """After each of 20 kills everything is as it was acknowledged."""
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

    for round_number in range(KILLS):
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
    assert len(ledger.enrolled) > KILLS
    assert len(ledger.withdrawn) > KILLS


def check(victim: Victim, ledger: Ledger, random: np.random.Generator) -> None:
    """Compare what the exchange lists and finds with what it acknowledged."""
    with ExchangeClient(victim.profile("XAA", "enroller")) as client:
        listed = {r.reference for r in client.records(page_size=500)}
    lost = set(ledger.enrolled) - listed - ledger.withdrawing
    assert lost == set()
    assert listed & set(ledger.withdrawn) == set()
    with ExchangeClient(victim.profile("XCC", "client")) as client:
        for held, outcome in (
            (ledger.enrolled, "match"),
            (ledger.withdrawn, "no-match"),
        ):
            sure = sorted(set(held) - (ledger.withdrawing - set(ledger.withdrawn)))
            for reference in random.choice(sure, min(10, len(sure)), replace=False):
                probe = face(unit(held[reference]))
                answer = client.match(probe, purpose="border-check")
                assert {a.outcome for a in answer.holders} == {outcome}
