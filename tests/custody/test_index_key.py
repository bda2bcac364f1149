"""Index keys: look-ups, digests and stored answers, whether locked or not."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from custody.small_world import World

from biometrics.custody import IndexKey
from biometrics.errors import SealError
from biometrics.members import Member
from biometrics.sealed import Attested

XAA, XAB = Member("XAA"), Member("XAB")
REQUEST, OTHER_REQUEST = bytes(16), bytes([1] * 16)


def test_the_same_reference_is_found_again(world: World):
    """A look-up is 32 bytes, the same in every process, and of one reference."""
    index = world.vault().index(XAA)
    assert len(index.lookup("R-1")) == 32
    assert index.lookup("R-1") == world.vault().index(XAA).lookup("R-1")
    assert index.lookup("R-1") != index.lookup("R-2")
    assert index.lookup("Å") != index.lookup("A")


def test_members_and_purposes_share_no_digest(world: World):
    """Equal input gives other bytes for another member and for another purpose."""
    vault = world.vault()
    one, other = vault.index(XAA), vault.index(XAB)
    told = {
        one.lookup("same"),
        other.lookup("same"),
        one.digest(b"same"),
        other.digest(b"same"),
    }
    assert len(told) == 4
    assert one.digest(b"same") == one.digest(b"same") != one.digest(b"other")


def test_an_answer_opens_for_its_request_and_member(world: World):
    """A stored answer opens for replays of the one request, by the one member."""
    vault = world.vault()
    sealed = vault.index(XAA).seal_reply(REQUEST, b"answer")
    assert b"answer" not in sealed
    assert world.vault().index(XAA).open_reply(REQUEST, sealed) == b"answer"
    assert vault.index(XAA).seal_reply(REQUEST, b"answer") != sealed
    with pytest.raises(SealError):
        vault.index(XAA).open_reply(OTHER_REQUEST, sealed)
    with pytest.raises(SealError):
        vault.index(XAB).open_reply(REQUEST, sealed)
    with pytest.raises(SealError):
        vault.index(XAA).open_reply(REQUEST, sealed[:-1])


def test_a_member_without_galleries_has_one_too(world: World):
    """Who only asks needs stored answers as well."""
    index = world.vault().index(Member("XZZ"))
    assert index.open_reply(REQUEST, index.seal_reply(REQUEST, b"")) == b""


def test_index_keys_cannot_be_moved_or_read_by_another_exchange(world: World):
    """A wrapped index key is one member's, under one exchange's key."""
    vault = world.vault()
    vault.index(XAA)
    world.rows.indexes[XAB] = world.rows.indexes[XAA]
    with pytest.raises(SealError):
        vault.index(XAB)
    with pytest.raises(SealError):
        world.vault(exchange="XAA").index(XAA)


def test_threads_that_come_first_share_one_index_key(world: World):
    """Eight first uses at the same moment make one index key."""
    vault, barrier = world.vault(), threading.Barrier(8)

    def first_use(_number: int) -> IndexKey:
        barrier.wait(10)
        return vault.index(XAA)

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(first_use, range(8)))
    assert len(keys) == 1
    assert world.rows.additions == 1


def test_who_waited_for_the_first_use_takes_its_index_key(world: World):
    """A thread that finds a key being made does not make a second."""
    vault, add = world.vault(), world.rows.add_index_key
    adding, may_add = threading.Event(), threading.Event()

    def slow(member: Member, wrapped: bytes) -> bytes:
        adding.set()
        assert may_add.wait(10)
        return add(member, wrapped)

    world.rows.add_index_key = slow
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(vault.index, XAA)
        assert adding.wait(10)
        second = threads.submit(vault.index, XAA)
        may_add.set()
        assert first.result(10) is second.result(10)
    assert world.rows.additions == 1


def test_processes_that_come_first_share_one_index_key(world: World):
    """The key that was stored first counts, also for who came second."""
    rows = world.rows
    one = world.vault().index(XAA)
    rows.index_key = lambda _member: None
    assert world.vault().index(XAA).lookup("R-1") == one.lookup("R-1")
    assert rows.additions == 2


CHANGES = [
    {"record": bytes([1] * 16)},
    {"generation": 2},
    {"lookup": bytes([1] * 32)},
    {"excluded": frozenset({XAB})},
    {"excluded": frozenset()},
    {"expires_at": None},
    {"first_template": 8},
    {"is_canary": True},
    {"expires_at": dt.datetime(2030, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)},
]


def test_a_records_row_is_believed_only_as_it_was_written(world: World):
    """With any field changed, or as another member's, it is refused."""
    index = world.vault().index(XAA)
    record = Attested(
        record=bytes(16),
        generation=1,
        lookup=bytes(32),
        excluded=frozenset({XAB, Member("XAC")}),
        expires_at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
        first_template=7,
    )
    tag = index.record_tag(record)
    index.check_record(record, tag)
    assert {name for change in CHANGES for name in change} == {*Attested._fields}
    for change in CHANGES:
        with pytest.raises(SealError) as refused:
            index.check_record(record._replace(**change), tag)
        assert refused.value.reason == "RECORD_CHANGED"
    with pytest.raises(SealError):
        world.vault().index(XAB).check_record(record, tag)


def test_records_from_before_their_templates_were_attested_are_believed(world: World):
    """By the tag that they were given then; no other record has such a one."""
    index = world.vault().index(XAA)
    record = Attested(
        record=bytes(16),
        generation=1,
        lookup=bytes(32),
        excluded=frozenset(),
        expires_at=None,
        first_template=None,
    )
    tag = index.record_tag(record)
    index.check_record(record._replace(first_template=7), tag)
    with pytest.raises(SealError):
        index.check_record(record, index.record_tag(record._replace(first_template=7)))
