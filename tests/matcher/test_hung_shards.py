"""Shards that hang, several at once: they are waited for together, as long as one."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from archive import FACES, OTHER_FACES, Archive, until
from ships import SHARING, Here, Ships

from biometrics import limits
from matcher.fleet import Others

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECONDS = 0.5  # that one is waited for
HUNG = 5


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for any longer, nor anything saved unasked."""
    for name in ("FOLLOW", "STOP"):
        monkeypatch.setattr(limits, f"SHARD_{name}_SECONDS", SECONDS)
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)


@contextmanager
def hanging(remotes: Sequence[Here], method: str) -> Iterator[None]:
    """Have so many hang in a method, and whatever is done take no longer than one."""
    gates = [remote.hold(method) for remote in remotes[:HUNG]]
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    for gate in gates:
        gate.set()
    assert SECONDS < took < 3 * SECONDS


def test_a_change(archive: Archive) -> None:
    """It is in effect on those that are there."""
    with (ships := Ships(archive, replace(SHARING, places=HUNG + 1))).fleet:
        archive.enrol(OTHER_FACES, 700)
        with hanging(ships.remotes, "follow"):
            ships.follow()
        until(ships.fleet._places.is_whole)


def test_a_lock_that_strangers_are_to_obey(archive: Archive) -> None:
    """What follows no more is ended."""
    old = Ships(archive, replace(SHARING, places=HUNG))
    beside = Others(lambda: True, lambda: old.remotes)
    with old.fleet, (ships := Ships(archive, SHARING, beside=beside)).fleet:
        ships.close(is_open=False)
        with hanging(old.remotes, "follow"):
            ships.follow()
        assert all(here.is_ended for here in old.remotes)


def test_an_end(archive: Archive) -> None:
    """What was not saved then is not kept on disk."""
    ships = Ships(archive, replace(SHARING, places=HUNG))
    with hanging(ships.remotes, "stop"), ships.fleet:
        assert ships.found(FACES, 1) is not None


def test_another_number_of_shards(archive: Archive) -> None:
    """Those that are not searched any more are to delete their files."""
    ships = Ships(archive, replace(SHARING, places=HUNG))
    with ships.fleet as fleet, hanging(ships.remotes, "leave"):
        fleet._growth._discard(fleet._places.all)
