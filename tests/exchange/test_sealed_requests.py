"""Requests that a client seals to the exchange, beneath TLS."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from dataclasses import replace
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
)
from biometrics.client.streams import BulkStream
from biometrics.errors import (
    ConflictError,
    ExchangeError,
    InvalidRequestError,
    PreconditionError,
    UnauthenticatedError,
)
from biometrics.signing import SigningKey
from biometrics.v1 import enrolment_pb2, match_pb2

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
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Every message that leaves the client."""
    seen: list[Message] = []
    send, put = ExchangeClient._send, BulkStream.send

    def sending(
        self: ExchangeClient, method: object, request: Message, deadline: float | None
    ) -> object:
        seen.append(request)
        return send(self, method, request, deadline)  # type: ignore[arg-type]

    def putting(self: BulkStream, *messages: Message) -> None:
        to = self._recipient
        assert to is not None
        seen.extend(to.seal(message) for message in messages)
        put(self, *messages)  # type: ignore[arg-type]

    monkeypatch.setattr(ExchangeClient, "_send", sending)
    monkeypatch.setattr(BulkStream, "send", putting)
    return seen


def test_no_template_leaves_the_client_in_the_clear(world: World, sent: list[Message]):
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
    carried = b"".join(message.SerializeToString() for message in sent)
    for n in (1, 2, 10, 14, 99):
        assert unit(n).tobytes()[:16] not in carried
    assert b"bulk-12" not in carried
    sealed = [m for m in sent if "sealed" in m.DESCRIPTOR.fields_by_name]
    assert len(sealed) == 5
    assert {f.name for m in sealed for f, _ in m.ListFields()} == {"sealed"}


def test_after_a_restart_it_is_sealed_anew(tmp_path: Path):
    """A search, a load under way, and a replay, which is recognised by its content."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        assert world.exchange is not None
        verifier = world.exchange.verifier
        number = uuid.uuid4()
        with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            enroller.enrol(record("case-1", unit(1)), request_id=number)
            before = enroller._sealer.recipient
        world.restart()
        assert world.exchange.verifier == verifier
        with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            enroller._sealer.recipient = before
            again = enroller.enrol(record("case-1", unit(1)), request_id=number)
            assert again.status is EnrolStatus.ENROLLED  # as it was answered
            assert enroller._sealer.recipient != before
            with pytest.raises(ConflictError):
                enroller.enrol(record("case-2", unit(2)), request_id=number)


def test_a_load_goes_on_over_a_restart(world: World, monkeypatch: pytest.MonkeyPatch):
    """Its stream breaks, and the next one is sealed to the exchange as it is then."""
    people = [(record(f"load-{n}", unit(100 + n)),) for n in range(3)]
    with ExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
        learn, learnt = enroller._learn, []

        def stale(deadline: float | None) -> object:
            fresh = learn(deadline)
            learnt.append(fresh)
            # As if it had been restarted right after it was asked.
            return fresh if len(learnt) > 1 else replace(fresh, member=fresh_other)

        fresh_other = type(learn(None).member)("XBB")
        monkeypatch.setattr(enroller, "_learn", stale)
        outcomes = list(enroller.enrol_many(Chunk(records=p) for p in people))
    assert len(learnt) == 2
    assert [o.outcomes[0].status for o in outcomes] == [EnrolStatus.ENROLLED] * 3


def test_the_asynchronous_client_seals_too(world: World):
    """Searches and loads; after a restart by the exchange's new key."""

    async def body() -> tuple[str, str, int]:
        async with AsyncExchangeClient(knowing(world, "XAA", "enroller")) as enroller:
            chunk = Chunk(records=(record("aio", unit(50)),))
            loaded = [o async for o in enroller.enrol_many([chunk])]
        async with AsyncExchangeClient(knowing(world, "XCC")) as client:
            first = await client.match(face(unit(50)), purpose="border-check")
            recipient = client._sealer.recipient
            assert recipient is not None
            stale = replace(recipient, member=type(recipient.member)("XAA"))
            client._sealer.recipient = stale
            second = await client.match(face(unit(51)), purpose="border-check")
            assert client._sealer.recipient == recipient
        return first.regional, second.regional, len(loaded)

    assert asyncio.run(body()) == ("match", "no-match", 1)


def test_nothing_is_sent_to_who_is_not_the_exchange(world: World, sent: list[Message]):
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
    assert [type(m).__name__ for m in sent] == ["GetSealingKeyRequest"]


def refusal(world: World, request: Message) -> ExchangeError:
    """Return why a request is refused that was made by hand."""
    with ExchangeClient(world.profile("XCC")) as client:
        with pytest.raises(ExchangeError) as refused:
            client._send(client._line.matching.Match, request, 10)
        return refused.value


def test_what_is_sealed_otherwise_is_refused(world: World):
    """Something beside it, one in another, another message, or nothing of the kind."""
    with ExchangeClient(knowing(world, "XCC")) as client:
        to = client._learn(None)
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
