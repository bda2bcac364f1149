"""Whatever becomes of a shard, nobody in it is taken for a stranger."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from archive import (
    FACES,
    LEFT_FINGERS,
    OTHER_FACES,
    SURE,
    XAA,
    XRA,
    Archive,
    digest,
    until,
)
from world import DIMENSION, SPACE, SPACES, unit

from biometrics import limits
from biometrics.disclosure import Band
from biometrics.errors import StorageError
from biometrics.store import RequestKey
from biometrics.templates import Template
from matcher.calls import LostError
from matcher.fleet import Fleet
from matcher.galleries import Galleries, GalleryName, GalleryState
from matcher.schedule import Scan, Turn
from matcher.shard import Shard, ShardPlan
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matcher.calls import Call
    from matcher.galleries import Shelf

SHARING = Sharing(places=3, together=8)


class Here:
    """A shard of this process, which can be taken away."""

    def __init__(self, plan: ShardPlan) -> None:
        """Have it there."""
        self.number = plan.number
        self.plan = plan
        self.shard: Shard | None = Shard(plan)
        self._made = [self.shard]
        self.was_seen = True
        self._held: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(4)

    def send(self, asked: Call) -> Future[Any]:
        """Call it, on some thread."""
        if self.shard is None:
            failed: Future[Any] = Future()
            failed.set_exception(LostError("gone"))
            return failed
        method = getattr(self.shard, asked.method)
        held = self._held.get(asked.method)

        def answer() -> Any:  # noqa: ANN401
            if held is not None:
                held.wait(30)
            return method(*asked.arguments, **asked.more)

        return self._pool.submit(answer)

    def hold(self, method: str) -> threading.Event:
        """Have calls of a method wait for what is returned."""
        self._held[method] = threading.Event()
        return self._held[method]

    def answer(self, sent: Future[Any], *, seconds: float) -> Any:  # noqa: ANN401
        """Wait for what it says."""
        try:
            return sent.result(seconds)
        except LostError:
            raise
        except Exception as error:
            raise LostError(repr(error), is_alive=True) from error

    def is_gone(self) -> bool:
        """Say whether its end was seen."""
        return self.shard is None and self.was_seen

    def restart(self) -> None:
        """Have another."""
        self.shard = Shard(self.plan)
        self._made.append(self.shard)

    def end(self) -> None:
        """Have none, nor a thread of one that was."""
        self._pool.shutdown()
        for shard in self._made:
            shard._keeper.stop()


class Ships:
    """A fleet of shards of an archive, and what it tells."""

    def __init__(self, archive: Archive, sharing: Sharing = SHARING) -> None:
        """Make one, and follow the journal."""
        self.archive = archive
        self.galleries = Galleries()
        for member in (XAA, XRA):
            for space in archive.store.register.spaces(member):
                self.galleries.know(member, space)
        self.remotes = [
            Here(
                ShardPlan(
                    number=number,
                    sharing=sharing,
                    database=archive.database,
                    segments=archive.folder,
                    spaces=tuple(archive.spaces),
                    threads=1,
                )
            )
            for number in range(sharing.places)
        ]
        self.fleet = Fleet(
            self.remotes,
            sharing,
            vault=archive.vault,
            galleries=self.galleries,
            register=archive.store.register,
            is_trusted=True,
        )
        while True:
            try:
                journal = archive.store.journal
                self.fleet.restore(archive.files, journal, start=journal.end())
            except StorageError:
                continue
            break
        self.galleries.loaded()

    def follow(self) -> None:
        """Apply what is new."""
        journal = self.archive.store.journal
        while changes := journal.changes(self.fleet.position, 1000):
            self.fleet.apply(changes)

    def turn(self, shelf: Shelf, person: int) -> Turn:
        """Return a probe of somebody, who waits for a shelf."""
        space = self.archive.spaces.named(shelf.space)
        probe = Template(
            space=space,
            position=shelf.position,
            values=unit(person, space.dimension),
            quality=None,
        )
        return Turn(Scan(probe, 1, {shelf: Band.without(SURE)}, 1, {shelf: []}), shelf)

    def found(self, shelf: Shelf, *people: int) -> list[set[int]] | None:
        """Return the candidates of some people; None where that cannot be known."""
        turns = [self.turn(shelf, person) for person in people]
        together: list[set[int]] = [set() for _ in people]
        for part in self.fleet.parts(shelf):
            for ids, all_ids in zip(
                self.fleet.comparing.compare(part, turns), together, strict=True
            ):
                if ids is None:
                    return None
                all_ids.update(ids.tolist())
        return together

    def has_followed(self, number: int) -> bool:
        """Say whether a shard is at the journal's end."""
        shard = self.remotes[number].shard
        end = self.archive.store.journal.end()
        return shard is not None and shard._index.position == end

    def state(self, shelf: Shelf) -> GalleryState:
        """Return what is told of a gallery."""
        return self.galleries.state(shelf.holder, shelf.space)

    def close(self, *, is_open: bool) -> None:
        """Store that XAA has closed or opened its galleries."""
        if not is_open:
            self.galleries.lock(XAA)
        self.archive.store.custody.set_open(
            XAA,
            is_open=is_open,
            change_id=bytes(16),
            request=RequestKey(np.random.default_rng().bytes(16), bytes(32)),
            make_reply=lambda _: b"",
        ).result(30)

    def open(self) -> None:
        """Unlock XAA, and load it."""
        self.archive.vault.unlock(XAA)
        self.close(is_open=True)
        self.follow()
        self.galleries.load(XAA)
        self.fleet.load(
            XAA, is_wanted=lambda: True, done=lambda: self.galleries.open(XAA)
        )


