"""A record that was sealed anew takes the place of what it was, in one transaction."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from store.shelf import START, XAA, XBB, Shelf, digest

from biometrics.errors import DefectError, NotFoundError
from biometrics.store import ChangeKind, NewRecord

if TYPE_CHECKING:
    from concurrent.futures import Future

    from biometrics.store.rows import Committed

DAY = dt.timedelta(days=1)


def anew(shelf: Shelf, reference: str, content: str = "") -> NewRecord:
    """Return a record of two templates, under its next generation if it is there."""
    made = shelf.record(reference, content=content, spaces=("face-a", "face-b"))
    with suppress(NotFoundError):
        before = shelf.store.whole.record(XAA, digest(reference))
        made = made._replace(record_id=before.row.attested.record)
    return made._replace(
        generation=2, attest=lambda first: digest(f"{reference} from {first}")
    )


def begin(
    shelf: Shelf,
    record: NewRecord,
    *,
    before: str,
    request_id: bytes | None = None,
) -> Future[Committed | None]:
    """Submit a replacement; the reply is the moment."""
    return shelf.store.records.replace(
        XAA,
        record,
        before=digest(before),
        request_id=request_id or shelf.fresh(),
        digest=digest("replace"),
        make_reply=lambda at: at.isoformat().encode(),
    )


def test_a_record_is_read_whole(shelf: Shelf) -> None:
    """All that is needed to seal it anew; what is not there says so."""
    made = anew(shelf, "A")
    shelf.begin_enrol(made).result(30)
    whole = shelf.store.whole.record(XAA, digest("A"))
    assert whole is not None
    assert whole.row.record_tag == digest("A from 1")
    assert whole.content_digest == made.content_digest
    assert whole.sealed_reference == made.sealed_reference
    assert [t.sealed for t in whole.templates] == [t.sealed for t in made.templates]
    with pytest.raises(NotFoundError) as caught:
        shelf.store.whole.record(XBB, digest("A"))
    assert caught.value.reason == "NOT_ENROLLED"
    shelf.withdraw("A")
    with pytest.raises(NotFoundError) as caught:
        shelf.store.whole.record(XAA, digest("A"))
    assert caught.value.reason == "RECORD_WITHDRAWN"


def test_a_row_that_is_none_is_told(sqlite_shelf: Shelf) -> None:
    """Rather than a record without it."""
    sqlite_shelf.begin_enrol(anew(sqlite_shelf, "A")).result(30)
    with sqlite_shelf.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE template SET sample = 'x' WHERE sample = 1")
    with pytest.raises(DefectError) as caught:
        sqlite_shelf.store.whole.record(XAA, digest("A"))
    assert caught.value.reason == "RECORD_DAMAGED"


def test_an_enrolment_and_a_withdrawal_replace_a_record(shelf: Shelf) -> None:
    """In this order, under new numbers; moments and counts stay."""
    shelf.begin_enrol(shelf.record("A", spaces=("face-a", "face-b"))).result(30)
    shelf.clock.advance(DAY)
    shelf.protect("A", XBB)
    shelf.clock.advance(DAY)
    committed = begin(shelf, anew(shelf, "A"), before="A from XBB").result(30)
    assert committed is not None
    assert committed.reply.decode() == (START + 2 * DAY).isoformat()
    assert committed.position == 3
    first, enrolled, withdrawn = shelf.store.journal.changes(0, 9)
    assert first.templates == ()
    assert [t.template_id for t in enrolled.templates] == [3, 4]
    assert {t.record_tag for t in enrolled.templates} == {digest("A from 3")}
    assert (enrolled.kind, withdrawn.kind) == (
        ChangeKind.ENROLLED,
        ChangeKind.WITHDRAWN,
    )
    assert withdrawn.withdrawn == range(1, 3)
    (row,) = shelf.store.register.records(XAA, 0, 9)
    assert (row.enrolled_at, row.protected_at, row.replaced_at) == (
        START,
        START + DAY,
        START + 2 * DAY,
    )
    counts = shelf.store.register.galleries(XAA)
    assert [(c.records, c.templates) for c in counts] == [(1, 1), (1, 1)]
    assert shelf.store.register.is_whole()
    assert [shelf.count(t) for t in ("record", "template", "tombstone")] == [1, 2, 0]


def test_a_record_that_was_changed_since_is_not_replaced(shelf: Shelf) -> None:
    """Nothing is written; a record that is gone says so."""
    shelf.enrol("A")
    assert begin(shelf, anew(shelf, "A"), before="other").result(30) is None
    assert shelf.store.journal.end() == 1
    assert set(shelf.store.journal.templates([1, 2, 3])) == {1}
    shelf.withdraw("A")
    with pytest.raises(NotFoundError) as caught:
        begin(shelf, anew(shelf, "A"), before="protection A").result(30)
    assert caught.value.reason == "RECORD_WITHDRAWN"


def test_another_record_is_not_put_in_the_place(shelf: Shelf) -> None:
    """Whoever follows tells by its number whose templates were replaced."""
    shelf.enrol("A")
    other = anew(shelf, "A")._replace(record_id=bytes(16))
    with pytest.raises(DefectError, match="ValueError"):
        begin(shelf, other, before="protection A").result(30)
    assert shelf.store.journal.end() == 1


def test_a_replayed_replacement_replaces_once(shelf: Shelf) -> None:
    """The first answer, and nothing changes."""
    shelf.enrol("A")
    one = shelf.fresh()
    first = begin(shelf, anew(shelf, "A"), before="protection A", request_id=one)
    again = begin(shelf, anew(shelf, "A", "B"), before="A from 2", request_id=one)
    told, replayed = first.result(30), again.result(30)
    assert told is not None
    assert replayed is not None
    assert (replayed.reply, replayed.replayed) == (told.reply, True)
    assert shelf.store.journal.end() == 3
