"""Of several front ends one may be gone, late or cut off: shards mislead no other."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from archive import FACES, FEW, XAA, XRA, Archive, until
from ships import SHARING, Second, Ships, replaced_elsewhere, shards
from writers import Writer

from biometrics import limits
from biometrics.errors import StorageError
from matcher.fleet import Fleet, Others
from matcher.fleet.place import Share
from matcher.galleries import Galleries, GalleryName, GalleryState
from matcher.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ships import Here

    from matcher.fleet.place import Place
    from matcher.shard import Greeting

PEOPLE = range(80)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has failed is tried again soon."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)


def others(*strangers: Here, is_last: bool = True) -> Others:
    """Return what one front end knows of others, and of shards of theirs.

    Shards end with it where it is the last.
    """
    return Others(lambda: is_last, lambda: strangers)


def copy(database: Path, into: Path) -> None:
    """Copy a database that is in use."""
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(into)) as target,
    ):
        source.backup(target)


def test_a_shared_shard_ends_once_it_is_left_but_not_while_it_begins(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is filled for longer than it bears silence, by somebody who is there."""
    remote = pytest.importorskip("matcher.remote")
    monkeypatch.setattr(limits, "SHARD_SILENT_SECONDS", 0.8)
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.05)
    ended = threading.Event()

    class Ends(remote.SharedShard):  # type: ignore[name-defined, misc]
        """As if its process ended."""

        def _end(self) -> None:
            ended.set()

    monkeypatch.setattr("ships.Shard", Ends)
    restore = Index.restore

    def slowly(*arguments: Any, **more: Any) -> None:  # noqa: ANN401 - as it takes
        restore(*arguments, **more)
        time.sleep(1.5)

    monkeypatch.setattr(Index, "restore", slowly)
    ships = Ships(archive, replace(SHARING, places=1), beside=others())
    with ships.fleet:
        assert not ended.is_set()
    until(ended.is_set)


def test_a_front_end_that_fails_to_start_says_why(archive: Archive) -> None:
    """Something fails before anything was restored, and shards end with it."""
    made = shards(archive, SHARING)
    fleet = Fleet(
        lambda _: made,
        SHARING,
        vault=archive.vault,
        galleries=Galleries(),
        register=archive.store.register,
        is_trusted=True,
        beside=others(),
    )
    why = StorageError("PORT_TAKEN", "why it does not start")
    with pytest.raises(StorageError, match=why.message), fleet:
        raise why
    assert all(here.is_ended for here in made)


def test_shards_that_no_front_end_has_any_more_keep_no_keys_after_a_lock(
    archive: Archive,
) -> None:
    """Front ends hear of another number when started, one after the other."""
    old = Ships(archive, beside=others(is_last=False))
    beside = others(*old.remotes)
    new = Ships(archive, replace(SHARING, places=4), beside=beside)
    with new.fleet:
        with old.fleet:
            pass  # the last of those before ends, in order
        new.close(is_open=False)
        new.follow()
        for here in old.remotes:
            assert here.shard is None or not here.shard._keys.is_unlocked(XAA)
    for here in old.remotes:
        here.free()


