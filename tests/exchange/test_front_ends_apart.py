"""Front ends that are held up, end, or are lied to: nobody else is harmed by it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from exchange.test_follow_ups import Pair as FollowUps
from front_ends import (
    MATCH,
    NO_MATCH,
    UNAVAILABLE,
    XAA,
    Pair,
    certified,
    index_of,
    is_found,
    keys_at,
    told,
    unlock,
    until,
    vault,
)
from world import World, agreement, permit, record, unit

from biometrics import limits
from biometrics.errors import (
    ExchangeError,
    PreconditionError,
    RefusedError,
    SealError,
    UnavailableError,
)
from biometrics.members import Member
from biometrics.sealing import seal_to
from biometrics.server.development import write_agreement
from matcher.loading import Loading
from matcher.segments import SegmentFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from postgres_server import PostgresServer

    from biometrics.store import Change

XRA = Member("XRA")
HANDED = {'"keys/XAA.key"': '"handed-over"'}
KINDS = "SELECT kind FROM change"
KEYS = "SELECT key_id FROM gallery_key WHERE member = 'XAA'"


class Held:
    """A front end whose follower stands still before it applies changes."""

    def __init__(self, world: World) -> None:
        """Hold it."""
        self.go_on, self.reached = threading.Event(), threading.Event()
        index = index_of(world)
        apply = index.apply

        def slow(changes: Sequence[Change]) -> None:
            self.reached.set()
            self.go_on.wait(60)
            apply(changes)

        index.apply = slow  # type: ignore[method-assign]


@pytest.fixture
def handed(tmp_path: Path, url: str) -> Iterator[Pair]:
    """Two front ends, of which XAA hands its key to one or the other."""
    pair = Pair(tmp_path, url, **HANDED)
    with pair.one, pair.other:
        yield pair


def name_of(world: World) -> str:
    """Return the name of a front end, as SQL writes it."""
    assert world.exchange
    assert world.exchange.store.front_ends
    return f"'\\x{world.exchange.store.front_ends.name.hex()}'"


def lend(postgres: PostgresServer, url: str, world: World, sealed: bytes) -> None:
    """Write a key for a front end, as whoever writes into the database can."""
    values = f"{name_of(world)}, 'XAA', '\\x{sealed.hex()}'"
    postgres.run(url, f"INSERT INTO front_end_key VALUES ({values})")  # noqa: S608


def rotated(postgres: PostgresServer, url: str) -> bool:
    """Say whether the journal has the end of a rotation."""
    return ("rotated",) in postgres.run(url, KINDS)


def codes_by(world: World) -> set[int]:
    """Return by which keys a front end has codes of XAA."""
    return {k.key_id for g, k in index_of(world)._keys.items() if g.holder == XAA}


def test_nobody_puts_a_key_of_his_own_in_the_place_of_a_members(
    handed: Pair, url: str, postgres: PostgresServer
) -> None:
    """Whoever writes rows can seal to a front end, and not as one."""
    _, other = handed.both()
    asked = f"SELECT shown FROM front_end WHERE name = {name_of(other)}"  # noqa: S608
    ((shown,),) = postgres.run(url, asked)
    sealed = seal_to(bytes(shown)[:-32], os.urandom(32), XAA, b"passed on")
    lend(postgres, url, other, sealed + bytes(32))
    until(lambda: postgres.run(url, "SELECT name FROM front_end_key") == [])
    assert not vault(other).is_unlocked(XAA)


def test_what_was_passed_on_before_a_lock_opens_nothing_after_it(
    handed: Pair, url: str, postgres: PostgresServer
) -> None:
    """Of a backup, of the server's log, or of a page that was not filled yet."""
    one, other = handed.both()
    unlock(one, handed.key)
    one.enroller("XAA").enrol(record("R1", unit(1)))
    until(partial(is_found, other, 1))
    asked = f"SELECT sealed FROM front_end_key WHERE name = {name_of(other)}"  # noqa: S608
    ((row,),) = postgres.run(url, asked)
    one.administrator().lock()
    postgres.run(url, "UPDATE custody SET state = 'open' WHERE member = 'XAA'")
    lend(postgres, url, other, bytes(row))
    until(lambda: postgres.run(url, "SELECT name FROM front_end_key") == [])
    assert not vault(other).is_unlocked(XAA)
    assert told(other, unit(1)) == UNAVAILABLE


def test_a_row_that_opens_nothing_holds_up_nobody(
    handed: Pair, url: str, postgres: PostgresServer
) -> None:
    """It is dropped, and a lock of somebody else is answered."""
    one, other = handed.both()
    lend(postgres, url, other, b"\x00")
    one.enroller("XRA").enrol(record("R1", unit(1)))
    one.administrator("XRA").lock()
    assert not vault(other).is_unlocked(XRA)


