"""What the tests of the server share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from certificates import Authority
from echo import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Return the authority that the server trusts."""
    return Authority.make()


@pytest.fixture(scope="module")
def world(authority: Authority) -> Iterator[World]:
    """Return a server."""
    made = World(authority)
    yield made
    made.close()
