"""A stop with kill -9 loses nothing that was acknowledged.

In its long form, `poe kills`, a thousand kills: as many worlds as are needed for that,
each killed at most `KILLS_A_WORLD` times, on both databases in turns; a hundred before
a change lands. What has been survived over several runs, `benchmarks/endurance.py` adds
up.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from victim import Victim
from world import face, record, unit

from biometrics.audit import AuditorSecret
from biometrics.audit.verify import Shown, verify
from biometrics.cli.log_export import export_log
from biometrics.client import Chunk, ExchangeClient
from biometrics.errors import ExchangeError
from biometrics.server.examination import examine
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

    from biometrics.client import MatchAnswer

KILLS = int(os.environ.get("KILLS", "6"))
KILLS_A_WORLD = int(os.environ.get("KILLS_A_WORLD", "25"))
# How many systems search at once while two others write.
SEARCHERS = int(os.environ.get("SEARCHERS", "1"))
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
MOST_SECONDS_TO_LIVE = 0.4
FIRST_SECONDS = 30
# One of so many kills comes before the exchange is ready.
EARLY = 5
MOST_SECONDS_TO_START = 1.5


class Ledger:
    """What was acknowledged, by reference: subjects enrolled, hidden or withdrawn."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.enrolled: dict[str, int] = {}
        self.hidden: dict[str, int] = {}
        self.hiding: set[str] = set()
        self.withdrawn: dict[str, int] = {}
        self.withdrawing: set[str] = set()
        self.answers: list[MatchAnswer] = []
        self.seconds = 0.0  # of load

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

    def search(self, client: ExchangeClient) -> None:
        """Search for whoever was acknowledged, until it is gone."""
        while True:
            nobody = client.match(face(unit(10**9)), purpose="border-check")
            self.answers.append(nobody)
            # A copy is made at once; others write meanwhile.
            for reference, number in list(self.enrolled.copy().items())[-20:]:
                answer = client.match(face(unit(number)), purpose="border-check")
                self.answers.append(answer)
                outcomes = {each.outcome for each in answer.holders}
                if reference not in self.withdrawing | self.hiding:
                    assert outcomes == {"match"}


def test_no_acknowledged_write_is_lost_and_nobody_withdrawn_comes_back(
    victim: Victim,
) -> None:
    """After each of some kills everything is as it was acknowledged.

    The log too: every answer that was received has its leaf, no entry is missing, and
    it begins with all that was seen before.
    """
    kill_time_and_again(victim, min(KILLS, KILLS_A_WORLD))


