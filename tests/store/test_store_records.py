"""Enrolling and withdrawing records."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from store.shelf import START, XAA, XBB, XCC, digest, request

from biometrics import limits
from biometrics.errors import GalleryLockedError, NotFoundError
from biometrics.store import sqlite
from biometrics.store.answer_rows import Disclosed, NewReference
from biometrics.store.rows import ChangeKind, EnrolResult, GalleryCount, TemplateRow

if TYPE_CHECKING:
    from store.shelf import Shelf


def test_a_record_comes_back_as_it_was_enrolled(shelf: Shelf) -> None:
    """The journal gives every template with its record's protections."""
    ends = START + dt.timedelta(days=1, microseconds=7)
    record = shelf.record(
        "A",
        spaces=("face-a", "face-b"),
        excluded=frozenset({XBB, XCC}),
        expires_at=ends,
    )
    done = shelf.begin_enrol(record).result(30)
    assert (done.reply, done.position, done.replayed) == (b"enrolled", 1, False)
    (change,) = shelf.store.journal.changes(0, 10)
    assert (change.position, change.kind) == (1, ChangeKind.ENROLLED)
    assert (change.member, change.record_id) == (XAA, record.record_id)
    for number, (stored, new) in enumerate(
        zip(change.templates, record.templates, strict=True), 1
    ):
        assert stored.template_id == number
        assert (stored.record_id, stored.member) == (record.record_id, XAA)
        assert (stored.space, stored.position) == (new.space, new.position)
        assert (stored.modality, stored.sample) == (new.modality, new.sample)
        assert (stored.quality, stored.sealed) == (new.quality, new.sealed)
        assert stored.generation == record.generation
        assert stored.excluded == {XBB, XCC}
        assert stored.expires_at == ends


def test_the_same_reference_is_judged_by_its_content(shelf: Shelf) -> None:
    """Same content: already enrolled. Other content: taken. Nothing changes."""
    shelf.enrol("A")
    again = shelf.begin_enrol(shelf.record("A"), shelf.record("A", content="other"))
    assert again.result(30).reply == b"already-enrolled reference-taken"
    assert again.result(30).position == 1
    assert shelf.store.journal.end() == 1
    assert shelf.count("template") == 1


def test_two_records_of_one_chunk_with_one_reference(shelf: Shelf) -> None:
    """The second is judged against the first."""
    done = shelf.begin_enrol(
        shelf.record("A"),
        shelf.record("A"),
        shelf.record("A", content="other"),
        shelf.record("B"),
    ).result(30)
    assert done.reply == b"enrolled already-enrolled reference-taken enrolled"
    assert done.position == 2


def test_a_request_may_be_enrolled_in_parts(shelf: Shelf) -> None:
    """Each part is judged and durable by itself; the answer comes with the last."""
    first = shelf.store.records.add(XAA, [shelf.record("A"), shelf.record("B")])
    assert first.result(30).results == [EnrolResult.ENROLLED] * 2
    assert first.result(30).position == shelf.store.journal.end() == 2
    again = [shelf.record("B"), shelf.record("A", content="other"), shelf.record("C")]
    results = shelf.store.records.add(XAA, again[:2]).result(30)
    assert results.results == [
        EnrolResult.ALREADY_ENROLLED,
        EnrolResult.REFERENCE_TAKEN,
    ]
    assert results.position == 2
    last = shelf.begin_enrol(again[2], request_id=shelf.fresh()).result(30)
    assert (last.reply, last.position) == (b"enrolled", 3)


def test_one_reference_of_two_members_is_two_records(shelf: Shelf) -> None:
    """References are a holder's own."""
    shelf.enrol("A")
    other = shelf.record("A", content="of XBB")
    done = shelf.begin_enrol(other, member=XBB).result(30)
    assert done.reply == b"enrolled"


def test_a_record_without_templates_can_be_kept(shelf: Shelf) -> None:
    """The store does not judge what a record has to hold."""
    done = shelf.begin_enrol(shelf.record("A", spaces=())).result(30)
    assert done.reply == b"enrolled"
    assert shelf.store.register.galleries(XAA) == []
    assert shelf.store.journal.changes(0, 10)[0].templates == ()


def test_a_record_under_a_key_that_is_gone_is_refused(shelf: Shelf) -> None:
    """What could never be opened is not stored, nor anything with it."""
    shelf.key_id += 1
    with pytest.raises(GalleryLockedError, match="rotated while this was sealed"):
        shelf.enrol("A")
    assert shelf.store.journal.end() == 0
    assert shelf.count("reply") == 0


def test_a_withdrawn_record_is_gone_and_its_reference_never_used_again(
    shelf: Shelf,
) -> None:
    """Its rows go, the tombstone stays, and the reference is refused for ever."""
    shelf.enrol("A", "B")
    shelf.clock.advance(dt.timedelta(seconds=5))
    moment = START + dt.timedelta(seconds=5)
    done = shelf.withdraw("A")
    assert (done.reply, done.position) == (moment.isoformat().encode(), 3)
    assert shelf.count("record") == shelf.count("template") == 1
    assert shelf.count("tombstone") == 1
    retry = shelf.begin_enrol(shelf.record("A"), shelf.record("A", content="other"))
    assert retry.result(30).reply == b"reference-withdrawn reference-withdrawn"


