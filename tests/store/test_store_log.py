"""The log's tables: a leaf is there exactly if what it tells of is."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from store.shelf import XAA, XBB, XCC, Shelf, digest

from biometrics.audit import Kind, Mention, Scribe
from biometrics.audit.scribe import read_record
from biometrics.audit.tiles import WIDTH
from biometrics.audit.tree import leaf_hash, root
from biometrics.errors import ConflictError, DefectError, NotFoundError
from biometrics.store import Disclosed, open_store
from biometrics.store.log import begin_anew
from biometrics.store.log_check import log_faults
from biometrics.store.schema import LOG_LEAF

if TYPE_CHECKING:
    from store.places import Place


def answer(shelf: Shelf, word: str, *holders: str, digested: str = "") -> bytes | None:
    """Answer a request of XBB, in the log with `holders`."""
    told = (
        Mention(member=member, kind=Kind.SEARCHED, other="XBB")
        for member in (XAA, XCC)
        if member.code in holders
    )
    asked = Mention(member=XBB, kind=Kind.SEARCH)
    return shelf.store.answers.commit(
        XBB,
        digest(word)[:16],
        digest(digested or word),
        lambda _: word.encode(),
        Disclosed(mentions=(asked, *told)),
    ).result(30)


def members(shelf: Shelf) -> list[set[str]]:
    """Return whom each leaf concerns."""
    with shelf.reading.connect() as connection:
        rows = connection.execute(LOG_LEAF.select().order_by(LOG_LEAF.c.leaf_index))
        return [{part.member.code for part in read_record(r.record)[1]} for r in rows]


def test_what_was_made_durable_has_one_leaf(shelf: Shelf) -> None:
    """Answers with everybody they concern, changes with their holder."""
    answer(shelf, "one", "XAA", "XCC")
    shelf.enrol("A", "B")
    shelf.protect("A", XBB)
    shelf.withdraw("A")
    assert members(shelf) == [{"XAA", "XBB", "XCC"}, {"XAA"}, {"XAA"}, {"XAA"}]
    head = shelf.store.log.head()
    leaves = shelf.store.log.leaves(0, 100)
    assert (head.life, head.size, len(leaves)) == (1, 4, 4)
    assert head.root == root([leaf_hash(leaf) for leaf in leaves])
    assert list(log_faults(shelf.reading)) == []


def test_what_changes_nothing_has_none(shelf: Shelf) -> None:
    """Replays, what was withdrawn before, and what is refused."""
    shelf.enrol("A")
    shelf.withdraw("A")
    answer(shelf, "one")
    size = shelf.store.log.head().size
    answer(shelf, "one")
    shelf.withdraw("A")
    with pytest.raises(ConflictError):
        answer(shelf, "one", digested="other")
    with pytest.raises(NotFoundError):
        shelf.withdraw("never there")
    shelf.enrol("A")  # whose reference was withdrawn
    assert shelf.store.log.head().size == size
    assert list(log_faults(shelf.reading)) == []


def test_an_operation_that_fails_takes_its_leaf_with_it_alone(shelf: Shelf) -> None:
    """Of a group of three the second raises: numbers stay without a gap.

    And whom nothing but that one concerned, nothing is counted for.
    """

    def fail(_: object) -> bytes:
        raise ZeroDivisionError

    with shelf.held():
        futures = [
            shelf.store.answers.commit(
                XBB,
                digest(f"{number}")[:16],
                digest("m"),
                (lambda _: b"answer") if number != 1 else fail,
                Disclosed(
                    mentions=(
                        Mention(member=XBB, kind=Kind.SEARCH),
                        *[Mention(member=XCC, kind=Kind.SEARCHED)] * (number == 1),
                    )
                ),
            )
            for number in range(3)
        ]
    assert futures[0].result(30) == futures[2].result(30) == b"answer"
    assert isinstance(futures[1].exception(30), ZeroDivisionError | DefectError)
    assert members(shelf) == [{"XBB"}, {"XBB"}]
    assert list(log_faults(shelf.reading)) == []
    answer(shelf, "after")
    assert list(log_faults(shelf.reading)) == []


def test_nothing_is_stored_without_its_leaf(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log cannot be written, no answer is, and all goes on afterwards."""
    log = shelf.store._writer._log

    def fail(_: object) -> None:
        raise DefectError("LOG_BROKEN", "for a test")

    with monkeypatch.context() as patch:
        patch.setattr(log, "flush", fail)
        with pytest.raises(DefectError):
            answer(shelf, "one", "XAA")
    assert shelf.store.answers.find(XBB, digest("one")[:16], digest("one")) is None
    assert answer(shelf, "one", "XAA") == b"one"
    assert members(shelf) == [{"XAA", "XBB"}]
    assert list(log_faults(shelf.reading)) == []


