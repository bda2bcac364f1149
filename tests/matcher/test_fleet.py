"""Whatever becomes of a shard, nobody in it is taken for a stranger."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive import (
    FACES,
    FEW,
    LEFT_FINGERS,
    OTHER_FACES,
    XAA,
    XRA,
    Archive,
    until,
)
from ships import SHARING, Ships, replaced_elsewhere, whole
from world import DIMENSION, SPACE, SPACES

from biometrics import limits
from biometrics.errors import StorageError
from matcher.galleries import GalleryName, GalleryState
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ships(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ships]:
    """A fleet of three."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    ships = Ships(archive)
    with ships.fleet:
        yield ships


def test_a_lost_shard_is_a_gallery_that_loads(ships: Ships) -> None:
    """What is done meanwhile is in effect when it is back."""
    people = range(80)
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)
    lost = ships.fleet.parts(FACES)[0].shares[0].copies[0].remote
    lost.shard = None
    assert ships.found(FACES, *people) is None
    assert ships.state(FACES) is GalleryState.LOADING
    assert [standing.is_ready for standing in ships.fleet.standings()].count(False) == 1
    ships.archive.enrol(FACES, *range(300, 340))
    ships.archive.withdraw(FACES, *range(10, 30))
    ships.follow()
    assert ships.state(FACES) is GalleryState.LOADING
    lost.restart()
    until(lambda: ships.state(FACES) is GalleryState.READY)
    ships.archive.follow()
    people = (*people, *range(300, 340))
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)


def test_probes_of_several_spaces_are_one_call(tmp_path: Path) -> None:
    """Whatever the dimensions of their templates."""
    face, finger = f"dimension = {DIMENSION}\n", "dimension = 64\n"
    archive = Archive(tmp_path, finger.join(SPACES.rsplit(face, 1)))
    archive.enrol(FACES, 1)
    archive.enrol(LEFT_FINGERS, 2)
    archive.start()
    ships = Ships(archive, Sharing(places=1, together=8))
    with ships.fleet:
        (part,) = {*ships.fleet.parts(FACES), *ships.fleet.parts(LEFT_FINGERS)}
        turns = [ships.turn(LEFT_FINGERS, 2), *(ships.turn(FACES, n) for n in (1, 3))]
        found = ships.fleet.comparing.compare(part, turns)
        assert [ids.tolist() for ids in found if ids is not None] == [[2], [1], []]
    archive.close()


def test_who_is_replaced_is_waited_for(ships: Ships) -> None:
    """A shard may have dropped the old template before another has the new one."""
    old, new = replaced_elsewhere(ships)
    held = ships.remotes[SHARING.place_of(new)].hold("follow")
    with ThreadPoolExecutor(2) as pool:
        following = pool.submit(ships.follow)
        until(lambda: ships.has_followed(SHARING.place_of(old)))
        searching = pool.submit(ships.found, FACES, 1)
        assert not wait([searching], 0.3).done
        held.set()
        assert searching.result(30) == [{new.template_id}]
        following.result(30)


def test_who_is_replaced_during_a_search_is_searched_for_again(ships: Ships) -> None:
    """One shard was heard before it, and another after it."""
    old, new = replaced_elsewhere(ships)
    held = ships.remotes[SHARING.place_of(old)].hold("search")
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(ships.found, FACES, 1)
        assert not wait([searching], 0.3).done
        ships.follow()
        held.set()
        assert searching.result(30) == [{new.template_id}]


def test_one_that_answers_wrongly_is_replaced(ships: Ships) -> None:
    """A shard that fails, or lags, or is another process, is not believed."""
    right = whole(ships.archive, FACES, 1)

    def is_right() -> bool:
        found = ships.found(FACES, 1)
        assert found in (None, right)
        return found == right

    for spoilt in ("_incarnation", "_index", "_engine"):
        shard = ships.remotes[2].shard
        assert shard is not None
        setattr(shard, spoilt, b"")
        assert ships.found(FACES, 1) is None
        ships.remotes[2].restart()
        until(is_right)


def test_others_galleries_are_searched_meanwhile(ships: Ships) -> None:
    """A gallery of a few people is in few shards."""
    archive = ships.archive
    archive.enrol(FEW, 900)
    ships.follow()
    (part,) = ships.fleet.parts(FEW)
    assert len(part) == 1
    for remote in ships.remotes:
        if remote is not part.shares[0].copies[0].remote:
            remote.shard = None
    assert ships.found(FACES, 1) is None
    assert ships.found(FEW, 900) not in (None, [set()])
    assert ships.state(FEW) is GalleryState.READY


def test_a_shard_is_not_asked_for_a_gallery_of_which_it_has_nothing(
    ships: Ships,
) -> None:
    """Once it has said so: where a holder was unlocked any shard might have some."""
    ships.archive.enrol(FEW, 900)
    ships.follow()
    assert len(ships.fleet.parts(FEW)[0].shares) == 1
    ships.archive.withdraw(FEW, 900)
    ships.follow()
    assert ships.fleet.parts(FEW) == []
    before = ships.fleet.parts(FACES)
    assert len(before[0].shares) < len(ships.remotes)
    ships.close(is_open=False)
    ships.follow()
    ships.open()
    assert ships.fleet.parts(FACES) == before


