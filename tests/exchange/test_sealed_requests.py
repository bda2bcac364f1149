"""Requests that a client seals to the exchange, beneath TLS."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.client import (
    AsyncExchangeClient,
    Chunk,
    EnrolStatus,
    ExchangeClient,
    MatchAnswer,
    sealer,
)
from biometrics.client.blocking import finish
from biometrics.errors import (
    ConflictError,
    ExchangeError,
    InvalidRequestError,
    PreconditionError,
    UnauthenticatedError,
)
from biometrics.sealing import SEALED_TO_ANOTHER
from biometrics.server.handlers import _Reader
from biometrics.signing import SigningKey
from biometrics.v1 import custody_pb2, enrolment_pb2, match_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from biometrics.client import Profile


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange whose clients know it."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch, World(root, agreements=AGREEMENTS) as w:
        patch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
        yield w


def knowing(world: World, member: str, role: str = "client") -> Profile:
    """Return a profile that says by what key to know the exchange."""
    assert world.exchange is not None
    return replace(world.profile(member, role), verifier=world.exchange.verifier)


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every request, as it comes out of TLS at the exchange."""
    seen: list[bytes] = []
    read = _Reader._read

    def reading(self: _Reader, data: bytes) -> object:
        seen.append(data)
        return read(self, data)

    monkeypatch.setattr(_Reader, "_read", reading)
    return seen


def assert_sealed(arrived: list[bytes], count: int) -> None:
    """Besides questions for the key, so many came, and nothing but sealed."""
    asked = [data for data in arrived if data]
    assert len(asked) == count
    for data in asked:
        # The same field in each kind of request.
        message = match_pb2.MatchRequest.FromString(data)
        assert [field.name for field, _ in message.ListFields()] == ["sealed"]
        assert len(data) <= len(message.sealed) + 4  # nor any other field


def test_no_template_leaves_the_client_in_the_clear(world: World, arrived: list[bytes]):
    """Of an enrolment, a load, a replacement, a search and several."""
    people = tuple(record(f"bulk-{n}", unit(n)) for n in range(10, 15))
    with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
        enroller.enrol(record("case-1", unit(1)))
        (loaded,) = enroller.enrol_many([Chunk(records=people)])
        enroller.replace("case-1", face(unit(2)), accept_lower_quality=True)
    assert {o.status for o in loaded.outcomes} == {EnrolStatus.ENROLLED}
    with ExchangeClient(knowing(world, "XCC")) as client:
        assert client.match(face(unit(2)), purpose="border-check").regional == "match"
        several = [face(unit(n)) for n in (10, 11, 99)]
        answers = client.match_many(several, purpose="border-check")
    found = [a.regional for a in answers if isinstance(a, MatchAnswer)]
    assert found == ["match", "match", "no-match"]
    assert_sealed(arrived, 5)
    carried = b"".join(arrived)
    for n in (1, 2, 10, 14, 99):
        assert unit(n).tobytes()[:16] not in carried
    assert b"bulk-12" not in carried


def test_after_a_restart_it_is_sealed_anew(tmp_path: Path):
    """A search, a load under way, and a replay, which is recognised by its content."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        assert world.exchange is not None
        verifier = world.exchange.verifier
        number = uuid.uuid4()
        with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            enroller.enrol(record("case-1", unit(1)), request_id=number)
            before = enroller._asker._sealer.recipient
        world.restart()
        assert world.exchange.verifier == verifier
        with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            enroller._asker._sealer.recipient = before
            again = enroller.enrol(record("case-1", unit(1)), request_id=number)
            assert again.status is EnrolStatus.ENROLLED  # as it was answered
            assert enroller._asker._sealer.recipient != before
            with pytest.raises(ConflictError):
                enroller.enrol(record("case-2", unit(2)), request_id=number)


def test_a_call_that_is_sealed_again_has_one_deadline(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """What the first requests took is not there for the next."""
    now, left = [0.0], []
    monkeypatch.setattr(sealer, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with ExchangeClient(knowing(world, "XCC")) as client:
        send = client._asker.send

        async def slow(
            method: object, request: Message, deadline: float | None
        ) -> object:
            left.append(deadline)
            now[0] += 2
            if len(left) == 2:
                raise PreconditionError(SEALED_TO_ANOTHER, "it was restarted")
            return await send(method, request, 10)  # type: ignore[arg-type, type-var]

        monkeypatch.setattr(client._asker, "send", slow)
        client.match(face(unit(1)), purpose="border-check", deadline=7)
    assert left == [7, 5, 3, 1]


def test_a_load_goes_on_over_a_restart(world: World, monkeypatch: pytest.MonkeyPatch):
    """Its stream breaks, and the next one is sealed to the exchange as it is then."""
    people = [(record(f"load-{n}", unit(100 + n)),) for n in range(3)]
    with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
        learn, learnt = enroller._asker.learn, []

        async def stale(deadline: float | None) -> object:
            fresh = await learn(deadline)
            learnt.append(fresh)
            # As if it had been restarted right after it was asked.
            return fresh if len(learnt) > 1 else replace(fresh, member=fresh_other)

        fresh_other = type(finish(learn(None)).member)("XBB")
        monkeypatch.setattr(enroller._asker, "learn", stale)
        outcomes = list(enroller.enrol_many(Chunk(records=p) for p in people))
    assert len(learnt) == 2
    assert [o.outcomes[0].status for o in outcomes] == [EnrolStatus.ENROLLED] * 3


def test_the_asynchronous_client_seals_too(world: World, arrived: list[bytes]):
    """Searches and loads; after a restart by the exchange's new key."""

    async def body() -> tuple[str, str, int]:
        async with AsyncExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            chunk = Chunk(records=(record("aio", unit(50)),))
            loaded = [o async for o in enroller.enrol_many([chunk])]
        async with AsyncExchangeClient(knowing(world, "XCC")) as client:
            first = await client.match(face(unit(50)), purpose="border-check")
            recipient = client._asker._sealer.recipient
            assert recipient is not None
            stale = replace(recipient, member=type(recipient.member)("XAA"))
            client._asker._sealer.recipient = stale
            second = await client.match(face(unit(51)), purpose="border-check")
            assert client._asker._sealer.recipient == recipient
        return first.regional, second.regional, len(loaded)

    assert asyncio.run(body()) == ("match", "no-match", 1)
    assert_sealed(arrived, 4)  # one of them twice
    assert not any(unit(n).tobytes()[:16] in b"".join(arrived) for n in (50, 51))


