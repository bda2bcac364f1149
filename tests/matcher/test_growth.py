"""Galleries are shared out anew while they are searched, and nobody notices."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from archive import FACES, LEFT_FINGERS, OTHER_FACES, XAA, XRA, Archive, until
from ships import SHARING, Ships, holding, whole

from biometrics import limits
from matcher.galleries import GalleryState
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEOPLE = range(80)


@pytest.fixture
def ships(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ships]:
    """A fleet of three."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    ships = Ships(archive)
    with ships.fleet:
        yield ships


def is_in(ships: Ships, places: int) -> bool:
    """Say whether so many shards are searched, and nobody has to do with others."""
    there = [remote for remote in ships.remotes if not remote.is_ended]
    known = ships.fleet._places.all
    return len(ships.fleet.standings()) == len(there) == len(known) == places


@contextmanager
def searched(ships: Ships) -> Iterator[Callable[[], int]]:
    """Search all the while for people who are there, and for some who are not.

    Gives how often that was done.
    """
    right = whole(ships.archive, FACES, *range(40), *range(900, 920))
    told, stopping = [0], threading.Event()

    def search() -> None:
        while not stopping.is_set():
            assert ships.found(FACES, *range(40), *range(900, 920)) == right
            assert ships.state(FACES) is GalleryState.READY
            told[0] += 1

    with ThreadPoolExecutor(2) as pool:
        searching = [pool.submit(search) for _ in range(2)]
        try:
            yield lambda: told[0]
        finally:
            stopping.set()
        for each in searching:
            each.result()


@pytest.mark.parametrize("places", [5, 2])
@pytest.mark.parametrize("copies", [1, 2])
def test_answers_are_the_same_before_during_and_after(
    ships: Ships, places: int, copies: int
) -> None:
    """Whoever is enrolled and withdrawn meanwhile; more shards, or fewer."""
    ships.fleet._places.searched.sharing = Sharing(3, 8, copies)
    old = list(ships.remotes)
    with searched(ships) as count:
        before = count()
        ships.fleet.share_out(places)
        for number in range(300, 340, 4):
            ships.archive.enrol(FACES, *range(number, number + 4))
            ships.archive.withdraw(FACES, number)
            ships.archive.withdraw(FACES, 50 + (number - 300) // 4)
            ships.follow()
        until(lambda: is_in(ships, places * copies))
        during = count()
        ships.archive.enrol(OTHER_FACES, 700)
        ships.follow()
        until(lambda: count() > during + 4)
        assert during > before
    ships.archive.follow()
    people = (*PEOPLE, *range(300, 340))
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)
    assert ships.found(OTHER_FACES, 700) != [set()]
    assert all(remote.is_ended for remote in old)
    assert not [*old[0].plan.folder_of(SHARING).rglob("manifest")]
    assert len(ships.fleet.parts(FACES)[0].shares) == places


def test_a_pass_that_was_under_way_is_heard(ships: Ships) -> None:
    """Shards are ended after the last that asks them."""
    old = list(ships.remotes)
    held = [remote.hold("search") for remote in old]
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(ships.found, FACES, *PEOPLE)
        until(lambda: any("search" in remote.asked for remote in old))
        ships.fleet.share_out(4)
        until(lambda: len(ships.fleet.standings()) == 4)
        ships.archive.enrol(OTHER_FACES, 700)  # they follow on
        ships.follow()
        assert not wait([searching], 0.3).done
        assert not any(remote.is_ended for remote in old)
        for event in held:
            event.set()
        right = whole(ships.archive, FACES, *PEOPLE)
        assert searching.result(30) == right
    until(lambda: is_in(ships, 4))
    assert ships.found(FACES, *PEOPLE) == right


def test_what_is_not_wanted_any_more_is_given_up(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were being filled are ended, and those before stay."""
    holding(ships, monkeypatch, "begin")
    old = list(ships.remotes)
    ships.fleet.share_out(5)
    until(lambda: len(ships.remotes) == 8)
    ships.fleet.share_out(3)
    until(lambda: is_in(ships, 3))
    assert not any(remote.is_ended for remote in old)
    assert ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)


def test_a_lock_does_not_wait_until_shards_are_filled(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold keys from the beginning: they are ended, and begin without those."""
    gate = holding(ships, monkeypatch, "begin")
    ships.fleet.share_out(4)
    until(lambda: len(ships.remotes) == 7)
    new = ships.remotes[3:]
    until(lambda: all("begin" in remote.asked for remote in new))
    first = [remote.shard for remote in new]
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow)
    following.start()
    following.join(5)
    assert ships.fleet.position == ships.archive.store.journal.end()
    assert not any(
        remote.shard is shard for remote, shard in zip(new, first, strict=True)
    )
    gate.set()
    until(lambda: is_in(ships, 4))
    assert ships.state(FACES) is GalleryState.LOCKED
    for remote in new:
        assert remote.shard is not None
        assert not remote.shard._keys.is_unlocked(XAA)
    ships.open()
    people = PEOPLE
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)