@pytest.mark.parametrize("method", ["greet", "follow"])
def test_a_lock_waits_for_the_end_of_strangers_that_hang(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """They have keys until then, whoever had them."""
    for name in ("GREET", "FOLLOW", "END"):
        monkeypatch.setattr(limits, f"SHARD_{name}_SECONDS", 0.2)
    old = Ships(archive, beside=others())
    new = Ships(archive, replace(SHARING, places=4), beside=others(*old.remotes))
    with old.fleet, new.fleet:
        new.close(is_open=False)
        for here in old.remotes:
            here.hold(method)
            here.was_seen = False
        with pytest.raises(StorageError, match="not seen yet"):
            new.follow()
        assert new.fleet.position < archive.store.journal.end()
        for here in old.remotes:
            here.was_seen = True
        new.follow()
        assert new.fleet.position == archive.store.journal.end()
        assert not any(here.has_keys(XAA) for here in old.remotes)


def test_nor_keys_that_were_rotated_out(archive: Archive) -> None:
    """They are gone everywhere before it is said that they are."""
    old = Ships(archive, beside=others(is_last=False))
    new = Ships(archive, replace(SHARING, places=4), beside=others(*old.remotes))
    before = archive.vault.lendable(XAA)
    with new.fleet:
        killed(old)
        new.renew_keys()
        new.follow()
        new.end_rotation()
        new.follow()
        for here in (*new.remotes, *old.remotes):
            keys = here.shard and here.shard._keys._keys.get(XAA)
            assert not keys or before.isdisjoint(keys.by_id)
    for here in old.remotes:
        here.end()


def test_files_that_another_front_end_searches_by_stay(archive: Archive) -> None:
    """Those of another number are deleted where nobody has these shards any more."""
    old = Ships(archive)
    with old.fleet:
        assert old.fleet.keep(XAA)
        folder = old.remotes[0].plan.folder_of(SHARING)
        assert [*folder.rglob("manifest")]
        beside = others(*old.remotes)
        with Ships(archive, replace(SHARING, places=4), beside=beside).fleet:
            assert [*folder.rglob("manifest")]


def test_shards_of_before_a_restore_make_nobody_a_stranger(archive: Archive) -> None:
    """All front ends are killed, the database is restored, and one starts in time."""
    before = archive.root / "before.sqlite"
    copy(archive.database, before)
    first = Ships(archive, beside=others(is_last=False))
    with first.fleet:
        archive.enrol(FACES, *range(300, 340))
        first.follow()
    archive.close()
    copy(before, archive.database)
    # `biometrics restore` writes into an empty folder.
    (archive.root / "exchange.sqlite.lock").unlink()
    archive.open()
    second = Second(archive, first)
    with second.fleet:
        # As many changes as the shards had heard of, or more.
        archive.enrol(FACES, *range(800, 850))
        second.follow()
        told = second.found(FACES, 805), second.state(FACES)
        assert told != ([set()], GalleryState.READY)
    for here in first.remotes:
        here.free()


def test_a_shard_that_is_searched_is_not_ended_by_whoever_starts(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot read the journal for a moment, and is asked again."""
    one = Ships(archive, beside=others())
    with one.fleet:
        shard = one.remotes[0].shard
        assert shard is not None
        entry, failed = shard._journal.entry, list[int]()

        def fail_once(position: int) -> bytes | None:
            if not failed:
                failed.append(position)
                raise StorageError("DATABASE_AWAY", "for a moment")
            return entry(position)

        monkeypatch.setattr(shard._journal, "entry", fail_once)
        with Second(archive, one).fleet:
            assert failed
            assert one.remotes[0].shard is shard
            assert one.found(FACES, *PEOPLE) is not None


def test_who_begins_anew_is_known_to_a_front_end_that_hears_of_all_at_once(
    archive: Archive,
) -> None:
    """A gallery is destroyed, begun anew and enrolled into, while one was cut off."""
    first = Ships(archive, beside=others())
    second = Second(archive, first)
    with first.fleet, second.fleet:
        first.destroy()
        archive.vault.unlock(XAA)
        first.close(is_open=True)
        archive.enrol(FACES, 900)
        first.follow()
        first.load()
        archive.enrol(FACES, 901)
        first.follow()
        assert first.galleries.has(XAA, FACES.space)
        assert first.found(FACES, 900) not in (None, [set()])
        second.follow()
        second._vault.unlock(XAA)
        second.load()
        assert second.state(FACES) is GalleryState.READY
        assert second.found(FACES, 900) == first.found(FACES, 900)
        assert second.galleries.has(XAA, FACES.space)  # or nobody asks for it


@contextmanager
def both(archive: Archive) -> Iterator[tuple[Ships, Ships]]:
    """Give two front ends of the same shards, which know of one person in FEW."""
    one = Ships(archive, beside=others())
    other = Second(archive, one)
    with one.fleet, other.fleet:
        archive.enrol(FEW, 900)
        for ships in (one, other):
            ships.follow()
        yield one, other


def killed(ships: Ships) -> None:
    """Have a front end do nothing any more, while its shards go on."""
    ships.fleet._mending.stop()
    ships.fleet._growth.stop()


def frozen(here: Here) -> list[threading.Event]:
    """Have a process answer nothing, until events are set."""
    methods = ("greet", "begin", "follow", "search", "load")
    return [here.hold(method) for method in methods]


def has_keys(here: Here) -> bool:
    """Say whether a process has keys of XAA."""
    return here.shard is not None and here.shard._keys.is_unlocked(XAA)


def test_a_lock_waits_for_a_frozen_copy_that_was_never_greeted(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front end that had lent to it is gone; the other copy is searched."""
    monkeypatch.setattr(limits, "SHARD_GREET_SECONDS", 0.2)
    sharing = replace(SHARING, copies=2)
    one = Ships(archive, sharing, beside=others())
    until(lambda: all(each.is_ready for each in one.fleet.standings()))
    killed(one)
    late = one.remotes[1]
    gates = frozen(late)
    was = late.shard
    two = Second(archive, one, sharing)
    with two.fleet, ThreadPoolExecutor(1) as pool:
        two.close(is_open=False)
        following = pool.submit(two.follow)
        until(lambda: following.done() or late.shard is not was)
        assert not has_keys(late)
        for gate in gates:
            gate.set()
        following.result(30)
    for here in one.remotes:
        here.end()


def test_a_lock_waits_for_what_was_lent_to_since_a_process_was_gone(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another front end has had the next one begin, and is gone."""
    one = Ships(archive, beside=others())
    two = Second(archive, one)
    (here, *_), (place, *_) = one.remotes, one.fleet._places.all
    greet, gate = one.fleet._mending._greeting, threading.Event()

    def late(coming: Place) -> Greeting:
        """Wait, as between two looks, once it is known that nobody is there."""
        if coming is place and place.clear:
            assert gate.wait(30)
        return greet(coming)

    monkeypatch.setattr(one.fleet._mending, "_greeting", late)
    with one.fleet, two.fleet:
        here.shard = None
        assert one.found(FACES, *PEOPLE) is None
        until(lambda: place.clear > 0)
        here.restart()
        assert two.found(FACES, *PEOPLE) is None
        until(lambda: two.state(FACES) is GalleryState.READY)
        killed(two)
        one.close(is_open=False)
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(one.follow)
            assert not wait([following], 0.5).done
            assert has_keys(here)
            gate.set()
            following.result(30)
        assert not has_keys(here)


def test_a_front_end_begins_though_a_shard_is_frozen(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there before, and is ended."""
    monkeypatch.setattr(limits, "SHARD_GREET_SECONDS", 0.2)
    one = Ships(archive, beside=others())
    killed(one)
    was, gates = one.remotes[0].shard, frozen(one.remotes[0])
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(Second, archive, one)
        try:
            until(lambda: one.remotes[0].shard is not was)
        finally:
            for gate in gates:
                gate.set()
        with starting.result(30).fleet:
            pass
    for here in one.remotes:
        here.end()


class Crossing:
    """Two front ends of the same shards, and whatever happens before each step."""

    def __init__(
        self, writer: Writer, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Have something happen before any shard is asked, or looked at."""
        self.writer, self._archive = writer, writer.archive
        self.one = Ships(self._archive, beside=others(is_last=False))
        self.two = Second(self._archive, self.one)
        self.most = 0  # that happens from here on
        self._random = np.random.default_rng(seed)
        may_have = Share.may_have

        def looked(share: Share, gallery: GalleryName) -> bool:
            self.happen()
            return may_have(share, gallery)

        monkeypatch.setattr(Share, "may_have", looked)
        for ships in (self.one, self.two):
            searching = ships.fleet._searching
            monkeypatch.setattr(searching, "_ask", self.one_by_one(searching._ask))
            follows = partial(self.follow, ships)  # as its follower does meanwhile
            monkeypatch.setattr(searching, "_wait_for", lambda *_, do=follows: do())

    def one_by_one(self, ask: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """Return what asks shards, with something before each."""

        def asked(calls: list[Any]) -> list[Any]:
            told = []
            for each in calls:
                self.happen()
                told += ask([each])
            return told

        return asked

    def happen(self) -> None:
        """Write something, or have either of them follow a few changes, or nothing."""
        what = self._random.random()
        if self.most and what < 0.6:
            self.most -= 1
            if what < 0.25:
                self.writer.write()
            else:
                self.follow((self.one, self.two)[self._random.integers(2)])

    def follow(self, ships: Ships) -> None:
        """Have one follow a few changes."""
        page = int(self._random.integers(1, 4))
        if changes := self._archive.store.journal.changes(ships.fleet.position, page):
            ships.fleet.apply(changes)


@pytest.mark.parametrize("of", ["many", "few"])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_between_two_steps_nobody_is_a_stranger(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, of: str, seed: int
) -> None:
    """Of a gallery that is in all shards, or in one or two."""
    archive.enrol(FEW, 900, 901)
    shelf, people = (FACES, range(4)) if of == "many" else (FEW, range(900, 902))
    writer = Writer(archive, shelf, people, seed)
    world = Crossing(writer, seed, monkeypatch)
    told = 0
    with world.one.fleet, world.two.fleet:
        for number in range(30):
            writer.write()
            ships = (world.one, world.two)[number % 2]
            there = writer.there(ships.fleet.position)
            world.most = 8
            found = {who: ships.found(shelf, who) for who in there}
            world.most = 0
            strangers = {who for who, ids in found.items() if ids == [set()]}
            assert strangers.isdisjoint(writer.since)
            told += sum(ids is not None for ids in found.values())
        for ships in (world.one, world.two):
            ships.follow()
            people = writer.there(archive.store.journal.end())
            assert all(ships.found(shelf, *people) or [set()])
    assert told


def test_who_is_replaced_into_a_shard_that_had_nobody_is_no_stranger(
    archive: Archive,
) -> None:
    """One front end has had it follow; another does not know yet to ask it."""
    with both(archive) as (one, other):
        replaced_elsewhere(one, other, shelf=FEW, person=900)
        one.follow()
        assert one.found(FEW, 900) not in (None, [set()])
        assert other.found(FEW, 900) is None
        other.follow()
        assert other.found(FEW, 900) == one.found(FEW, 900)


def test_who_is_replaced_where_one_front_end_is_behind_is_no_stranger(
    archive: Archive,
) -> None:
    """A shard is further than it knows, and has nothing left of the gallery."""
    with both(archive) as (one, other):
        old, _ = replaced_elsewhere(one, other, shelf=FEW, person=900)
        here = one.remotes[SHARING.place_of(old)]
        assert here.shard is not None
        end = archive.store.journal.end()
        here.shard.follow(here.shard._incarnation, end, {})
        other.fleet._follow(other.fleet.position)  # as it does once it has loaded
        assert other.found(FEW, 900) is None
        other.follow()
        assert other.found(FEW, 900) not in (None, [set()])


def test_a_front_end_that_is_cut_off_lends_no_new_shard_what_was_locked(
    archive: Archive,
) -> None:
    """No lock waited for it: the database knows it as gone, while shards hear it."""
    one = Ships(archive, beside=others())
    other = Second(archive, one)  # and follows no more
    with one.fleet, other.fleet:
        one.close(is_open=False)
        one.follow()
        one.remotes[0].restart()
        assert other.found(FACES, *PEOPLE) is None
        shard = one.remotes[0].shard
        assert shard is not None
        until(lambda: shard._has_begun)
        assert not shard._keys.is_unlocked(XAA)
        assert not shard._index.counts().get(FACES)


def test_a_shard_says_how_far_what_it_has_kept_on_disk_is(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins by files of two moments, and tells of the earlier and the later."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)  # none but by `keep`
    one = Ships(archive, beside=others())
    other = Second(archive, one)
    with one.fleet, other.fleet:
        old, new = replaced_elsewhere(one, other)
        assert one.fleet.keep(XRA)
        # That which had the old one follows; that which is to have the new one is slow.
        here = one.remotes[SHARING.place_of(old)]
        shard = here.shard
        assert shard is not None
        shard.follow(shard._incarnation, archive.store.journal.end(), {})
        shard.keep(shard._incarnation, XAA)
        here.restart()
        assert other.found(FACES, *PEOPLE) is None
        until(other.fleet._places.is_whole)
        assert other.state(FACES) is GalleryState.READY
        assert other.found(FACES, 1) is None
        other.follow()
        assert other.found(FACES, 1) == [{new.template_id}]
