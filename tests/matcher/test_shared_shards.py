"""Two front ends speak to the same shards: neither is misled by what the other does."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from archive import FACES, OTHER_FACES, XAA, XRA, Archive, until
from ships import SHARING, Here, Second, Ships, whole

from biometrics import limits
from matcher.fleet import Others
from matcher.galleries import GalleryState
from matcher.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from biometrics.store import Change

PEOPLE = range(60)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Some people, on a single machine too."""
    archive = Archive(tmp_path)
    archive.enrol(FACES, *PEOPLE)
    archive.enrol(OTHER_FACES, 5)
    archive.start()
    yield archive
    archive.store.close()


@pytest.fixture
def both(archive: Archive) -> Iterator[tuple[Ships, Ships]]:
    """Two front ends."""
    beside = Others(lambda: True, list)
    first = Ships(archive, SHARING, beside=beside)
    second = Second(archive, first)
    with first.fleet, second.fleet:
        yield first, second


def test_both_find_who_is_there(archive: Archive, both: tuple[Ships, Ships]) -> None:
    """Whoever has told the shards where to go."""
    one, other = both
    assert one.found(FACES, 1, 2, 999) == other.found(FACES, 1, 2, 999)
    archive.enrol(FACES, 100, 101)
    archive.withdraw(FACES, 1)
    one.follow()
    archive.follow()
    # The other has not come so far; it hears of a later moment.
    assert other.found(FACES, 100, 1) == whole(archive, FACES, 100, 1)
    other.follow()
    assert other.found(FACES, 100, 1) == whole(archive, FACES, 100, 1)
    assert all(place.is_ready for place in other.fleet._places.all)