def test_a_lock_waits_for_a_lost_shard_until_its_end_is_seen(ships: Ships) -> None:
    """It may hold keys: until then the lock is not acknowledged."""
    ships.remotes[0].was_seen = False
    ships.remotes[0].shard = None
    assert ships.found(FACES, *range(80)) is None
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow)
    following.start()
    end = ships.archive.store.journal.end()
    following.join(0.5)
    assert ships.fleet.position < end
    ships.remotes[0].was_seen = True
    following.join(10)
    assert ships.fleet.position == end
    assert not ships.archive.vault.is_unlocked(XAA)
    for remote in ships.remotes[1:]:
        assert remote.shard is not None
        assert not remote.shard._keys.is_unlocked(XAA)


def test_a_lock_comes_through_while_a_shard_is_being_had_back(ships: Ships) -> None:
    """Neither waits for the other for ever."""
    ships.remotes[0].shard = None
    assert ships.found(FACES, *range(80)) is None
    ships.remotes[0].restart()
    ships.close(is_open=False)
    ships.follow()
    until(lambda: all(s.is_ready for s in ships.fleet.standings()))
    assert ships.state(FACES) is GalleryState.LOCKED
    assert ships.state(OTHER_FACES) is GalleryState.READY
    for remote in ships.remotes:
        assert remote.shard is not None
        assert not remote.shard._keys.is_unlocked(XAA)


def test_what_was_locked_at_the_start_is_whole_once_it_is_open(
    ships: Ships, archive: Archive
) -> None:
    """Every part of it is asked, though no shard had any when it began."""
    ships.close(is_open=False)
    ships.follow()
    later = Ships(archive)
    later.galleries.lock(XAA)
    with later.fleet:
        assert later.found(FACES, 1) is None
        later.open()
        people = range(80)
        assert later.found(FACES, *people) == whole(archive, FACES, *people)


def test_what_is_opened_while_a_shard_is_lost_is_not_whole_before_it_is_back(
    ships: Ships, archive: Archive
) -> None:
    """It may have any of it."""
    ships.close(is_open=False)
    ships.follow()
    later = Ships(archive)
    later.galleries.lock(XAA)
    with later.fleet:
        later.remotes[0].shard = None
        assert later.found(OTHER_FACES, *range(100, 140)) is None
        later.open()
        assert later.state(FACES) is GalleryState.LOADING
        later.remotes[0].restart()
        until(lambda: later.state(FACES) is GalleryState.READY)
        assert later.found(FACES, *range(80)) == whole(archive, FACES, *range(80))


def test_rows_that_are_missing_make_a_gallery_damaged(ships: Ships) -> None:
    """As many have to be there as were counted, in all shards together."""
    counted = {
        GalleryName(member, row.space): row.templates
        for member in (XAA, XRA)
        for row in ships.archive.store.register.galleries(member)
    }
    ships.fleet.verify(counted)
    assert ships.state(FACES) is GalleryState.READY
    ships.fleet.verify(counted | {GalleryName(XAA, SPACE): 1000})
    assert ships.state(FACES) is GalleryState.DAMAGED
    assert ships.state(OTHER_FACES) is GalleryState.READY


def test_one_that_comes_back_without_a_row_makes_a_gallery_damaged(
    ships: Ships,
) -> None:
    """Once nobody writes for a moment: who was in it would be taken for a stranger."""
    archive, victim = (
        ships.archive,
        ships.fleet.parts(FACES)[0].shares[0].copies[0].remote,
    )
    shutil.rmtree(victim.plan.folder, ignore_errors=True)  # its disk is lost with it
    victim.shard = None
    assert ships.found(FACES, 1) is None
    (number, *_) = [
        stored.template_id
        for change in archive.store.journal.changes(0, 1000)
        for stored in change.templates
        if stored.member == XAA
        and stored.space == SPACE
        and SHARING.place_of(stored) == victim.number
    ]
    with closing(sqlite3.connect(archive.database)) as database, database:
        database.execute("DELETE FROM template WHERE template_id = ?", (number,))
    archive.enrol(OTHER_FACES, 500)  # and is not followed yet
    victim.restart()
    until(lambda: all(standing.is_ready for standing in ships.fleet.standings()))
    assert ships.state(FACES) is GalleryState.READY
    ships.follow()
    until(lambda: ships.state(FACES) is GalleryState.DAMAGED)
    assert ships.state(OTHER_FACES) is GalleryState.READY


def test_nothing_is_said_to_be_done_everywhere_while_a_shard_is_lost(
    ships: Ships,
) -> None:
    """Files of it may be there yet."""
    assert ships.fleet.keep(XAA)
    ships.fleet.remake(XAA, is_wanted=lambda: True)
    assert ships.fleet.discard(XRA)
    ships.remotes[0].shard = None
    assert not ships.fleet.keep(XAA)
    assert not ships.fleet.discard(XAA)
    with pytest.raises(StorageError):
        ships.fleet.remake(XAA, is_wanted=lambda: True)
    held = ships.fleet.holds(FACES, np.arange(1, 81))
    assert 0 < held.sum() < len(held)


def test_a_stop_does_not_wait_for_a_shard_that_is_lost(ships: Ships) -> None:
    """A lock does, as long as there is somebody to be told that it is obeyed."""
    for remote in ships.remotes:
        remote.was_seen = False  # nobody says that it is gone
        remote.shard = None
    ships.close(is_open=False)
    obeying = threading.Thread(target=ships.follow)
    obeying.start()
    obeying.join(0.5)
    assert obeying.is_alive()
    ships.fleet.stop()
    obeying.join(10)
    assert not obeying.is_alive()
