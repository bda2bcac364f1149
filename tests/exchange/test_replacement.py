"""A better sample in the place of one: the old one is found until the new one is."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, at_cosine, face, record, unit

from biometrics import limits
from biometrics.client import Record, Template
from biometrics.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    UnavailableError,
)
from biometrics.store import WholeReader
from matcher.confirm import Confirmation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from biometrics.client import MatchAnswer, RecordInfo
    from biometrics.store import StoredTemplate, WholeRecord

BORDER = {"purpose": "border-check", "holders": ["XAA"]}


def ask(world: World, number: int, requester: str = "XCC") -> MatchAnswer:
    """Search for subject `number` at XAA."""
    return world.client(requester).match(face(unit(number)), **BORDER)


def outcome(world: World, number: int, requester: str = "XCC") -> str:
    """Return what a search for subject `number` answers at XAA."""
    return ask(world, number, requester).holders[0].outcome.value


def shown(world: World, reference: str) -> RecordInfo:
    """Return what XAA is shown of a record."""
    (found,) = (r for r in world.enroller("XAA").records() if r.reference == reference)
    return found


def finger(number: int, position: str, quality: int | None = None) -> Template:
    """Return a finger of subject `number`."""
    return Template(
        space="tiny-finger", position=position, vector=unit(number), quality=quality
    )


def test_the_new_sample_is_found_and_the_old_one_no_more(world: World) -> None:
    """Everything else of the record stays, and its generation counts."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("one", unit(1), excluded=("XBB",), legal_basis="article 1"))
    before = shown(world, "one")
    done = enroller.replace("one", face(unit(2)))
    assert (done.sample, done.generation) == (0, 2)
    assert (outcome(world, 1), outcome(world, 2)) == ("no-match", "match")
    assert outcome(world, 2, "XBB") == "no-match"
    after = shown(world, "one")
    assert (before.generation, before.replaced_at) == (1, None)
    assert (after.generation, after.replaced_at) == (2, done.replaced_at)
    for name in ("excluded", "legal_basis", "enrolled_at", "protected_at"):
        assert getattr(after, name) == getattr(before, name)
    enroller.replace("one", face(unit(3)))
    assert [outcome(world, number) for number in (1, 2, 3)] == [
        "no-match",
        "no-match",
        "match",
    ]


def test_of_several_templates_the_request_names_one(world: World) -> None:
    """By space and position where that is enough, by its number where it is not."""
    enroller = world.enroller("XAA")
    fingers = (finger(13, "right-index"), finger(14, "left-index", 60))
    faces = (face(unit(11), 50), face(unit(12)))
    enroller.enrol(Record(reference="many", templates=(*faces, *fingers)))
    assert enroller.replace("many", finger(15, "left-index", 61)).sample == 3
    with pytest.raises(InvalidRequestError, match="name one of 0, 1") as caught:
        enroller.replace("many", face(unit(16)))
    assert caught.value.reason == "SAMPLE_REQUIRED"
    with pytest.raises(NotFoundError) as missing:
        enroller.replace("many", face(unit(16)), sample=2)
    assert missing.value.reason == "NO_SUCH_TEMPLATE"
    done = enroller.replace("many", face(unit(16), 51), sample=0)
    assert (done.sample, done.generation) == (0, 3)
    assert [outcome(world, n) for n in (11, 12, 16)] == ["no-match", "match", "match"]
    told = {
        (number, position): world.client("XCC")
        .match(finger(number, position), **BORDER)
        .holders[0]
        .outcome.value
        for number, position in (
            (13, "right-index"),
            (14, "left-index"),
            (15, "left-index"),
        )
    }
    assert list(told.values()) == ["match", "no-match", "match"]
    assert [t.quality for t in shown(world, "many").templates] == [51, None, None, 61]


