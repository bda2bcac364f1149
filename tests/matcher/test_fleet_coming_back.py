"""What fails while shards begin, come back or grow hides nobody and stops nobody."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from archive import FACES, OTHER_FACES, XAA, XRA, Archive, until
from ships import SHARING, Ships, holding, replaced_elsewhere, whole

from biometrics import limits
from biometrics.custody import FileKeyProvider
from biometrics.errors import GalleryLockedError, StorageError
from matcher.calls import LostError
from matcher.galleries import GalleryName, GalleryState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matcher.fleet.place import Place

PEOPLE = range(80)
OTHERS = range(100, 140)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has failed is tried again soon."""
    monkeypatch.setattr(limits, "SHARD_RETRY_SECONDS", 0.02)


@pytest.fixture
def ships(archive: Archive) -> Iterator[Ships]:
    """A fleet of three."""
    ships = Ships(archive)
    with ships.fleet:
        yield ships


def failing_once(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    error: Exception,
    *,
    is_meant: Callable[..., bool] = lambda *_, **__: True,
) -> threading.Event:
    """Have a method fail once, at a call that is meant; an event says that it has."""
    method, failed = getattr(owner, name), threading.Event()

    def fail_once(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 - as it takes
        if is_meant(*arguments, **more) and not failed.is_set():
            failed.set()
            raise error
        return method(*arguments, **more)

    monkeypatch.setattr(owner, name, fail_once)
    return failed


def as_it_joins(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> threading.Event:
    """Do something once the first shard is about to be searched again.

    Nothing is applied at that moment. The event says that it was done.
    """
    done, has_joined = threading.Event(), ships.fleet._mending._has_joined

    def joining(place: Place) -> bool:
        if place.remote is ships.remotes[0] and not done.is_set():
            act()
            done.set()
        return has_joined(place)

    monkeypatch.setattr(ships.fleet._mending, "_has_joined", joining)
    return done


def ends(work: Callable[[], object]) -> bool:
    """Say whether some work comes to an end within seconds."""
    working = threading.Thread(target=work, daemon=True)
    working.start()
    working.join(5)
    return not working.is_alive()


def test_a_shard_comes_back_after_a_hiccup_of_the_database(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys cannot be read once, while a new process is about to begin."""
    away = StorageError("DATABASE_AWAY", "for a moment")
    failed = failing_once(monkeypatch, ships.archive.vault, "lend", away)
    ships.remotes[0].restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(failed.is_set)
    until(lambda: ships.state(FACES) is GalleryState.READY)


def test_a_shard_comes_back_whose_begin_was_lost_on_the_way(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is there, and was never told to begin."""
    ships.remotes[0].restart()
    lost = LostError("ActorUnavailableError")
    failed = failing_once(monkeypatch, ships.remotes[0].shard, "begin", lost)
    assert ships.found(FACES, *PEOPLE) is None
    until(failed.is_set)
    until(lambda: ships.state(FACES) is GalleryState.READY)


def test_a_shard_that_stops_while_it_comes_back_stops_nobody_else(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows no change any more, and what others write is in effect without it."""
    monkeypatch.setattr(limits, "SHARD_FOLLOW_SECONDS", 0.2)
    here = ships.remotes[0]
    stopped = as_it_joins(ships, monkeypatch, lambda: here.hold("follow"))
    here.restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(stopped.is_set)
    ships.archive.enrol(OTHER_FACES, 700)
    assert ends(ships.follow)


def test_a_rotation_that_begins_while_a_shard_comes_back_holds_up_no_write(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To code a gallery anew takes minutes, and others are followed meanwhile."""
    gate = threading.Event()

    def rotate() -> None:
        ships.renew_keys()
        ships.remotes[0].hold("remake", gate)

    begun = as_it_joins(ships, monkeypatch, rotate)
    ships.remotes[0].restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(begun.is_set)
    assert ends(ships.follow)
    gate.set()
    until(lambda: ships.state(FACES) is GalleryState.READY)


def coming_back_while_locked(ships: Ships) -> threading.Event:
    """Have the first shard come back as far as that it follows, once XAA is locked.

    It goes on with the event.
    """
    here = ships.remotes[0]
    ships.close(is_open=False)
    ships.follow()
    gate = here.hold("follow")
    here.restart()
    assert ships.found(OTHER_FACES, *OTHERS) is None
    until(lambda: here.asked.count("begin") == 2 and here.asked[-1] == "follow")
    return gate


def test_a_shard_that_loads_a_holder_is_back_though_others_write(ships: Ships) -> None:
    """It loads up to where it was told to go, wherever the journal ends by then."""
    archive, here = ships.archive, ships.remotes[0]
    follow = coming_back_while_locked(ships)
    ships.open()  # without that one, which is to load it when it is back
    load = here.hold("load")
    follow.set()
    until(lambda: here.asked[-1] == "load")
    archive.enrol(OTHER_FACES, 700)  # anybody writes
    ships.follow()
    load.set()
    until(lambda: ships.state(FACES) is GalleryState.READY)


def test_unlocking_while_a_shard_comes_back_damages_nothing(ships: Ships) -> None:
    """One that began before the unlocking is back while the others load."""
    archive = ships.archive
    gate = coming_back_while_locked(ships)
    loading = [other.hold("load") for other in ships.remotes[1:]]
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(ships.open)
        until(lambda: all("load" in other.asked for other in ships.remotes[1:]))
        gate.set()
        until(lambda: ships.fleet._places.all[0].is_ready)
        for each in loading:
            each.set()
        opening.result(30)
    until(lambda: ships.state(FACES) is GalleryState.READY)
    assert ships.found(FACES, 1) == whole(archive, FACES, 1)


def test_a_damaged_key_of_one_member_keeps_no_other_from_being_found(
    ships: Ships,
) -> None:
    """While a shard comes back, as while it is there and on one machine."""
    with closing(sqlite3.connect(ships.archive.database)) as database, database:
        database.execute(
            "UPDATE gallery_key SET wrapped = zeroblob(length(wrapped))"
            " WHERE member = 'XAA'"
        )
    has_others = {g.holder: p for p in ships.fleet._places.all for g in p.has}[XRA]
    ships.remotes[has_others.remote.number].restart()
    assert ships.found(OTHER_FACES, *OTHERS) is None
    assert ships.state(OTHER_FACES) is GalleryState.LOADING
    until(lambda: ships.state(OTHER_FACES) is GalleryState.READY)


def test_one_row_that_does_not_open_is_one_damaged_gallery(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on one machine: others in the same shard are found, and a stop ends."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 1000.0)  # the row is not on disk
    ships = Ships(archive)
    with closing(sqlite3.connect(archive.database)) as database, database:
        (other,) = database.execute(
            "SELECT key_id FROM gallery_key WHERE member = 'XRA' AND gallery = ?",
            (FACES.space,),
        ).fetchone()
        database.execute(
            "UPDATE template SET key_id = ? WHERE template_id = 7", (other,)
        )
    archive.start()  # one machine
    assert archive.galleries.state(XAA, FACES.space) is GalleryState.DAMAGED
    assert archive.galleries.state(XRA, OTHER_FACES.space) is GalleryState.READY
    number = SHARING.place_of(archive.store.journal.templates([7])[7])
    with ships.fleet:
        ships.remotes[number].restart()
        assert ships.found(OTHER_FACES, *OTHERS) is None
        until(lambda: ships.state(OTHER_FACES) is GalleryState.READY)
        assert ships.state(FACES) is GalleryState.DAMAGED
        assert ends(ships.fleet.stop)


def test_who_is_replaced_is_found_when_following_fails_half_way(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for a moment while newer keys are lent."""
    archive, searched = ships.archive, ships.fleet._places.searched
    old, new = replaced_elsewhere(ships)
    while SHARING.place_of(old) > SHARING.place_of(new):  # which is told first
        ships.follow()
        old, new = replaced_elsewhere(ships)
    ships.renew_keys()
    coming = searched.shares[SHARING.place_of(new)].copies[0].public
    away = failing_once(
        monkeypatch,
        *(archive.vault, "lend", StorageError("DATABASE_AWAY", "for a moment")),
        is_meant=lambda _member, public: public == coming,
    )
    with pytest.raises(StorageError):
        ships.follow()
    assert away.is_set()
    assert ships.found(FACES, 1) == [{old.template_id}]
    ships.follow()  # again, as the follower does
    assert ships.found(FACES, 1) == [{new.template_id}]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have the token of XAA away while an event is set; to be had before a fleet.

    It looks for it again at its first pulse.
    """
    away, unwrap = threading.Event(), FileKeyProvider.unwrap

    def at_token(provider: FileKeyProvider, *sealed: bytes) -> bytearray:
        if away.is_set() and provider._path.name == f"{XAA.code}.key":
            raise GalleryLockedError("KEY_NOT_AT_HAND", "the token is away")
        return unwrap(provider, *sealed)

    monkeypatch.setattr(FileKeyProvider, "unwrap", at_token)
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.1)
    return away


def test_who_cannot_lend_keys_keeps_nobody_else_from_being_found(
    away: threading.Event, ships: Ships
) -> None:
    """A shard comes back without them, and is lent them once they are at hand."""
    away.set()
    ships.remotes[0].restart()
    assert ships.found(FACES, *PEOPLE) is None
    until(lambda: all(each.is_ready for each in ships.fleet.standings()))
    assert ships.found(OTHER_FACES, *OTHERS) == whole(
        ships.archive, OTHER_FACES, *OTHERS
    )
    assert ships.found(FACES, *PEOPLE) is None
    away.clear()
    until(lambda: ships.found(FACES, *PEOPLE) == whole(ships.archive, FACES, *PEOPLE))


def test_keys_that_were_not_sent_are_not_taken_for_lent(
    away: threading.Event, ships: Ships
) -> None:
    """Their token was away when they were renewed: nobody else is UNAVAILABLE."""
    ships.renew_keys()
    away.set()
    ships.follow()
    ships.archive.enrol(FACES, 900)
    ships.follow()
    assert ships.found(OTHER_FACES, *OTHERS) == whole(
        ships.archive, OTHER_FACES, *OTHERS
    )
    assert ships.found(FACES, 900) != [set()]
    away.clear()
    until(lambda: ships.found(FACES, 900) not in (None, [set()]))


def test_shards_that_were_never_lent_keys_may_have_anybody(
    archive: Archive, away: threading.Event
) -> None:
    """They begin while a token is away, and nothing is said to be missing then."""
    right = whole(archive, FACES, *PEOPLE)
    away.set()
    ships = Ships(archive)
    counted = {
        GalleryName(member, space): templates
        for member in (XAA, XRA)
        for space, templates in archive.store.register.counted(member)[1].items()
    }
    with ships.fleet:
        ships.fleet.verify(counted)
        assert ships.found(OTHER_FACES, *OTHERS) == whole(archive, OTHER_FACES, *OTHERS)
        assert ships.found(FACES, *PEOPLE) is None
        away.clear()
        until(lambda: ships.found(FACES, *PEOPLE) == right)
        assert ships.state(FACES) is GalleryState.READY


def test_what_is_missing_of_whose_keys_were_away_is_noticed(
    archive: Archive, away: threading.Event
) -> None:
    """Once they are at hand, and it is counted."""
    away.set()
    with closing(sqlite3.connect(archive.database)) as database, database:
        database.execute("DELETE FROM template WHERE template_id = 7")
    ships = Ships(archive)
    with ships.fleet:
        assert ships.state(FACES) is GalleryState.READY
        away.clear()
        until(lambda: ships.state(FACES) is GalleryState.DAMAGED)


def test_other_shards_are_not_searched_before_they_have_all_keys(
    ships: Ships, away: threading.Event
) -> None:
    """A member would be UNAVAILABLE for having shards beside those that have it."""
    right = whole(ships.archive, FACES, *PEOPLE)
    away.set()
    ships.fleet.share_out(4)
    until(lambda: len(ships.fleet._places.all) == 7)
    until(lambda: all(place.is_ready for place in ships.fleet._places.all))
    assert ships.found(FACES, *PEOPLE) == right
    assert len(ships.fleet.standings()) == 3
    away.clear()
    until(lambda: len(ships.fleet.standings()) == 4)
    assert ships.found(FACES, *PEOPLE) == right


def test_a_gallery_that_was_destroyed_is_begun_anew(ships: Ships) -> None:
    """Its member unlocks it, as on one machine: it is not LOADING for ever."""
    ships.destroy()
    ships.open()
    assert ships.galleries.closed(XAA) is None


def test_a_stop_does_not_wait_for_a_shard_that_is_filled(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growth is under way when the exchange is told to end."""
    holding(ships, monkeypatch, "begin")
    ships.fleet.share_out(4)
    until(lambda: sum("begin" in remote.asked for remote in ships.remotes[3:]) == 4)
    assert ends(ships.fleet.stop)


def test_no_file_is_left_by_shards_that_were_left(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where galleries are saved anew while those are about to end."""
    discard, old = ships.fleet._growth._discard, list(ships.remotes)

    def discarded(places: Sequence[Place]) -> None:
        discard(places)
        ships.fleet.keep(XAA)  # as a rotation does at any time

    monkeypatch.setattr(ships.fleet._growth, "_discard", discarded)
    ships.fleet.share_out(4)
    until(lambda: all(remote.is_ended for remote in old))
    until(lambda: len(ships.fleet._places.all) == 4)
    assert ships.fleet.discard(XAA)
    left = old[0].plan.folder_of(SHARING).rglob("manifest")
    assert not [path for path in left if XAA.code in path.parts]


def test_growth_goes_on_though_keys_are_replaced_and_others_write(
    ships: Ships, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that is filled codes anew, up to where it was told to go."""
    follow, remake = holding(ships, monkeypatch, "follow"), threading.Event()
    ships.fleet.share_out(4)
    until(lambda: sum("follow" in remote.asked for remote in ships.remotes[3:]) == 4)
    new = ships.remotes[3:]
    before = [remote.asked.count("remake") for remote in new]
    for remote in new:
        remote.hold("remake", remake)
    ships.renew_keys()
    ships.follow()
    follow.set()
    until(
        lambda: all(
            remote.asked.count("remake") > count
            for remote, count in zip(new, before, strict=True)
        )
    )
    ships.archive.enrol(OTHER_FACES, 700)  # anybody writes
    ships.follow()
    remake.set()
    until(lambda: len(ships.fleet.standings()) == 4)


def test_a_look_that_fails_is_made_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of which nobody asks anything end, and are not noticed when they do."""
    monkeypatch.setattr(limits, "SHARD_PULSE_SECONDS", 0.05)
    ships = Ships(archive)
    here = ships.remotes[0]
    with ships.fleet:
        failed = failing_once(
            *(monkeypatch, here, "send", RuntimeError("why it fails")),
            is_meant=lambda asked: asked.method == "greet",
        )
        until(failed.is_set)
        here.restart()
        until(lambda: here.asked.count("begin") == 2)
        until(lambda: ships.state(FACES) is GalleryState.READY)
