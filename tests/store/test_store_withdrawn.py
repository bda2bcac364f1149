"""Which templates a withdrawal took: the journal says it, and is not believed blindly.

The world of most tests: A has the templates 1 to 3, B has 4 to 6, C has 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store.shelf import XAA, XBB

from biometrics import limits
from biometrics.errors import DefectError, NotFoundError
from biometrics.store.rows import ChangeKind

if TYPE_CHECKING:
    from store.shelf import Shelf

THREE = ("face-a", "face-b", "face-a")
NONE = range(0)


def enrol_three(shelf: Shelf) -> None:
    """Enrol A, B and C, in one chunk."""
    shelf.begin_enrol(
        shelf.record("A", spaces=THREE),
        shelf.record("B", spaces=THREE),
        shelf.record("C"),
    ).result(30)


def withdrawn(shelf: Shelf) -> list[range]:
    """Return what every change of the journal says it took."""
    return [change.withdrawn for change in shelf.store.journal.changes(0, 1000)]


def test_a_withdrawal_says_which_templates_went(shelf: Shelf) -> None:
    """All of the record's, in whatever space; an enrolment took none."""
    enrol_three(shelf)
    shelf.withdraw("B")
    assert withdrawn(shelf) == [NONE, NONE, NONE, range(4, 7)]
    assert set(shelf.store.journal.templates(range(1, 9))) == {1, 2, 3, 7}


def test_records_of_one_chunk_are_told_apart(shelf: Shelf) -> None:
    """Whichever goes first, each withdrawal names the templates of its own record."""
    enrol_three(shelf)
    for reference in ("C", "A", "B"):
        shelf.withdraw(reference)
    assert withdrawn(shelf)[3:] == [range(7, 8), range(1, 4), range(4, 7)]


def test_withdrawing_again_takes_nothing(shelf: Shelf) -> None:
    """There is no second entry, and the next one is about the next record."""
    enrol_three(shelf)
    for reference in ("A", "A", "B"):
        shelf.withdraw(reference)
    assert withdrawn(shelf)[3:] == [range(1, 4), range(4, 7)]


def test_a_record_without_templates_takes_none_along(shelf: Shelf) -> None:
    """Its withdrawal is followed like any other."""
    shelf.begin_enrol(shelf.record("A", spaces=()), shelf.record("B")).result(30)
    shelf.withdraw("A")
    (change,) = shelf.store.journal.changes(2, 10)
    assert (change.kind, change.withdrawn) == (ChangeKind.WITHDRAWN, NONE)


def test_as_many_templates_as_a_record_may_have_are_named(shelf: Shelf) -> None:
    """The bound that refuses damage refuses no record."""
    most = limits.MAX_TEMPLATES_PER_RECORD
    full = shelf.record("A", spaces=("face-a",) * most)
    shelf.begin_enrol(full).result(30)
    shelf.withdraw("A")
    assert withdrawn(shelf) == [NONE, range(1, most + 1)]


def test_templates_of_a_record_are_numbered_without_a_gap(shelf: Shelf) -> None:
    """In chunks of all shapes, of two members, beside what was refused or undone.

    And each withdrawal takes exactly the numbers that the enrolment gave.
    """
    shapes = ((1,), (3, 1, 2), (2, 2), (1, 4, 1, 3))
    done, undone = [], []
    with shelf.held():
        for chunk, sizes in enumerate(shapes):
            for member in (XAA, XBB):
                records = [
                    shelf.record(f"{chunk} {one}", spaces=("face-a",) * size)
                    for one, size in enumerate(sizes)
                ]
                taken = shelf.record("0 0", content="other", spaces=THREE)
                chunked = [records[0], taken, *records[1:]]
                done.append(shelf.begin_enrol(*chunked, member=member))
                shelf.key_id += 1
                unknown = shelf.record("under an unknown key", spaces=THREE)
                undone.append(shelf.begin_enrol(unknown, member=member))
                shelf.key_id -= 1
    assert all(future.result(30).reply.count(b"taken") == 1 for future in done)
    assert all(future.exception(30) for future in undone)
    numbers = {
        (change.member, change.record_id): [t.template_id for t in change.templates]
        for change in shelf.store.journal.changes(0, 1000)
    }
    total = 2 * sum(map(sum, shapes))
    given = sorted(number for held in numbers.values() for number in held)
    assert given == list(range(1, total + 1))
    for chunk, sizes in reversed(list(enumerate(shapes))):
        for one in range(len(sizes)):
            for member in (XBB, XAA):
                end = shelf.withdraw(f"{chunk} {one}", member=member).position
                (change,) = shelf.store.journal.changes(end - 1, 1)
                held = numbers.pop((change.member, change.record_id))
                assert list(change.withdrawn) == held
    assert numbers == {}


def test_a_lost_row_in_the_middle_goes_with_the_others(shelf: Shelf) -> None:
    """Its number was the record's own, so whoever still holds it drops it as well."""
    enrol_three(shelf)
    shelf.place.edit("DELETE FROM template WHERE template_id = 5")
    shelf.withdraw("B")
    assert withdrawn(shelf)[3] == range(4, 7)
    assert set(shelf.store.journal.templates(range(1, 9))) == {1, 2, 3, 7}


