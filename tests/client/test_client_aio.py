"""The asynchronous client answers as the synchronous one does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc
import pytest

from biometrics import limits
from biometrics.client import (
    AsyncExchangeClient,
    Chunk,
    ExchangeClient,
    MatchAnswer,
    Profile,
    Template,
)
from biometrics.errors import (
    DeadlineError,
    DefectError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from tests.pocket import Failure, Script, info

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from biometrics.client import Record


@pytest.fixture
def run(profile: Profile, script: Script):  # noqa: ARG001
    """Run a function with an asynchronous client; the script is new."""

    def run(function: Callable[..., Any]) -> object:
        async def body() -> object:
            async with AsyncExchangeClient(profile) as client:
                return await function(client)

        return asyncio.run(body())

    return run


@pytest.fixture
def chunks(person: Callable[[int], Record]):
    """Ten chunks of three records."""
    return [
        Chunk(records=tuple(person(start + n) for n in range(3)), start=start)
        for start in range(0, 30, 3)
    ]


def test_every_call_answers_as_the_synchronous_one(
    run: Callable[..., Any],
    profile: Profile,
    face: Callable[..., Template],
    person: Callable[[int], Record],
):
    """Same questions, same values."""
    asked = {"holder": "XAA", "requester": "XAB", "purpose": "visa", "modality": "face"}

    async def asynchronous(client: AsyncExchangeClient) -> list[Any]:
        return [
            await client.enrol(person(1)),
            await client.match(face(1), purpose="visa"),
            await client.match_many([face(1), face(2)], purpose="visa"),
            await client.galleries(),
            await client.summary(),
            await client.permissions(),
            [record async for record in client.records()],
            await client.agreements(),
            await client.own_version(),
            await client.explain(**asked),
            await client.spaces(),
            await client.protect("ref-1", excluded=["XAD"]),
            await client.replace("ref-1", face(2), sample=3),
            await client.plant_canaries(2, space="faces-v1", position="face"),
            await client.withdraw("ref-1"),
        ]

    answers = run(asynchronous)
    with ExchangeClient(profile) as client:
        assert answers[1:] == [
            client.match(face(1), purpose="visa"),
            client.match_many([face(1), face(2)], purpose="visa"),
            client.galleries(),
            client.summary(),
            client.permissions(),
            list(client.records()),
            client.agreements(),
            client.own_version(),
            client.explain(**asked),
            client.spaces(),
            client.protect("ref-1", excluded=["XAD"]),
            client.replace("ref-1", face(2), sample=3),
            client.plant_canaries(2, space="faces-v1", position="face"),
            client.withdraw("ref-1"),
        ]
    assert answers[0].status == "enrolled"
    assert isinstance(answers[1], MatchAnswer)


def test_so_many_calls_at_once_and_the_others_wait(
    run: Callable[..., Any],
    script: Script,
    face: Callable[..., Template],
    monkeypatch: pytest.MonkeyPatch,
):
    """More than a connection takes would be refused, some of them."""
    monkeypatch.setattr(limits, "CALLS_AT_ONCE_OF_A_CLIENT", 2)
    script.pause = 0.05

    async def many(client: AsyncExchangeClient) -> list[MatchAnswer]:
        asked = (client.match(face(n), purpose="visa") for n in range(7))
        return await asyncio.gather(*asked)

    assert len(run(many)) == 7
    assert script.most_running == 2


def test_whoever_waits_longer_than_its_deadline_is_told_behind_whom(
    run: Callable[..., Any],
    script: Script,
    face: Callable[..., Template],
    monkeypatch: pytest.MonkeyPatch,
):
    """It was never sent; and nobody's place is lost by it."""
    monkeypatch.setattr(limits, "CALLS_AT_ONCE_OF_A_CLIENT", 1)
    script.pause = 0.4

    async def two(client: AsyncExchangeClient) -> str:
        first = asyncio.create_task(client.match(face(1), purpose="visa"))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineError, match="among the 1 calls") as caught:
            await client.match(face(2), purpose="visa", deadline=0.1)
        await first
        await client.match(face(3), purpose="visa")
        return caught.value.reason

    assert run(two) == "CLIENT_BUSY"
    assert len(script.requests) == 2


