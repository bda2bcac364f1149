"""What the tests of custody start from."""

from pathlib import Path

import pytest
from custody.small_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a new world."""
    return World(tmp_path)