@pytest.mark.parametrize(
    "script",
    [
        # another record's, beside its own and with a row of that record between
        "UPDATE template SET record_number = 2 WHERE template_id = 3",
        "UPDATE template SET record_number = 2, sample = -2 WHERE template_id = 2",
        # one of its own is another record's now
        "UPDATE template SET record_number = 1 WHERE template_id = 5",
        # numbers that no template was given, or not yet
        "UPDATE template SET template_id = template_id - 90 WHERE record_number = 2",
        "UPDATE template SET template_id = template_id + 90 WHERE record_number = 2",
        # further apart than the templates of one record can be
        """UPDATE template SET template_id = 600 WHERE template_id = 7;
        UPDATE template SET template_id = 500, sample = 496 WHERE template_id = 6;
        UPDATE counter SET template_id = 1000""",
    ],
)
def test_a_record_with_templates_not_its_own_is_not_withdrawn(
    shelf: Shelf, script: str
) -> None:
    """They would be deleted with it, and whose they are would be a no-match."""
    enrol_three(shelf)
    shelf.place.edit(script)
    before = shelf.store.register.galleries(XAA)
    with pytest.raises(DefectError) as caught:
        shelf.withdraw("B")
    assert caught.value.reason == "RECORD_DAMAGED"
    assert shelf.store.journal.end() == 3
    assert shelf.store.register.galleries(XAA) == before
    assert [shelf.count(t) for t in ("record", "template", "tombstone")] == [3, 7, 0]
    shelf.withdraw("C")
    assert len(withdrawn(shelf)[3]) == 1


@pytest.mark.parametrize(
    "values",
    [
        "first_template = 3, templates = 4",  # A's last is still there
        "first_template = 4, templates = 4",  # C's is
        "first_template = 8, templates = 1",  # never given to a template
        "first_template = 0, templates = 1",
        "first_template = -9, templates = 3",
        "first_template = 4, templates = 0",
        "first_template = 4, templates = -1",
        "first_template = 4, templates = 2147483647",
        "first_template = NULL, templates = 3",
        "first_template = 4, templates = NULL",
    ],
)
def test_a_withdrawal_that_names_others_is_damage(shelf: Shelf, values: str) -> None:
    """Believed, it would make persons NO_MATCH; so nothing is followed at all."""
    withdraw_and_say(shelf, values)


@pytest.mark.parametrize(
    "values",
    [
        "first_template = 4, templates = 9223372036854775807",
        "first_template = 9223372036854775807, templates = 1",
        "first_template = 'four', templates = 3",
        "first_template = x'04', templates = 3",
        "first_template = 4, templates = 2.5",
        "first_template = 4, templates = 'all'",
    ],
)
def test_a_withdrawal_that_names_what_is_no_number_is_damage(
    sqlite_shelf: Shelf, values: str
) -> None:
    """SQLite keeps whatever it is given."""
    withdraw_and_say(sqlite_shelf, values)


def test_a_withdrawal_beyond_every_number_is_damage(postgres_shelf: Shelf) -> None:
    """PostgreSQL does not even add to it."""
    values = "first_template = 9223372036854775807, templates = 1"
    withdraw_and_say(postgres_shelf, values, reason="STORAGE_DAMAGED")


def withdraw_and_say(
    shelf: Shelf, values: str, reason: str = "JOURNAL_DAMAGED"
) -> None:
    """Withdraw B, have the journal say something else, and see it found out."""
    enrol_three(shelf)
    shelf.withdraw("B")
    shelf.place.edit(f"UPDATE change SET {values} WHERE position = 4")  # noqa: S608 - our own
    for after in (0, 3):
        with pytest.raises(DefectError) as caught:
            shelf.store.journal.changes(after, 10)
        assert caught.value.reason == reason
    assert len(shelf.store.journal.changes(0, 3)) == 3


@pytest.mark.parametrize(
    "script",
    [
        # an enrolment that takes templates, of somebody who is gone
        "UPDATE change SET first_template = 4, templates = 3 WHERE position = 2",
        # more than one record has, though nobody is there
        """UPDATE counter SET template_id = 1000;
        UPDATE change SET first_template = 100, templates = 33 WHERE position = 4""",
        # a number that was withdrawn is there again
        "UPDATE template SET template_id = 5 WHERE template_id = 7",
    ],
)
def test_what_contradicts_a_withdrawal_is_damage(shelf: Shelf, script: str) -> None:
    """Whoever follows is told, and does not have to guess which of the two is true."""
    enrol_three(shelf)
    shelf.withdraw("B")
    shelf.place.edit(script)
    with pytest.raises(DefectError) as caught:
        shelf.store.journal.changes(0, 10)
    assert caught.value.reason == "JOURNAL_DAMAGED"


def test_an_entry_is_told_by_its_position(shelf: Shelf) -> None:
    """Its record's id, whether it came or went; None where there is no such entry."""
    assert shelf.store.journal.entry(0) is None
    enrol_three(shelf)
    shelf.withdraw("B")
    with pytest.raises(NotFoundError):
        shelf.withdraw("D")
    ids = [shelf.record(reference).record_id for reference in "ABCB"]
    entries = [shelf.store.journal.entry(position) for position in range(6)]
    assert entries == [None, *ids, None]


def test_an_entry_whose_row_is_none_is_none(sqlite_shelf: Shelf) -> None:
    """Text is no record's id; PostgreSQL has no text there."""
    enrol_three(sqlite_shelf)
    sqlite_shelf.place.edit("UPDATE change SET record_id = 'text' WHERE position = 2")
    assert sqlite_shelf.store.journal.entry(2) is None
