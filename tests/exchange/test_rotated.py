"""A member's keys are replaced under load, or destroyed with all that they opened."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import pytest
from world import World, face, record, two_holders, unit

from biometrics import limits
from biometrics.client import Chunk, ErasureInfo, Outcome
from biometrics.clock import ManualClock, SystemClock
from biometrics.custody import Vault
from biometrics.errors import (
    ExchangeError,
    InvalidRequestError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from biometrics.members import Member
from biometrics.server.rotation import Rotation
from biometrics.signing import Note, VerifierKey
from biometrics.store import Store
from matcher.confirm import Confirmation
from matcher.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


XAA = Member("XAA")
COUNT = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange in which two holders have enrolled some people."""
    with two_holders(tmp_path_factory.mktemp("world"), COUNT) as world:
        yield world


def outcome(world: World, number: int, holder: str = "XAA") -> Outcome:
    """Return what a search for somebody answers at a holder."""
    probe = face(unit(number))
    answer = world.client("XCC").match(probe, purpose="border-check", holders=[holder])
    return answer.holders[0].outcome


def certificate(world: World) -> ErasureInfo:
    """Wait until what was begun is done; return what was signed of it."""
    end = time.monotonic() + 30
    while world.administrator().custody().is_busy:
        assert time.monotonic() < end
        time.sleep(0.02)
    *_, last = world.administrator().erasures()
    note = Note.parse(last.certificate)
    key = VerifierKey.parse(last.verifier_key)
    assert key.has_signed(note.text, note.signatures[0])
    return last


def unwanted(*_: object) -> NoReturn:
    """Stand for what is not to be called."""
    raise AssertionError("a template was opened")


def rows(world: World, query: str) -> list[tuple[object, ...]]:
    """Return what the database has."""
    (path,) = (world.root / "data").glob("*.sqlite")
    with sqlite3.connect(path) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def wrapped_keys(world: World) -> list[bytes]:
    """Return the wrapped gallery keys of XAA as they are stored."""
    query = "SELECT wrapped FROM gallery_key WHERE member = 'XAA'"
    return [row[0] for row in rows(world, query) if isinstance(row[0], bytes)]


def is_anywhere(world: World, secret: bytes) -> bool:
    """Say whether some bytes are in any file of the exchange's data."""
    files = [path for path in (world.root / "data").rglob("*") if path.is_file()]
    return any(secret in path.read_bytes() for path in files)


def test_after_a_rotation_everything_is_under_new_keys_and_the_old_are_nowhere(
    world: World,
) -> None:
    """Everybody is found, after a restart too; the certificate says what went."""
    world.enroller("XAA").withdraw("case-5")
    before = wrapped_keys(world)
    ciphertexts = rows(world, "SELECT ciphertext FROM template ORDER BY template_id")
    world.administrator().rotate()
    told = certificate(world)
    assert (told.kind, told.records) == ("rotation", 1)
    assert b"by rotation\n" in told.certificate
    assert not set(before) & set(wrapped_keys(world))
    assert not any(is_anywhere(world, key) for key in before)
    epochs = rows(world, "SELECT epoch FROM gallery_key WHERE member = 'XAA'")
    assert epochs == [(2,), (2,)]
    after = rows(world, "SELECT ciphertext FROM template ORDER BY template_id")
    assert after == ciphertexts
    for _ in range(2):
        assert [outcome(world, n) for n in (0, 5, 299)] == [
            "match",
            "no-match",
            "match",
        ]
        assert len(list(world.enroller("XAA").records())) == 299
        # From codes under the newer key: no template is opened for it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Vault, "open_into", unwanted)
            world.restart()
    assert world.administrator().custody().is_busy is False
    assert told in list(world.administrator().erasures())


