"""Two front ends of one exchange, each with its own memory, on one database."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from front_ends import (
    MATCH,
    NEAR_HIT,
    NO_MATCH,
    UNAVAILABLE,
    XAA,
    Pair,
    certified,
    is_found,
    told,
    until,
    vault,
)
from world import agreement, at_cosine, permit, record, unit

from biometrics import limits
from biometrics.client import Chunk, ExchangeClient
from biometrics.custody import read_key_file
from biometrics.errors import (
    ConfigurationError,
    ConflictError,
    ExhaustedError,
    PreconditionError,
    RefusedError,
)
from biometrics.sealing import SealingKey
from biometrics.server.development import write_agreement

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import PostgresServer


def test_what_one_acknowledges_the_other_answers(pair: Pair) -> None:
    """Enrolments and withdrawals are in effect at once, whoever made them."""
    one, other = pair.both()
    for person in range(10):
        here, there = (one, other) if person % 2 else (other, one)
        assert told(there, unit(person)) == NO_MATCH if person else True
        here.enroller("XAA").enrol(record(f"R{person}", unit(person)))
        assert told(there, unit(person)) == MATCH
        assert told(here, unit(person)) == MATCH
    for person in range(10):
        here, there = (one, other) if person % 3 else (other, one)
        here.enroller("XAA").withdraw(f"R{person}")
        assert told(there, unit(person)) == NO_MATCH


def test_a_look_for_duplicates_knows_what_another_has_enrolled(pair: Pair) -> None:
    """Whoever is asked."""
    one, other = pair.both()
    for person in range(10):
        here, there = (one, other) if person % 2 else (other, one)
        there.enroller("XAA").enrol(record(f"R{person}", unit(person)))
        here.enroller("XAA").enrol(record(f"S{person}", unit(person)))
        (found,) = there.enroller("XAA").duplicates([f"R{person}"])
        assert found.others == (f"S{person}",)


def test_a_lock_by_one_leaves_no_key_at_the_other(pair: Pair) -> None:
    """On return of the lock; an unlock brings them back everywhere."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    for here, there in ((one, other), (other, one)):
        here.administrator().lock()
        assert not vault(there).is_unlocked(XAA)
        assert told(there, unit(1)) == told(here, unit(1)) == UNAVAILABLE
        here.administrator().unlock()
        assert told(here, unit(1)) == MATCH
        until(partial(is_found, there, 1))
    other.enroller("XAA").enrol(record("R2", unit(2)))


def test_a_request_is_answered_once_whoever_is_asked(pair: Pair) -> None:
    """Sent again to the other, it is the same answer."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    again = uuid.uuid4()
    assert told(one, unit(1), request_id=again) == MATCH
    one.enroller("XAA").withdraw("R1")
    assert told(other, unit(1), request_id=again) == MATCH
    assert told(other, unit(1)) == NO_MATCH
    with pytest.raises(ConflictError):
        told(other, unit(2), request_id=again)


def test_a_gallery_is_known_whose_only_record_is_gone(pair: Pair) -> None:
    """Nobody can tell front ends apart by what was there for a moment."""
    one, other = pair.both()
    enroller = one.enroller("XAA")
    enroller.enrol(record("R1", unit(1)))
    enroller.withdraw("R1")
    assert told(one, unit(1)) == told(other, unit(1)) == NO_MATCH


def test_a_quota_is_one(pair: Pair) -> None:
    """However searches are spread over front ends, it is spent once."""
    one, other = pair.both()
    for world in (one, other, one):
        told(world, unit(9), who="XDD")
    for world in (other, one):
        with pytest.raises(ExhaustedError) as refused:
            told(world, unit(9), who="XDD")
        assert refused.value.reason == "QUOTA_SPENT"


def test_whoever_is_felt_for_is_hidden_everywhere(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requester that goes from one front end to the other feels no more often."""
    monkeypatch.setattr(limits, "NEAR_SEARCHES_TOLD", 4)
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    answers = [
        told(pair.both()[seed % 2], at_cosine(unit(1), NEAR_HIT, 1000 + seed))
        for seed in range(5)
    ]
    assert answers == [MATCH] * 4 + [NO_MATCH]
    assert told(one, unit(1)) == told(other, unit(1)) == NO_MATCH
    assert told(one, unit(1), who="XBB") == MATCH


def test_an_agreement_counts_everywhere_at_once(pair: Pair) -> None:
    """From the moment on at which one front end has it in force."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    write_agreement(one.root, agreement("XAA", permit("XBB", "holder"), revision=2))
    assert one.exchange
    rows = one.exchange.store.agreements
    until(lambda: {row.revision for row in rows.last() if row.holder == XAA} == {2})
    with pytest.raises(RefusedError):
        told(other, unit(1))
    assert told(other, unit(1), who="XBB") == MATCH


def test_keys_are_replaced_under_both(pair: Pair) -> None:
    """A rotation at one: what the other enrols meanwhile is sealed by newer keys."""
    one, other = pair.both()
    people = range(200)
    chunk = Chunk(records=tuple(record(f"R{n}", unit(n)) for n in people))
    list(one.enroller("XAA").enrol_many([chunk]))
    one.administrator().rotate()
    for person in range(1000, 1020):
        other.enroller("XAA").enrol(record(f"R{person}", unit(person)))
        assert told(one, unit(person)) == MATCH
    certified(one)
    for world in pair.both():
        assert [told(world, unit(n)) for n in (0, 199, 1000, 1019)] == [MATCH] * 4
        assert world.exchange
        keys = world.exchange.store.keys.gallery_keys(XAA)
        assert vault(world).lendable(XAA) <= {key.key_id for key in keys}
    other.enroller("XAA").enrol(record("last", unit(3000)))
    assert told(one, unit(3000)) == MATCH


def test_what_is_destroyed_is_gone_from_both(pair: Pair) -> None:
    """From memory, and from what each has on disk."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    assert told(other, unit(1)) == MATCH
    other.administrator().destroy(confirm_holder="XAA")
    assert told(one, unit(1)) == told(other, unit(1)) == "not-comparable"
    assert not vault(one).is_unlocked(XAA)
    certified(other)
    other.administrator().unlock()
    other.enroller("XAA").enrol(record("R2", unit(2)))
    until(partial(is_found, one, 2))
    assert told(one, unit(1)) == NO_MATCH