def test_a_lock_waits_for_those_that_are_ended(ships: Ships) -> None:
    """Until their end is seen: they have keys."""
    old = list(ships.remotes)
    for remote in old:
        remote.was_seen = False
    ships.fleet.share_out(4)
    until(lambda: all(remote.is_ended for remote in old))
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow)
    following.start()
    following.join(0.5)
    assert ships.fleet.position < ships.archive.store.journal.end()
    for remote in old:
        remote.was_seen = True
    following.join(10)
    assert ships.fleet.position == ships.archive.store.journal.end()
    assert not any(remote.has_keys(XAA) for remote in old)
    until(lambda: is_in(ships, 4))


def test_what_is_enrolled_in_the_new_is_known_to_be_there(ships: Ships) -> None:
    """Also while one is lost, and the old are not gone yet."""
    for remote in ships.remotes:
        remote.was_seen = False
    ships.fleet.share_out(4)
    until(lambda: all(remote.is_ended for remote in ships.remotes[:3]))
    for remote in ships.remotes[3:]:
        remote.shard = None
    shelf = LEFT_FINGERS._replace(holder=XRA)
    ships.archive.enrol(shelf, *range(900, 940))
    ships.follow()
    assert ships.state(shelf) is GalleryState.LOADING
    assert ships.found(shelf, 900) is None
    for remote in ships.remotes[:3]:
        remote.was_seen = True
    for remote in ships.remotes[3:]:
        remote.restart()
    until(lambda: is_in(ships, 4))
    until(lambda: ships.state(shelf) is GalleryState.READY)
    assert ships.found(shelf, 900) not in (None, [set()])


def test_one_that_is_lost_while_it_is_filled_is_had_back(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of the old, whose galleries are whole again with the new."""
    gate = holding(ships, monkeypatch, "begin")
    ships.fleet.share_out(4)
    until(lambda: len(ships.remotes) == 7)
    new = ships.remotes[3:]
    until(lambda: all("begin" in remote.asked for remote in new))
    new[1].shard = None
    old = ships.fleet.parts(FACES)[0].shares[0].copies[0].remote
    old.shard = None
    assert ships.found(FACES, *PEOPLE) is None
    gate.set()
    until(lambda: all("follow" in n.asked for n in new if n is not new[1]))
    assert ships.state(FACES) is GalleryState.LOADING
    new[1].restart()
    until(lambda: is_in(ships, 4))
    assert ships.state(FACES) is GalleryState.READY
    assert ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)


def test_a_row_that_is_missing_is_noticed(ships: Ships) -> None:
    """Before anybody in it is taken for a stranger: as at a start."""
    archive = ships.archive
    with closing(sqlite3.connect(archive.database)) as database, database:
        database.execute("DELETE FROM template WHERE template_id = ?", (7,))
    archive.enrol(OTHER_FACES, 500)  # and is not followed yet
    ships.fleet.share_out(4)
    until(lambda: is_in(ships, 4))
    assert ships.state(FACES) is GalleryState.DAMAGED
    assert ships.state(OTHER_FACES) is GalleryState.READY


@pytest.mark.parametrize("places", [3, 4])
def test_who_is_killed_in_the_middle_starts_as_the_settings_say(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """With what either kept on disk, and without what nobody needs of it."""
    gate = holding(ships, monkeypatch, "follow")
    assert ships.fleet.keep(XAA)
    ships.fleet.share_out(4)
    until(lambda: sum("follow" in remote.asked for remote in ships.remotes) == 7)
    assert [*ships.remotes[0].plan.folder_of(SHARING).rglob("manifest")]
    for remote in ships.remotes:
        assert remote.shard is not None
        remote.shard._keeper.stop()  # with a file of each
    sharing = Sharing(places=places, together=8)
    later = Ships(ships.archive, sharing)
    with later.fleet:
        assert later.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)
        shared = later.remotes[0].plan.folder_of(sharing)
        assert [each.name for each in shared.parent.iterdir()] in ([], [shared.name])
    gate.set()


def test_who_is_withdrawn_while_shards_are_filled_damages_nothing(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are filled then never read the row that the others have yet."""
    begin = holding(ships, monkeypatch, "begin")
    ships.fleet.share_out(4)
    until(lambda: sum("begin" in each.asked for each in ships.remotes[-4:]) == 4)
    ships.archive.withdraw(FACES, 50)  # and is not followed yet
    begin.set()
    until(lambda: len(ships.fleet.standings()) == 4)
    ships.follow()
    until(ships.fleet._places.is_whole)
    assert ships.state(FACES) is GalleryState.READY
    assert ships.found(FACES, 49) == whole(ships.archive, FACES, 49)
