"""Nothing that an exchange asks of its database, call by call, grows with a gallery."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from world import AGREEMENTS, World, agreement, face, permit, record, unit

from biometrics.client import Chunk, Probe, Template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Those that have a row for each record, template, change, search or answer.
GROWING = (
    "record",
    "protection",
    "template",
    "tombstone",
    "change",
    "reply",
    "reference",
    "reference_record",
    "follow_up",
    "follow_up_record",
    "log_leaf",
    "log_tile",
    "near_search",
    "frozen_record",
)


@pytest.fixture
def statements() -> Iterator[set[str]]:
    """Return what is asked of any database from now on."""
    asked: set[str] = set()

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.add(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def whole(path: Path, statement: str) -> list[str]:
    """Return the tables that a statement goes through from end to end."""
    connection = sqlite3.connect(path)
    try:
        numbers = re.findall(r"\?(\d+)", statement)
        given = max(map(int, numbers)) if numbers else statement.count("?")
        rows = connection.execute(
            f"EXPLAIN QUERY PLAN {statement}", (None,) * given
        ).fetchall()
    finally:
        connection.close()
    steps = [row[3] for row in rows]
    found = [re.fullmatch(r"SCAN (\w+)(?: AS \w+)?", step) for step in steps]
    return [each[1] for each in found if each and each[1] in GROWING]


def search(world: World) -> None:
    """Search for some, with one template and with several."""
    client = world.client("XCC")
    finger = Template(space="tiny-finger", position="right-index", vector=unit(2))
    both = record("both", unit(1))
    both = replace(both, templates=(*both.templates, finger))
    world.enroller("XAA").enrol(both)
    for number in (1, 10, 12, 13, 500):
        client.match(face(unit(number)), purpose="border-check")
    client.match_many([face(unit(20)), face(unit(600))], purpose="border-check")
    several = Probe(template=face(unit(1)), further=(finger,))
    client.match(several, purpose="border-check")


def test_no_statement_of_a_call_goes_through_a_table_that_grows(
    tmp_path: Path, statements: set[str]
) -> None:
    """Whatever members, their officers and auditors ask while it runs."""
    agreements = AGREEMENTS | {"XBB": agreement("XBB", permit("XCC", "reference"))}
    with World(tmp_path, agreements=agreements) as world:
        statements.clear()
        enroller, client = world.enroller("XAA"), world.client("XCC")
        administrator = world.client("XAA", "administrator")
        auditor = world.client("XAA", "auditor")
        enroller.enrol(record("one", unit(1)))
        people = tuple(record(f"R{n}", unit(n)) for n in range(10, 40))
        list(enroller.enrol_many([Chunk(records=people)]))
        enroller.replace("R11", face(unit(99)))
        enroller.protect("R12", excluded=["XCC"])
        enroller.withdraw("R13")
        search(world)
        list(enroller.records())
        enroller.duplicates(["R10", "R14"])
        enroller.galleries()
        enroller.summary()
        client.spaces()
        administrator.rotate()
        administrator.custody()
        list(administrator.erasures())
        administrator.lock()
        administrator.unlock()
        auditor.checkpoint()
        auditor.log_leaves(0, 2)
        auditor.log_entries(0, 2)
        list(auditor.log_keys())
        auditor.reviews()
        auditor.alerts()
        (database,) = (world.root / "data").glob("*.sqlite")
        asked = [
            s for s in statements if not re.match(r"PRAGMA|BEGIN|COMMIT|SAVE|REL", s)
        ]
        assert len(asked) > 50
        weighed = [s for s in asked if "lookup IN" in s and "template.template_id" in s]
        assert weighed, "several templates were not searched with"
        grows = {s: tables for s in asked if (tables := whole(database, s))}
    assert not grows, grows