def test_a_sample_of_lower_quality_is_refused_unless_it_is_meant(world: World) -> None:
    """Where a quality is not known there is nothing to compare."""
    enroller = world.enroller("XAA")
    enroller.enrol(Record(reference="good", templates=(face(unit(20), 80),)))
    with pytest.raises(PreconditionError) as caught:
        enroller.replace("good", face(unit(21), 79))
    assert caught.value.reason == "LOWER_QUALITY"
    assert outcome(world, 20) == "match"
    enroller.replace("good", face(unit(21), 80))
    enroller.replace("good", face(unit(22), 10), accept_lower_quality=True)
    enroller.replace("good", face(unit(23)))
    assert outcome(world, 23) == "match"


def test_what_is_not_there_is_not_replaced(world: World) -> None:
    """An unknown reference, another holder's, one withdrawn, another position."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("here", unit(30)))
    enroller.enrol(record("gone", unit(31)))
    enroller.withdraw("gone")
    for holder, reference, template, reason in (
        ("XAA", "unknown", face(unit(32)), "NOT_ENROLLED"),
        ("XRA", "here", face(unit(32)), "NOT_ENROLLED"),
        ("XAA", "gone", face(unit(32)), "RECORD_WITHDRAWN"),
        ("XAA", "here", finger(32, "left-index"), "NO_SUCH_TEMPLATE"),
    ):
        with pytest.raises(NotFoundError) as caught:
            world.enroller(holder).replace(reference, template)
        assert caught.value.reason == reason
    with pytest.raises(RefusedError) as refused:
        world.client("XAA").replace("here", face(unit(32)))
    assert refused.value.reason == "WRONG_ROLE"
    with pytest.raises(InvalidRequestError) as wrong:
        enroller.replace("", face(unit(32)[:-1]))
    assert {fault.field for fault in wrong.value.faults} == {
        "reference",
        "template.data",
    }


def test_a_replayed_replacement_answers_as_it_did(world: World) -> None:
    """Not over what was put there since, and whatever became of the record."""
    enroller, again = world.enroller("XAA"), {"request_id": uuid.uuid4()}
    enroller.enrol(record("replayed", unit(40)))
    first = enroller.replace("replayed", face(unit(41)), **again)
    enroller.replace("replayed", face(unit(42)))
    assert enroller.replace("replayed", face(unit(41)), **again) == first
    assert (outcome(world, 41), outcome(world, 42)) == ("no-match", "match")
    with pytest.raises(ConflictError) as caught:
        enroller.replace("replayed", face(unit(43)), **again)
    assert caught.value.reason == "REQUEST_ID_REUSED"
    enroller.withdraw("replayed")
    assert enroller.replace("replayed", face(unit(41)), **again) == first
    assert outcome(world, 42) == "no-match"


def test_enrolling_again_does_not_bring_the_old_sample_back(world: World) -> None:
    """A load that is resumed finds its record there already."""
    enroller = world.enroller("XAA")
    enroller.enrol(record("resumed", unit(50)))
    enroller.replace("resumed", face(unit(51)))
    assert enroller.enrol(record("resumed", unit(50))).status == "already-enrolled"
    assert (outcome(world, 50), outcome(world, 51)) == ("no-match", "match")


def test_a_protection_in_between_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was changed since it was read is sealed from what it is now."""
    enroller, read = world.enroller("XAA"), WholeReader.record
    enroller.enrol(record("between", unit(60)))
    turns = []

    def reading(self: WholeReader, *given: object) -> WholeRecord | None:
        whole = read(self, *given)  # type: ignore[arg-type]
        turns.append(whole)
        if len(turns) == 1:
            world.enroller("XAA").protect("between", excluded=["XBB"])
        return whole

    monkeypatch.setattr(WholeReader, "record", reading)
    enroller.replace("between", face(unit(61)))
    assert len(turns) == 2
    assert [outcome(world, 61, who) for who in ("XBB", "XCC")] == ["no-match", "match"]
    assert shown(world, "between").protected_at is not None


