"""One exchange for the tests of a module, with agreements of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running exchange."""
    root = tmp_path_factory.mktemp("world")
    with World(root, agreements=AGREEMENTS) as world:
        yield world