def test_nothing_is_sent_to_who_is_not_the_exchange(world: World, arrived: list[bytes]):
    """The question for its key, and no more."""
    other = "exchange.test/erasure+00000000+AQ=="
    with pytest.raises(ExchangeError):
        ExchangeClient(replace(world.profile("XCC"), verifier=other))
    profile = knowing(world, "XCC")
    name, _, _ = profile.verifier.partition("+")
    stranger = SigningKey.generate(name, secrets.token_bytes).verifier.text
    with (
        ExchangeClient(replace(profile, verifier=stranger)) as client,
        pytest.raises(UnauthenticatedError) as refused,
    ):
        client.match(face(unit(1)), purpose="border-check")
    assert refused.value.reason == "EXCHANGE_NOT_PROVEN"
    assert arrived == [b""]


def test_who_stands_between_cannot_have_it_sealed_for_another_member(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """What XAA enrols is XAA's, whatever code comes beside the exchange's key."""
    with (
        ExchangeClient(knowing(world, "XAA", "enroller")) as enroller,
        ExchangeClient(knowing(world, "XBB", "enroller")) as accomplice,
    ):
        caught: list[Message] = []

        async def between(
            _method: object, request: Message, _deadline: object
        ) -> object:
            if isinstance(request, custody_pb2.GetSealingKeyRequest):
                # The accomplice's key, which the exchange has signed too.
                asker = accomplice._asker
                method = asker.line.services.custody.GetSealingKey
                return await asker.send(method, request, 10)
            caught.append(request)
            raise PreconditionError("CAUGHT", "it does not get through")

        with monkeypatch.context() as patch:
            patch.setattr(enroller._asker, "send", between)
            with pytest.raises(PreconditionError, match="get through"):
                enroller.enrol(record("case-9", unit(9)))
        asker = accomplice._asker
        with pytest.raises(PreconditionError) as refused:
            finish(asker.send(asker.line.services.enrolment.Enrol, caught[0], 10))
        assert refused.value.reason == "SEALED_TO_ANOTHER"


def test_a_lock_of_its_member_does_not_stop_a_client(world: World):
    """Its next request is sealed to another key, which it asks for by itself."""
    administrator = world.client("XCC", "administrator")
    with ExchangeClient(knowing(world, "XCC")) as client:
        client.match(face(unit(3)), purpose="border-check")
        before = client._asker._sealer.recipient
        administrator.lock()
        administrator.unlock()
        client.match(face(unit(4)), purpose="border-check")
        assert client._asker._sealer.recipient != before


def refusal(world: World, request: Message) -> ExchangeError:
    """Return why a request is refused that was made by hand."""
    with ExchangeClient(world.profile("XCC")) as client:
        asker = client._asker
        with pytest.raises(ExchangeError) as refused:
            finish(asker.send(asker.line.services.matching.Match, request, 10))
        return refused.value


def test_what_is_sealed_otherwise_is_refused(world: World):
    """Something beside it, one in another, another message, or nothing of the kind."""
    with ExchangeClient(knowing(world, "XCC")) as client:
        to = finish(client._asker.learn(None))
    inner = match_pb2.MatchRequest(request_id=str(uuid.uuid4()))
    whole = to.seal(inner)
    beside = match_pb2.MatchRequest(request_id=inner.request_id, sealed=whole.sealed)
    assert refusal(world, beside).reason == "SEALED_AND_OPEN"
    nested = refusal(world, to.seal(whole))
    assert isinstance(nested, InvalidRequestError)
    assert nested.reason == "MALFORMED_MESSAGE"
    other = to.seal(enrolment_pb2.EnrolRequest()).sealed
    for sealed in (other, b"x", whole.sealed[:-1]):
        wrong = refusal(world, match_pb2.MatchRequest(sealed=sealed))
        assert isinstance(wrong, PreconditionError)
        assert wrong.reason == "SEALED_TO_ANOTHER"
    foreign = replace(to, member=type(to.member)("XBB")).seal(inner)
    assert refusal(world, foreign).reason == "SEALED_TO_ANOTHER"
    assert isinstance(refusal(world, whole), InvalidRequestError)  # it was read