@pytest.mark.usefixtures("script")
def test_it_is_made_where_it_is_used(profile: Profile):
    """Out of an event loop it would belong to none, and fail when it is used."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncExchangeClient(profile)


def test_records_follow_the_pages(
    run: Callable[..., Any], person: Callable[[int], Record]
):
    """Every record comes once."""

    async def body(client: AsyncExchangeClient) -> object:
        for seed in range(5):
            await client.enrol(person(seed))
        return [record.reference async for record in client.records(deadline=5)]

    assert run(body) == [f"ref-{n}" for n in range(5)]


def test_errors_are_of_the_family(run: Callable[..., Any]):
    """A status becomes its error, with the reason."""

    async def body(client: AsyncExchangeClient) -> object:
        await client.withdraw("nobody")

    with pytest.raises(NotFoundError) as caught:
        run(body)
    assert caught.value.reason == "NOT_ENROLLED"


def test_many_searches_share_one_client(
    run: Callable[..., Any], face: Callable[..., Template], script: Script
):
    """Tasks run side by side."""

    async def body(client: AsyncExchangeClient) -> object:
        probes = [client.match(face(n), purpose="visa") for n in range(20)]
        return await asyncio.gather(*probes)

    assert len(run(body)) == 20
    assert len({request.request_id for request in script.requests}) == 20


def _load(chunks: list[Chunk] | AsyncIterator[Chunk]) -> Callable[..., Any]:
    async def body(client: AsyncExchangeClient) -> object:
        return [outcome async for outcome in client.enrol_many(chunks)]

    return body


async def _later(chunks: list[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


def test_a_load_comes_back_in_order(run: Callable[..., Any], chunks: list[Chunk]):
    """From a plain iterable and from an asynchronous one."""
    plain = run(_load(chunks))
    assert [outcome.chunk for outcome in plain] == chunks
    later = run(_load(_later(chunks)))
    assert [outcome.chunk for outcome in later] == chunks
    assert later[0].outcomes[0].status == "already-enrolled"
    assert run(_load([])) == []


def test_a_broken_load_is_resumed_with_the_same_request_ids(
    run: Callable[..., Any], chunks: list[Chunk], script: Script
):
    """Nothing is carried out twice."""
    script.breaks = [3, 1, None]
    outcomes = run(_load(chunks))
    assert [outcome.chunk.start for outcome in outcomes] == list(range(0, 30, 3))
    assert set(script.times_carried_out.values()) == {1}
    assert len(script.times_carried_out) == len(chunks)


def test_a_load_that_gets_nowhere_is_given_up(
    run: Callable[..., Any],
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """After some tries without progress the error comes through."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    script.breaks = [1] * 20
    with pytest.raises(UnavailableError):
        run(_load(chunks))
    assert len(script.breaks) == 20 - limits.CLIENT_TRIES


def test_a_refused_load_ends_at_once(
    run: Callable[..., Any], chunks: list[Chunk], script: Script
):
    """What will not pass is not tried again."""
    script.breaks = [1, None]
    script.break_with = Failure(
        grpc.StatusCode.PERMISSION_DENIED, "no", (info("WRONG_ROLE"),)
    )
    with pytest.raises(RefusedError):
        run(_load(chunks))
    assert script.breaks == [None]


def test_a_stream_that_ends_early_is_told(
    run: Callable[..., Any],
    chunks: list[Chunk],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """It is not believed."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    script.ends_early = True
    with pytest.raises(UnavailableError) as caught:
        run(_load(chunks))
    assert caught.value.reason == "STREAM_ENDED"


def test_a_wrong_acknowledgement_is_a_defect(
    run: Callable[..., Any], chunks: list[Chunk], script: Script
):
    """The client does not guess."""
    script.short_outcomes = True
    with pytest.raises(DefectError):
        run(_load(chunks))


def test_a_load_can_be_stopped(
    run: Callable[..., Any], chunks: list[Chunk], script: Script
):
    """Closing the iterator ends the stream, and the client goes on."""

    async def body(client: AsyncExchangeClient) -> object:
        async with contextlib.aclosing(client.enrol_many(chunks)) as outcomes:
            async for _ in outcomes:
                break
        return await client.spaces()

    assert run(body)
    assert len(script.chunk_ids) <= 1 + limits.CHUNKS_IN_FLIGHT


def test_faults_are_found_before_anything_is_sent(
    run: Callable[..., Any], face: Callable[..., Template], script: Script
):
    """As with the synchronous client."""

    async def body(client: AsyncExchangeClient) -> object:
        await client.match(face(1), purpose="curiosity")

    with pytest.raises(InvalidRequestError):
        run(body)
    assert not script.requests