@pytest.fixture
def ships(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ships]:
    """A fleet of three."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    ships = Ships(archive)
    with ships.fleet:
        yield ships


def whole(archive: Archive, shelf: Shelf, *people: int) -> list[set[int]]:
    """Return what one machine finds."""
    vectors = np.stack([unit(person) for person in people])
    found = archive.engine.search(shelf, vectors, np.full(len(people), SURE))
    return [set(ids.tolist()) for ids in found]


def test_a_lost_shard_is_a_gallery_that_loads(ships: Ships) -> None:
    """What is done meanwhile is in effect when it is back."""
    people = range(80)
    assert ships.found(FACES, *people) == whole(ships.archive, FACES, *people)
    lost = ships.fleet.parts(FACES)[0].places[0].remote
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


def replaced_elsewhere(ships: Ships) -> tuple[int, int, int]:
    """Replace a template of FACES by one that comes into another shard.

    Returns:
        The number of the new template, and of the shards of the old one and of it.
    """
    archive = ships.archive
    (old,) = archive.store.journal.templates_of(XAA, [digest(FACES, 1)])
    while True:
        archive.replace(FACES, 1)
        (new,) = archive.store.journal.templates_of(XAA, [digest(FACES, 1)])
        places = SHARING.place_of(old), SHARING.place_of(new)
        if places[0] != places[1]:
            return new.template_id, *places
        ships.follow()
        old = new
        archive.enrol(OTHER_FACES, *range(600 + new.template_id, 608 + new.template_id))


def test_who_is_replaced_is_waited_for(ships: Ships) -> None:
    """A shard may have dropped the old template before another has the new one."""
    number, old, new = replaced_elsewhere(ships)
    held = ships.remotes[new].hold("follow")
    with ThreadPoolExecutor(2) as pool:
        following = pool.submit(ships.follow)
        until(lambda: ships.has_followed(old))
        searching = pool.submit(ships.found, FACES, 1)
        assert not wait([searching], 0.3).done
        held.set()
        assert searching.result(30) == [{number}]
        following.result(30)


def test_who_is_replaced_during_a_search_is_searched_for_again(ships: Ships) -> None:
    """One shard was heard before it, and another after it."""
    number, old, _ = replaced_elsewhere(ships)
    held = ships.remotes[old].hold("search")
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(ships.found, FACES, 1)
        assert not wait([searching], 0.3).done
        ships.follow()
        held.set()
        assert searching.result(30) == [{number}]


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
    archive.enrol(LEFT_FINGERS._replace(holder=XRA), 900)
    ships.follow()
    few = LEFT_FINGERS._replace(holder=XRA)
    (part,) = ships.fleet.parts(few)
    assert len(part) == 1
    for remote in ships.remotes:
        if remote is not part.places[0].remote:
            remote.shard = None
    assert ships.found(FACES, 1) is None
    assert ships.found(few, 900) not in (None, [set()])
    assert ships.state(few) is GalleryState.READY


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
        assert later.fleet.parts(FACES) == []
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
    archive, victim = ships.archive, ships.fleet.parts(FACES)[0].places[0].remote
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
