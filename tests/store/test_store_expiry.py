"""What has expired is found in its order, and removed for that reason alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from store.shelf import START, XAA, XBB, Shelf, digest

from biometrics.errors import DefectError
from biometrics.store import FIRST_EXPIRED, ChangeKind, register

if TYPE_CHECKING:
    from biometrics.store import Disposed, LiveRecord

DAY = dt.timedelta(days=1)


def enrol(shelf: Shelf, **days: int | None) -> None:
    """Enrol records that expire after so many days, or never."""
    for reference, count in days.items():
        ends = None if count is None else START + count * DAY
        shelf.begin_enrol(shelf.record(reference, expires_at=ends)).result(30)


def dispose(shelf: Shelf, reference: str) -> Disposed:
    """Dispose of a record of XAA's, and wait."""
    disposed = shelf.store.records.dispose(
        XAA, digest(reference), check=lambda _row: None
    )
    return disposed.result(30)


def test_expired_records_are_paged_in_their_order(shelf: Shelf) -> None:
    """Whoever holds them, each once; a moment that has come has passed."""
    enrol(shelf, A=2, B=1, C=None, D=1, E=3)
    shelf.begin_enrol(shelf.record("F", expires_at=START + DAY), member=XBB).result(30)
    read = shelf.store.register.expired
    assert read(START + DAY - dt.timedelta(microseconds=1), FIRST_EXPIRED, 9) == []
    first = read(START + 2 * DAY, FIRST_EXPIRED, 2)
    second = read(START + 2 * DAY, first[-1].place, 2)
    assert [(row.member, row.lookup) for row in first + second] == [
        (member.code, digest(word))
        for member, word in ((XAA, "B"), (XAA, "D"), (XBB, "F"), (XAA, "A"))
    ]
    assert read(START + 2 * DAY, second[-1].place, 2) == []


def test_only_what_has_expired_is_disposed_of(shelf: Shelf) -> None:
    """At its moment, once, with a tombstone that says why and a journal entry."""
    enrol(shelf, A=1, B=None)
    assert (dispose(shelf, "A").done, dispose(shelf, "B").done) == (False, False)
    shelf.clock.advance(DAY)
    told = dispose(shelf, "A")
    assert (told.done, told.position) == (True, 3)
    assert (dispose(shelf, "A").done, dispose(shelf, "none").done) == (False, False)
    (change,) = shelf.store.journal.changes(2, 9)
    assert (change.kind, change.withdrawn) == (ChangeKind.WITHDRAWN, range(1, 2))
    assert [shelf.count(t) for t in ("record", "template", "tombstone")] == [1, 1, 1]
    assert shelf.withdraw("A").reply.decode() == (START + DAY).isoformat()
    assert shelf.enrol("A").reply == b"reference-withdrawn"


def test_a_row_that_is_not_the_records_own_is_not_disposed_of(shelf: Shelf) -> None:
    """What `check` refuses stays."""
    enrol(shelf, A=1)
    shelf.clock.advance(DAY)

    def refuse(_row: LiveRecord) -> None:
        raise DefectError("NO", "no")

    with pytest.raises(DefectError):
        shelf.store.records.dispose(XAA, digest("A"), check=refuse).result(30)
    assert [shelf.count(table) for table in ("record", "tombstone")] == [1, 0]


def test_reading_what_has_expired_does_not_look_at_the_rest(
    sqlite_shelf: Shelf,
) -> None:
    """The index has the records that expire, and only these are read."""
    values = {"now": 9, "moment": 0, "number": 0, "most": 9}
    statement = sa.text(f"EXPLAIN QUERY PLAN {register._EXPIRED.compile()}")
    with sqlite_shelf.reading.connect() as connection:
        plan = connection.execute(statement, values).all()
    (step,) = (row[3] for row in plan)
    assert step.startswith("SEARCH record USING INDEX record_expiry (expires_at>?")
