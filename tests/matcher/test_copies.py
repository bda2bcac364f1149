"""Of a shard in two copies one may be lost: nobody is told anything else then."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive import FACES, OTHER_FACES, XAA, XRA, Archive, until
from ships import Here, Ships, replaced_elsewhere, whole
from world import SPACE

from biometrics import limits
from biometrics.errors import StorageError
from matcher.galleries import GalleryName, GalleryState
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARING = Sharing(places=3, together=8, copies=2)
PEOPLE = range(80)


@pytest.fixture
def ships(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ships]:
    """A fleet of three shards, in two copies each."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    ships = Ships(archive, SHARING)
    with ships.fleet:
        until(lambda: lost(ships) == 0)
        yield ships


def lost(ships: Ships) -> int:
    """Return how many copies are not searched."""
    return [each.is_ready for each in ships.fleet.standings()].count(False)


def pair(ships: Ships) -> list[Here]:
    """Return both copies of a shard that has faces."""
    return [each.remote for each in ships.fleet.parts(FACES)[0].shares[0].copies]


def number_in(ships: Ships, victim: Here) -> int:
    """Return the number of a template of FACES that is in a shard."""
    return next(
        stored.template_id
        for change in ships.archive.store.journal.changes(0, 1000)
        for stored in change.templates
        if (stored.member, stored.space) == (XAA, SPACE)
        and SHARING.place_of(stored) == victim.number
        and stored.template_id < 40
    )


def test_each_copy_has_its_share_whole_and_is_asked_in_turn(ships: Ships) -> None:
    """A share is counted once, and candidates come from one copy of it."""
    right = whole(ships.archive, FACES, *PEOPLE)
    for _ in range(2):
        assert ships.found(FACES, *PEOPLE) == right
    for share in ships.fleet.parts(FACES)[0].shares:
        for place in share.copies:
            assert place.remote.asked.count("search") == 1
    assert len(ships.fleet.parts(FACES)[0]) == sum(map(bool, right))
    folders = {remote.plan.folder for remote in ships.remotes}
    assert len(folders) == len(ships.remotes)


def test_one_copy_is_enough(ships: Ships) -> None:
    """Who asks the one that is lost is told by the other, in the same pass."""
    first, second = pair(ships)
    first.shard = None
    for _ in range(2):  # whichever turn it is
        assert ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)
        assert ships.state(FACES) is GalleryState.READY
    assert lost(ships) == 1
    ships.archive.enrol(FACES, *range(300, 340))
    ships.archive.withdraw(FACES, *range(10, 30))
    ships.follow()
    ships.archive.follow()
    people = (*PEOPLE, *range(300, 340))
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)
    # Now that one is back, the other may go: it has what was done meanwhile.
    first.restart()
    until(lambda: lost(ships) == 0)
    second.shard = None
    for _ in range(2):
        assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)
    assert ships.state(FACES) is GalleryState.READY


def test_none_of_both_is_a_gallery_that_loads(ships: Ships) -> None:
    """Until one of them is back."""
    both = pair(ships)
    for remote in both:
        remote.shard = None
    assert ships.found(FACES, *PEOPLE) is None
    assert ships.state(FACES) is GalleryState.LOADING
    both[1].restart()
    until(lambda: ships.state(FACES) is GalleryState.READY)
    assert lost(ships) == 1
    assert ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)


def test_a_copy_that_hangs_is_not_waited_for_twice(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended; the same pass has the other's answer."""
    monkeypatch.setattr(limits, "SHARD_SEARCH_SECONDS", 0.5)
    first, _ = pair(ships)
    held = first.hold("search")
    for _ in range(2):
        assert ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE)
    held.set()
    until(lambda: lost(ships) == 0)


def test_a_copy_that_does_not_follow_hides_nobody_who_is_replaced(
    ships: Ships,
) -> None:
    """Nor is it waited for until it is lost."""
    _, new = replaced_elsewhere(ships)
    late = ships.remotes[SHARING.place_of(new) * SHARING.copies]
    held = late.hold("follow")
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(ships.follow)
        others = [n for n, each in enumerate(ships.remotes) if each is not late]
        until(lambda: all(map(ships.has_followed, others)))
        for _ in range(2):  # whichever turn it is
            assert ships.found(FACES, 1) == [{new.template_id}]
        assert not following.done()
        held.set()
        following.result(30)


def test_it_begins_with_one_copy_of_each(ships: Ships, archive: Archive) -> None:
    """The other may come at any time, or never."""
    assert lost(ships) == 0
    later = Ships(archive, SHARING, absent=0)
    with later.fleet:
        assert lost(later) == len(later.remotes) // 2
        assert later.state(FACES) is GalleryState.READY
        assert later.found(FACES, *PEOPLE) == whole(archive, FACES, *PEOPLE)
        for remote in later.remotes:
            if remote.shard is None:
                remote.restart()
        until(lambda: lost(later) == 0)
        assert later.found(FACES, *PEOPLE) == whole(archive, FACES, *PEOPLE)