def test_a_key_of_one_member_that_does_not_open_holds_up_nobody_else(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock of another member is answered all the same."""
    monkeypatch.setattr(limits, "SEARCHABLE_WAIT_SECONDS", 3.0)
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH

    def damaged(_member: Member) -> None:
        raise SealError("DOES_NOT_OPEN", "its row is damaged")

    monkeypatch.setattr(vault(other), "learn", damaged)
    one.administrator().rotate()
    one.administrator("XRA").lock()
    assert not vault(other).is_unlocked(XRA)


def test_a_member_has_one_key_whoever_it_hands_it_to(handed: Pair) -> None:
    """Also before there is a gallery, and at both at once."""
    one, other = handed.both()
    one.enroller("XRA").enrol(record("S1", unit(5)))
    refused: list[str] = []

    def hand(world: World) -> None:
        try:
            unlock(world, os.urandom(32))
        except PreconditionError as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=hand, args=(w,)) for w in handed.both()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["KEY_NOT_THE_ONE"]
    until(lambda: all(vault(world).is_unlocked(XAA) for world in handed.both()))
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    assert told(other, unit(5), holder="XRA") == MATCH


def test_a_wrong_key_file_locks_one_member_at_one_front_end(
    tmp_path: Path, url: str
) -> None:
    """All others are searched there."""
    pair = Pair(tmp_path, url)
    one, other = pair.both()
    shutil.copy(other.root / "keys/XBB.key", other.root / "keys/XAA.key")
    with one, other:
        one.enroller("XRA").enrol(record("S1", unit(5)))
        one.enroller("XAA").enrol(record("R1", unit(1)))
        assert told(other, unit(5), holder="XRA") == MATCH
        assert told(other, unit(1)) == UNAVAILABLE
        assert told(one, unit(1)) == MATCH


def test_nothing_is_certified_while_another_has_the_keys(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer, url: str
) -> None:
    """However often it is tried again."""
    monkeypatch.setattr(limits, "SEARCHABLE_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(limits, "TEND_RETRY_SECONDS", 0.1)
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    held = Held(other)
    one.administrator().rotate()
    until(lambda: rotated(postgres, url))
    time.sleep(3)
    assert not list(one.administrator().erasures())[-1].certificate
    held.go_on.set()
    certified(one)
    there = {key_id for (key_id,) in postgres.run(url, KEYS)}
    for world in pair.both():
        assert keys_at(world) <= there
        assert codes_by(world) <= there


def test_nothing_is_certified_while_another_has_codes_of_what_is_destroyed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, or on a disk that does not delete them."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    other.restart()  # saves
    files = (other.root / "data/segments/XAA").rglob
    assert [each for each in files("*") if each.is_file()]
    discard = SegmentFiles.discard_of
    is_full = threading.Event()

    def failing(self: SegmentFiles, holder: Member) -> bool:
        is_own = other.root in self._folder.parents
        return is_full.is_set() and is_own is not None and discard(self, holder)

    monkeypatch.setattr(limits, "TEND_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(limits, "SEARCHABLE_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(SegmentFiles, "discard_of", failing)
    one.administrator().destroy(confirm_holder="XAA")
    time.sleep(3)
    assert not list(one.administrator().erasures())[-1].certificate
    is_full.set()
    certified(one)
    assert not [each for each in files("*") if each.is_file()]


def test_codes_are_made_by_the_newest_keys_at_both(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """Though the other may follow begin and end of a rotation at once."""
    one, _ = pair.both()
    for person in range(5):
        one.enroller("XAA").enrol(record(f"R{person}", unit(person)))
    for _ in range(4):
        one.administrator().rotate()
        certified(one)
        there = {key_id for (key_id,) in postgres.run(url, KEYS)}
        for world in pair.both():
            assert told(world, unit(1)) == MATCH
            assert codes_by(world) <= there


def test_a_gallery_whose_key_came_and_went_is_followed(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """What was read before a rotation is read again, under the key of now."""
    one, other = pair.both()
    held = Held(other)
    one.enroller("XAA").enrol(record("R0", unit(0)))
    assert held.reached.wait(10)
    one.enroller("XAA").enrol(record("R1", unit(1)))
    one.administrator().rotate()
    until(lambda: rotated(postgres, url))
    held.go_on.set()
    certified(one)
    for world in pair.both():
        assert told(world, unit(1)) == MATCH


def test_a_rotation_is_begun_after_one_that_is_not_followed(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """By keys of the epoch after that."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    held = Held(other)
    one.administrator().rotate()
    until(lambda: rotated(postgres, url))
    other.administrator().rotate()
    held.go_on.set()
    certified(one)
    assert told(other, unit(1)) == MATCH


def test_whoever_is_suspended_stays_so_whoever_is_started(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """By settings that do not say it; and it is told why it is refused."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    set_standing(one, "XCC", "suspended")
    asked = "SELECT membership FROM membership WHERE member = 'XCC'"
    until(lambda: postgres.run(url, asked) == [("suspended",)])
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            told(other, unit(1))
        assert refused.value.reason == "MEMBER_SUSPENDED"
        other.restart()
    assert postgres.run(url, asked) == [("suspended",)]
    set_standing(one, "XCC", "active")
    until(lambda: postgres.run(url, asked) == [("active",)])
    time.sleep(1.5 * limits.FRONT_END_LOOK_SECONDS)
    assert told(other, unit(1)) == MATCH


def set_standing(world: World, member: str, standing: str) -> None:
    """Say in the settings of a front end how it is about a member."""
    path = world.root / "exchange.toml"
    text = path.read_text()
    head, tail = text.split(f'code = "{member}"\n', 1)
    tail = tail.removeprefix('standing = "suspended"\n')
    path.write_text(f'{head}code = "{member}"\nstanding = "{standing}"\n{tail}')


def test_codes_that_were_loaded_are_not_taken_after_a_lock(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the look at who is locked takes."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    one.administrator().lock()
    filled, go_on = threading.Event(), threading.Event()
    fill = Loading._fill_counted

    def slow(self: Loading, *more: object) -> int:
        gone = fill(self, *more)  # type: ignore[arg-type]
        if self._index is index_of(other):
            filled.set()
            go_on.wait(30)
        return gone

    monkeypatch.setattr(Loading, "_fill_counted", slow)
    one.administrator().unlock()
    assert filled.wait(10)
    assert other.exchange
    reader = other.exchange.store.custody
    read = reader.custody
    monkeypatch.setattr(
        reader, "custody", lambda member: (read(member), time.sleep(0.5))[0]
    )
    locking = threading.Thread(target=one.administrator().lock)
    locking.start()
    until(lambda: not vault(other).is_unlocked(XAA))
    go_on.set()
    locking.join()
    assert not sum(n for s, n in index_of(other).counts().items() if s.holder == XAA)
    assert not codes_by(other)
    assert told(other, unit(1)) == UNAVAILABLE
    monkeypatch.undo()
    time.sleep(1)  # until those are done who read slowly


def test_locks_at_both_do_not_wait_for_one_another(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does anybody else's for them."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    seen = threading.Semaphore(0)
    for world in pair.both():
        assert world.exchange
        reader = world.exchange.store.custody

        def slow(member: Member, read=reader.custody):  # noqa: ANN001, ANN202
            found = read(member)
            seen.release()
            time.sleep(0.5)  # a database that is far, or busy
            return found

        monkeypatch.setattr(reader, "custody", slow)
    one.administrator().rotate()
    for _ in pair.both():
        assert seen.acquire(timeout=5)
    threads = [
        threading.Thread(target=world.administrator().lock) for world in pair.both()
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    one.administrator("XRA").lock()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < limits.SEARCHABLE_WAIT_SECONDS / 2
    assert not any(vault(world).is_unlocked(XAA) for world in pair.both())
    monkeypatch.undo()
    time.sleep(2)  # until those are done who read slowly


def test_no_version_of_before_comes_back(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """Whoever writes rows brings back nothing that a holder has signed away."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    columns = (
        "revision, encode(digest, 'hex'), encode(data, 'hex'), encode(note, 'hex')"
    )
    asked = f"SELECT {columns} FROM agreement WHERE holder = 'XAA'"  # noqa: S608
    ((revision, digest, data, note),) = postgres.run(url, asked)
    write_agreement(one.root, agreement("XAA", permit("XBB", "holder"), revision=2))
    until(lambda: postgres.run(url, asked)[0][0] == 2)
    with pytest.raises(RefusedError):
        told(other, unit(1))
    postgres.run(
        url,
        f"UPDATE agreement SET revision = {revision}, digest = '\\x{digest}',"  # noqa: S608
        f" data = '\\x{data}', note = '\\x{note}' WHERE holder = 'XAA'",
    )
    time.sleep(1.5 * limits.FRONT_END_LOOK_SECONDS)
    for world in pair.both():
        with pytest.raises(ExchangeError):
            told(world, unit(1))


def test_a_follow_up_goes_by_the_last_agreement(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """Though this front end has not taken it up yet."""
    one, other = pair.both()
    there = FollowUps(other)
    _, reference = there.match()
    ticket = there.ticket(reference)
    assert other.exchange
    in_force = other.exchange.settings._in_force
    in_force.take_up = lambda _rows: []  # type: ignore[method-assign]
    write_agreement(one.root, agreement("XAA", permit("XBB", "holder"), revision=2))
    asked = "SELECT revision FROM agreement WHERE holder = 'XAA'"
    until(lambda: postgres.run(url, asked) == [(2,)])
    with pytest.raises(UnavailableError) as refused:
        there.client.request_follow_up(ticket)
    assert refused.value.reason == "AGREEMENT_CHANGED"
    assert postgres.run(url, "SELECT count(*) FROM follow_up") == [(0,)]


def test_a_lock_leaves_no_key_where_a_session_was_lost_a_moment_ago(
    pair: Pair, postgres: PostgresServer, url: str
) -> None:
    """As all are by a restart of the server: who is there still hears of the lock."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    assert other.exchange
    assert other.exchange.store.front_ends
    own = int.from_bytes(other.exchange.store.front_ends.name[:8], signed=True)
    postgres.run(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"  # noqa: S608
        f" AND (classid::bigint << 32 | objid::bigint) = {own}",
    )
    one.administrator().lock()
    assert not vault(other).is_unlocked(XAA)
    assert told(other, unit(1)) in (UNAVAILABLE, NO_MATCH)
