"""Full disks and damaged rows: nothing half done, and never a wrong answer."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.client import Chunk
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError, DefectError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

BORDER = {"purpose": "border-check", "holders": ["XAA"]}


OF_XAA = "WHERE record_number IN (SELECT number FROM record WHERE member = 'XAA')"


def outcome(world: World, number: int) -> str:
    """Return what a search for subject `number` answers at XAA."""
    return world.client("XCC").match(face(unit(number)), **BORDER).holders[0].outcome


def search_for_ever(world: World) -> None:
    """Search until the exchange refuses."""
    while True:
        outcome(world, 1)


def limit_pages(world: World, pages: int | None) -> int:
    """Let the database grow to so many pages at most; return how many it has."""
    assert world.exchange is not None

    def operation(connection: sa.Connection) -> int:
        count: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        most = count + 2 if pages is None else pages
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")
        return count

    return world.exchange.store._writer.run(operation)


def test_a_full_disk_refuses_writes_whole(tmp_path: Path) -> None:
    """Enrolment on a full disk is UNAVAILABLE, leaves nothing, and resumes later.

    So is a search: no answer leaves that is not durable, with its references.
    """
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        enroller.enrol(record("before", unit(1)))
        limit_pages(world, None)
        many = tuple(record(f"full-{n}", unit(100 + n)) for n in range(200))
        with pytest.raises(UnavailableError) as caught:
            list(enroller.enrol_many([Chunk(records=many)]))
        assert caught.value.reason == "STORAGE_FULL"
        assert [r.reference for r in enroller.records()] == ["before"]
        with pytest.raises(UnavailableError) as caught:
            search_for_ever(world)
        assert caught.value.reason == "STORAGE_FULL"
        limit_pages(world, 1_000_000)
        assert outcome(world, 1) == "match"
        (told,) = enroller.enrol_many([Chunk(records=many)])
        assert {o.status for o in told.outcomes} == {"enrolled"}
        assert outcome(world, 150) == "match"


def change(world: World, statement: str) -> None:
    """Change the stopped database behind the exchange's back."""
    (path,) = (world.root / "data").glob("*.sqlite")
    with sqlite3.connect(path) as database:
        changed = database.execute(statement).rowcount
        assert changed > 0
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE template SET ciphertext = zeroblob(length(ciphertext))",
        "UPDATE template SET wrapped_key = zeroblob(length(wrapped_key))",
        "UPDATE template SET sample = sample + 1",
        "UPDATE template SET ciphertext = x'00'",
    ],
)
@pytest.mark.parametrize("is_loaded_anew", [False, True])
def test_a_damaged_template_makes_its_gallery_unavailable(
    tmp_path: Path, statement: str, *, is_loaded_anew: bool
) -> None:
    """A row that does not open is an outage, not a person who is not there.

    A start that opens every template finds it; one from codes leaves it to the search.
    """
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.enroller("XRA").enrol(record("r", unit(1)))
        world.stop()
        change(world, f"{statement} {OF_XAA}")
        if is_loaded_anew:
            world.forget_codes()
            world.start()
            assert outcome(world, 2) == "unavailable"
        else:
            world.start()
        assert outcome(world, 1) == "unavailable"
        assert outcome(world, 2) == "unavailable"
        answer = world.client("XCC").match(
            face(unit(1)), purpose="border-check", holders=["XRA"]
        )
        assert answer.holders[0].outcome == "match"


def test_a_row_moved_to_another_holder_does_not_open(tmp_path: Path) -> None:
    """A template given to another member is unavailable there, not a false match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XRA").enrol(record("r", unit(1)))
        world.enroller("XAA").enrol(record("own", unit(2)))
        world.stop()
        moved = "UPDATE record SET member = 'XAA' WHERE member = 'XRA'"
        change(world, moved)
        world.start()
        assert outcome(world, 1) == "no-match"
        answer = world.client("XCC").match(
            face(unit(1)), purpose="border-check", holders=["XRA"]
        )
        assert answer.holders[0].outcome == "unavailable"
        world.stop()
        world.forget_codes()
        world.start()
        assert outcome(world, 1) == "unavailable"


def test_a_second_exchange_on_the_same_database_is_refused(tmp_path: Path) -> None:
    """Two servers would answer from indexes that do not know of each other."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        first = world.exchange
        with pytest.raises(ConfigurationError) as caught:
            world.start()
        world.exchange = first
        assert caught.value.reason == "DATABASE_IN_USE"


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM template {OF_XAA}",  # noqa: S608 - our own text
        f"UPDATE template SET position = 'nose' {OF_XAA}",  # noqa: S608 - likewise
        f"UPDATE template SET space = 'unknown' {OF_XAA}",  # noqa: S608 - likewise
    ],
)
def test_a_template_that_is_not_there_is_an_outage(
    tmp_path: Path, statement: str
) -> None:
    """A row that was taken away, or is about nothing known, is never a no-match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.enroller("XAA").enrol(record("s", unit(2)))
        world.stop()
        change(world, statement)
        world.start()
        assert [outcome(world, n) for n in (1, 2, 3)] == ["unavailable"] * 3


@pytest.mark.parametrize("position", [1, 2])
def test_a_journal_with_a_gap_is_not_served(tmp_path: Path, position: int) -> None:
    """What a missing change was about is unknown, so nobody is told a no-match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.enroller("XRA").enrol(record("s", unit(2)))
        world.stop()
        change(world, f"DELETE FROM change WHERE position = {position}")  # noqa: S608 - our own text
        world.forget_codes()
        with pytest.raises(DefectError) as caught:
            world.start()
        assert caught.value.reason == "JOURNAL_NOT_FOLLOWED"


