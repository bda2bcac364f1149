"""A holder's records through the whole path: in, seen, and out again."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import DIMENSION, SPACE, World, face, record, unit

from biometrics import limits
from biometrics.client import AsyncExchangeClient, Chunk, Record, Template
from biometrics.clock import UTC
from biometrics.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
)

if TYPE_CHECKING:
    from biometrics.client import AgreementInfo

BORDER = {"purpose": "border-check", "holders": ["XAA"]}


def is_found(world: World, number: int) -> bool:
    """Return whether a search finds subject `number` at XAA."""
    answer = world.client("XCC").match(face(unit(number)), **BORDER)
    return answer.holders[0].outcome == "match"


def test_every_fault_of_a_record_is_told_at_once(world: World) -> None:
    """One refusal lists all that is wrong, each with its field and reason."""
    bad = Record(
        reference="",
        templates=(
            face(np.zeros(DIMENSION)),
            Template(space="none", position="face", vector=unit(1)),
        ),
        excluded=("XAA", "nobody"),
        legal_basis="x" * 257,
        expires_at=dt.datetime(2020, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(InvalidRequestError) as caught:
        world.enroller("XAA").enrol(bad)
    assert {(f.field, f.reason) for f in caught.value.faults} == {
        ("record.reference", "WRONG_LENGTH"),
        ("record.templates[0].data", "ZERO_VECTOR"),
        ("record.templates[1].space", "UNKNOWN_SPACE"),
        ("record.excluded_requesters[1]", "UNKNOWN_MEMBER"),
        ("record.legal_basis", "WRONG_LENGTH"),
        ("record.expire_time", "EXPIRED"),
    }


@pytest.mark.parametrize("reference", ["line\nbreak", "nul\0", "\u200b"])
def test_a_reference_has_no_control_characters(world: World, reference: str) -> None:
    """A reference that a log or a table could not show is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        world.enroller("XAA").enrol(record(reference, unit(1)))
    assert caught.value.reason == "WRONG_CHARACTER"
    assert reference not in caught.value.message


def test_a_legal_basis_has_no_control_characters(world: World) -> None:
    """Texts that are shown to others cannot drive their terminals."""
    with pytest.raises(InvalidRequestError) as caught:
        world.enroller("XAA").enrol(record("b", unit(3), legal_basis="a\x1b[2Jb"))
    assert caught.value.reason == "WRONG_CHARACTER"


def test_the_same_record_again_changes_nothing(world: World) -> None:
    """A repetition under another request id is ALREADY_ENROLLED."""
    assert world.enroller("XAA").enrol(record("twice", unit(2))).status == "enrolled"
    again = world.enroller("XAA").enrol(record("twice", unit(2)))
    assert again.status == "already-enrolled"


def test_a_reference_stands_for_one_record(world: World) -> None:
    """Other content under a reference that is taken is refused, and not stored."""
    world.enroller("XAA").enrol(record("taken", unit(3)))
    with pytest.raises(ConflictError) as caught:
        world.enroller("XAA").enrol(record("taken", unit(4)))
    assert caught.value.reason == "REFERENCE_TAKEN"
    assert (is_found(world, 3), is_found(world, 4)) == (True, False)


def test_a_withdrawn_reference_is_never_used_again(world: World) -> None:
    """A late repetition cannot bring back a person who was taken out."""
    world.enroller("XAA").enrol(record("gone", unit(5)))
    world.enroller("XAA").withdraw("gone")
    with pytest.raises(ConflictError) as caught:
        world.enroller("XAA").enrol(record("gone", unit(5)))
    assert caught.value.reason == "REFERENCE_WITHDRAWN"
    assert not is_found(world, 5)


def test_holders_may_use_the_same_reference(world: World) -> None:
    """References are a holder's own."""
    for holder in ("XAA", "XRA"):
        told = world.enroller(holder).enrol(record("common", unit(6)))
        assert told.status == "enrolled"