def test_a_key_that_is_handed_to_one_is_passed_on(tmp_path: Path, url: str) -> None:
    """To one that is there and to one that comes; a lock takes it from all."""
    pair = Pair(tmp_path, url, **{'"keys/XAA.key"': '"handed-over"'})
    key = read_key_file(pair.one.root / "keys/XAA.key")
    one, other = pair.both()
    with one, other:
        assert one.exchange
        profile = replace(
            one.profile("XAA", "administrator"), verifier=one.exchange.verifier
        )
        with ExchangeClient(profile) as administrator:
            administrator.unlock(key=key)
            one.enroller("XAA").enrol(record("R1", unit(1)))
            until(partial(is_found, other, 1))
            other.enroller("XAA").enrol(record("R2", unit(2)))
            assert is_found(one, 2)
            other.restart()
            until(partial(is_found, other, 1))
            one.restart()
            until(partial(is_found, one, 2))
        other.administrator().lock()
        for world in pair.both():
            assert not vault(world).is_unlocked(XAA)
            with pytest.raises(PreconditionError):
                world.administrator().unlock()
        one.restart()
        assert told(one, unit(1)) == UNAVAILABLE


def test_no_key_is_passed_to_whoever_writes_into_the_database(
    tmp_path: Path, url: str, postgres: PostgresServer
) -> None:
    """A row alone makes no front end: that takes the exchange's own key."""
    pair = Pair(tmp_path, url, **{'"keys/XAA.key"': '"handed-over"'})
    key = read_key_file(pair.one.root / "keys/XAA.key")
    one, other = pair.both()
    with one, other:
        assert one.exchange
        thief = SealingKey().public + bytes(32)
        values = f"'{'t' * 16}', '\\x{thief.hex()}', 10000, 10000"
        postgres.run(url, f"INSERT INTO front_end VALUES ({values})")  # noqa: S608
        profile = replace(
            one.profile("XAA", "administrator"), verifier=one.exchange.verifier
        )
        with ExchangeClient(profile) as administrator:
            administrator.unlock(key=key)
        until(lambda: vault(other).is_unlocked(XAA))
        time.sleep(2 * limits.FRONT_END_LOOK_SECONDS)
        assert postgres.run(url, "SELECT count(*) FROM front_end") == [(3,)]
        names = postgres.run(url, "SELECT name FROM front_end_key")
        assert names
        assert b"t" * 16 not in {bytes(name) for (name,) in names}


def test_a_folder_of_codes_is_of_one_front_end(pair: Pair) -> None:
    """Another one would take its files for those that it has written."""
    pair.other.stop()
    settings = pair.other.root / "exchange.toml"
    text = settings.read_text()
    there = pair.one.root / "data/segments"
    settings.write_text(text.replace("data/segments", str(there)))
    with pytest.raises(ConfigurationError) as refused:
        pair.other.start()
    assert refused.value.reason == "SEGMENTS_IN_USE"
    settings.write_text(text)
    pair.other.start()


def test_a_front_end_that_comes_later_has_what_there_is(pair: Pair) -> None:
    """And one that ends leaves nothing to wait for."""
    one, other = pair.both()
    one.enroller("XAA").enrol(record("R1", unit(1)))
    one.administrator().lock()
    other.restart()
    assert told(other, unit(1)) == UNAVAILABLE
    other.stop()
    one.administrator().unlock()
    other.start()
    assert told(other, unit(1)) == MATCH
    other.stop()
    one.administrator().lock()
    assert told(one, unit(1)) == UNAVAILABLE


def test_both_at_once_answer_by_what_is_durable(pair: Pair) -> None:
    """Two write and two search: nobody acknowledged is missed, no one gone is found."""
    wrong: list[str] = []

    def live(number: int) -> None:
        here, there = pair.both() if number else pair.both()[::-1]
        for turn in range(40):
            person = 10_000 * (number + 1) + turn
            enroller = here.enroller("XAA") if number else here.enroller("XRA")
            holder = "XAA" if number else "XRA"
            enroller.enrol(record(f"R{person}", unit(person)))
            wrong.extend(
                f"{turn}: enrolled"
                for world in (here, there)
                if told(world, unit(person), holder=holder) != MATCH
            )
            enroller.withdraw(f"R{person}")
            wrong.extend(
                f"{turn}: withdrawn"
                for world in (there, here)
                if told(world, unit(person), holder=holder) != NO_MATCH
            )

    threads = [threading.Thread(target=live, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
