"""Proofs of faults: each test states a promise, and fails on the code as it is."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive import FACES, OTHER_FACES, XAA, XRA, Archive, until
from ships import SHARING, Here, Ships, whole

from biometrics import limits
from biometrics.custody import Vault
from biometrics.errors import StorageError
from biometrics.store import RequestKey
from matcher.fleet import Fleet, Others
from matcher.galleries import Galleries, GalleryName, GalleryState
from matcher.index import Index
from matcher.shares import Sharing, _place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEOPLE = range(60)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    archive = Archive(tmp_path)
    archive.enrol(FACES, *PEOPLE)
    archive.enrol(OTHER_FACES, *range(500, 560))
    archive.start()
    yield archive
    archive.store.close()


@pytest.fixture
def ships(archive: Archive) -> Iterator[Ships]:
    ships = Ships(archive)
    with ships.fleet:
        yield ships


def is_soon(holds, seconds: float = 5.0) -> bool:
    with suppress(AssertionError):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)
        return True
    return False


class Ship(Here):
    """A shard that is there already, as another front end knows it."""

    def __init__(self, here: Here) -> None:
        self.number, self.copy = here.number, here.copy
        self.send, self.answer = here.send, here.answer
        self.restart, self.is_gone = here.restart, here.is_gone

    def end(self) -> None:
        pass


class Second(Ships):
    def __init__(self, archive: Archive, first: Ships) -> None:
        self.first = first
        vault = Vault(
            archive.provider("exchange"),
            {m: archive.provider(m.code) for m in (XAA, XRA)},
            archive.store.keys,
            archive._clock,
            os.urandom,
        )
        for member in (XAA, XRA):
            vault.unlock(member)
        beside = Others(archive.store.journal, lambda: False, list)
        super().__init__(archive, vault=vault, beside=beside)

    def make(self, _sharing: Sharing) -> list[Here]:
        self.remotes = [Ship(here) for here in self.first.remotes]
        return self.remotes


# 1 ---------------------------------------------------------------------------


def test_a_shard_comes_back_after_a_hiccup_of_the_database(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys cannot be read once, while a new process is about to begin."""
    lend, failed = ships.archive.vault.lend, threading.Event()

    def hiccup(*arguments):
        if not failed.is_set():
            failed.set()
            raise StorageError("DATABASE_AWAY", "for a moment")
        return lend(*arguments)

    monkeypatch.setattr(ships.archive.vault, "lend", hiccup)
    ships.remotes[0].restart()
    ships.found(FACES, *PEOPLE)  # notices
    until(failed.is_set)
    assert is_soon(lambda: ships.state(FACES) is GalleryState.READY, 8.0)


def test_a_shard_comes_back_whose_begin_was_lost_on_the_way(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is there and was never told to begin: as ActorUnavailableError."""
    from matcher.calls import LostError

    here = ships.remotes[0]
    send, lost = here.send, threading.Event()

    def sent(asked):
        if asked.method == "begin" and not lost.is_set():
            lost.set()
            from concurrent.futures import Future

            failed: Future = Future()
            failed.set_exception(LostError("ActorUnavailableError"))
            return failed
        return send(asked)

    monkeypatch.setattr(here, "send", sent)
    here.restart()
    ships.found(FACES, *PEOPLE)
    until(lost.is_set)
    assert is_soon(lambda: ships.state(FACES) is GalleryState.READY, 8.0)


# 2 ---------------------------------------------------------------------------


def test_a_shared_shard_does_not_end_itself_while_it_begins(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front end that fills it is there, and pulses; filling takes longer."""
    remote = pytest.importorskip("matcher.remote")
    monkeypatch.setattr(limits, "SHARD_SILENT_SECONDS", 0.6)  # 60
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.1)  # 10
    ended = threading.Event()

    class Ends(remote.SharedShard):
        def _end(self) -> None:
            ended.set()

    import ships as of_ships

    monkeypatch.setattr(of_ships, "Shard", Ends)
    restore = Index.restore

    def slow(index, *arguments, **more):
        restore(index, *arguments, **more)
        if index._holder is None:
            time.sleep(1.5)  # 72 s a million templates: two minutes

    monkeypatch.setattr(Index, "restore", slow)
    beside = Others(archive.store.journal, lambda: True, list)
    ships = Ships(archive, replace(SHARING, places=1), beside=beside)
    with ships.fleet:
        was_ended = ended.is_set()
    assert not was_ended
    assert ended.wait(10)  # nobody asks any more