def test_a_record_that_never_stays_as_it_is_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read so many times, and then the call says that it cannot."""
    world.enroller("XAA").enrol(record("restless", unit(65)))
    monkeypatch.setattr(WholeReader, "record", lambda *_: None)
    with pytest.raises(UnavailableError) as caught:
        world.enroller("XAA").replace("restless", face(unit(66)))
    assert caught.value.reason == "RECORDS_CHANGING"
    assert outcome(world, 65) == "match"


def test_a_search_that_has_scanned_the_old_sample_finds_the_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is replaced between the scan and the reading of its row is scanned anew."""
    world.enroller("XAA").enrol(record("racing", unit(70)))
    better, rows = at_cosine(unit(70), 0.9), Confirmation.rows
    turns = []

    def reading(self: Confirmation, found: object) -> Mapping[int, StoredTemplate]:
        turns.append(found)
        if len(turns) == 1:
            world.enroller("XAA").replace("racing", face(better))
        return rows(self, found)  # type: ignore[arg-type]

    monkeypatch.setattr(Confirmation, "rows", reading)
    assert outcome(world, 70) == "match"
    assert len(turns) == 2


def test_what_moves_all_the_time_is_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search is repeated so many times, and then it says that it cannot."""
    world.enroller("XAA").enrol(record("moving", unit(75)))
    rows, turns = Confirmation.rows, []

    def reading(self: Confirmation, found: object) -> Mapping[int, StoredTemplate]:
        turns.append(found)
        world.enroller("XAA").replace("moving", face(at_cosine(unit(75), 0.9)))
        return rows(self, found)  # type: ignore[arg-type]

    monkeypatch.setattr(Confirmation, "rows", reading)
    with pytest.raises(UnavailableError) as caught:
        outcome(world, 75)
    assert caught.value.reason == "RECORDS_CHANGING"
    assert not len(turns) % limits.MAX_DECISIONS_PER_SEARCH


def test_searches_find_the_record_all_the_time(world: World) -> None:
    """While its sample is replaced time and again: one match, never none, never two."""
    enroller, subject = world.enroller("XAA"), unit(80)
    enroller.enrol(record("busy", subject))
    told: list[str] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            told.append(outcome(world, 80))

    searchers = [threading.Thread(target=search) for _ in range(3)]
    for searcher in searchers:
        searcher.start()
    begun = time.monotonic()
    turns = 0
    while time.monotonic() < begun + 1.5 or min(turns, len(told)) <= 20:
        assert time.monotonic() < begun + 60
        turns += 1
        enroller.replace("busy", face(at_cosine(subject, 0.9, seed=turns)))
    stop.set()
    for searcher in searchers:
        searcher.join()
    assert set(told) == {"match"}
    assert min(turns, len(told)) > 20
    assert len([r for r in enroller.records() if r.reference == "busy"]) == 1


def test_a_replacement_outlives_restarts_and_needs_the_keys(tmp_path: Path) -> None:
    """From codes that were kept, and from templates that are opened anew."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        enroller.enrol(record("stays", unit(1), unit(2)))
        enroller.replace("stays", face(unit(3)), sample=0)
        given = ask(world, 3).holders[0].reference
        for forget in (False, True):
            world.stop()
            if forget:
                world.forget_codes()
            world.start()
            told = [outcome(world, number) for number in (1, 2, 3)]
            assert told == ["no-match", "match", "match"]
        assert len(given) == 32
        world.stop()
        key = world.root / "keys/XAA.key"
        away = key.rename(key.with_suffix(".away"))
        world.start()
        with pytest.raises(UnavailableError, match="are locked"):
            world.enroller("XAA").replace("stays", face(unit(4)), sample=0)
        world.stop()
        away.rename(key)
        world.start()
        assert outcome(world, 3) == "match"
        (gallery,) = world.enroller("XAA").galleries()
        assert (gallery.records, gallery.templates) == (1, 2)
