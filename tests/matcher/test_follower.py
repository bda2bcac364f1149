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
    from collections.abc import Callable, Iterator


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
        self.added: list[list[int]] = []
        self.applied = threading.Event()

    def restore(self, *_: object, start: int) -> None:
        """Nothing was kept."""

    def learn(self, _changes: list[Any]) -> bool:
        """Have every key."""
        return True

    def add(self, changes: list[Any]) -> None:
        """Note what comes before its turn."""
        self.added.append([change.position for change in changes])

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


def following(
    journal: Journal, index: Index, loaded: Callable[[], object] = lambda: None
) -> Follower:
    """Return a follower, which does not follow yet."""
    return Follower(
        journal=journal,  # type: ignore[arg-type]
        index=index,
        files=None,  # type: ignore[arg-type]
        galleries=SimpleNamespace(loaded=loaded, count=lambda _: None),  # type: ignore[arg-type]
        start=0,
        on_failure=lambda: None,
    )


@pytest.fixture
def follower(
    journal: Journal, index: Index, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Follower]:
    """Return a follower that lets changes gather for a minute."""
    monkeypatch.setattr(limits, "CHANGES_GATHER_SECONDS", 60.0)
    follower = following(journal, index)
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


@pytest.mark.parametrize(
    ("gone", "added"),
    [
        ({3}, [[2, 3], [4, 5], [6]]),
        ({3, 4}, [[2, 3], [4, 5], [6]]),
        ({6}, []),
        (set(), []),
    ],
)
def test_what_comes_after_whoever_is_gone_is_added_first(
    journal: Journal,
    index: Index,
    follower: Follower,
    monkeypatch: pytest.MonkeyPatch,
    *,
    gone: set[int],
    added: list[list[int]],
) -> None:
    """Once, and in pages as everything: who was replaced twice would be missing."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 2)
    journal.write()
    assert index.applied.wait(30)
    journal.gone = gone
    journal.written += 5
    journal.look()
    assert follower.catch_up()
    assert index.added == added
    assert index.pages == [1, 2, 2, 1]


def test_until_it_is_loaded_nobody_is_searched_for(
    journal: Journal, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing is added first, and whoever was gone is there by then."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 2)
    journal.written, journal.gone = 4, {1}
    loaded: list[int] = []
    follower = following(journal, index, lambda: loaded.append(index.position))
    monkeypatch.setattr(journal, "following", replacing(journal))
    for _ in range(3):
        follower._follow_on()
    assert (loaded, index.pages, index.added) == ([6], [2, 2, 2], [])


def replacing(journal: Journal) -> Callable[[int, int], list[Any]]:
    """Return what reads changes, after which two more are written."""

    def read(after: int, most: int) -> list[Any]:
        read = journal.changes(after, most)
        journal.written = 6
        return read

    return read