# 3 ---------------------------------------------------------------------------


def test_shards_that_no_front_end_has_any_more_keep_no_keys_after_a_lock(
    archive: Archive,
) -> None:
    """Front ends hear of another number when started, one after the other."""
    old = Ships(
        archive, SHARING, beside=Others(archive.store.journal, lambda: False, list)
    )
    beside = Others(archive.store.journal, lambda: False, lambda: old.remotes)
    new = Ships(archive, replace(SHARING, places=4), beside=beside)
    with new.fleet:
        with old.fleet:
            pass  # the last of those before ends, in order
        new.close(is_open=False)
        new.follow()  # acknowledged
        have = [
            here.number
            for here in old.remotes
            if here.shard is not None and here.shard._keys.is_unlocked(XAA)
        ]
    for here in (*old.remotes, *new.remotes):
        if not here.is_ended:
            here.end()
    assert have == []


# 4 ---------------------------------------------------------------------------


def test_who_is_replaced_is_found_when_following_fails_half_way(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for a moment while newer keys are lent."""
    archive = ships.archive
    gallery = GalleryName(XAA, FACES.space)

    def place(number: int) -> int:
        return _place(gallery, number // SHARING.together, SHARING.places)

    last = max(i for ids in whole(archive, FACES, *PEOPLE) for i in ids)
    last = max(last, 120)
    filler = 2000
    while True:
        archive.follow()
        ships.follow()
        ((old,),) = whole(archive, FACES, 7)
        with closing(sqlite3.connect(archive.database)) as database:
            (last,) = database.execute("SELECT template_id FROM counter").fetchone()
        if place(last + 1) > place(old):
            break
        archive.enrol(FACES, filler)
        filler += 1
    keys = archive.vault.successors(XAA)
    archive.store.custody.begin_unasked(XAA, keys, change_id=os.urandom(16)).result(30)
    archive.vault.learn(XAA)
    archive.replace(FACES, 7)
    changes = archive.store.journal.changes(ships.fleet.position, 1000)
    coming = ships.fleet._places.searched.shares[place(last + 1)].copies[0]
    lend, failed = archive.vault.lend, threading.Event()

    def hiccup(member, public):
        if public == coming.public and not failed.is_set():
            failed.set()
            raise StorageError("DATABASE_AWAY", "for a moment")
        return lend(member, public)

    monkeypatch.setattr(archive.vault, "lend", hiccup)
    with pytest.raises(StorageError):
        ships.fleet.apply(changes)  # the follower does it again, in a moment
    assert ships.found(FACES, 7) == [{old}]
    ships.follow()
    assert ships.found(FACES, 7) == [{last + 1}]


# 5 ---------------------------------------------------------------------------


def test_a_shard_that_stops_while_it_comes_back_stops_nobody_else(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`it follows no change for 10 s`: it is ended; here it holds up all writes."""
    monkeypatch.setattr(limits, "SHARD_FOLLOW_SECONDS", 0.2)
    monkeypatch.setattr(limits, "SHARD_SEARCH_SECONDS", 0.2)
    fleet, here, gate = ships.fleet, ships.remotes[0], threading.Event()
    joined, stopped = fleet._mending._has_joined, threading.Event()

    def followed(place):
        if place.remote is here and fleet._applying.locked() and not stopped.is_set():
            here.hold("follow", gate)
            stopped.set()
        return joined(place)

    monkeypatch.setattr(fleet._mending, "_has_joined", followed)
    here.restart()
    ships.found(FACES, *PEOPLE)
    until(stopped.is_set)
    ships.archive.enrol(OTHER_FACES, 700)
    following = threading.Thread(target=ships.follow)
    following.start()
    following.join(5)
    is_stuck = following.is_alive()
    gate.set()
    following.join()
    assert not is_stuck


# 6 ---------------------------------------------------------------------------


def test_a_rotation_that_begins_while_a_shard_comes_back_holds_up_no_write(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It codes a gallery anew, which takes minutes, while nothing can be applied."""
    archive, fleet, here, gate = (
        *(ships.archive, ships.fleet, ships.remotes[0]),
        threading.Event(),
    )
    joined, begun = fleet._mending._has_joined, threading.Event()

    def followed(place):
        if place.remote is here and fleet._applying.locked() and not begun.is_set():
            keys = archive.vault.successors(XAA)  # just now
            archive.store.custody.begin_unasked(
                XAA, keys, change_id=os.urandom(16)
            ).result(30)
            archive.vault.learn(XAA)
            here.hold("remake", gate)
            begun.set()
        return joined(place)

    monkeypatch.setattr(fleet._mending, "_has_joined", followed)
    here.restart()
    ships.found(FACES, *PEOPLE)
    until(begun.is_set)
    following = threading.Thread(target=ships.follow)
    following.start()
    following.join(5)
    is_stuck = following.is_alive()
    gate.set()
    following.join(5)
    is_stuck_for_good = following.is_alive()  # for `SHARD_LOAD_SECONDS`, an hour
    if is_stuck_for_good:
        here.shard = None
        for shard in here._made:
            shard._keys.lock(XAA)  # lets the stand-in's thread go
        following.join(10)
    assert (is_stuck, is_stuck_for_good) == (False, False)


def test_a_shard_that_loads_a_holder_is_back_though_others_write(ships: Ships) -> None:
    """It loads up to the journal's end, and waits until it is told to go there."""
    archive, here = ships.archive, ships.remotes[0]
    ships.close(is_open=False)
    ships.follow()
    follow = here.hold("follow")
    here.restart()
    ships.found(OTHER_FACES, *range(500, 560))
    until(lambda: here.asked.count("begin") == 2 and here.asked[-1] == "follow")
    ships.open()  # without that one, which is to load it when it is back
    load = here.hold("load")
    follow.set()
    until(lambda: here.asked[-1] == "load")
    archive.enrol(OTHER_FACES, 700)  # anybody writes
    ships.follow()  # acknowledged
    load.set()
    is_back = is_soon(lambda: ships.state(FACES) is GalleryState.READY, 10.0)
    # And a lock waits for that shard, and all writes wait for the lock.
    is_locked = True
    if not is_back:
        ships.close(is_open=False)
        following = threading.Thread(target=ships.follow)
        following.start()
        following.join(5)
        is_locked = not following.is_alive()
        here.shard = None
        for shard in here._made:
            shard._keys.lock(XAA)
        here.was_seen = True
        following.join(10)
    assert (is_back, is_locked) == (True, True)


# 7 ---------------------------------------------------------------------------


def test_a_stop_does_not_wait_for_a_shard_that_is_filled(archive: Archive) -> None:
    """Growth is under way; the exchange is told to end."""
    ships = Ships(archive)
    with ships.fleet as fleet:
        gate, make = threading.Event(), ships.make

        def made(sharing: Sharing) -> list[Here]:
            remotes = make(sharing)
            for remote in remotes:
                remote.hold("begin", gate)
            return remotes

        fleet._growth._make = made
        fleet.share_out(4)
        until(lambda: sum("begin" in r.asked for r in ships.remotes[3:]) == 4)
        stopping = threading.Thread(target=fleet.stop)
        stopping.start()
        stopping.join(5)
        is_stuck = stopping.is_alive()
        gate.set()
        stopping.join()
    assert not is_stuck


# 8 ---------------------------------------------------------------------------


def test_a_front_end_that_fails_to_start_says_why(archive: Archive) -> None:
    """Something fails before anything was restored."""
    made: list[Here] = []
    helper = Ships.__new__(Ships)
    helper.archive, helper.remotes, helper._absent = archive, made, None
    with (
        pytest.raises(StorageError),
        Fleet(
            helper.make,
            SHARING,
            vault=archive.vault,
            galleries=Galleries(),
            register=archive.store.register,
            is_trusted=True,
            beside=Others(archive.store.journal, lambda: True, list),
        ),
    ):
        raise StorageError("PORT_TAKEN", "why it does not start")
    assert all(here.is_ended for here in made)


# 9 ---------------------------------------------------------------------------


def test_shards_of_before_a_restore_make_nobody_a_stranger(archive: Archive) -> None:
    """All front ends are killed, the database is restored, and one starts in time."""
    before = archive.root / "before.sqlite"
    with (
        closing(sqlite3.connect(archive.database)) as now,
        closing(sqlite3.connect(before)) as then,
    ):
        now.backup(then)
    first = Ships(archive, beside=Others(archive.store.journal, lambda: False, list))
    with first.fleet:
        archive.enrol(FACES, *range(300, 340))
        first.follow()
    # Killed: shards are there for a minute.
    archive.store.close()
    with (
        closing(sqlite3.connect(archive.database)) as now,
        closing(sqlite3.connect(before)) as then,
    ):
        then.backup(now)
    for lock in archive.root.glob("exchange.sqlite.lock"):
        lock.unlink()  # `biometrics restore` writes into an empty folder
    archive.open()
    second = Second(archive, first)
    try:
        with second.fleet:
            # New ones, as many changes as the shards had heard of or more.
            archive.enrol(FACES, *range(800, 850))
            second.follow()  # acknowledged
            told = second.found(FACES, 805)
            state = second.state(FACES)
            assert told is None or told != [set()] or state is not GalleryState.READY
    finally:
        for here in first.remotes:
            here.end()


# 10 --------------------------------------------------------------------------


def test_no_file_is_left_by_shards_that_were_left(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Galleries are saved anew, for a rotation, while the old ones are about to end."""
    growth = ships.fleet._growth
    discard = growth._discard

    def discarded(layout) -> None:
        discard(layout)
        ships.fleet.keep(XAA)  # as a rotation does at any time

    monkeypatch.setattr(growth, "_discard", discarded)
    old = list(ships.remotes)
    ships.fleet.share_out(4)
    until(lambda: all(r.is_ended for r in old) and len(ships.fleet._places.all) == 4)
    assert ships.fleet.discard(XAA)  # it has destroyed them
    left = [*old[0].plan.folder_of(SHARING).rglob("manifest")]
    assert not [path for path in left if XAA.code in str(path)]


# 11 --------------------------------------------------------------------------


def test_one_row_that_does_not_open_is_one_damaged_gallery(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on one machine; others of the shard are found, and a stop ends."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)  # not on disk yet
    ships = Ships(archive)
    fleet = ships.fleet
    with closing(sqlite3.connect(archive.database)) as database, database:
        (other,) = database.execute(
            "SELECT key_id FROM gallery_key WHERE member = 'XRA' AND gallery = ?",
            (FACES.space,),
        ).fetchone()
        database.execute(
            "UPDATE template SET key_id = ? WHERE template_id = 7", (other,)
        )
    number = SHARING.place_of(archive.store.journal.templates([7])[7])
    # On one machine:
    archive.start()
    assert archive.galleries.state(XAA, FACES.space) is GalleryState.DAMAGED
    assert archive.galleries.state(XRA, FACES.space) is GalleryState.READY
    ships.remotes[number].restart()
    ships.found(OTHER_FACES, *range(500, 560))
    ships.found(FACES, *PEOPLE)
    is_back = is_soon(lambda: ships.state(OTHER_FACES) is GalleryState.READY, 8.0)
    stopping = threading.Thread(target=fleet.stop)
    stopping.start()
    stopping.join(5)
    stops = not stopping.is_alive()
    if not stops:  # so that the test ends
        for place in fleet._places.all:
            place.remote.shard = None
        stopping.join(10)
    for here in ships.remotes:
        here.end()
    assert (is_back, stops) == (True, True)


# 12 --------------------------------------------------------------------------


def test_unlocking_while_a_shard_comes_back_damages_nothing(ships: Ships) -> None:
    """A shard that began before the unlocking is back while the others load."""
    archive, here = ships.archive, ships.remotes[0]
    ships.close(is_open=False)
    ships.follow()
    gate = here.hold("follow")
    here.restart()
    ships.found(OTHER_FACES, *range(500, 560))
    until(lambda: here.asked.count("begin") == 2 and here.asked[-1] == "follow")
    # The member unlocks; the others load, which takes them a while.
    archive.vault.unlock(XAA)
    ships.close(is_open=True)
    ships.follow()
    ships.galleries.load(XAA)
    loading = [other.hold("load") for other in ships.remotes[1:]]
    load = threading.Thread(
        target=ships.fleet.load,
        args=(XAA,),
        kwargs={
            "is_wanted": lambda: True,
            "done": lambda: ships.galleries.open(XAA),
        },
    )
    load.start()
    until(lambda: all("load" in other.asked for other in ships.remotes[1:]))
    gate.set()  # it comes back
    until(lambda: ships.fleet._places.all[0].is_ready)
    for each in loading:
        each.set()
    load.join(20)
    assert is_soon(lambda: ships.state(FACES) is GalleryState.READY)
    assert ships.found(FACES, 1) == whole(archive, FACES, 1)


# 14 --------------------------------------------------------------------------


def test_who_begins_anew_is_known_to_a_front_end_that_hears_of_all_at_once(
    archive: Archive,
) -> None:
    """A gallery is destroyed, begun anew and enrolled into, while one was cut off."""
    first = Ships(archive, beside=Others(archive.store.journal, lambda: True, list))
    with first.fleet:
        second = Second(archive, first)
        with second.fleet:
            custody, request = archive.store.destruction, os.urandom(16)
            custody.destroy(
                XAA,
                change_id=os.urandom(16),
                request=RequestKey(request, bytes(32)),
                make_reply=lambda _: b"",
            ).result(30)
            first.follow()
            while custody.delete_some(XAA, 1000).result(30):
                pass
            first.fleet.discard(XAA)
            archive.vault.unlock(XAA)
            first.close(is_open=True)
            archive.enrol(FACES, 900)
            first.follow()
            first.galleries.load(XAA)
            first.fleet.load(
                XAA, is_wanted=lambda: True, done=lambda: first.galleries.open(XAA)
            )
            archive.enrol(FACES, 901)
            first.follow()
            assert first.galleries.has(XAA, FACES.space)
            assert first.found(FACES, 900) not in (None, [set()])
            # The other hears of all that, and does as `obey` does.
            second.follow()
            second._vault.unlock(XAA)
            second.galleries.load(XAA)
            second.fleet.load(
                XAA, is_wanted=lambda: True, done=lambda: second.galleries.open(XAA)
            )
            assert second.state(FACES) is GalleryState.READY
            assert second.found(FACES, 900) == first.found(FACES, 900)
            assert second.galleries.has(XAA, FACES.space)  # or nobody asks for it


# 15 --------------------------------------------------------------------------


def test_a_gallery_that_was_destroyed_is_begun_anew(ships: Ships) -> None:
    """Its member unlocks, and enrols then: as on one machine."""
    archive = ships.archive
    archive.store.destruction.destroy(
        XAA,
        change_id=os.urandom(16),
        request=RequestKey(os.urandom(16), bytes(32)),
        make_reply=lambda _: b"",
    ).result(30)
    ships.follow()
    while archive.store.destruction.delete_some(XAA, 1000).result(30):
        pass
    assert ships.fleet.discard(XAA)
    ships.open()  # GalleryLockedError: `Access` gives up, and it is LOADING for ever
    assert ships.galleries.closed(XAA) is None


# 16 --------------------------------------------------------------------------


def test_files_that_another_front_end_searches_by_stay(archive: Archive) -> None:
    """Codes of another number are deleted, `unless that is searched at the time`."""
    old = Ships(
        archive, SHARING, beside=Others(archive.store.journal, lambda: False, list)
    )
    assert old.fleet.keep(XAA)
    folder = old.remotes[0].plan.folder_of(SHARING)
    assert [*folder.rglob("manifest")]
    beside = Others(archive.store.journal, lambda: False, lambda: old.remotes)
    new = Ships(archive, replace(SHARING, places=4), beside=beside)
    left = [*folder.rglob("manifest")]
    with new.fleet, old.fleet:
        pass
    for here in (*old.remotes, *new.remotes):
        here.end()
    assert left


# 17 --------------------------------------------------------------------------


def test_a_damaged_key_of_one_member_keeps_no_other_from_being_found(
    ships: Ships,
) -> None:
    """While a shard comes back; on one machine, and while it is there, it does not."""
    with closing(sqlite3.connect(ships.archive.database)) as database, database:
        database.execute(
            "UPDATE gallery_key SET wrapped = zeroblob(length(wrapped))"
            " WHERE member = 'XAA'"
        )
    number = next(
        place.remote.number
        for place in ships.fleet._places.all
        if any(g.holder == XRA for g in place.has)
    )
    ships.remotes[number].restart()
    ships.found(OTHER_FACES, *range(500, 560))
    assert ships.state(OTHER_FACES) is GalleryState.LOADING
    assert is_soon(lambda: ships.state(OTHER_FACES) is GalleryState.READY, 8.0)


# 18 --------------------------------------------------------------------------


def test_a_front_end_that_is_cut_off_lends_no_new_shard_what_was_locked(
    archive: Archive,
) -> None:
    """The database counts it as gone, so the lock did not wait for it; Ray does not."""
    one = Ships(archive, beside=Others(archive.store.journal, lambda: True, list))
    with one.fleet:
        other = Second(archive, one)  # cut off from the database: it follows no more
        with other.fleet:
            one.close(is_open=False)
            one.follow()  # acknowledged, as `other` is gone
            one.remotes[0].restart()  # a process is lost; `one` has nothing to ask it
            other.found(FACES, 1)  # one that began before, say
            other.found(FACES, *PEOPLE)
            shard = one.remotes[0].shard
            assert shard is not None
            until(lambda: shard._has_begun)
            has_keys = shard._keys.is_unlocked(XAA)
            has_codes = sum(n for s, n in shard._index.counts().items() if s == FACES)
    assert (has_keys, has_codes) == (False, 0)


# 19 --------------------------------------------------------------------------


def test_a_shard_says_how_far_what_it_has_kept_on_disk_is(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins by files of two moments, and tells the earlier of both."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)  # none but by `keep`
    gallery = GalleryName(XAA, FACES.space)

    def place(number: int) -> int:
        return _place(gallery, number // SHARING.together, SHARING.places)

    one = Ships(archive, beside=Others(archive.store.journal, lambda: True, list))
    filler = 2000
    while True:  # until the next template of 7 is in another shard
        archive.follow()
        one.follow()
        ((old,),) = whole(archive, FACES, 7)
        with closing(sqlite3.connect(archive.database)) as database:
            (last,) = database.execute("SELECT template_id FROM counter").fetchone()
        if place(last + 1) != place(old):
            break
        archive.enrol(FACES, filler)
        filler += 1
    with one.fleet:
        other = Second(archive, one)
        with other.fleet:
            assert one.fleet.keep(XRA)
            archive.replace(FACES, 7)
            # `one` has shards follow: that which had 7 is there, the other is slow.
            here = one.remotes[place(old)]
            shard, end = here.shard, archive.store.journal.end()
            assert shard is not None
            shard.follow(shard._incarnation, end, {})
            shard.keep(shard._incarnation, XAA)  # a rotation, or it was due
            here.restart()
            other.found(FACES, *PEOPLE)  # notices
            until(other.fleet._places.is_whole)
            assert other.state(FACES) is GalleryState.READY
            found = other.found(FACES, 7)
            other.follow()
            assert other.found(FACES, 7) == [{last + 1}]
    assert found is None


# 20 --------------------------------------------------------------------------


def test_growth_goes_on_though_keys_are_replaced_and_others_write(
    ships: Ships,
) -> None:
    """As 6b: a shard that is filled codes anew, and waits to be told to go on."""
    archive = ships.archive
    follow, remake, make = threading.Event(), threading.Event(), ships.make

    def made(sharing: Sharing) -> list[Here]:
        remotes = make(sharing)
        for remote in remotes:
            remote.hold("follow", follow)
        return remotes

    ships.fleet._growth._make = made
    ships.fleet.share_out(4)
    until(lambda: sum("follow" in r.asked for r in ships.remotes[3:]) == 4)
    asked = [remote.asked.count("remake") for remote in ships.remotes[3:]]
    for remote in ships.remotes[3:]:
        remote.hold("remake", remake)
    keys = archive.vault.successors(XAA)
    archive.store.custody.begin_unasked(XAA, keys, change_id=os.urandom(16)).result(30)
    archive.vault.learn(XAA)
    ships.follow()
    follow.set()
    until(
        lambda: all(
            remote.asked.count("remake") > before
            for remote, before in zip(ships.remotes[3:], asked, strict=True)
        )
    )
    archive.enrol(OTHER_FACES, 700)  # anybody writes
    ships.follow()
    remake.set()
    is_grown = is_soon(lambda: len(ships.fleet.standings()) == 4, 10.0)
    if not is_grown:
        for here in ships.remotes[3:]:
            shards, here.shard = here._made, None
            for shard in shards:
                shard._keys.lock(XAA)
    assert is_grown