def test_withdrawing_what_was_never_enrolled_is_not_found(world: World) -> None:
    """Neither an unknown reference nor another holder's can be withdrawn."""
    world.enroller("XAA").enrol(record("mine", unit(7)))
    for holder, reference in (("XAA", "unknown"), ("XRA", "mine")):
        with pytest.raises(NotFoundError) as caught:
            world.enroller(holder).withdraw(reference)
        assert caught.value.reason == "NOT_ENROLLED"
    assert is_found(world, 7)


def test_a_repeated_withdrawal_tells_when_it_was_done(world: World) -> None:
    """Withdrawing twice answers the moment of the first time."""
    world.enroller("XAA").enrol(record("leaves", unit(8)))
    first = world.enroller("XAA").withdraw("leaves")
    (removed,) = first.removed
    assert (first.reference, first.reason) == ("leaves", "withdrawn")
    assert (removed.space, removed.position, removed.quality) == (SPACE, "face", None)
    again = world.enroller("XAA").withdraw("leaves")
    assert (again.withdrawn_at, again.reason, again.removed) == (
        *(first.withdrawn_at, "withdrawn"),
        (),
    )


def test_a_replayed_enrolment_answers_as_it_did(world: World) -> None:
    """The same request id and content return the stored response."""
    again = {"request_id": uuid.uuid4()}
    first = world.enroller("XAA").enrol(record("replay", unit(9)), **again)
    assert world.enroller("XAA").enrol(record("replay", unit(9)), **again) == first
    with pytest.raises(ConflictError) as caught:
        world.enroller("XAA").enrol(record("replay", unit(10)), **again)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_a_refused_record_does_not_stop_a_chunk(world: World) -> None:
    """A chunk enrols what is right and says of the rest what is wrong."""
    records = (
        record("bulk-1", unit(20)),
        record("bulk-2", np.zeros(DIMENSION)),
        record("bulk-1", unit(21)),
        record("bulk-3", unit(22)),
    )
    (told,) = world.enroller("XAA").enrol_many([Chunk(records=records)])
    assert [o.status for o in told.outcomes] == [
        "enrolled",
        "refused",
        "refused",
        "enrolled",
    ]
    assert [f.reason for o in told.outcomes for f in o.faults] == [
        "ZERO_VECTOR",
        "REFERENCE_TAKEN",
    ]
    assert (is_found(world, 20), is_found(world, 21), is_found(world, 22)) == (
        True,
        False,
        True,
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_chunk_that_gives_way_to_searches_is_enrolled_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Its answer is that of the whole, in its order, now and when it is replayed."""
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 60.0)
    monkeypatch.setattr(limits, "RECORDS_BETWEEN_SEARCHES", size)
    one, two, three = range(300 + 10 * size, 303 + 10 * size)
    chunk = Chunk(
        records=(
            record(f"part-{size}-1", unit(one)),
            record(f"part-{size}-2", np.zeros(DIMENSION)),
            record(f"part-{size}-1", unit(two)),
            record(f"part-{size}-3", unit(three)),
        ),
        request_id=uuid.uuid4(),
    )
    for _ in range(2):
        (told,) = world.enroller("XAA").enrol_many([chunk])
        assert [o.status for o in told.outcomes] == [
            "enrolled",
            "refused",
            "refused",
            "enrolled",
        ]
    assert [is_found(world, it) for it in (one, two, three)] == [True, False, True]


def test_many_chunks_are_searchable_when_their_response_arrives(world: World) -> None:
    """At each acknowledgement of a stream its records can be found."""
    chunks = [
        Chunk(
            records=tuple(
                record(f"stream-{c}-{i}", unit(1000 + 100 * c + i)) for i in range(100)
            ),
            start=c,
        )
        for c in range(8)
    ]
    for told in world.enroller("XAA").enrol_many(chunks):
        assert {o.status for o in told.outcomes} == {"enrolled"}
        assert is_found(world, 1000 + 100 * told.chunk.start + 99)


def test_own_records_are_listed_by_page_in_order(world: World) -> None:
    """Every record is on exactly one page, without any template."""
    for number in range(7):
        world.enroller("XFF").enrol(
            record(f"page-{number}", unit(number), excluded=("XBB",), legal_basis="law")
        )
    world.enroller("XFF").withdraw("page-4")
    listed = list(world.enroller("XFF").records(page_size=2))
    assert [r.reference for r in listed] == [f"page-{n}" for n in (0, 1, 2, 3, 5, 6)]
    assert (listed[0].excluded, listed[0].legal_basis) == (("XBB",), "law")
    assert [t.space for t in listed[0].templates] == [SPACE]


def test_galleries_count_records_and_templates(world: World) -> None:
    """A holder sees its own galleries with what is live in them, and no others'."""
    world.enroller("XGG").enrol(record("g-1", unit(1), unit(2)))
    world.enroller("XGG").enrol(record("g-2", unit(3)))
    world.enroller("XGG").withdraw("g-2")
    (gallery,) = world.enroller("XGG").galleries()
    told = (gallery.space, gallery.records, gallery.templates, gallery.state)
    assert told == (SPACE, 1, 2, "ready")


def test_a_searching_certificate_cannot_read_records(world: World) -> None:
    """The role `client` reaches nothing of enrolment."""
    with pytest.raises(RefusedError) as caught:
        list(world.client("XAA").records())
    assert caught.value.reason == "WRONG_ROLE"


def change(world: World, worker: int, wrong: list[str]) -> None:
    """Enrol and withdraw subjects, noting when a search disagrees."""
    for number in range(40):
        subject = 2000 + 100 * worker + number
        reference = f"change-{subject}"
        world.enroller("XAA").enrol(record(reference, unit(subject)))
        if not is_found(world, subject):
            wrong.append(f"{reference} not found after its enrolment")
        world.enroller("XAA").withdraw(reference)
        if is_found(world, subject):
            wrong.append(f"{reference} found after its withdrawal")


def test_searches_stay_right_while_others_enrol_and_withdraw(world: World) -> None:
    """Concurrent changes never make a steady record vanish or a withdrawn one match."""
    world.enroller("XAA").enrol(record("steady", unit(500)))
    wrong: list[str] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            if not is_found(world, 500):
                wrong.append("the steady record vanished")

    changers = [
        threading.Thread(target=change, args=(world, n, wrong)) for n in range(3)
    ]
    searcher = threading.Thread(target=search)
    for thread in (*changers, searcher):
        thread.start()
    for thread in changers:
        thread.join()
    stop.set()
    searcher.join()
    assert wrong == []


def test_the_faults_of_a_record_in_a_chunk_are_bounded(world: World) -> None:
    """A refused record tells eight faults and how many more there are."""
    bad = record("bad", *([np.zeros(DIMENSION)] * 30))
    (told,) = world.enroller("XAA").enrol_many([Chunk(records=(bad,))])
    reasons = [fault.reason for fault in told.outcomes[0].faults]
    assert reasons == ["ZERO_VECTOR"] * 8 + ["MORE_FAULTS"]


def test_a_withdrawal_replayed_for_another_reference_is_refused(world: World) -> None:
    """One request id cannot withdraw two records; the second stays."""
    enroller, again = world.enroller("XAA"), uuid.uuid4()
    for number, reference in enumerate(("first-out", "still-in")):
        enroller.enrol(record(reference, unit(850 + number)))
    enroller.withdraw("first-out", request_id=again)
    with pytest.raises(ConflictError) as caught:
        enroller.withdraw("still-in", request_id=again)
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert is_found(world, 851)


def test_agreements_come_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page, each clause once and in order; also to asyncio."""
    whole = world.client("XAA").agreements()
    assert len(whole) == 9
    monkeypatch.setattr(limits, "MAX_PAGE_RECORDS", 4)
    assert world.client("XAA").agreements() == whole

    async def ask() -> tuple[AgreementInfo, ...]:
        async with AsyncExchangeClient(world.profile("XAA")) as client:
            return await client.agreements()

    assert asyncio.run(ask()) == whole
