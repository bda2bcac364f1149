"""What happens while a shard reads, loads, begins or is lost hides nobody.

A shard reads rows as they are at that moment, which may be later than where it is: who
was replaced meanwhile is gone from them, and comes with a change that it has not seen.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from archive import (
    FACES,
    FEW,
    OTHER_FACES,
    XAA,
    XRA,
    Archive,
    digest,
    until,
)
from ships import SHARING, Second, Ships, replaced_elsewhere, shards, whole

from biometrics import limits
from biometrics.errors import StorageError
from matcher.calls import LostError, call
from matcher.fleet import Others
from matcher.fleet.place import Share
from matcher.follower import Follower
from matcher.galleries import GalleryName, GalleryState
from matcher.index import Index
from matcher.segments import SegmentFiles
from matcher.shard import Loan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from biometrics.members import Member
    from matcher.fleet.place import Place
    from matcher.galleries import Shelf
    from matcher.schedule import Turn
    from matcher.shard import Reached

PEOPLE = range(80)
WAIT_SECONDS = 10.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has failed is tried again soon; nothing is saved unasked."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)


@pytest.fixture(params=[False, True], ids=["one front end", "several"])
def ships(archive: Archive, request: pytest.FixtureRequest) -> Iterator[Ships]:
    """A fleet of three."""
    beside = Others(lambda: True, list) if request.param else None
    ships = Ships(archive, beside=beside)
    with ships.fleet:
        yield ships


def failing_once(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> threading.Event:
    """Have a method fail once as the database does; an event says that it has."""
    method, failed = getattr(owner, name), threading.Event()

    def fail_once(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 - as it takes
        if not failed.is_set():
            failed.set()
            raise StorageError("DATABASE_AWAY", "for a moment")
        return method(*arguments, **more)

    monkeypatch.setattr(owner, name, fail_once)
    return failed


def all_are_well(ships: Ships) -> bool:
    """Say whether nobody is about to have a shard back, or counted."""
    return not any(place.is_mended for place in ships.fleet._places.all)


def first_place(ships: Ships) -> Place:
    """Return the first of all."""
    return ships.fleet._places.all[0]


def replaced_twice(ships: Ships, shelf: Shelf, person: int) -> None:
    """Replace somebody, and once more before shards read of it."""
    archive = ships.archive
    archive.replace(shelf, person)
    page = archive.store.journal.changes(ships.fleet.position, 1000)
    archive.replace(shelf, person)
    ships.fleet.apply(page)


def is_found(ships: Ships, shelf: Shelf = FACES, person: int = 1) -> bool:
    """Say whether somebody is."""
    return ships.found(shelf, person) not in (None, [set()])


@pytest.fixture(params=["of many", "of one"])
def somebody(ships: Ships, request: pytest.FixtureRequest) -> tuple[Shelf, int]:
    """Somebody in a gallery that is in every shard, or in one of which it is all."""
    if request.param == "of many":
        return FACES, 1
    ships.archive.enrol(FEW, 900)
    ships.follow()
    return FEW, 900


def without_files(ships: Ships) -> None:
    """Delete what shards keep on disk."""
    for here in ships.remotes:
        shutil.rmtree(here.plan.folder, ignore_errors=True)


def during_passes(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]
) -> list[int]:
    """Have something done, and followed, before the last shard of a pass is asked.

    Returns:
        How many turns are in each pass, as they are made.
    """
    searching = ships.fleet._searching
    make, ask, passes = searching._pass, searching._ask, list[int]()

    def one_pass(shares: Sequence[Share], turns: Sequence[Turn]) -> object:
        passes.append(len(turns))
        return make(shares, turns)

    def one_by_one(calls: Sequence[tuple[Share, tuple[Any, ...]]]) -> list[Any]:
        told = ask(calls[:-1])
        do()
        ships.follow()
        return [*told, *ask(calls[-1:])]

    monkeypatch.setattr(searching, "_pass", one_pass)
    monkeypatch.setattr(searching, "_ask", one_by_one)
    return passes


# -- who is replaced twice, or while a shard reads -------------------------------


def test_who_is_replaced_before_shards_read_is_no_stranger(
    ships: Ships, somebody: tuple[Shelf, int]
):
    """They read a page of changes later than the exchange did."""
    replaced_twice(ships, *somebody)
    assert ships.state(somebody[0]) is GalleryState.READY
    assert ships.found(*somebody) != [set()]
    ships.follow()
    assert is_found(ships, *somebody)


def test_whoever_is_missed_by_one_pass_is_found_by_the_next(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Others may be replaced meanwhile, without a pause."""
    others = iter(range(2, 80))
    passes = during_passes(
        ships, monkeypatch, lambda: ships.archive.replace(FACES, next(others))
    )
    assert ships.found(FACES, 1) == whole(ships.archive, FACES, 1)
    assert passes == [1, 1]


