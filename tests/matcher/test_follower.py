"""The follower applies what is written: together if nobody waits, at once if one does.

The journal and the index here only count; the real ones are tested by searches.
"""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from biometrics import limits
from biometrics.store.journal import JournalHead
from matcher.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator


class Journal:
    """Positions without content."""

    def __init__(self) -> None:
        """Begin empty."""
        self.written = 0
        self.gone: set[int] = set()
        self._head = JournalHead()

    def write(self) -> int:
        """Add a change; return its position."""
        self.written += 1
        self._head.advance(self.written)
        return self.written

    def end(self) -> int:
        """Return the last position."""
        return self.written

    look = end

    def following(self, after: int, most: int) -> list[Any]:
        """Return what follows a position."""
        last = min(self.written, after + most)
        return [
            SimpleNamespace(position=n, member=None, is_gone=n in self.gone)
            for n in range(after + 1, last + 1)
        ]

    changes = following

    def galleries(self, _members: object) -> list[Any]:
        """Know none."""
        return []

    def templates_by_space(self) -> dict[str, int]:
        """Return no counts."""
        return {}

    def wait(self, after: int, timeout: float) -> int:
        """Wait for a change."""
        return self._head.wait(after, timeout)


class Index:
    """How far it got, and in how many steps."""

    def __init__(self) -> None:
        """Begin before the first change."""
        self.position = 0
        self.pages: list[int] = []
        self.applied = threading.Event()

    def restore(self, *_: object, start: int) -> None:
        """Nothing was kept."""

    def learn(self, _changes: list[Any]) -> bool:
        """Have every key."""
        return True

    def apply(self, changes: list[Any]) -> None:
        """Note a page."""
        self.position = changes[-1].position
        self.pages.append(len(changes))
        self.applied.set()


@pytest.fixture
def journal() -> Journal:
    """Return an empty journal."""
    return Journal()


@pytest.fixture
def index() -> Index:
    """Return an empty index."""
    return Index()


@pytest.fixture
def follower(
    journal: Journal, index: Index, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Follower]:
    """Return a follower that lets changes gather for a minute."""
    monkeypatch.setattr(limits, "CHANGES_GATHER_SECONDS", 60.0)
    follower = Follower(
        journal=journal,  # type: ignore[arg-type]
        index=index,  # type: ignore[arg-type]
        files=None,  # type: ignore[arg-type]
        galleries=SimpleNamespace(loaded=lambda: None, count=lambda _: None),  # type: ignore[arg-type]
        start=0,
        on_failure=lambda: None,
    )
    follower.start()
    follower.wait_until_loaded()
    yield follower
    follower.stop()


def test_changes_gather_while_nobody_waits(
    journal: Journal, index: Index, follower: Follower
) -> None:
    """The first is applied at once, those after it together."""
    journal.write()
    assert index.applied.wait(30)
    for _ in range(10):
        journal.write()
    assert follower.catch_up()
    assert index.pages == [1, 10]


def test_whoever_waits_for_a_change_has_it_at_once(
    journal: Journal, index: Index, follower: Follower
) -> None:
    """Also if it begins to wait while changes gather."""

    async def write_and_wait() -> None:
        for _ in range(3):
            await asyncio.wait_for(follower.searchable(journal.write()), 30)

    journal.write()
    assert index.applied.wait(30)
    asyncio.run(write_and_wait())
    assert index.position == 4


@pytest.mark.usefixtures("follower")
def test_a_full_page_is_followed_by_the_next(
    journal: Journal, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not wait between pages, of which it has thousands."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 1)
    for _ in range(5):
        journal.write()
    journal.write()
    end = time.monotonic() + 30
    while index.position < 6 and time.monotonic() < end:
        time.sleep(0.01)
    assert index.pages == [1] * 6


def test_whoever_is_gone_from_a_page_comes_with_the_same(
    journal: Journal,
    index: Index,
    follower: Follower,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who was replaced twice would else be missing until the next one."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 2)
    journal.write()
    assert index.applied.wait(30)
    journal.gone = {3}
    for _ in range(5):
        journal.write()
    assert follower.catch_up()
    assert index.pages == [1, 4, 1]