def test_what_was_withdrawn_is_under_no_key_a_day_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody asking for it; and not where nothing was withdrawn."""
    monkeypatch.setattr(limits, "WITHDRAWAL_LOOK_SECONDS", 0.05)
    clock = ManualClock(SystemClock().now())
    with World(tmp_path, clock=clock) as small:
        for holder in ("XAA", "XBB"):
            people = tuple(record(f"case-{n}", unit(n)) for n in range(3))
            list(small.enroller(holder).enrol_many([Chunk(records=people)]))
        clock.advance(dt.timedelta(hours=1))
        small.enroller("XAA").withdraw("case-1")
        clock.advance(dt.timedelta(hours=19))
        time.sleep(0.2)
        assert list(small.administrator().erasures()) == []
        clock.advance(dt.timedelta(hours=4))
        end = time.monotonic() + 30
        while not (found := list(small.administrator().erasures())):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert certificate(small).records == 1
        clock.advance(dt.timedelta(hours=48))
        time.sleep(0.2)
        assert len(list(small.administrator().erasures())) == len(found) == 1
        assert list(small.administrator("XBB").erasures()) == []
        # What a better sample took the place of is gone likewise.
        small.enroller("XBB").replace("case-2", face(unit(9)))
        clock.advance(dt.timedelta(hours=23))
        end = time.monotonic() + 30
        while not list(small.administrator("XBB").erasures()):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_rotation_under_load_stops_no_search_and_no_enrolment(world: World) -> None:
    """Every search is answered right meanwhile, and what is enrolled is found."""
    stop = threading.Event()
    told: list[tuple[Outcome, Outcome]] = []
    enrolled: list[int] = []
    failed: list[ExchangeError] = []

    def search() -> None:
        try:
            while not stop.is_set():
                told.append((outcome(world, 7), outcome(world, 900)))
        except ExchangeError as error:
            failed.append(error)

    def enrol() -> None:
        number = 1000
        try:
            while not stop.is_set():
                world.enroller("XAA").enrol(record(f"case-{number}", unit(number)))
                enrolled.append(number)
                number += 1
        except ExchangeError as error:
            failed.append(error)

    for client in (world.client("XCC"), world.enroller("XAA")):
        client.spaces()  # connected
    working = [threading.Thread(target=each) for each in (search, search, enrol)]
    for thread in working:
        thread.start()
    ((epoch,),) = rows(world, "SELECT max(epoch) FROM gallery_key")
    for _ in range(3):
        world.administrator().rotate()
        certificate(world)
    stop.set()
    for thread in working:
        thread.join()
    assert not failed
    assert set(told) == {("match", "no-match")}
    assert {outcome(world, n) for n in enrolled} == {"match"}
    assert rows(world, "SELECT max(epoch) FROM gallery_key") == [(int(str(epoch)) + 3,)]
    keys = rows(world, "SELECT key_id FROM gallery_key")
    assert set(rows(world, "SELECT DISTINCT key_id FROM template")) <= set(keys)
    world.restart()
    assert {outcome(world, n) for n in enrolled[-5:]} == {"match"}


def test_a_candidate_whose_key_is_retired_before_it_is_opened_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole rotation between reading a row and opening it changes no answer."""
    confirm = Confirmation.confirm
    rotated: list[int] = []

    def slowly(*arguments: object) -> object:
        if not rotated:
            rotated.append(1)
            world.administrator().rotate()
            certificate(world)
        return confirm(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Confirmation, "confirm", slowly)
    assert outcome(world, 7) == "match"
    assert rotated


def test_a_template_that_does_not_open_keeps_its_key(world: World) -> None:
    """The rotation says so, and ends once the template is withdrawn."""
    world.stop()
    (path,) = (world.root / "data").glob("*.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE template SET wrapped_key = zeroblob(72) WHERE template_id = 12"
        )
    connection.close()
    world.start()
    world.administrator().rotate()
    end = time.monotonic() + 30
    while not (told := world.administrator().custody()).trouble:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert told.is_busy
    assert told.items_left == 1
    assert "1 values of `XAA` in `tiny-face` do not open" in told.trouble
    assert outcome(world, 7) == "unavailable"  # as after a start
    world.enroller("XAA").withdraw("case-11")
    world.administrator().rotate()
    assert certificate(world).kind == "rotation"
    assert world.administrator().custody().trouble == ""
    world.restart()
    assert outcome(world, 7) == "match"


def test_a_locked_gallery_is_not_rotated_and_one_that_is_begun_waits(
    world: World,
) -> None:
    """Locked in the middle, a rotation goes on when it is unlocked."""
    world.administrator().rotate()
    world.administrator().lock()
    with pytest.raises(UnavailableError):
        world.administrator().rotate()
    world.administrator().unlock()
    certificate(world)
    assert outcome(world, 7) == "match"