def test_tiles_are_kept_once_they_are_full(sqlite_shelf: Shelf) -> None:
    """And roots follow from them as from the leaves."""
    shelf = sqlite_shelf
    with shelf.held():
        futures = [
            shelf.store.answers.commit(
                XBB,
                digest(f"{number}")[:16],
                digest("m"),
                lambda _: b"answer",
                Disclosed(),
            )
            for number in range(2 * WIDTH + 3)
        ]
    for future in futures:
        future.result(30)
    reader = shelf.store.log
    leaves = [leaf_hash(leaf) for leaf in reader.leaves(0, 1000)]
    assert reader.head().size == len(leaves) == 2 * WIDTH + 3
    assert reader.head().root == root(leaves)
    assert shelf.count("log_tile") == 2
    assert list(reader.tile(0, 1, WIDTH)) == leaves[WIDTH : 2 * WIDTH]
    assert list(reader.tile(0, 2, 3)) == leaves[2 * WIDTH :]
    assert list(reader.tile(1, 0, 2)) == [
        root(leaves[:WIDTH]),
        root(reader.tile(0, 1, WIDTH)),
    ]
    with pytest.raises(NotFoundError):
        reader.tile(0, 2, 4)
    assert list(log_faults(shelf.reading)) == []


def test_a_start_goes_on_with_the_numbers(place: Place) -> None:
    """And seals by new keys, for the old ones are forgotten."""
    shelf = Shelf(place)
    answer(shelf, "one", "XAA")
    shelf.store.close()
    again = Shelf.__new__(Shelf)
    again.place, again.clock = place, shelf.clock
    again.store = open_store(place.where, shelf.clock)
    answer(again, "two", "XAA")
    assert again.store.log.head().size == 2
    assert list(log_faults(again.reading)) == []
    assert len(again.store.log.keys(XAA, 0, 10)) == 2
    again.store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM log_leaf WHERE leaf_index = 1",
        "DELETE FROM log_leaf WHERE leaf_index = 2",
        "UPDATE log_head SET size = 2",
        "UPDATE log_head SET sequences = 'XBB 3'",
        "UPDATE log_head SET sequences = 'what'",
        "DELETE FROM log_head",
        "UPDATE log_leaf SET leaf = zeroblob(37) WHERE leaf_index = 1",
        "DELETE FROM log_key",
        "UPDATE log_leaf SET record = zeroblob(length(record)) WHERE leaf_index = 1",
        "UPDATE log_leaf SET record = leaf WHERE leaf_index = 1",
        "INSERT INTO log_tile VALUES (0, 0, zeroblob(32), zeroblob(8192))",
    ],
)
def test_damage_of_the_log_is_found(sqlite_shelf: Shelf, damage: str) -> None:
    """By what `biometrics check` asks."""
    for word in ("one", "two", "three"):
        answer(sqlite_shelf, word, "XAA")
    assert list(log_faults(sqlite_shelf.reading)) == []
    with sqlite_shelf.writing.begin() as connection:
        connection.exec_driver_sql(damage)
    assert {each.reason for each in log_faults(sqlite_shelf.reading)} == {"LOG_DAMAGED"}


def test_members_are_told_who_the_members_are(shelf: Shelf) -> None:
    """Once, and again if there are others; who has left as well."""
    log = shelf.store.log
    log.note_members([XAA, XBB])
    log.note_members([XBB, XAA])
    log.note_members([XBB, XCC])
    assert members(shelf) == [{"XAA", "XBB"}, {"XAA", "XBB", "XCC"}]


def test_a_restored_log_is_another_one(shelf: Shelf) -> None:
    """Which goes on from what there is, and says so."""
    answer(shelf, "one", "XAA")
    scribe = Scribe({}, secrets.token_bytes)
    told = [Mention(member=m, kind=Kind.RESTORATION) for m in (XAA, XBB)]
    with shelf.writing.begin() as connection:
        begin_anew(connection, scribe, shelf.clock, told)
    shelf.store.close()  # nobody has it open while it is restored
    shelf.store = open_store(shelf.place.where, shelf.clock)
    head = shelf.store.log.head()
    assert (head.life, head.size) == (2, 2)
    assert members(shelf)[-1] == {"XAA", "XBB"}
    answer(shelf, "two", "XAA")
    assert list(log_faults(shelf.reading)) == []