@pytest.mark.parametrize("where", ["which shards to wait for", "which to ask"])
def test_who_moves_while_it_is_looked_who_has_what_is_no_stranger(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, where: str
):
    """To a shard that was looked at, from one that was not yet."""
    old = new = 0
    ships.archive.enrol(FEW, 900)
    while new >= old:
        ships.follow()
        moved = replaced_elsewhere(ships, shelf=FEW, person=900)
        old, new = map(SHARING.place_of, moved)
    last = ships.fleet._places.searched.shares[old]
    may_have, followed = Share.may_have, threading.Event()

    def late(share: Share, gallery: GalleryName) -> bool:
        if share is last and gallery.holder == XRA and not followed.is_set():
            followed.set()
            ships.follow()
        return may_have(share, gallery)

    (part,) = ships.fleet.parts(FEW)
    monkeypatch.setattr(Share, "may_have", late)
    if where == "which shards to wait for":
        (part,) = ships.fleet.parts(FEW)
    turn = ships.turn(FEW, 900)
    (found,) = ships.fleet.comparing.compare(part, [turn])
    assert followed.is_set()
    assert found is not None
    assert found.tolist() == [moved[1].template_id]


def test_what_one_pass_has_found_stays_found(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """The next, which is for somebody else, may miss people."""
    right = whole(ships.archive, FACES, *PEOPLE)
    people = [person for person in PEOPLE if right[person]]
    replaced = iter([people[:1], people[1:]])
    passes = during_passes(
        ships,
        monkeypatch,
        lambda: [ships.archive.replace(FACES, person) for person in next(replaced)],
    )
    found = ships.found(FACES, *people)
    assert found is not None
    assert all(found)
    assert len(passes) == 2


def test_who_is_replaced_during_every_pass_is_no_stranger(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Nobody can say who that is: whoever is searched for has no answer."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 4)
    passes = during_passes(ships, monkeypatch, lambda: ships.archive.replace(FACES, 1))
    assert ships.found(FACES, 2) is None
    assert passes == [1] * 4


def test_who_is_enrolled_or_withdrawn_is_no_reason_for_another_pass(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Nor is a withdrawal of which the change before it is another record's."""

    def write() -> None:
        ships.archive.enrol(FACES, 900)
        ships.follow()
        ships.archive.withdraw(FACES, 40)

    passes = during_passes(ships, monkeypatch, write)
    assert ships.found(FACES, 1) == whole(ships.archive, FACES, 1)
    assert passes == [1]


def test_those_of_other_holders_are_not_searched_for_again(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """In one pass with those of whom somebody is replaced."""
    others = iter(range(2, 80))
    passes = during_passes(
        ships, monkeypatch, lambda: ships.archive.replace(FACES, next(others))
    )
    turns = [ships.turn(FACES, 1), ships.turn(OTHER_FACES, 100)]
    (part,) = ships.fleet.parts(FACES)
    found = ships.fleet.comparing.compare(part, turns)
    right = [whole(ships.archive, FACES, 1), whole(ships.archive, OTHER_FACES, 100)]
    assert [[set(each.tolist())] for each in found if each is not None] == right
    assert passes == [2, 1]


def test_who_is_replaced_while_a_shard_comes_back_is_no_stranger(
    ships: Ships, somebody: tuple[Shelf, int]
):
    """What takes the place is durable, and nobody has followed yet."""
    archive, (shelf, person) = ships.archive, somebody
    lookups = [digest(shelf, person)]
    (old,) = archive.store.journal.templates_of(shelf.holder, lookups)
    without_files(ships)
    archive.replace(shelf, person)
    ships.remotes[SHARING.place_of(old)].restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(lambda: ships.state(FACES) is GalleryState.READY)
    assert ships.found(shelf, person) != [set()]
    ships.follow()
    assert is_found(ships, shelf, person)


def test_who_is_replaced_before_it_is_saved_is_no_stranger_afterwards(ships: Ships):
    """What a shard has on disk lacks whoever it lacked itself."""
    replaced_twice(ships, FACES, 1)
    assert ships.fleet.keep(XAA)
    assert ships.fleet.keep(XRA)
    for here in ships.remotes:
        here.restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(lambda: ships.state(FACES) is GalleryState.READY)
    assert ships.found(FACES, 1) != [set()]


def test_who_is_replaced_while_a_member_unlocks_is_no_stranger(ships: Ships):
    """Shards load what is there by then."""
    archive = ships.archive
    ships.close(is_open=False)
    ships.follow()
    without_files(ships)
    ships._vault.unlock(XAA)
    ships.close(is_open=True)
    ships.follow()
    archive.replace(FACES, 1)
    ships.load()
    assert ships.state(FACES) is GalleryState.LOADING or (
        ships.found(FACES, 1) != [set()]
    )
    ships.follow()
    until(lambda: is_found(ships))


def test_a_shard_that_is_ahead_of_what_failed_hides_nobody(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """It is told to go where the others could not be told to go."""
    archive, searched = ships.archive, ships.fleet._places.searched
    old, new = replaced_elsewhere(ships)
    (place,) = searched.shares[SHARING.place_of(old)].copies
    ships.renew_keys()
    failed = failing_once(monkeypatch, archive.vault, "lend")
    with pytest.raises(StorageError):
        ships.follow()
    assert failed.is_set()
    place.remote.restart()
    assert ships.found(FACES, 1) is None
    until(lambda: place.is_ready)
    assert ships.found(FACES, 1) in (None, [{old.template_id}], [{new.template_id}])


def test_who_is_new_and_replaced_before_it_is_read_is_no_stranger(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """No shard has anything of the gallery: it comes with a later change."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 2)
    archive, journal = ships.archive, ships.archive.store.journal
    archive.enrol(FEW, 900)
    archive.replace(FEW, 900)
    ships.fleet.apply(journal.changes(ships.fleet.position, 1))
    ships.galleries.know(FEW.holder, FEW.space)
    assert ships.found(FEW, 900) is None
    ships.follow()
    assert ships.found(FEW, 900) not in (None, [set()])


def test_who_is_replaced_while_shards_read_one_by_one_is_no_stranger(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """One has dropped all of a gallery, before another reads that what came is gone."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 2)
    archive, journal = ships.archive, ships.archive.store.journal
    archive.enrol(FEW, 900)
    ships.follow()
    old, _ = replaced_elsewhere(ships, shelf=FEW, person=900)
    page = journal.changes(ships.fleet.position, 1000)
    early = ships.remotes[SHARING.place_of(old)].shard
    assert early is not None
    early.follow(early._incarnation, page[-1].position, {})
    archive.replace(FEW, 900)
    ships.fleet.apply(page)
    assert ships.found(FEW, 900) is None
    ships.follow()
    assert ships.found(FEW, 900) not in (None, [set()])


def test_who_is_gone_before_shards_have_said_so_is_no_stranger(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """One that another front end has had go on has dropped all, and is heard first."""
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 2)
    archive, places = ships.archive, ships.fleet._places
    archive.enrol(FEW, 900)
    ships.follow()
    while SHARING.place_of(replaced_elsewhere(ships, shelf=FEW, person=900)[0]):
        ships.follow()
    end = archive.store.journal.end()
    early, note = first_place(ships), places.reached
    shard, found = ships.remotes[0].shard, list[object]()
    assert shard is not None
    shard.follow(shard._incarnation, end, {})
    archive.replace(FEW, 900)
    most = end - ships.fleet.position

    def noted(place: Place, reached: Reached) -> None:
        note(place, reached)
        if place is early:
            found.append(ships.found(FEW, 900))

    monkeypatch.setattr(places, "reached", noted)
    ships.fleet.apply(archive.store.journal.changes(ships.fleet.position, most))
    assert found == [None]


def test_a_backlog_is_followed_in_pages_whoever_is_gone_from_it(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """No shard is told to go further at once than it can within its time."""
    archive, page, new = ships.archive, 8, count(800)
    monkeypatch.setattr(limits, "JOURNAL_PAGE_CHANGES", page)
    monkeypatch.setattr(limits, "MAX_SHARD_PASSES", 2)
    monkeypatch.setattr(limits, "CHANGES_GATHER_SECONDS", 0.0)
    follower = Follower(
        journal=archive.store.journal,
        index=ships.fleet,
        files=archive.files,
        galleries=ships.galleries,
        start=0,
        on_failure=lambda: None,
    )
    until(lambda: all_are_well(ships))
    follower._start, follower._is_loaded = ships.fleet.position, True
    for _ in range(4):
        archive.replace(FACES, 1)
        archive.replace(FACES, 2)
        archive.enrol(OTHER_FACES, next(new))
    positions = [ships.fleet.position]
    while positions[-1] < archive.store.journal.end():
        follower._follow_on()
        positions.append(ships.fleet.position)
        assert ships.found(FACES, 1) != [set()]
    assert max(b - a for a, b in pairwise(positions)) <= page
    assert is_found(ships)


# -- counts of one moment --------------------------------------------------------


def test_unlocking_goes_on_after_one_shard_could_not_read(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """It is the same process afterwards, and is asked again."""
    ships.close(is_open=False)
    ships.follow()
    shard = ships.remotes[0].shard
    assert shard is not None
    failed = failing_once(monkeypatch, shard._loading, "load")
    ships.open()
    assert failed.is_set()
    until(lambda: ships.state(FACES) is not GalleryState.LOADING)
    assert ships.state(FACES) is GalleryState.READY
    assert ships.found(FACES, 1) == whole(ships.archive, FACES, 1)


def test_codes_by_older_keys_are_not_remade_where_one_failed(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Though it is back before a slower one has answered."""
    one, two = ships.remotes[:2]
    assert one.shard is not None
    until(lambda: all_are_well(ships))
    ships.renew_keys()
    failed = failing_once(monkeypatch, one.shard._loading, "remake")
    gate, told = two.hold("remake"), []
    mending = ships.fleet._mending
    lost, lose = threading.Event(), mending.lose

    def losing(place: Place, error: LostError) -> None:
        lose(place, error)
        lost.set()

    monkeypatch.setattr(mending, "lose", losing)

    def remake() -> None:
        try:
            ships.fleet.remake(XAA, is_wanted=lambda: True)
            told.append("done")
        except StorageError:
            told.append("not done")

    remaking = threading.Thread(target=remake)
    remaking.start()
    assert lost.wait(WAIT_SECONDS)
    assert failed.is_set()
    until(lambda: first_place(ships).is_ready)
    has_older = one.shard._index.has_older_codes(XAA)
    gate.set()
    remaking.join(WAIT_SECONDS)
    assert told == ["not done"] or not has_older


def test_who_is_counted_while_a_shard_is_lost_is_not_damaged(ships: Ships):
    """Nothing is told of any gallery then."""
    archive = ships.archive
    archive.enrol(FEW, 900)
    ships.follow()
    counted = {
        GalleryName(member, row.space): row.templates
        for member in (XAA, XRA)
        for row in archive.store.register.galleries(member)
    }
    (part,) = ships.fleet.parts(FEW)
    for here in ships.remotes:
        if here is not part.shares[0].copies[0].remote:
            here.shard = None
    assert ships.found(FACES, *PEOPLE) is None
    ships.fleet.verify(counted)
    assert ships.state(FEW) is GalleryState.READY


def test_a_copy_that_has_one_gallery_ahead_is_not_compared(archive: Archive):
    """It has begun by files of two moments."""
    sharing = replace(SHARING, places=1, copies=2)
    one = Ships(archive, sharing, beside=Others(lambda: True, list))
    other = Second(archive, one, sharing)
    with one.fleet, other.fleet:
        until(lambda: all(each.is_ready for each in one.fleet.standings()))
        assert one.fleet.keep(XRA)
        archive.enrol(FACES, 300)
        here = one.remotes[1]
        shard = here.shard
        assert shard is not None
        shard.follow(shard._incarnation, archive.store.journal.end(), {})
        shard.keep(shard._incarnation, XAA)
        here.restart()
        for _ in range(4):  # each copy in turn
            other.found(FACES, *PEOPLE)
        until(lambda: all(place.is_ready for place in other.fleet._places.all))
        assert other.state(FACES) is GalleryState.READY


# -- locks, and shards that are lost, begin or load ------------------------------


def test_a_lock_ends_though_a_shard_is_lost_that_was_not_counted_yet(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Whoever has it back waits for nobody who waits for it."""
    monkeypatch.setattr(limits, "SHARD_FOLLOW_SECONDS", 0.5)
    here, place = ships.remotes[0], first_place(ships)
    here.restart()
    ships.archive.enrol(OTHER_FACES, 700)  # somebody writes, so that nothing is counted
    assert ships.found(FACES, *PEOPLE) is None
    until(lambda: place.is_ready)
    assert not place.is_counted
    gate = here.hold("follow")
    ships.close(is_open=False)
    following = threading.Thread(target=ships.follow, daemon=True)
    following.start()
    until(lambda: not place.is_ready)
    gate.set()  # it has been ended, and the new one is well
    following.join(WAIT_SECONDS)
    is_stuck = following.is_alive()
    if is_stuck:
        ships.fleet._mending._stopping.set()
        following.join(WAIT_SECONDS)
    assert not is_stuck


def test_a_process_that_hangs_unasked_is_ended(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
):
    """Nobody asks it anything once it is not searched."""
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.05)
    monkeypatch.setattr(limits, "SHARD_GREET_SECONDS", 0.2)
    ships = Ships(archive)
    here, methods = ships.remotes[0], ("greet", "follow", "search", "load")
    with ships.fleet:
        stopped = here.shard
        gates = [here.hold(method) for method in methods]
        until(lambda: not first_place(ships).is_ready)
        until(lambda: here.shard is not stopped)
        second = here.shard  # which has never been greeted
        until(lambda: here.shard is not second)
        for gate in gates:
            gate.set()
        until(lambda: first_place(ships).is_ready)


def test_what_is_loaded_at_a_lock_has_no_keys_once_it_is_answered(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
):
    """Shards open files for as long as there are any."""
    assert ships.fleet.keep(XAA)
    ships.close(is_open=False)
    ships.follow()
    gate, reading, load = threading.Event(), threading.Event(), SegmentFiles.load
    opened: list[object] = []

    def slowly(files: SegmentFiles, *arguments: Any, **more: Any) -> object:  # noqa: ANN401
        reading.set()
        assert gate.wait(WAIT_SECONDS)
        opened.append(told := load(files, *arguments, **more))
        return told

    ships._vault.unlock(XAA)
    ships.close(is_open=True)
    ships.follow()
    ships.galleries.load(XAA)
    monkeypatch.setattr(SegmentFiles, "load", slowly)
    is_wanted = threading.Event()
    is_wanted.set()
    opening = threading.Thread(
        target=ships.fleet.load,
        args=(XAA,),
        kwargs={"is_wanted": is_wanted.is_set, "done": lambda: None},
    )
    opening.start()
    assert reading.wait(WAIT_SECONDS)
    is_wanted.clear()  # as whoever closes galleries does: told, in the journal, gone
    ships.close(is_open=False)
    ships.follow()
    opening.join(WAIT_SECONDS)
    assert not opening.is_alive()
    threading.Timer(0.2, gate.set).start()
    ships.fleet.forget(XAA)
    answered = len(opened)
    assert answered
    time.sleep(0.3)
    assert len(opened) == answered


@pytest.mark.parametrize("lent", [XAA, XRA])
def test_a_stranger_that_begins_has_no_keys_once_a_lock_is_answered(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, lent: Member
):
    """Whoever had it begin is gone, and has lent it keys; of others it keeps them."""
    restore, begun, go_on = Index.restore, threading.Event(), threading.Event()
    strangers = shards(archive, SHARING)
    beside = Others(lambda: True, lambda: strangers)
    ships = Ships(archive, replace(SHARING, places=4), beside=beside)

    def slowly(index: Index, *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        begun.set()
        until(lambda: go_on.is_set() or here.is_ended)
        restore(index, *arguments, **more)

    with ships.fleet:
        monkeypatch.setattr(Index, "restore", slowly)
        shard = (here := strangers[0]).shard
        assert shard is not None
        greeting, start = shard.greet(), ships.fleet.position
        loans = {
            member: Loan(archive.vault.lend(member, greeting.public), start)
            for member in (lent, XAA)
        }
        beginning = here.send(
            call(
                *("begin", greeting.incarnation, {lent: loans[lent]}),
                ships.galleries.known(),
                beside=(),
                start=start,
                is_trusted=True,
            )
        )
        assert begun.wait(WAIT_SECONDS)
        ships.close(is_open=False)
        ships.follow()
        is_kept = here.shard is not None and here.shard._keys.is_unlocked(lent)
        go_on.set()
        assert is_kept is (lent != XAA)
        if is_kept:  # and it takes none that was lent before the lock
            beginning.result(WAIT_SECONDS)
            assert not shard.load(greeting.incarnation, XAA, loans[XAA])
            assert not shard._keys.is_unlocked(XAA)
        for each in strangers:
            each.free()
