"""One exchange for the tests of a module, with agreements of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from front_ends import Pair
from victim import Victim
from world import AGREEMENTS, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running exchange."""
    root = tmp_path_factory.mktemp("world")
    with World(root, agreements=AGREEMENTS) as world:
        yield world


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    """An exchange to be killed, which a test that fails does not leave behind."""
    victim = Victim(tmp_path)
    yield victim
    if victim.process is not None:
        victim.kill()


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
