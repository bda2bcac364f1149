"""A store of each kind, in a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store.places import PostgresPlace, SqlitePlace
from store.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer
    from store.places import Place


@pytest.fixture
def sqlite_place(tmp_path: Path) -> SqlitePlace:
    """Return where a file may be made."""
    return SqlitePlace(tmp_path / "exchange.sqlite")


@pytest.fixture
def postgres_place(postgres: PostgresServer) -> Iterator[PostgresPlace]:
    """Return an empty database of PostgreSQL."""
    found = PostgresPlace(postgres)
    yield found
    found.take_back()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return a place of each kind: what is true of one is true of the other."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def shelf(place: Place) -> Iterator[Shelf]:
    """Return an open store, closed when the test ends."""
    opened = Shelf(place)
    yield opened
    opened.store.close()


@pytest.fixture
def sqlite_shelf(sqlite_place: SqlitePlace) -> Iterator[Shelf]:
    """Return an open store in a file."""
    opened = Shelf(sqlite_place)
    yield opened
    opened.store.close()


@pytest.fixture
def postgres_shelf(postgres_place: PostgresPlace) -> Iterator[Shelf]:
    """Return an open store in a database of PostgreSQL."""
    opened = Shelf(postgres_place)
    yield opened
    opened.store.close()
