"""A stop with kill -9 in the middle of a lock, a rotation or a destruction.

In CI a few kills of each. The long form, 50 of each in ten minutes:

    CUSTODY_KILLS=50 python -m pytest -q tests/exchange/test_custody_kills.py
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from victim import Victim
from world import face, record, unit

from biometrics.client import Chunk, ExchangeClient
from biometrics.errors import ExchangeError
from biometrics.signing import Note, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KILLS = int(os.environ.get("CUSTODY_KILLS", "2"))
SEED = int(os.environ.get("CUSTODY_SEED", "0"))
# In so many steps that a kill falls between any two of them.
SLOW = """\
import sys
from biometrics import limits
limits.REWRAPPED_AT_ONCE = limits.DELETED_AT_ONCE = limits.LOADING_PAGE_CHANGES = 4
limits.LOADING_PAUSE_SECONDS = 0.004
from biometrics.cli import main
main(sys.argv[1:])
"""
PEOPLE = range(80)
MOST_SECONDS_TO_LIVE = {"lock": 0.05, "rotate": 0.9, "destroy": 0.5}
MOST_SECONDS_TO_FINISH = 30


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """An exchange to be killed that does everything in small steps."""
    victim = Victim(tmp_path_factory.mktemp("slow"), ("-c", SLOW))
    victim.start()
    enrol(victim)
    yield victim
    if victim.process is not None:
        victim.kill()


def enrol(victim: Victim) -> None:
    """Enrol everybody."""
    with ExchangeClient(victim.profile("XAA", "enroller")) as client:
        people = tuple(record(f"R{n}", unit(n)) for n in PEOPLE)
        (told,) = client.enrol_many([Chunk(records=people)])
        assert {each.status for each in told.outcomes} == {"enrolled"}


def outcomes(victim: Victim) -> set[str]:
    """Return what searches for some of them answer."""
    with ExchangeClient(victim.profile("XCC", "client")) as client:
        answers = [
            client.match(face(unit(n)), purpose="border-check")
            for n in (PEOPLE[0], PEOPLE[37], PEOPLE[-1])
        ]
    return {one.outcome.value for answer in answers for one in answer.holders}


def administrator(victim: Victim) -> ExchangeClient:
    """Return XAA's administrator."""
    return ExchangeClient(victim.profile("XAA", "administrator"))


def killed_in(
    victim: Victim, call: Callable[[ExchangeClient], object], seconds: float
) -> bool:
    """Kill the exchange some time after a call has begun; say whether it was answered.

    It serves again on return.
    """
    answered = threading.Event()
    client = administrator(victim)
    client.custody()  # connected

    def make() -> None:
        try:
            call(client)
        except (ExchangeError, ValueError):
            return  # the kill, or the channel that was closed after it
        answered.set()

    calling = threading.Thread(target=make)
    calling.start()
    time.sleep(seconds)
    victim.kill()
    was_answered = answered.is_set()
    client.close()
    calling.join()
    victim.start()
    return was_answered


def finish(victim: Victim) -> None:
    """Wait until nothing is left to do, and check what was signed of it."""
    end = time.monotonic() + MOST_SECONDS_TO_FINISH
    with administrator(victim) as client:
        while client.custody().is_busy:
            assert time.monotonic() < end
            time.sleep(0.05)
        for each in client.erasures():
            note = Note.parse(each.certificate)
            key = VerifierKey.parse(each.verifier_key)
            assert key.has_signed(note.text, note.signatures[0])


def rows(victim: Victim, query: str) -> list[tuple[object, ...]]:
    """Return what the database has."""
    with sqlite3.connect(victim.root / "data/exchange.sqlite") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def wrapped_keys(victim: Victim) -> set[object]:
    """Return the wrapped gallery keys."""
    return {row[0] for row in rows(victim, "SELECT wrapped FROM gallery_key")}


def is_anywhere(victim: Victim, secret: object) -> bool:
    """Say whether some bytes are in any file of the exchange's data."""
    assert isinstance(secret, bytes)
    files = [path for path in (victim.root / "data").rglob("*") if path.is_file()]
    return any(secret in path.read_bytes() for path in files)


def moments(name: str) -> list[float]:
    """Return when to kill, in seconds after the call has begun."""
    random = np.random.default_rng([len(name), SEED])
    return random.uniform(0.0, MOST_SECONDS_TO_LIVE[name], KILLS).tolist()


def test_a_rotation_that_is_killed_is_finished_or_never_was(slow: Victim) -> None:
    """Every record is readable, and nothing is left under a retired key."""
    for seconds in moments("rotate"):
        before = wrapped_keys(slow)
        was_answered = killed_in(slow, ExchangeClient.rotate, seconds)
        assert outcomes(slow) == {"match"}
        finish(slow)
        assert outcomes(slow) == {"match"}
        after = wrapped_keys(slow)
        assert len(after) == len(before)
        gone = before - after
        assert gone == (before if was_answered or gone else set())
        assert not any(is_anywhere(slow, key) for key in gone)
        assert rows(
            slow,
            "SELECT count(*) FROM template WHERE key_id NOT IN"
            " (SELECT key_id FROM gallery_key)",
        ) == [(0,)]
        with ExchangeClient(slow.profile("XAA", "enroller")) as client:
            assert len(list(client.records())) == len(PEOPLE)


def test_a_lock_that_was_answered_outlives_a_kill(slow: Victim) -> None:
    """One that was not is so or is not; and everything is there when it is opened."""
    for seconds in moments("lock"):
        was_answered = killed_in(slow, ExchangeClient.lock, seconds)
        told = outcomes(slow)
        assert told in ({"unavailable"}, set() if was_answered else {"match"})
        with administrator(slow) as client:
            client.unlock()
        assert outcomes(slow) == {"match"}


def test_a_destruction_that_is_killed_is_finished_or_never_was(slow: Victim) -> None:
    """What was answered never comes back, and nothing of it is left."""
    for seconds in moments("destroy"):
        before = wrapped_keys(slow)
        was_answered = killed_in(
            slow, lambda client: client.destroy(confirm_holder="XAA"), seconds
        )
        told = outcomes(slow)
        assert told in ({"not-comparable"}, set() if was_answered else {"match"})
        if told == {"match"}:
            continue
        finish(slow)
        assert not any(is_anywhere(slow, key) for key in before)
        for table in ("record", "template", "protection", "gallery", "gallery_key"):
            assert rows(slow, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
        assert not (slow.root / "data/segments/XAA").exists()
        with administrator(slow) as client:
            client.unlock()
        enrol(slow)
        assert outcomes(slow) == {"match"}