def test_a_lock_waits_for_the_lost_copy_too(ships: Ships) -> None:
    """It may hold keys, though nobody needs it."""
    first, second = pair(ships)
    first.was_seen = False
    first.shard = None
    for _ in range(2):
        assert ships.found(FACES, *PEOPLE) is not None
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow)
    following.start()
    end = ships.archive.store.journal.end()
    following.join(0.5)
    assert ships.fleet.position < end
    assert second.shard is not None
    assert not second.shard._keys.is_unlocked(XAA)
    first.was_seen = True
    following.join(10)
    assert ships.fleet.position == end
    first.restart()
    until(lambda: lost(ships) == 0)
    for remote in ships.remotes:
        assert remote.shard is not None
        assert not remote.shard._keys.is_unlocked(XAA)


def test_a_lock_does_not_wait_for_the_copy_that_is_being_filled(ships: Ships) -> None:
    """It is ended, and begins anew without those keys: the other is searched."""
    first, second = pair(ships)
    first.shard = None
    for _ in range(2):
        assert ships.found(FACES, *PEOPLE) is not None
    gate = first.hold("begin")
    first.asked.clear()
    first.restart()
    until(lambda: "begin" in first.asked)
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow)
    following.start()
    following.join(5)
    assert ships.fleet.position == ships.archive.store.journal.end()
    assert second.shard is not None
    assert not second.shard._keys.is_unlocked(XAA)
    gate.set()
    until(lambda: lost(ships) == 0)
    assert first.shard is not None
    assert not first.shard._keys.is_unlocked(XAA)


def test_a_copy_without_a_row_that_the_other_has_is_noticed(ships: Ships) -> None:
    """At once, whoever writes: half of all searches would miss somebody."""
    archive, (victim, _) = ships.archive, pair(ships)
    number = number_in(ships, victim)
    victim.shard = None
    for _ in range(2):
        assert ships.found(FACES, 1) is not None
    with closing(sqlite3.connect(archive.database)) as database, database:
        database.execute("DELETE FROM template WHERE template_id = ?", (number,))
    archive.enrol(OTHER_FACES, 500)  # and is not followed yet
    victim.restart()
    until(lambda: lost(ships) == 0)
    assert ships.state(FACES) is GalleryState.DAMAGED
    assert ships.state(OTHER_FACES) is GalleryState.READY


def test_counts_are_of_shares(ships: Ships) -> None:
    """Not twice what there is; and a copy with fewer makes no right number."""
    counted = {
        GalleryName(member, row.space): row.templates
        for member in (XAA, XRA)
        for row in ships.archive.store.register.galleries(member)
    }
    ships.fleet.verify(counted)
    assert ships.state(FACES) is GalleryState.READY
    first, _ = pair(ships)
    (place,) = [p for p in ships.fleet._places.all if p.remote is first]
    place.counts = dict.fromkeys(place.counts, 0)
    ships.fleet.verify(counted)
    assert ships.state(FACES) is GalleryState.DAMAGED


def test_nothing_is_done_everywhere_while_a_copy_is_lost(ships: Ships) -> None:
    """Its files may be there yet, and its codes by older keys."""
    pair(ships)[0].shard = None
    assert not ships.fleet.keep(XAA)
    assert not ships.fleet.discard(XAA)
    with pytest.raises(StorageError):
        ships.fleet.remake(XAA, is_wanted=lambda: True)
    assert ships.fleet.holds(FACES, np.arange(1, 81)).sum() == sum(
        map(bool, whole(ships.archive, FACES, *PEOPLE))
    )


def test_codes_of_copies_that_are_none_any_more_are_deleted(archive: Archive) -> None:
    """As those of another sharing are; the others are begun with."""
    before = Ships(archive, SHARING)
    with before.fleet:
        shared = before.remotes[0].plan.folder.parent
        until(lambda: lost(before) == 0)
    assert {each.name for each in shared.iterdir()} >= {"0", "0-1"}
    later = Ships(archive, Sharing(places=3, together=8))
    with later.fleet:
        assert not [each for each in shared.iterdir() if "-" in each.name]


def test_who_is_withdrawn_while_a_copy_comes_back_damages_nothing(ships: Ships) -> None:
    """It never reads the row, which the other drops in a moment."""
    archive, (victim, _) = ships.archive, pair(ships)
    victim.shard = None
    for _ in range(2):
        assert ships.found(FACES, 1) is not None
    shutil.rmtree(victim.plan.folder, ignore_errors=True)
    archive.withdraw(FACES, *range(6, 60))  # and is not followed yet
    victim.restart()
    until(lambda: lost(ships) == 0)
    ships.follow()
    assert ships.state(FACES) is GalleryState.READY
