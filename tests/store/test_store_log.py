"""The log's tables: a leaf is there exactly if what it tells of is."""

from __future__ import annotations

import secrets
import shutil
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from store.shelf import XAA, XBB, XCC, Shelf, digest

from biometrics import limits
from biometrics.audit import Kind, Mention, Scribe
from biometrics.audit.scribe import read_record
from biometrics.audit.tiles import WIDTH
from biometrics.audit.tree import leaf_hash, root
from biometrics.errors import (
    ConflictError,
    DefectError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from biometrics.store import Cosigned, Disclosed, open_store
from biometrics.store.cosignatures import superseded
from biometrics.store.log import begin_anew
from biometrics.store.log_check import log_faults
from biometrics.store.schema import LOG_LEAF

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa
    from store.places import Place

    from biometrics.members import Member


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
    assert (head.life, head.size, len(leaves)) == ("1", 4, 4)
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


def test_a_refusal_takes_its_leaf_with_it_though_nothing_was_written(
    shelf: Shelf,
) -> None:
    """A leaf is in the database at the end of the transaction, and not before."""
    log = shelf.store._writer._log

    def refuse(connection: sa.Connection) -> None:
        log.append(connection, Mention(member=XCC, kind=Kind.SEARCHED))
        raise UnavailableError("NOT_NOW", "not now")

    with shelf.held():
        refused = shelf.store._writer.submit(refuse)
        asked = shelf.store.answers.commit(
            XBB,
            digest("a")[:16],
            digest("m"),
            lambda _: b"answer",
            Disclosed(mentions=(Mention(member=XBB, kind=Kind.SEARCH),)),
        )
    assert isinstance(refused.exception(30), UnavailableError)
    assert asked.result(30) == b"answer"
    assert members(shelf) == [{"XBB"}]
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


@pytest.mark.parametrize("column", ["life", "size", "sequences", "members"])
def test_a_head_that_lacks_what_it_cannot_lack_is_damage(
    sqlite_shelf: Shelf, column: str
) -> None:
    """A flipped bit can make of a value none, whatever the schema says."""
    kind = "BIGINT" if column == "size" else "TEXT"
    lax = f"replace(sql, '{column} {kind} NOT NULL', '{column} {kind}')"
    statements = f"""
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = {lax} WHERE name = 'log_head';
        PRAGMA writable_schema = RESET;
        UPDATE log_head SET {column} = NULL;
    """  # noqa: S608 - of our own words
    with sqlite_shelf.writing.connect() as connection:
        for statement in statements.split(";"):
            connection.exec_driver_sql(statement)
        connection.commit()
    log = sqlite_shelf.store.log
    for act in [lambda: log.note_members([XAA, XBB])] + (
        [log.head, lambda: log.leaves(0, 1)] if column != "members" else []
    ):
        with pytest.raises(DefectError) as caught:
            act()
        assert caught.value.reason == "LOG_DAMAGED"


def test_members_are_told_who_the_members_are(shelf: Shelf) -> None:
    """Once, and again if there are others; who has left as well."""
    log = shelf.store.log
    log.note_members([XAA, XBB])
    log.note_members([XBB, XAA])
    log.note_members([XBB, XCC])
    assert members(shelf) == [{"XAA", "XBB"}, {"XAA", "XBB", "XCC"}]


def restore(shelf: Shelf) -> str:
    """Begin another log, and return which one."""
    scribe = Scribe({}, secrets.token_bytes)
    told = [Mention(member=m, kind=Kind.RESTORATION) for m in (XAA, XBB)]
    with shelf.writing.begin() as connection:
        begin_anew(connection, scribe, shelf.clock, told)
    shelf.store.close()  # nobody has it open while it is restored
    shelf.store = open_store(shelf.place.where, shelf.clock)
    return shelf.store.log.head().life


def test_a_restored_log_is_another_one(shelf: Shelf) -> None:
    """Which goes on from what there is, says so, and is named by its first leaf."""
    answer(shelf, "one", "XAA")
    life = restore(shelf)
    head = shelf.store.log.head()
    first = leaf_hash(shelf.store.log.leaves(1, 1)[0])
    assert (life, head.size) == (f"2-{first[:8].hex()}", 2)
    assert members(shelf)[-1] == {"XAA", "XBB"}
    answer(shelf, "two", "XAA")
    assert list(log_faults(shelf.reading)) == []
    assert restore(shelf).startswith("3-")


def test_two_restores_of_one_backup_are_two_logs(
    sqlite_shelf: Shelf, tmp_path: Path
) -> None:
    """They have the same leaves, and from then on others: and no name in common."""
    answer(sqlite_shelf, "one", "XAA")
    sqlite_shelf.store.close()
    shutil.copy(sqlite_shelf.path, tmp_path / "backup")
    lives = set()
    for _ in range(2):
        shutil.copy(tmp_path / "backup", sqlite_shelf.path)
        sqlite_shelf.path.with_name(f"{sqlite_shelf.path.name}.lock").unlink()
        sqlite_shelf.store = open_store(sqlite_shelf.path, sqlite_shelf.clock)
        lives.add(restore(sqlite_shelf))
        sqlite_shelf.store.close()
    assert len(lives) == 2


def cosigned(member: Member, size: int, time: int = 0) -> Cosigned:
    """Return that a member's witness has cosigned."""
    return Cosigned(
        size=size,
        member=member,
        time=time or size,
        checkpoint=f"of {size}\n\n".encode(),
        line=f"{member} {time or size}\n",
    )


def test_cosignatures_are_kept_below_their_checkpoint(shelf: Shelf) -> None:
    """The largest first; once each, at the time of the last."""
    table = shelf.store.cosignatures
    assert table.notes() == []
    table.add(cosigned(XBB, 4))
    table.add(cosigned(XAA, 4))
    table.add(cosigned(XAA, 4, 9))
    table.add(cosigned(XAA, 4, 9))
    assert table.notes() == [b"of 4\n\nXAA 9\nXBB 4\n"]
    with pytest.raises(PreconditionError, match="has gone back"):
        table.add(cosigned(XAA, 4, 8))
    with pytest.raises(PreconditionError, match="has gone back"):
        table.add(cosigned(XAA, 3, 10))
    answer(shelf, "one", "XAA")
    restore(shelf)
    assert shelf.store.cosignatures.notes() == []  # they were of the log before


def test_a_checkpoint_is_kept_as_long_as_somebody_may_ask_for_it(shelf: Shelf) -> None:
    """Until a larger one has all the cosignatures that it has."""
    table = shelf.store.cosignatures
    for member, size in ((XAA, 1), (XBB, 1), (XAA, 2), (XCC, 2), (XAA, 3)):
        table.add(cosigned(member, size))
    assert [note[:4] for note in table.notes()] == [b"of 3", b"of 2", b"of 1"]
    table.add(cosigned(XBB, 3))
    assert [note[:4] for note in table.notes()] == [b"of 3", b"of 2"]
    table.add(cosigned(XCC, 4))
    assert [note[:4] for note in table.notes()] == [b"of 4", b"of 3", b"of 2"]


def test_only_so_many_checkpoints_are_kept() -> None:
    """However witnesses miss one another."""
    sets = {size: {str(size), "A"} for size in range(limits.MAX_COSIGNED + 5)}
    assert superseded(sets) == [4, 3, 2, 1, 0]


def test_a_few_witnesses_drop_nothing_that_more_have_cosigned() -> None:
    """Though eight can sign by turns so that each checkpoint is needed by somebody."""
    sets = {0: set("ABCDE")}
    for size, each in enumerate(combinations("FGHIJKLM", 4), 1):
        sets[size] = set(each)
    dropped = superseded(sets)
    assert len(sets) - len(dropped) == limits.MAX_COSIGNED
    assert 0 not in dropped