def test_a_rotation_goes_on_after_every_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the database, of the disk, and of ours, which is told."""
    monkeypatch.setattr(limits, "TEND_RETRY_SECONDS", 0.01)
    go_on = Rotation.go_on
    failures: list[Exception] = [
        StorageError("STORAGE_UNREACHABLE", "away"),
        ValueError("a defect"),
    ]

    async def failing(rotation: Rotation, holder: Member) -> None:
        if failures:
            raise failures.pop(0)
        await go_on(rotation, holder)

    monkeypatch.setattr(Rotation, "go_on", failing)
    world.administrator().rotate()
    end = time.monotonic() + 10
    while not (told := world.administrator().custody().trouble):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert told == "a defect, which the log of the exchange tells"
    kept = [False, True]
    keep, erase = Keeper.keep, Store.erase
    erased = [False, True]
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "keep", lambda *a: keep(*a) and kept.pop(0))
        patch.setattr(Store, "erase", lambda *a: erase(*a) and erased.pop(0))
        kept.append(True)
        world.administrator().rotate()
        certificate(world)
    assert world.administrator().custody().trouble == ""


def test_nothing_is_destroyed_by_mistake_or_by_another(world: World) -> None:
    """It takes the member's own code, and its administrator."""
    for code in ("", "XBB"):
        with pytest.raises(InvalidRequestError) as refused:
            world.administrator().destroy(confirm_holder=code)
        assert refused.value.reason == "NOT_CONFIRMED"
    with pytest.raises(RefusedError):
        world.enroller("XAA").destroy(confirm_holder="XAA")
    assert outcome(world, 7) == "match"


def test_after_a_destruction_nothing_is_left_and_others_are_as_they_were(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row, no key, no file of codes; and NOT_COMPARABLE, as if there never was."""
    monkeypatch.setattr(limits, "LOADING_PAUSE_SECONDS", 0.2)
    before = wrapped_keys(world)
    (gallery,) = world.enroller("XAA").galleries()
    world.administrator().destroy(confirm_holder="XAA")
    assert outcome(world, 7) == "not-comparable"
    assert not any(any(key) for key in wrapped_keys(world))
    with pytest.raises(UnavailableError) as refused:
        world.administrator().unlock()
    assert refused.value.reason == "GALLERY_BEING_DESTROYED"
    monkeypatch.undo()
    told = certificate(world)
    assert (told.kind, told.records) == ("destruction", gallery.records)
    assert not any(is_anywhere(world, key) for key in before)
    for table in ("record", "gallery", "gallery_key"):
        members = rows(world, f"SELECT DISTINCT member FROM {table}")  # noqa: S608
        assert ("XAA",) not in members, table
    assert rows(world, "SELECT count(*) FROM template") == [(COUNT,)]
    assert not (world.root / "data/segments/XAA").exists()
    for _ in range(2):
        assert outcome(world, 7) == "not-comparable"
        assert outcome(world, 507, "XBB") == "match"
        assert world.administrator().custody().state == "destroyed"
        with pytest.raises(UnavailableError):
            world.enroller("XAA").enrol(record("late", unit(50)))
        world.restart()
    world.administrator().unlock()
    world.enroller("XAA").enrol(record("case-7", unit(7)))
    assert [outcome(world, 7), outcome(world, 8)] == ["match", "no-match"]
    assert told in list(world.administrator().erasures())


def test_a_locked_gallery_can_be_destroyed(world: World) -> None:
    """It takes no key to destroy one."""
    world.administrator().lock()
    world.administrator().destroy(confirm_holder="XAA")
    assert certificate(world).records == 1
    assert outcome(world, 7) == "not-comparable"


def test_what_is_destroyed_in_the_midst_of_a_rotation_is_certified_once_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the rotation signs for the rotation alone."""
    world.administrator().unlock()
    world.enroller("XAA").enrol(record("case-9", unit(9)))
    destroyed = threading.Event()
    go_on = Rotation.go_on

    async def slowly(rotation: Rotation, holder: Member) -> None:
        await asyncio.to_thread(destroyed.wait, 30)
        await go_on(rotation, holder)

    monkeypatch.setattr(Rotation, "go_on", slowly)
    monkeypatch.setattr(limits, "LOADING_PAUSE_SECONDS", 0.2)
    world.administrator().rotate()
    world.administrator().destroy(confirm_holder="XAA")
    destroyed.set()
    assert certificate(world).kind == "destruction"
    assert world.enroller("XAA").galleries() == ()
