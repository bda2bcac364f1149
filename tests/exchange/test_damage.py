"""Full disks and damaged rows: nothing half done, and never a wrong answer."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.client import Chunk
from biometrics.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

BORDER = {"purpose": "border-check", "holders": ["XAA"]}


OF_XAA = "WHERE record_number IN (SELECT number FROM record WHERE member = 'XAA')"


def outcome(world: World, number: int) -> str:
    """Return what a search for subject `number` answers at XAA."""
    return world.client("XCC").match(face(unit(number)), **BORDER).holders[0].outcome


def limit_pages(world: World, pages: int | None) -> int:
    """Let the database grow to so many pages at most; return how many it has."""
    assert world.exchange is not None

    def operation(connection: sa.Connection) -> int:
        count: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        most = count + 2 if pages is None else pages
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")
        return count

    return world.exchange.store._writer.run(operation)


def test_a_full_disk_refuses_writes_whole_and_searches_go_on(tmp_path: Path) -> None:
    """Enrolment on a full disk is UNAVAILABLE, leaves nothing, and resumes later."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        enroller.enrol(record("before", unit(1)))
        limit_pages(world, None)
        many = tuple(record(f"full-{n}", unit(100 + n)) for n in range(200))
        with pytest.raises(UnavailableError) as caught:
            list(enroller.enrol_many([Chunk(records=many)]))
        assert caught.value.reason == "STORAGE_FULL"
        assert [r.reference for r in enroller.records()] == ["before"]
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
def test_a_damaged_template_makes_its_gallery_unavailable(
    tmp_path: Path, statement: str
) -> None:
    """A row that does not open is an outage, not a person who is not there."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.enroller("XRA").enrol(record("r", unit(1)))
        world.stop()
        change(world, f"{statement} {OF_XAA}")
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
        assert outcome(world, 1) == "unavailable"


def test_a_second_exchange_on_the_same_database_is_refused(tmp_path: Path) -> None:
    """Two servers would answer from indexes that do not know of each other."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        first = world.exchange
        with pytest.raises(ConfigurationError) as caught:
            world.start()
        world.exchange = first
        assert caught.value.reason == "DATABASE_IN_USE"