def test_damage_that_a_search_meets_is_told_to_every_search_after(
    tmp_path: Path,
) -> None:
    """A candidate that does not open makes the gallery unavailable for all probes."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            database.execute("UPDATE template SET sample = sample + 1")
        database.close()
        assert [outcome(world, n) for n in (2, 1, 2)] == [
            "no-match",
            "unavailable",
            "unavailable",
        ]


def test_copies_at_one_holder_do_not_hide_a_person_at_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many candidates at one holder are that holder's outage and no one else's."""
    monkeypatch.setattr("biometrics.limits.MAX_OPENINGS_PER_HOLDER", 40)
    world.enroller("XAA").enrol(record("person", unit(800)))
    for number in range(2):
        copies = record(f"copies-{number}", *([unit(800)] * 32))
        world.enroller("XRA").enrol(copies)
    answer = world.client("XCC").match(face(unit(800)), purpose="border-check")
    told = {a.holder: a.outcome.value for a in answer.holders}
    assert told == {"XAA": "match", "XRA": "unavailable"}


def test_more_candidates_than_one_query_takes_are_all_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening goes on over the store's bound of one query."""
    monkeypatch.setattr("biometrics.limits.STORE_IDS_PER_QUERY", 7)
    world.enroller("XAA").enrol(record("many", *([unit(801)] * 30)))
    answer = world.client("XCC").match(face(unit(801)), **BORDER)
    assert answer.holders[0].outcome == "match"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE protection SET excluded = ''",
        "UPDATE protection SET record_number = record_number + 1",
        "DELETE FROM protection",
        "UPDATE record SET expires_at = NULL",
        "UPDATE record SET expires_at = expires_at + 1",
        "UPDATE protection SET record_tag = zeroblob(32)",
    ],
)
def test_a_protection_that_was_edited_tells_nobody_of_the_record(
    tmp_path: Path, statement: str
) -> None:
    """Whoever takes an exclusion or an expiry out of a row gets an outage, no match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        later = SystemClock().now() + dt.timedelta(days=1)
        world.enroller("XAA").enrol(
            record("r", unit(1), excluded=("XCC",), expires_at=later)
        )
        assert outcome(world, 1) == "no-match"
        world.stop()
        change(world, statement)
        world.start()
        assert [outcome(world, n) for n in (1, 2)] == ["unavailable"] * 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE protection SET excluded = ''",
        "UPDATE record SET expires_at = NULL",
    ],
)
def test_a_row_that_was_edited_is_not_attested_by_a_later_protection(
    tmp_path: Path, statement: str
) -> None:
    """Setting whom it excludes believes nothing else of it, and is refused."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        later = SystemClock().now() + dt.timedelta(days=1)
        hidden = record("r", unit(1), excluded=("XCC",), expires_at=later)
        world.enroller("XAA").enrol(hidden)
        change(world, statement)
        with pytest.raises(DefectError):
            world.enroller("XAA").protect("r", excluded=["XBB"])
        assert outcome(world, 1) == "unavailable"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE protection SET excluded = '', record_tag = x'{tag}', set_at = NULL",
        "UPDATE protection SET excluded = 'XBB'",
        "DELETE FROM protection",
    ],
)
def test_a_late_protection_cannot_be_taken_away_from_its_row(
    tmp_path: Path, statement: str
) -> None:
    """Without the old row's copy nobody gets the record; there is none beside it."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.enroller("XAA").enrol(record("s", unit(2)))
        world.enroller("XAA").protect("r", excluded=["XCC"])
        world.stop()
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            tag = "SELECT hex(record_tag) FROM protection WHERE record_number = 2"
            ((other,),) = database.execute(tag).fetchall()
        database.close()
        change(world, f"{statement.format(tag=other)} WHERE record_number = 1")
        world.start()
        assert outcome(world, 1) == "unavailable"
        world.stop()
        world.forget_codes()
        world.start()
        assert outcome(world, 1) == "unavailable"


def test_a_row_that_is_taken_away_while_it_is_served_is_an_outage(
    tmp_path: Path,
) -> None:
    """A candidate whose row is gone without a withdrawal is never a no-match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        change(world, f"DELETE FROM template {OF_XAA}")  # noqa: S608 - our own text
        assert [outcome(world, n) for n in (2, 1, 2)] == [
            "no-match",
            "unavailable",
            "unavailable",
        ]


