"""Whom a record excludes can be set anew, and no answer is stored that ignores it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from store.shelf import START, XAA, XBB, XCC, Shelf, digest, request

from biometrics import limits
from biometrics.errors import (
    ConflictError,
    DefectError,
    NotFoundError,
    SealError,
)
from biometrics.store import open_store
from biometrics.store.answer_rows import Disclosed, NewReference, SeenRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from biometrics.store.rows import LiveRecord, NewProtection, StoredTemplate

ONE = request("one")
AT_START = START.isoformat()
DAY = dt.timedelta(days=1)


def template(shelf: Shelf, number: int = 1) -> StoredTemplate:
    """Return a stored template, with what protects its record."""
    return shelf.store.journal.templates([number])[number]


def seen(shelf: Shelf, *numbers: int) -> tuple[SeenRecord, ...]:
    """Return records as they are now, by a template of each."""
    return tuple(
        SeenRecord(
            template_id=n,
            record_tag=template(shelf, n).record_tag,
            expires_at=template(shelf, n).expires_at,
        )
        for n in numbers
    )


def test_a_protection_set_late_is_in_force_wherever_the_record_is_read(
    shelf: Shelf,
) -> None:
    """By candidates, by the journal and by the register; with its own tag."""
    shelf.begin_enrol(shelf.record("A", excluded=frozenset({XBB}))).result(30)
    shelf.enrol("B")
    shelf.clock.advance(DAY)
    told = shelf.protect("A", XCC)
    assert told == f"{(START + DAY).isoformat()} +XCC -XBB"
    assert template(shelf).excluded == {XCC}
    assert template(shelf).record_tag == digest("A from XCC")
    first, second = shelf.store.journal.changes(0, 10)
    assert first.templates == (template(shelf),)
    assert second.templates[0].excluded == frozenset()
    rows = shelf.store.register.records(XAA, 0, 10)
    assert [(row.excluded, row.protected_at) for row in rows] == [
        ({XCC}, START + DAY),
        (frozenset(), None),
    ]
    assert rows[0].enrolled_at == START


def test_the_journal_has_no_entry_of_a_protection(shelf: Shelf) -> None:
    """Nothing that follows the journal has a part in it; the end stays."""
    shelf.enrol("A")
    assert shelf.begin_protect("A", XBB).result(30).position == 1
    assert shelf.store.journal.end() == 1


def test_the_same_protection_again_says_since_when(shelf: Shelf) -> None:
    """Nothing changes: neither the moment nor the tag."""
    shelf.begin_enrol(shelf.record("A", excluded=frozenset({XBB}))).result(30)
    shelf.clock.advance(DAY)
    assert shelf.protect("A", XBB) == f"{AT_START} + -"
    assert template(shelf).record_tag == digest("protection A")
    shelf.protect("A", XBB, XCC)
    shelf.clock.advance(DAY)
    assert shelf.protect("A", XCC, XBB) == f"{(START + DAY).isoformat()} + -"


def test_all_protection_can_be_taken_away(shelf: Shelf) -> None:
    """And the reply names whom it was taken from."""
    shelf.begin_enrol(shelf.record("A", excluded=frozenset({XBB, XCC}))).result(30)
    assert shelf.protect("A") == f"{AT_START} + -XBB XCC"
    assert template(shelf).excluded == frozenset()


def test_a_replayed_protection_answers_as_it_did_and_changes_nothing(
    shelf: Shelf,
) -> None:
    """What was set since stays; another content under the request id is refused."""
    shelf.enrol("A")
    first = shelf.begin_protect("A", XBB, request_id=ONE).result(30)
    shelf.protect("A", XCC)
    again = shelf.begin_protect("A", XBB, request_id=ONE).result(30)
    assert (again.reply, again.replayed) == (first.reply, True)
    assert template(shelf).excluded == {XCC}
    with pytest.raises(ConflictError) as caught:
        shelf.begin_protect("A", request_id=ONE).result(30)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_a_record_that_is_not_there_cannot_be_protected(shelf: Shelf) -> None:
    """Never enrolled, another holder's, or withdrawn: each says so, and when."""
    shelf.enrol("A", "B")
    shelf.withdraw("B")
    with pytest.raises(NotFoundError) as caught:
        shelf.begin_protect("C", XBB).result(30)
    assert caught.value.reason == "NOT_ENROLLED"
    with pytest.raises(NotFoundError) as caught:
        shelf.begin_protect("A", XCC, member=XBB).result(30)
    assert caught.value.reason == "NOT_ENROLLED"
    with pytest.raises(NotFoundError, match="at 2030-01-01 00:00:00 UTC") as caught:
        shelf.protect("B", XBB)
    assert caught.value.reason == "RECORD_WITHDRAWN"
    assert template(shelf).excluded == frozenset()


def test_a_row_that_is_not_the_records_own_is_not_protected(shelf: Shelf) -> None:
    """What `attest` refuses is not written, and it is shown what is in force."""
    shelf.enrol("A")
    shelf.protect("A", XBB)
    rows: list[LiveRecord] = []

    def refuse(row: LiveRecord) -> NewProtection:
        rows.append(row)
        raise SealError("RECORD_CHANGED", "a record's row was changed")

    future = shelf.store.records.protect(
        XAA,
        digest("A"),
        request_id=ONE,
        digest=digest("protect"),
        attest=refuse,
        make_reply=lambda _: b"",
    )
    assert isinstance(future.exception(30), SealError)
    assert template(shelf).excluded == {XBB}
    *_, row = rows  # a write that raises is run again, in a savepoint
    assert (row.attested.excluded, row.record_tag) == ({XBB}, digest("A from XBB"))
    assert (row.attested.lookup, row.attested.generation) == (digest("A"), 1)