def test_a_lock_that_one_has_not_come_to_costs_it_no_shard(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """What shards have dropped for it is told as nothing; the rest is found."""
    one, other = both
    one.close(is_open=False)
    one.follow()
    assert other.found(FACES, 1) is None
    assert other.found(OTHER_FACES, 5) == whole(archive, OTHER_FACES, 5)
    other.follow()
    assert other.state(FACES) is GalleryState.LOCKED
    assert all(place.is_ready for place in other.fleet._places.all)


def test_a_lock_that_comes_later_is_no_lack_of_keys(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """Who comes to a change before it hears of shards that are beyond the lock."""
    one, other = both
    position = other.fleet.position
    archive.enrol(OTHER_FACES, 6)
    one.close(is_open=False)
    one.follow()
    other.fleet.apply(archive.store.journal.changes(position, 1))
    assert all(place.is_ready for place in other.fleet._places.all)


def test_no_shard_takes_a_key_that_a_lock_has_overtaken(
    both: tuple[Ships, Ships],
) -> None:
    """Of a front end that does not know of the lock, by a shard that cannot either."""
    one, other = both
    one.close(is_open=False)
    one.follow()
    assert one.fleet.keep(XRA)  # so that a new process begins after the lock
    has_xra = {g.holder: p for p in one.fleet._places.all for g in p.has}[XRA]
    number = has_xra.remote.number
    one.remotes[number].restart()
    until(lambda: one.found(OTHER_FACES, 5) is not None)
    shard = one.remotes[number].shard
    assert shard is not None
    assert not shard._overtaken
    place = other.fleet._places.all[number]
    greeting = other.fleet._mending._greeting(place)
    other.fleet._places.greeted(place, greeting, is_shared=True)
    loan = other.fleet._lending.loan(place, XAA)
    assert not shard.load(greeting.incarnation, XAA, loan)
    assert not shard._keys.is_unlocked(XAA)


def test_both_load_what_is_unlocked_once(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """The second one to ask finds it there, and nobody is UNAVAILABLE meanwhile."""
    one, other = both
    one.close(is_open=False)
    one.follow()
    other.follow()
    one.open()
    assert one.found(FACES, 1) == whole(archive, FACES, 1)
    other._vault.unlock(XAA)
    other.follow()
    other.galleries.load(XAA)
    lost, stop = threading.Event(), threading.Event()

    def search() -> None:
        while not stop.is_set():
            if one.found(FACES, 1) is None:
                lost.set()

    searching = threading.Thread(target=search)
    searching.start()
    other.fleet.load(
        XAA, is_wanted=lambda: True, done=lambda: other.galleries.open(XAA)
    )
    stop.set()
    searching.join()
    assert not lost.is_set()
    assert other.found(FACES, 1) == whole(archive, FACES, 1)


def test_nobody_who_is_replaced_is_missed_by_the_other(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """While the one has shards follow, the other finds who was or who is."""
    one, other = both
    stop = threading.Event()
    missed: list[int] = []

    def search() -> None:
        while not stop.is_set():
            if other.found(FACES, 7) == [set()]:
                missed.append(other.fleet.position)

    def follow() -> None:
        while not stop.is_set():
            other.follow()

    threads = [threading.Thread(target=each) for each in (search, search, follow)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        archive.replace(FACES, 7)
        one.follow()
    stop.set()
    for thread in threads:
        thread.join()
    assert missed == []


def test_who_is_replaced_is_not_missed_where_it_was_never_looked_for(
    archive: Archive, both: tuple[Ships, Ships], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lags knows of no gallery in the shard that has the person by now."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 1)
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.001)
    one, other = both
    for _ in range(60):
        archive.replace(FACES, 7)
        one.follow()
        assert other.found(FACES, 7) in (None, one.found(FACES, 7))


def test_who_is_replaced_is_not_missed_in_the_middle_of_it(
    archive: Archive, both: tuple[Ships, Ships], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard says how far it may be, and not how far it was before."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 1)
    one, other = both
    begun, go_on = threading.Event(), threading.Event()
    remove = Index._remove

    def removed(index: Index, changes: Sequence[Change]) -> None:
        remove(index, changes)
        begun.set()
        go_on.wait(30)

    monkeypatch.setattr(Index, "_add", lambda *_: None)  # as if that were elsewhere
    monkeypatch.setattr(Index, "_remove", removed)
    archive.replace(FACES, 7)
    following = threading.Thread(target=one.follow)
    following.start()
    begun.wait(30)
    until(lambda: other.found(FACES, 7) != [{8}])
    assert other.found(FACES, 7) is None
    go_on.set()
    following.join()


def test_copies_that_are_told_of_at_two_moments_do_not_differ(
    archive: Archive,
) -> None:
    """While another front end has them follow, nothing is compared."""
    sharing = replace(SHARING, places=1, copies=2)
    beside = Others(lambda: True, list)
    with Ships(archive, sharing, beside=beside).fleet as fleet:
        first, _ = fleet._places.all
        archive.enrol(FACES, 100)
        assert isinstance(first.remote, Here)
        shard = first.remote.shard
        assert shard is not None
        reached = shard.follow(first.incarnation, archive.store.journal.end(), {})
        assert reached is not None
        fleet._places.reached(first, reached)
        fleet._count(first)
        assert fleet._galleries.state(XAA, FACES.space) is GalleryState.READY


def test_keys_that_are_replaced_stay_with_shards_under_both(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """A front end that lends older keys takes no newer one away."""
    one, other = both
    one.renew_keys()
    one.follow()
    archive.enrol(FACES, 200)
    one.follow()
    for place in other.fleet._places.all:
        loan = other.fleet._lending.loan(place, XAA)
        shard = one.remotes[place.remote.number].shard
        assert shard is not None
        shard.load(place.incarnation, XAA, loan)
    archive.enrol(FACES, 201)
    one.follow()
    archive.follow()
    assert one.found(FACES, 200, 201) == whole(archive, FACES, 200, 201)


def test_a_shard_that_is_lost_is_had_back_by_both(
    archive: Archive, both: tuple[Ships, Ships]
) -> None:
    """Whoever comes second goes on from where the first has had it begin."""
    one, other = both
    one.remotes[0].restart()
    until(lambda: one.found(FACES, *PEOPLE) == whole(archive, FACES, *PEOPLE))
    until(lambda: other.found(FACES, *PEOPLE) == whole(archive, FACES, *PEOPLE))


def test_whoever_leaves_first_leaves_shards_to_the_other(archive: Archive) -> None:
    """They end with the last one."""
    first = Ships(archive, beside=Others(lambda: False, list))
    with first.fleet:
        second = Second(archive, first)
        with second.fleet:
            pass
        assert first.found(FACES, 1) == whole(archive, FACES, 1)
    assert not any(remote.is_ended for remote in first.remotes)
    for remote in first.remotes:
        remote.free()
