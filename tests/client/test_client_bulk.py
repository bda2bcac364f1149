"""A bulk enrolment loses nothing and does nothing twice, whatever breaks."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from biometrics import limits
from biometrics.client import (
    Chunk,
    EnrolStatus,
    ExchangeClient,
    Record,
    Template,
)
from biometrics.errors import (
    DeadlineError,
    DefectError,
    ExchangeError,
    ExhaustedError,
    InvalidRequestError,
    RefusedError,
    UnavailableError,
)
from tests.pocket import Failure, Script, info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def chunks(person: Callable[[int], Record]):
    """Ten chunks of three records."""
    return [
        Chunk(records=tuple(person(start + n) for n in range(3)), start=start)
        for start in range(0, 30, 3)
    ]


def test_every_chunk_comes_back_with_one_outcome_a_record(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """Outcomes name the chunk as it was given, in the order of sending."""
    outcomes = list(exchange.enrol_many(iter(chunks)))
    assert [outcome.chunk for outcome in outcomes] == chunks
    for outcome in outcomes:
        assert [o.status for o in outcome.outcomes] == [EnrolStatus.ENROLLED] * 3
    assert len(script.records) == 30


def test_a_refused_record_carries_its_faults_and_stops_nothing(
    exchange: ExchangeClient, person: Callable[[int], Record]
):
    """The others of its chunk are enrolled."""
    zero = Template(space="faces-v1", position="face", vector=np.zeros(16))
    chunk = Chunk(records=(person(1), Record(reference="z", templates=(zero,))))
    (outcome,) = exchange.enrol_many([chunk])
    assert [o.status for o in outcome.outcomes] == ["enrolled", "refused"]
    assert outcome.outcomes[1].faults[0].reason == "ZERO_VECTOR"


def test_no_chunks_open_no_stream(exchange: ExchangeClient, script: Script):
    """An empty load succeeds without a call."""
    assert list(exchange.enrol_many([])) == []
    assert not script.deadlines


def test_chunks_in_flight_are_bounded_and_taken_one_by_one(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """No more than the window is taken from the source ahead of the outcomes."""
    script.acknowledgements_held = limits.CHUNKS_IN_FLIGHT - 1
    taken = 0

    def source() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    # The last chunks stay unanswered until the stream ends: take the first few only.
    outcomes = exchange.enrol_many(source())
    for seen in range(1, 4):
        next(outcomes)
        assert taken <= seen + limits.CHUNKS_IN_FLIGHT
    outcomes.close()
    assert script.most_unanswered == limits.CHUNKS_IN_FLIGHT


def test_a_stream_that_breaks_is_resumed_with_the_same_request_ids(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """What was carried out and not acknowledged is not carried out again."""
    script.breaks = [3, 1, None]
    outcomes = list(exchange.enrol_many(chunks))
    assert [outcome.chunk.start for outcome in outcomes] == list(range(0, 30, 3))
    assert all(o.status == "enrolled" for out in outcomes for o in out.outcomes)
    assert len(script.chunk_ids) > len(chunks)
    assert set(script.times_carried_out.values()) == {1}
    assert len(script.times_carried_out) == len(chunks)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ExhaustedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError),
    ],
)
def test_streams_that_achieve_nothing_are_given_up(
    *,
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    code: grpc.StatusCode,
    kind: type[ExchangeError],
):
    """After some tries without progress the error comes through."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    script.breaks = [1] * 20
    script.break_with = Failure(code, "not now", (info("BUSY"),))
    with pytest.raises(kind):
        list(exchange.enrol_many(chunks))
    assert len(script.breaks) == 20 - limits.CLIENT_TRIES