def test_enrolling_again_undoes_no_protection(shelf: Shelf) -> None:
    """The same content is ALREADY_ENROLLED, and what was set late stays."""
    shelf.enrol("A")
    shelf.protect("A", XBB)
    assert shelf.enrol("A").reply == b"already-enrolled"
    assert template(shelf).excluded == {XBB}


def test_a_protection_outlives_the_store_and_goes_with_its_record(
    shelf: Shelf,
) -> None:
    """It is there when the store is opened again, and a withdrawal leaves none."""
    shelf.enrol("A", "B")
    shelf.protect("A", XBB)
    shelf.store.close()
    shelf.store = open_store(shelf.place.where, shelf.clock)
    assert template(shelf).excluded == {XBB}
    shelf.withdraw("A")
    assert shelf.count("protection") == shelf.count("record") == 1


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM protection WHERE record_number = 1",
        "UPDATE protection SET record_number = 9 WHERE record_number = 1",
        "UPDATE protection SET excluded = 'nobody' WHERE record_number = 1",
        "UPDATE protection SET excluded = '7' WHERE record_number = 1",
    ],
)
def test_a_record_whose_protection_is_lost_is_not_read(
    shelf: Shelf, script: str
) -> None:
    """There is no weaker one to fall back on, and whoever asks for it is told."""
    shelf.enrol("A", "B")
    shelf.protect("A", XBB)
    shelf.place.edit(script)
    assert set(shelf.store.journal.templates([1, 2])) == {2}
    first, second = shelf.store.journal.changes(0, 10)
    assert (len(first.templates), len(second.templates)) == (0, 1)
    for ask in (
        lambda: shelf.store.register.records(XAA, 0, 10),
        lambda: shelf.protect("A", XCC),
        lambda: shelf.withdraw("A"),
    ):
        with pytest.raises(DefectError) as caught:
            ask()
        assert caught.value.reason == "STORAGE_DAMAGED"
    assert shelf.count("record") == 2


def answer(shelf: Shelf, *records: SeenRecord, word: str = "one") -> bytes | None:
    """Store an answer of XBB's that tells of records, with a reference to them."""
    given = NewReference(
        reference_digest=digest(word),
        holder=XAA,
        requester=XBB,
        purpose="visa",
        modality="face",
        records={request("record A "): digest("A")},
        expires_at=START + DAY,
    )
    disclosed = Disclosed(records=records, references=(given,))
    return shelf.store.answers.commit(
        XBB, request(word), digest(word), lambda _: word.encode(), disclosed
    ).result(30)


@pytest.mark.parametrize(
    ("change", "is_stored"),
    [
        (lambda shelf: shelf.protect("A", XBB), False),
        (lambda shelf: shelf.withdraw("A"), False),
        (lambda shelf: shelf.protect("B", XBB), False),
        (lambda shelf: shelf.protect("C", XBB), True),
        (lambda shelf: shelf.withdraw("C"), True),
        (lambda shelf: shelf.protect("A"), True),
    ],
)
def test_an_answer_is_stored_only_while_its_records_are_as_they_were_seen(
    shelf: Shelf, change: Callable[[Shelf], object], *, is_stored: bool
) -> None:
    """A record that was protected or withdrawn since then leaves nothing stored."""
    shelf.enrol("A", "B", "C")
    records = seen(shelf, 1, 2)
    change(shelf)
    assert answer(shelf, *records) == (b"one" if is_stored else None)
    assert shelf.count("reply") - 2 == shelf.count("reference") == int(is_stored)


def test_a_protection_counts_for_the_answers_of_its_own_group(shelf: Shelf) -> None:
    """Within one transaction, whatever comes after it sees it, and nothing before."""
    shelf.enrol("A")
    disclosed = Disclosed(records=seen(shelf, 1))

    def commit(word: str) -> Future[bytes | None]:
        return shelf.store.answers.commit(
            XBB, request(word), digest(word), lambda _: word.encode(), disclosed
        )

    with shelf.held():
        before = commit("before")
        protecting = shelf.begin_protect("A", XBB)
        after = commit("after")
    protecting.result(30)
    assert (before.result(30), after.result(30)) == (b"before", None)


def test_a_replay_is_answered_as_it_was_though_a_record_was_changed(
    shelf: Shelf,
) -> None:
    """What was told already is told again, and another request is still refused."""
    shelf.enrol("A")
    records = seen(shelf, 1)
    answer(shelf, *records)
    shelf.protect("A", XBB)
    assert answer(shelf, *records) == b"one"
    with pytest.raises(ConflictError):
        shelf.store.answers.commit(
            XBB, ONE, digest("two"), lambda _: b"two", Disclosed(records=records)
        ).result(30)


def test_more_records_than_one_query_takes_are_all_looked_at(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one of an answer counts as the first does."""
    monkeypatch.setattr(limits, "STORE_IDS_PER_QUERY", 3)
    shelf.enrol(*(f"R{n}" for n in range(8)))
    records = seen(shelf, *range(1, 9))
    assert answer(shelf, *records) == b"one"
    shelf.protect("R7", XBB)
    assert answer(shelf, *records, word="two") is None
