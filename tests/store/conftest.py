"""A store in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Return an open store, closed when the test ends."""
    opened = Shelf(tmp_path / "exchange.sqlite")
    yield opened
    opened.store.close()