def test_withdrawing_again_tells_the_first_moment(shelf: Shelf) -> None:
    """A second withdrawal changes nothing and says when the first one was."""
    shelf.enrol("A")
    first = shelf.withdraw("A")
    shelf.clock.advance(dt.timedelta(days=2))
    again = shelf.withdraw("A")
    assert again.reply == first.reply
    assert (again.position, again.replayed) == (2, False)
    assert shelf.store.journal.end() == 2


def test_withdrawing_what_was_never_enrolled_is_not_found(shelf: Shelf) -> None:
    """Nor is another member's record found; nothing is stored."""
    shelf.enrol("A")
    for reference, member in (("B", XAA), ("A", XBB)):
        with pytest.raises(NotFoundError) as caught:
            shelf.withdraw(reference, member=member)
        assert caught.value.reason == "NOT_ENROLLED"
    assert shelf.store.journal.end() == 1
    assert shelf.count("reply") == 1


def test_the_number_of_a_withdrawn_template_is_not_used_again(shelf: Shelf) -> None:
    """Whoever still holds the number finds nothing, not another person."""
    shelf.enrol("A")
    shelf.withdraw("A")
    shelf.enrol("B")
    (template,) = shelf.store.journal.changes(2, 10)[0].templates
    assert template.template_id == 2
    assert shelf.store.journal.templates([1, 2]) == {2: template}


def test_withdrawal_deletes_the_expired_references_to_the_record(
    shelf: Shelf,
) -> None:
    """Those that a requester may still use stay until they expire."""
    shelf.enrol("A")
    for word, days in (("short", 1), ("long", 30)):
        reference = NewReference(
            reference_digest=digest(word),
            holder=XAA,
            requester=XBB,
            purpose="visa",
            modality="face",
            records={request("record A "): digest("A")},
            expires_at=START + dt.timedelta(days=days),
        )
        shelf.store.answers.commit(
            XBB,
            shelf.fresh(),
            digest("match"),
            lambda _: b"answer",
            Disclosed(references=(reference,)),
        ).result(30)
    shelf.clock.advance(dt.timedelta(seconds=1))
    shelf.withdraw("A")
    assert shelf.count("reference") == 2
    shelf.clock.advance(dt.timedelta(minutes=1))
    shelf.enrol("B")
    shelf.clock.advance(dt.timedelta(days=2))
    shelf.withdraw("B")
    assert shelf.count("reference") == shelf.count("reference_record") == 1


def test_galleries_count_records_and_templates_by_space(shelf: Shelf) -> None:
    """A record with two templates in a space counts once there."""
    shelf.begin_enrol(
        shelf.record("A", spaces=("face-a", "face-a", "face-b")),
        shelf.record("B"),
    ).result(30)
    assert shelf.store.register.galleries(XAA) == [
        GalleryCount(space="face-a", records=2, templates=3),
        GalleryCount(space="face-b", records=1, templates=1),
    ]
    assert shelf.store.register.galleries(XBB) == []
    shelf.withdraw("A")
    assert shelf.store.register.galleries(XAA) == [
        GalleryCount(space="face-a", records=1, templates=1)
    ]


def test_records_are_listed_by_page_in_the_order_of_enrolment(shelf: Shelf) -> None:
    """A page goes on behind a position, and leaves out what others hold."""
    shelf.enrol("A", "B")
    shelf.enrol("X", member=XBB)
    late = shelf.record(
        "C", excluded=frozenset({XCC}), expires_at=START + dt.timedelta(days=9)
    )
    shelf.begin_enrol(late).result(30)
    shelf.withdraw("B")
    first, *rest = shelf.store.register.records(XAA, 0, 1)
    assert (first.position, rest) == (1, [])
    (second,) = shelf.store.register.records(XAA, first.position, 10)
    assert second.position == 4
    assert second.record_id == late.record_id
    assert second.sealed_reference == late.sealed_reference
    assert (second.generation, second.legal_basis) == (1, "article 5")
    assert (second.excluded, second.enrolled_at) == ({XCC}, START)
    assert second.expires_at == late.expires_at
    assert second.templates == (TemplateRow("face-a", "face", 50),)
    assert shelf.store.register.records(XAA, 4, 10) == []


@pytest.mark.parametrize("shares", [True, False])
def test_more_templates_than_one_statement_takes_are_all_there(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, shares: bool
) -> None:
    """However many variables a database takes in one, numbered or not."""
    monkeypatch.setattr(sqlite, "_SHARES", shares)
    monkeypatch.setattr(limits, "STORE_VARIABLES", 40)
    references = [f"R{number}" for number in range(9)]
    records = [shelf.record(name, spaces=("face-a", "face-b")) for name in references]
    shelf.begin_enrol(*records).result(30)
    assert shelf.count("template") == 18
    changes = shelf.store.journal.changes(0, 20)
    assert [len(change.templates) for change in changes] == [2] * 9
    stored = [template for change in changes for template in change.templates]
    assert [each.template_id for each in stored] == list(range(1, 19))
    assert [(each.record_id, each.space, each.sealed) for each in stored] == [
        (record.record_id, each.space, each.sealed)
        for record in records
        for each in record.templates
    ]
