"""What the tests of the matcher start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from archive import (
    FACES,
    LEFT_FINGERS,
    OTHER_FACES,
    RIGHT_FINGERS,
    Archive,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Galleries of a few segments, some of their people withdrawn; nothing is kept."""
    monkeypatch.setattr("matcher.engine.engine.TAIL_ROWS", 32)
    archive = Archive(tmp_path)
    archive.enrol(FACES, *range(80))
    archive.enrol(OTHER_FACES, *range(100, 140))
    archive.enrol(LEFT_FINGERS, *range(200, 240))
    archive.enrol(RIGHT_FINGERS, *range(220, 260))
    archive.start()
    archive.withdraw(FACES, 5, 70)
    archive.withdraw(LEFT_FINGERS, 230)
    archive.follow()
    yield archive
    archive.close()
