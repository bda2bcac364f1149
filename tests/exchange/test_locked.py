"""A member closes its galleries and opens them again; others notice nothing."""

from __future__ import annotations

import asyncio
import gc
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest
from archive import until
from world import (
    PRESENCE_HOLDERS,
    World,
    face,
    record,
    two_holders,
    unit,
)

from biometrics import limits
from biometrics.client import AsyncExchangeClient, Outcome
from biometrics.errors import (
    ExchangeError,
    PreconditionError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from biometrics.members import Member
from biometrics.store import AnswerWriter, RequestKey, RotationWriter
from matcher.engine import Segment
from matcher.loading import Loading
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from biometrics.disclosure import Band
    from biometrics.templates import Template
    from matcher.confirm import Confirmed
    from matcher.engine import Engine
    from matcher.galleries import Shelf

XAA = Member("XAA")
COUNT = 40


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange in which two holders have enrolled some people."""
    with two_holders(tmp_path_factory.mktemp("world"), COUNT) as world:
        yield world


def outcomes(world: World, number: int) -> dict[str, Outcome]:
    """Return what a search for somebody answers, by holder."""
    probe = face(unit(number))
    answer = world.client("XCC").match(
        probe, purpose="border-check", holders=["XAA", "XBB"]
    )
    return {told.holder: told.outcome for told in answer.holders}


def until_saved(world: World) -> None:
    """Wait until codes of XAA are on disk."""
    end = time.monotonic() + 10
    while not list((world.root / "data/segments/XAA").rglob("*.segment")):
        assert time.monotonic() < end
        time.sleep(0.02)


# What tests of other files have left; kept, so that nothing else gets their place.
EARLIER: list[Segment] = []


@pytest.fixture(scope="module", autouse=True)
def earlier() -> None:
    """Note what is there before the exchange of this file."""
    gc.collect()
    EARLIER.extend(each for each in gc.get_objects() if isinstance(each, Segment))


def codes_in_memory(world: World) -> int:
    """Return how many segments of codes of XAA there are anywhere in memory.

    The least of a few counts: compaction may make a segment of another holder between
    the two halves of one.
    """
    exchange = world.exchange
    assert exchange is not None
    engine = exchange._follower._index._engine
    return min(_segments_beside(engine) for _ in range(3))


def _segments_beside(engine: Engine[Shelf]) -> int:
    """Return how many segments are not of another holder than XAA."""
    others = set(map(id, EARLIER)) | {
        id(part)
        for shelf in engine.names()
        if shelf.holder != XAA
        for part in engine.parts(shelf)
    }
    gc.collect()
    return sum(
        isinstance(each, Segment) and len(each) > 0 and id(each) not in others
        for each in gc.get_objects()
    )


def test_a_locked_gallery_is_unavailable_and_nothing_of_it_is_in_memory(
    world: World,
) -> None:
    """Never NO_MATCH; others are searched on. Unlocked, everybody is found again."""
    assert outcomes(world, 7) == {"XAA": "match", "XBB": "no-match"}
    until_saved(world)  # who saves codes remembers which
    assert codes_in_memory(world) > 0
    since = world.administrator().lock()
    assert codes_in_memory(world) == 0
    assert world.exchange is not None
    assert not world.exchange._follower._index._vault.is_unlocked(XAA)
    assert outcomes(world, 7) == {"XAA": "unavailable", "XBB": "no-match"}
    assert outcomes(world, 507) == {"XAA": "unavailable", "XBB": "match"}
    assert world.administrator().custody().state == "locked"
    assert {g.state for g in world.enroller("XAA").galleries()} == {"locked"}
    assert world.administrator().lock() == since
    assert world.administrator().unlock() > since
    assert outcomes(world, 7) == {"XAA": "match", "XBB": "no-match"}
    assert world.administrator().custody().state == "open"


def test_a_restart_leaves_it_locked(world: World) -> None:
    """Until its member unlocks it; then it starts from what was kept."""
    since = world.administrator().lock()
    world.restart()
    assert world.administrator().custody().since == since
    assert outcomes(world, 7) == {"XAA": "unavailable", "XBB": "no-match"}
    world.administrator().unlock()
    assert outcomes(world, 7) == {"XAA": "match", "XBB": "no-match"}
    world.restart()
    assert outcomes(world, 7) == {"XAA": "match", "XBB": "no-match"}


def test_enrolment_is_refused_while_locked_and_withdrawal_and_protection_are_not(
    world: World,
) -> None:
    """What was withdrawn or protected meanwhile is so when it is opened."""
    world.administrator().lock()
    enroller = world.enroller("XAA")
    with pytest.raises(UnavailableError) as refused:
        enroller.enrol(record("late", unit(50)))
    assert refused.value.reason == "GALLERY_LOCKED"
    with pytest.raises(UnavailableError):
        list(enroller.records())
    enroller.withdraw("case-3")
    enroller.protect("case-4", excluded=["XCC"])
    world.enroller("XBB").enrol(record("other", unit(950)))
    world.administrator().unlock()
    assert [outcomes(world, n)["XAA"] for n in (3, 4, 5)] == [
        "no-match",
        "no-match",
        "match",
    ]
    assert outcomes(world, 950)["XBB"] == "match"
    enroller.enrol(record("late", unit(50)))
    assert outcomes(world, 50)["XAA"] == "match"
    assert len(list(enroller.records())) == 40


def test_only_an_administrator_of_its_own_does_it(world: World) -> None:
    """Neither an enroller nor a client may; and nobody for another member."""
    for client in (world.enroller("XAA"), world.client("XAA")):
        with pytest.raises(RefusedError):
            client.lock()
        with pytest.raises(RefusedError):
            client.unlock()
    world.administrator("XCC").lock()
    assert outcomes(world, 7)["XAA"] == "match"
    world.administrator("XCC").unlock()


def test_one_locked_holder_makes_the_regional_answer_unavailable_unnamed(
    world: World,
) -> None:
    """Of `presence`, whatever others answer, as with any outage."""
    holder = PRESENCE_HOLDERS[0]
    for each in PRESENCE_HOLDERS:
        world.enroller(each).enrol(record("somebody", unit(300)))
    client = world.client("XAA")
    assert client.match(face(unit(301)), purpose="visa").regional == "no-match"
    world.administrator(holder).lock()
    answer = client.match(face(unit(301)), purpose="visa")
    assert (answer.regional, answer.holders) == ("unavailable", ())


def test_searches_of_others_go_on_through_locks_and_every_answer_is_right(
    world: World,
) -> None:
    """XAA is match or unavailable, never no-match; XBB always answers."""
    stop = threading.Event()
    told: list[dict[str, Outcome]] = []
    failed: list[ExchangeError] = []

    def search() -> None:
        try:
            while not stop.is_set():
                told.append(outcomes(world, 7))
        except ExchangeError as error:
            failed.append(error)

    searching = [threading.Thread(target=search) for _ in range(3)]
    for thread in searching:
        thread.start()
    for _ in range(10):
        world.administrator().lock()
        assert outcomes(world, 7)["XAA"] == "unavailable"
        world.administrator().unlock()
        assert outcomes(world, 7)["XAA"] == "match"
    stop.set()
    for thread in searching:
        thread.join()
    assert not failed
    assert {each["XBB"] for each in told} == {"no-match"}
    assert {each["XAA"] for each in told} == {"match", "unavailable"}


def test_an_answer_that_is_on_its_way_at_a_lock_is_decided_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had matched, or not; it was not durable before the lock was."""
    commit = AnswerWriter.commit
    for number in (7, 900):
        locked: list[int] = []

        def slowly(
            *arguments: object, locked: list[int] = locked, **more: object
        ) -> object:
            if not locked:
                locked.append(1)
                exchange = world.exchange
                assert exchange is not None
                exchange.store.custody.set_open(
                    XAA,
                    is_open=False,
                    change_id=bytes(16),
                    request=RequestKey(secrets.token_bytes(16), bytes(32)),
                    make_reply=lambda _: b"",
                ).result(10)
            return commit(*arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(AnswerWriter, "commit", slowly)
        assert outcomes(world, number)["XAA"] == "unavailable"
        monkeypatch.setattr(AnswerWriter, "commit", commit)
        world.administrator().unlock()


def scanned_between(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a search of XAA wait, and be scanned while its galleries are dropped."""
    administrator = world.administrator()

    async def search(
        scanner: Scanner, probe: Template, bands: Mapping[Shelf, Band]
    ) -> Confirmed:
        await asyncio.to_thread(administrator.lock)
        scanned = scanner.submit(probe, bands)
        await asyncio.to_thread(administrator.unlock)
        return await asyncio.wrap_future(scanned)

    monkeypatch.setattr(Scanner, "search", search)


def test_what_was_scanned_between_a_lock_and_an_unlocking_is_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it and after it the gallery was there, and nothing of it in between."""
    with monkeypatch.context() as patch:
        scanned_between(world, patch)
        assert outcomes(world, 7)["XAA"] == "unavailable"
    assert outcomes(world, 7)["XAA"] == "match"


def test_nor_is_it_a_record_without_duplicates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for them goes the way of a search."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("case-7-again", unit(7)))
    with monkeypatch.context() as patch:
        scanned_between(world, patch)
        (told,) = enroller.duplicates(["case-7"])
        assert told.outcome == "unavailable"
    (told,) = enroller.duplicates(["case-7"])
    assert told.others == ("case-7-again",)
    enroller.withdraw("case-7-again")


def refused_once(monkeypatch: pytest.MonkeyPatch, where: type, name: str) -> None:
    """Let a method fail once, as when the database cannot be reached."""
    method = getattr(where, name)
    calls: list[int] = []

    def failing(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise StorageError("STORAGE_UNREACHABLE", "the database is away")
        return method(*arguments, **named)

    monkeypatch.setattr(where, name, failing)


def test_what_cannot_be_stored_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock leaves it searchable, once it is loaded; an unlocking leaves it locked.

    Tried again, both succeed.
    """
    monkeypatch.setattr(limits, "CLIENT_TRIES", 2)
    for act, before, after in (
        (world.administrator().lock, "match", "unavailable"),
        (world.administrator().unlock, "unavailable", "match"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(RotationWriter, "set_open", away)
            with pytest.raises(UnavailableError):
                act()
        until(partial(is_told, world, before))
        act()
        assert outcomes(world, 7)["XAA"] == after


def is_told(world: World, outcome: str) -> bool:
    """Say whether that is the outcome of a search at XAA now."""
    return outcomes(world, 7)["XAA"] == outcome


def away(*_: object, **__: object) -> NoReturn:
    """Be a database that cannot be reached."""
    raise StorageError("STORAGE_UNREACHABLE", "the database is away")


def test_a_gallery_is_loaded_however_often_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unlocking is durable, and waits."""
    world.administrator().lock()
    refused_once(monkeypatch, Loading, "load")
    world.administrator().unlock()
    assert outcomes(world, 7)["XAA"] == "match"


def test_an_unlocking_that_takes_long_goes_on_and_can_be_locked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so; a lock meanwhile waits for what is loaded, and drops it."""
    world.administrator().lock()
    load = Loading.load
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: object, **named: object) -> None:
        begun.set()
        assert go_on.wait(10)
        load(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Loading, "load", slowly)
        patch.setattr(limits, "SEARCHABLE_WAIT_SECONDS", 0.01)
        with pytest.raises(UnavailableError) as refused:
            world.administrator().unlock()
        assert refused.value.reason == "GALLERY_LOADING"
        assert {g.state for g in world.enroller("XAA").galleries()} == {"loading"}
    with ThreadPoolExecutor(1) as pool:
        locking = pool.submit(world.administrator().lock)
        time.sleep(0.1)
        assert not locking.done()
        go_on.set()
        locking.result(10)
    assert codes_in_memory(world) == 0
    assert outcomes(world, 7)["XAA"] == "unavailable"
    world.administrator().unlock()
    assert outcomes(world, 7)["XAA"] == "match"


def test_a_request_that_is_repeated_is_answered_as_it_was(world: World) -> None:
    """A lock that is repeated after an unlocking locks nothing."""
    once = "5f0c3c1e-8d2e-4f6a-9a5b-1c2d3e4f5a6b"
    since = world.administrator().lock(request_id=once)
    world.administrator().unlock()
    assert world.administrator().lock(request_id=once) == since
    assert outcomes(world, 7)["XAA"] == "match"


def test_a_lock_of_which_nobody_knows_stays_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be durable: searches are UNAVAILABLE until it is said again."""
    monkeypatch.setattr(limits, "CLIENT_TRIES", 2)
    with monkeypatch.context() as patch:
        patch.setattr(RotationWriter, "set_open", lost)
        with pytest.raises(UnavailableError) as refused:
            world.administrator().lock()
    assert refused.value.reason == "OUTCOME_UNKNOWN"
    assert outcomes(world, 7)["XAA"] == "unavailable"
    world.administrator().unlock()
    assert outcomes(world, 7)["XAA"] == "match"


def lost(*_: object, **__: object) -> NoReturn:
    """Be a connection that is lost during the commit."""
    raise StorageError("OUTCOME_UNKNOWN", "it may have been carried out")


def test_a_repeated_lock_leaves_a_later_unlocking_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being loaded since is loaded to its end."""
    once = "0a9d6a52-6a0f-4d2f-9d6e-7a1f0b9c1d2e"
    since = world.administrator().lock(request_id=once)
    load = Loading.load
    go_on = threading.Event()

    def slowly(*arguments: object, **named: object) -> None:
        assert go_on.wait(10)
        load(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Loading, "load", slowly)
    with ThreadPoolExecutor(1) as pool:
        unlocking = pool.submit(world.administrator().unlock)
        while {g.state for g in world.enroller("XAA").galleries()} != {"loading"}:
            time.sleep(0.01)
        assert world.administrator().lock(request_id=once) == since
        go_on.set()
        unlocking.result(20)
    assert outcomes(world, 7)["XAA"] == "match"


def test_whoever_does_not_block_does_the_same(world: World) -> None:
    """The asynchronous client locks, unlocks, rotates and destroys."""

    async def live() -> list[str]:
        states = []
        profile = world.profile("XDD", "administrator")
        async with AsyncExchangeClient(profile) as client:
            for act in (
                client.lock,
                client.unlock,
                client.rotate,
                partial(client.destroy, confirm_holder="XDD"),
            ):
                await act()
                while (custody := await client.custody()).is_busy:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                states.append(custody.state)
            return [*states, *[e.kind async for e in client.erasures()]]

    told = ["locked", "open", "open", "destroyed", "destruction"]
    assert [each for each in asyncio.run(live()) if each != "rotation"] == told


def test_without_its_key_a_gallery_cannot_be_unlocked(world: World) -> None:
    """It says that the key is not at hand, and stays locked."""
    world.administrator().lock()
    world.stop()
    key = world.root / "keys/XAA.key"
    away = key.rename(key.with_suffix(".away"))
    world.start()
    with pytest.raises(PreconditionError) as refused:
        world.administrator().unlock()
    assert refused.value.reason == "KEY_NOT_AT_HAND"
    assert world.administrator().custody().state == "locked"
    away.rename(key)
    world.restart()
    world.administrator().unlock()
    assert outcomes(world, 7)["XAA"] == "match"
