"""Two front ends of one exchange, each with its own memory, on one database."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, SPACE, World, agreement, at_cosine, face, permit, record, unit

from biometrics.client import Chunk
from biometrics.errors import ExchangeError, RefusedError
from biometrics.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

    from biometrics.custody import Vault

XAA = Member("XAA")
PATIENCE_SECONDS = 30
MATCH, NO_MATCH, UNAVAILABLE = "match", "no-match", "unavailable"


class Pair:
    """Two of them: the second has a copy of the first one's files."""

    def __init__(self, folder: Path, url: str, **texts: str) -> None:
        """Write their files.

        Args:
            folder: an empty one.
            url: of an empty database.
            texts: what stands in the settings, and what is to stand there.
        """
        places = folder / "one", folder / "other"
        for place in places:
            place.mkdir()
        self.one, self.other = (World(p, agreements=AGREEMENTS) for p in places)
        settings = self.one.root / "exchange.toml"
        text = settings.read_text().replace(
            '"data/exchange.sqlite"', f'"{url}"\nshared = true'
        )
        for before, after in texts.items():
            assert before in text
            text = text.replace(before, after)
        settings.write_text(text)
        shutil.rmtree(self.other.root)
        shutil.copytree(self.one.root, self.other.root)

    def both(self) -> tuple[World, World]:
        """Return them."""
        return self.one, self.other


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """Return an empty database."""
    where = postgres.make()
    yield where
    postgres.take_back(where)


@pytest.fixture
def pair(tmp_path: Path, url: str) -> Iterator[Pair]:
    """Return two front ends that serve."""
    found = Pair(tmp_path, url)
    with found.one, found.other:
        yield found


def outcome(world: World, person: int, holder: str = "XAA") -> str:
    """Return what XCC is told of a person by one front end."""
    found = world.client("XCC").match(face(unit(person)), purpose="border-check")
    return next(h.outcome.value for h in found.holders if h.holder == holder)


def until(wanted: str, world: World, person: int) -> None:
    """Wait until a front end tells that of a person."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (told := outcome(world, person)) != wanted:
        assert time.monotonic() < end, told
        time.sleep(0.02)


def test_what_one_acknowledges_the_other_answers(pair: Pair) -> None:
    """Enrolments and withdrawals are in effect at once, whoever made them."""
    one, other = pair.both()
    for person in range(10):
        here, there = (one, other) if person % 2 else (other, one)
        assert outcome(there, person) == NO_MATCH if person else True
        here.enroller("XAA").enrol(record(f"R{person}", unit(person)))
        assert outcome(there, person) == MATCH
        assert outcome(here, person) == MATCH
    for person in range(10):
        here, there = (one, other) if person % 3 else (other, one)
        here.enroller("XAA").withdraw(f"R{person}")
        assert outcome(there, person) == NO_MATCH


def test_a_lock_by_one_leaves_no_key_at_the_other(pair: Pair) -> None:
    """On return of the lock; an unlock brings them back everywhere."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert outcome(other, 1) == MATCH
    for here, there in ((one, other), (other, one)):
        here.administrator().lock()
        assert there.exchange is not None
        assert not vault(there).is_unlocked(XAA)
        assert outcome(there, 1) == outcome(here, 1) == UNAVAILABLE
        here.administrator().unlock()
        assert outcome(here, 1) == MATCH
        until(MATCH, there, 1)
        there.enroller("XAA").enrol(record(f"by {id(there)}", unit(id(there) % 1000)))


def vault(world: World) -> Vault:
    """Return where a front end has keys."""
    assert world.exchange is not None
    found: Vault = world.exchange._follower._index._vault  # type: ignore[attr-defined]
    return found