def test_progress_renews_the_tries(
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """A load may break more often than the tries, as long as it goes on."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    script.breaks = [2] * 9
    assert len(list(exchange.enrol_many(chunks))) == len(chunks)
    assert not script.breaks


def test_a_refusal_ends_the_load_at_once(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """What will not pass is not tried again."""
    script.breaks = [2, None]
    script.break_with = Failure(
        grpc.StatusCode.PERMISSION_DENIED, "not an enroller", (info("WRONG_ROLE"),)
    )
    outcomes = exchange.enrol_many(chunks)
    with pytest.raises(RefusedError):
        list(outcomes)
    assert len(script.breaks) == 1


def test_a_stream_that_ends_too_early_is_resumed_or_told(
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """A server that hangs up politely before it acknowledged all is not believed."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    script.ends_early = True
    with pytest.raises(UnavailableError) as caught:
        list(exchange.enrol_many(chunks))
    assert caught.value.reason == "STREAM_ENDED"


def test_a_stream_that_stalls_ends_at_its_deadline(
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """A server that says nothing does not hold the client for ever."""
    monkeypatch.setattr(limits, "BULK_STREAM_SECONDS", 0.2)
    monkeypatch.setattr(limits, "CLIENT_TRIES", 1)
    script.deaf = True
    with pytest.raises(DeadlineError, match="is recognised"):
        list(exchange.enrol_many(chunks))


def test_the_server_decides_how_long_to_wait_within_a_bound(
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """`retry_after` replaces the client's own pause."""
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=3 * 10**8))
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.0)
    script.breaks = [1, None]
    script.break_with = Failure(
        grpc.StatusCode.UNAVAILABLE, "busy", (info("BUSY"), retry)
    )
    began = time.monotonic()
    assert len(list(exchange.enrol_many(chunks))) == len(chunks)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [("foreign_ids", "UNKNOWN_CHUNK"), ("short_outcomes", "WRONG_OUTCOMES")],
)
def test_an_acknowledgement_that_fits_nothing_is_a_defect(
    *,
    exchange: ExchangeClient,
    chunks: list[Chunk],
    script: Script,
    flaw: str,
    reason: str,
):
    """The client does not guess what became of a chunk."""
    setattr(script, flaw, True)
    with pytest.raises(DefectError) as caught:
        list(exchange.enrol_many(chunks))
    assert caught.value.reason == reason


def test_a_second_load_asks_anew(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """Ids say nothing of the content: what is there is recognised by the exchange."""
    first, second = (list(exchange.enrol_many(chunks)) for _ in range(2))
    assert {o.status for out in first for o in out.outcomes} == {"enrolled"}
    assert {o.status for out in second for o in out.outcomes} == {"already-enrolled"}
    assert len(set(script.chunk_ids)) == 20
    assert {uuid.UUID(each).version for each in script.chunk_ids} == {4}


def test_a_chunk_keeps_the_request_id_it_names(
    exchange: ExchangeClient, person: Callable[[int], Record], script: Script
):
    """A given id is sent, and sent again where the stream broke."""
    given = "123e4567-e89b-42d3-a456-426614174000"
    script.breaks = [1, None]
    (outcome,) = exchange.enrol_many([Chunk(records=(person(1),), request_id=given)])
    assert outcome.outcomes[0].status == "enrolled"
    assert script.chunk_ids == [given, given]


def test_two_chunks_under_one_request_id_are_both_acknowledged(
    exchange: ExchangeClient, person: Callable[[int], Record]
):
    """A caller may repeat itself; each chunk gets its outcome."""
    given = "123e4567-e89b-42d3-a456-426614174000"
    twins = [
        Chunk(records=(person(1),), request_id=given, start=start) for start in (0, 1)
    ]
    outcomes = exchange.enrol_many(twins)
    assert [outcome.chunk.start for outcome in outcomes] == [0, 1]


def test_a_request_id_that_is_none_is_refused(
    exchange: ExchangeClient, person: Callable[[int], Record], script: Script
):
    """Nothing of the chunk is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        list(exchange.enrol_many([Chunk(records=(person(1),), request_id="nonsense")]))
    assert caught.value.reason == "REQUEST_ID_REQUIRED"
    assert not script.chunk_ids


def test_a_source_that_fails_ends_the_load_with_its_own_error(
    exchange: ExchangeClient, chunks: list[Chunk]
):
    """The client neither hides nor repeats what the caller's code raises."""

    def source() -> Iterator[Chunk]:
        yield from chunks[:6]
        raise KeyError("broken source")

    with pytest.raises(KeyError, match="broken source"):
        list(exchange.enrol_many(source()))


def test_a_chunk_that_cannot_be_sent_is_refused(
    exchange: ExchangeClient, face: Callable[..., Template]
):
    """The faults name record and template."""
    bad = Template(space="faces-v1", position="face", vector=np.ones(16, "i4"))
    chunk = Chunk(records=(Record(reference="r", templates=(face(1), bad)),))
    with pytest.raises(InvalidRequestError) as caught:
        list(exchange.enrol_many([chunk]))
    assert caught.value.faults[0].field == "records[0].templates[1].data"


def test_a_load_can_be_stopped(
    exchange: ExchangeClient, chunks: list[Chunk], script: Script
):
    """Closing the iterator ends the stream; the client goes on working."""
    outcomes = exchange.enrol_many(chunks)
    next(outcomes)
    outcomes.close()
    assert exchange.spaces()
    assert len(script.chunk_ids) <= 1 + limits.CHUNKS_IN_FLIGHT