def test_template_numbers_that_were_swapped_are_an_outage(tmp_path: Path) -> None:
    """Whose codes lead to another's row is not told that there is no match."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for number, reference in ((1, "a"), (2, "b")):
            world.enroller("XAA").enrol(record(reference, unit(number)))
        for pair in ((1, 3), (2, 1), (3, 2)):
            statement = "UPDATE template SET template_id = {1} WHERE template_id = {0}"
            change(world, statement.format(*pair))
        assert [outcome(world, n) for n in (3, 1)] == ["no-match", "unavailable"]
        world.restart()
        assert [outcome(world, n) for n in (2, 1)] == ["unavailable"] * 2


def test_references_that_were_swapped_withdraw_nobody(tmp_path: Path) -> None:
    """Who edits under which reference a record is found gets no other one withdrawn."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for number, reference in ((1, "a"), (2, "b")):
            world.enroller("XAA").enrol(record(reference, unit(number)))
        world.stop()
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            (first,), (second,) = database.execute(
                "SELECT lookup FROM record ORDER BY number"
            ).fetchall()
            for lookup, number in ((bytes(32), 1), (first, 2), (second, 1)):
                database.execute(
                    "UPDATE record SET lookup = ? WHERE number = ?", (lookup, number)
                )
        database.close()
        world.start()
        with pytest.raises(DefectError):
            world.enroller("XAA").withdraw("a")
        assert outcome(world, 3) == "no-match"
        assert outcome(world, 2) == "unavailable"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET member = 'XRA' WHERE member = 'XAA'",
        "UPDATE record SET member = 'nobody' WHERE member = 'XAA'",
        f"UPDATE protection SET excluded = 'nobody' {OF_XAA}",  # noqa: S608 - our own
        "UPDATE record SET expires_at = 9223372036854775807 WHERE member = 'XAA'",
        f"UPDATE protection SET record_tag = 'text' {OF_XAA}",  # noqa: S608 - our own
        f"DELETE FROM protection {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET space = 'unknown' {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET space = 'tiny-finger' {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET position = 'left-index' {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET ciphertext = 7 {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET key_id = 1 {OF_XAA}",  # noqa: S608 - our own
        f"UPDATE template SET sample = -1 {OF_XAA}",  # noqa: S608 - our own
        "UPDATE record SET generation = -1 WHERE member = 'XAA'",
        "UPDATE record SET expires_at = -1 WHERE member = 'XAA'",
        *(
            f"UPDATE template SET {column} = CAST(x'ff' AS TEXT) {OF_XAA}"  # noqa: S608
            for column in ("space", "position", "modality")
        ),
        "UPDATE record SET member = CAST(x'ff' AS TEXT) WHERE member = 'XAA'",
        f"UPDATE protection SET excluded = CAST(x'ff' AS TEXT) {OF_XAA}",  # noqa: S608
    ],
)
def test_a_row_that_is_edited_while_it_is_served_is_its_own_holders_outage(
    tmp_path: Path, statement: str
) -> None:
    """Whatever is changed: an outage of that gallery, for every probe, from then on."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XRA").enrol(record("other", unit(5)))
        world.enroller("XAA").enrol(record("r", unit(1)))
        change(world, statement)
        assert [outcome(world, n) for n in (2, 1, 2)] == [
            "no-match",
            "unavailable",
            "unavailable",
        ]
        answer = world.client("XCC").match(
            face(unit(5)), purpose="border-check", holders=["XRA"]
        )
        assert answer.holders[0].outcome == "match"
        world.restart()
        assert outcome(world, 1) == "unavailable"
        world.stop()
        world.forget_codes()
        world.start()
        assert outcome(world, 1) == "unavailable"
