"""What is in an index before its turn is there once, and hides nobody.

Changes are cut short by the database, and applied again; or added before their turn,
since they bring what has taken the place of somebody who is gone.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from archive import FACES, LEFT_FINGERS, OTHER_FACES, XAA, Archive
from ships import whole
from world import SPACE
from writers import Writer

from biometrics import limits
from biometrics.errors import StorageError
from matcher.follower import Follower
from matcher.galleries import GalleryName, GalleryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member

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


def test_what_is_made_anew_goes_by_no_file_of_a_later_moment(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes by older keys were on disk, of later than those of others."""
    archive.save()
    archive.enrol(FACES, *PEOPLE)
    archive.follow()
    faces = GalleryName(XAA, SPACE)
    archive.files.save(faces, archive.index.snapshot(faces))
    with monkeypatch.context() as patch:
        patch.setattr(archive, "follow", lambda: None)
        archive.start()
    assert archive.index.reaching > archive.index.position
    monkeypatch.setattr(archive.index, "has_older_codes", lambda _: True)
    assert archive.loading(is_whole=False).remake(XAA, is_wanted=lambda: True)
    archive.follow()
    assert archive.found(FACES, PEOPLE) == {*PEOPLE}


def test_nothing_is_made_anew_while_something_is_there_too_early(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Galleries that are loaded would lack it when they are adopted."""
    for shelf in (FACES, LEFT_FINGERS, OTHER_FACES):
        archive.enrol(shelf, *PEOPLE)
    cut_short(archive, monkeypatch, 11)
    loading = archive.loading(is_whole=False)
    adopted: list[Member] = []

    def load() -> bool:
        return loading.load(
            XAA, is_wanted=lambda: True, done=lambda: adopted.append(XAA)
        )

    assert not load()
    archive.follow()
    assert is_whole(archive)
    assert load()
    assert adopted == [XAA]
    assert is_whole(archive)


def followed(archive: Archive) -> Follower:
    """Return what follows, step by step, and has everything that there is."""
    follower = Follower(
        journal=archive.store.journal,
        index=archive.index,
        files=archive.files,
        galleries=archive.galleries,
        start=0,
        on_failure=lambda: None,
    )
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(archive.index, "restore", lambda *_, **__: None)
        follower._follow_on()
    assert follower._is_loaded
    return follower


def missing(writer: Writer) -> list[int]:
    """Return who is not found, of those who were enrolled by what is followed."""
    there = writer.there(writer.archive.index.position)
    found = whole(writer.archive, FACES, *there)
    return [person for person, ids in zip(there, found, strict=True) if not ids]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_written_meanwhile_nobody_is_missing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Before and behind everything that is read, and from the first page on."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 1 + seed % 4)
    monkeypatch.setattr(limits, "JOURNAL_POLL_SECONDS", 0.0)
    monkeypatch.setattr(limits, "CHANGES_GATHER_SECONDS", 0.0)
    writer = Writer(archive, FACES, {*range(20)} - {5}, seed)
    follower = followed(archive)
    journal = archive.store.journal
    for name in ("following", "changes", "end"):
        read = writer.in_between(getattr(journal, name))
        monkeypatch.setattr(journal, name, read)
    for _ in range(25):
        writer.write()
        writer.most = 5
        follower._follow_on()
        writer.most = 0
        assert missing(writer) == []
    while archive.index.position < journal.end():
        follower._follow_on()
        assert missing(writer) == []
    counts = archive.store.register.counted(XAA)[1]
    assert archive.engine.count(FACES) == counts[SPACE]
    assert archive.galleries.state(*FACES[:2]) is GalleryState.READY


@pytest.mark.parametrize("between", range(4))
def test_who_is_replaced_twice_is_found_page_by_page(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, between: int
) -> None:
    """However much is written in between, and also who is new."""
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", 2)
    monkeypatch.setattr(limits, "JOURNAL_POLL_SECONDS", 0.0)
    monkeypatch.setattr(limits, "CHANGES_GATHER_SECONDS", 0.0)
    follower, new = followed(archive), 500
    archive.enrol(FACES, new)
    enrolled = archive.store.journal.end()
    others = count(1000)
    for shelf, person in ((FACES, 1), (FACES, new), (LEFT_FINGERS, 201)) * 2:
        archive.replace(shelf, person)
        for _ in range(between):
            archive.enrol(OTHER_FACES, next(others))
    archive.withdraw(FACES, 2)
    end = archive.store.journal.end()
    while archive.index.position < end:
        follower._follow_on()
        assert whole(archive, FACES, 1) != [set()]
        assert whole(archive, LEFT_FINGERS, 201) != [set()]
        assert whole(archive, FACES, new) != [set()] or (
            archive.index.position < enrolled
        )
    assert archive.found(FACES, range(2, 3)) == set()
    assert archive.engine.count(FACES) == 78
    assert archive.found(FACES, range(80)) == {*range(80)} - {2, 5, 70}
    assert archive.galleries.state(*FACES[:2]) is GalleryState.READY