def test_nor_is_it_by_a_kill_while_codes_are_kept(hasty: Victim) -> None:
    """After each of half as many, codes on disk are whole and go with the database."""
    kill_time_and_again(hasty, min(KILLS, KILLS_A_WORLD) // 2)
    assert list((hasty.root / "data/segments/XAA").rglob("*.segment"))
    log = (hasty.root / "serve.log").read_text()
    assert "WARNING" not in log.replace("WARNING: All log messages before absl", "")
    assert "made anew" not in log


def test_nor_is_it_on_postgresql(tmp_path: Path, postgres: PostgresServer) -> None:
    """The same there, with the lock of the session that was killed to be waited for."""
    kill_on_postgres(tmp_path, postgres, min(KILLS, KILLS_A_WORLD) // 3)


@pytest.mark.skipif("KILLS" not in os.environ, reason="the long form: `poe kills`")
@pytest.mark.parametrize("turn", range(-(-KILLS // KILLS_A_WORLD)))
def test_in_world_after_world(
    tmp_path: Path, request: pytest.FixtureRequest, turn: int
) -> None:
    """SQLite, SQLite whose codes are kept all the time, and PostgreSQL, in turns."""
    if turn % 3 == 2:
        postgres = request.getfixturevalue("postgres")
        kill_on_postgres(tmp_path, postgres, KILLS_A_WORLD, turn)
        return
    victim = Victim(tmp_path, ("-c", HASTY) if turn % 3 else ("-m", "biometrics.cli"))
    try:
        kill_time_and_again(victim, KILLS_A_WORLD, turn)
    finally:
        victim.end()


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Victim]:
    """An exchange to be killed that keeps its codes all the time."""
    victim = Victim(tmp_path, ("-c", HASTY))
    yield victim
    victim.end()


def kill_on_postgres(
    folder: Path, postgres: PostgresServer, kills: int, seed: int = 7
) -> None:
    """Do so with an exchange on PostgreSQL."""
    url = postgres.make()
    victim = Victim(folder)
    text = victim.config.read_text()
    victim.config.write_text(text.replace("data/exchange.sqlite", url))
    try:
        kill_time_and_again(victim, kills, seed)
    finally:
        victim.end()
        postgres.take_back(url)


def kill_time_and_again(victim: Victim, kills: int, seed: int = 7) -> None:
    """Write and search, kill, start and check, so many times."""
    ledger = Ledger()
    random = np.random.default_rng(seed)
    numbers = itertools.count()
    lock = threading.Lock()

    def fresh() -> int:
        with lock:
            return next(numbers)

    for number in range(kills):
        if number % EARLY == EARLY - 1:
            victim.launch()
            time.sleep(float(random.uniform(0, MOST_SECONDS_TO_START)))
            victim.kill()
        else:
            victim.start()
            check(victim, ledger, random)
            seconds = float(random.uniform(0.05, MOST_SECONDS_TO_LIVE))
            act_and_kill(victim, ledger, f"k{number}", fresh, seconds=seconds)
        assert_whole(victim)
    victim.start()
    check(victim, ledger, random)
    assert ledger.enrolled
    assert ledger.withdrawn
    assert ledger.hidden
    # Stopped in order, it keeps the codes that it searched: they are the store's.
    assert victim.process is not None
    victim.process.send_signal(signal.SIGTERM)
    assert victim.process.wait(30) == 0
    assert_whole(victim)
    # `benchmarks.endurance` reads it.
    print(f"{len(ledger.answers)} searches in {ledger.seconds:.1f} seconds")  # noqa: T201


def act_and_kill(
    victim: Victim,
    ledger: Ledger,
    tag: str,
    fresh: Callable[[], int],
    *,
    seconds: float,
) -> None:
    """Let two systems write and others search, and kill the exchange meanwhile."""
    wrong: list[AssertionError] = []

    def act(what: Callable[[], None]) -> None:
        try:
            what()
        except (ExchangeError, ValueError):
            return  # the kill, or the channel that was closed after it
        except AssertionError as error:
            wrong.append(error)

    enroller, client = (
        victim.profile("XAA", "enroller"),
        victim.profile("XCC", "client"),
    )
    first, second = ExchangeClient(enroller), ExchangeClient(enroller)
    others = [ExchangeClient(client) for _ in range(SEARCHERS)]
    work: list[Callable[[], None]] = [
        partial(ledger.work, first, f"{tag}-0", fresh),
        partial(ledger.work, second, f"{tag}-1", fresh),
        *(partial(ledger.search, each) for each in others),
    ]
    threads = [threading.Thread(target=act, args=(each,)) for each in work]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    end = time.monotonic() + FIRST_SECONDS
    while not ledger.hidden and time.monotonic() < end:
        time.sleep(0.01)  # so that there is something of each kind to be lost
    time.sleep(seconds)
    victim.kill()
    ledger.seconds += time.monotonic() - begun
    for each in (first, second, *others):
        each.close()  # or it would go on trying
    for thread in threads:
        thread.join()
    assert wrong == []


def assert_whole(victim: Victim) -> None:
    """Compare everything that is on the disk with one another."""
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert found.faults == []


def check(victim: Victim, ledger: Ledger, random: np.random.Generator) -> None:
    """Compare what the exchange lists and finds with what it acknowledged."""
    with ExchangeClient(victim.profile("XAA", "enroller")) as client:
        listed = {r.reference for r in client.records(page_size=500)}
    lost = {*ledger.enrolled, *ledger.hidden} - listed - ledger.withdrawing
    assert lost == set()
    assert listed & set(ledger.withdrawn) == set()
    check_log(victim, ledger)
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


def check_log(victim: Victim, ledger: Ledger) -> None:
    """Verify what is new of the log, as the requester's and the holder's auditors."""
    for member in ("XCC", "XAA"):
        folder = victim.root.with_name(f"log-{member}")
        with ExchangeClient(victim.profile(member, "auditor")) as auditor:
            export_log(auditor, folder, None)
        answers = ledger.answers if member == "XCC" else []
        found = verify(
            folder,
            VerifierKey.parse((folder / "log.pub").read_text().strip()),
            secret=AuditorSecret.parse(
                (victim.root / f"auditors/{member}.key").read_text()
            ),
            receipts=[
                Shown(name="receipt", receipt=each.receipt.encode(), answer=each.text)
                for each in answers
            ],
        )
        assert found.faults == []
        assert found.receipts == len(answers)
