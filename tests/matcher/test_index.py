"""A page of changes that the database cuts short is there once it is applied again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from archive import FACES, LEFT_FINGERS, OTHER_FACES, XAA, Archive
from world import SPACE

from biometrics import limits
from biometrics.errors import StorageError
from matcher.galleries import GalleryName, GalleryState
from matcher.loading import Loading

if TYPE_CHECKING:
    from collections.abc import Callable

PEOPLE = range(300, 304)


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shelf's part of a page is added by and by."""
    monkeypatch.setattr(limits, "TEMPLATES_CODED_AT_ONCE", 2)


def cut_short(archive: Archive, monkeypatch: pytest.MonkeyPatch, opened: int) -> None:
    """Have changes cut short once so many of their templates were opened."""
    open_into: Callable[..., None] = archive.vault.open_into
    left = [opened]

    def cut(*arguments: object) -> None:
        if not left[0]:
            raise StorageError("DATABASE_AWAY", "for a moment")
        left[0] -= 1
        open_into(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(archive.vault, "open_into", cut)
        with pytest.raises(StorageError):
            archive.follow()


def is_whole(archive: Archive) -> bool:
    """Say whether everybody of the page is found, and nothing is damaged."""
    shelves = (OTHER_FACES, FACES, LEFT_FINGERS)
    return all(
        archive.galleries.state(shelf.holder, shelf.space) is GalleryState.READY
        and archive.found(shelf, PEOPLE) == {*PEOPLE}
        for shelf in shelves
    )


@pytest.mark.parametrize("opened", range(12))
def test_what_is_there_already_is_passed_over(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, opened: int
) -> None:
    """Wherever it was cut, of whichever holder; other pages may come then."""
    for shelf in (OTHER_FACES, FACES, LEFT_FINGERS):
        archive.enrol(shelf, *PEOPLE)
    cut_short(archive, monkeypatch, opened)
    assert archive.index.reaching == archive.store.journal.end()
    with pytest.raises(StorageError):  # on disk it would be taken for what was before
        archive.index.snapshot(GalleryName(XAA, SPACE))
    archive.enrol(FACES, 400)
    while changes := archive.store.journal.changes(archive.index.position, 5):
        archive.index.apply(changes)
    assert is_whole(archive)
    assert archive.found(FACES, range(400, 401)) == {400}
    archive.save()


def test_what_is_made_anew_before_it_comes_again_is_not(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Galleries that are loaded meanwhile have nothing of the page."""
    for shelf in (FACES, LEFT_FINGERS, OTHER_FACES):
        archive.enrol(shelf, *PEOPLE)
    cut_short(archive, monkeypatch, 11)
    loading = Loading(
        index=archive.index,
        journal=archive.store.journal,
        register=archive.store.register,
        files=archive.files,
        is_whole=False,
    )
    assert loading.load(XAA, is_wanted=lambda: True, done=lambda: None)
    assert archive.found(FACES, PEOPLE) == set()
    archive.follow()
    assert is_whole(archive)
