"""Follow-ups between two members over a real exchange, which learns next to nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import itertools
import secrets
import uuid
from typing import TYPE_CHECKING

import grpc
import pytest
from world import World, agreement, face, permit, record, unit

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.verify import verify
from biometrics.cli.log_export import export_log
from biometrics.client import AsyncExchangeClient, FollowUpTicket, Profile
from biometrics.client.channel import prepare_channel
from biometrics.clock import ManualClock, SystemClock
from biometrics.errors import (
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    UnauthenticatedError,
)
from biometrics.members import Member
from biometrics.server.development import write_agreement
from biometrics.server.follow_ups import Received
from biometrics.signing import (
    Signers,
    SigningKey,
    VerifierKey,
    parse_signers,
    read_signing_key,
)
from biometrics.v1 import followup_pb2, followup_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from biometrics.client import ReceivedFollowUp

CONTENT = b"what is known of the person"
CLAUSES = (
    permit("XCC", "reference"),
    permit("XBB", "holder"),
    permit("XDD", "reference"),
)
_PERSONS = itertools.count(1)


class Pair:
    """XCC, which asks, and XAA, which holds; each with its own list of signers."""

    def __init__(self, world: World) -> None:
        """Take the two members of a world."""
        self.world = world
        self.client = world.client("XCC")
        self.officer = world.client("XAA", "officer")
        self.enroller = world.enroller("XAA")

    @property
    def signers(self) -> Signers:
        """The list, as each member has it."""
        return parse_signers((self.world.root / "signers.toml").read_bytes(), "list")

    def key(self, name: str) -> SigningKey:
        """Return the signing key of a person."""
        return read_signing_key(self.world.root / f"signing/{name}.key")

    def match(self, requester: str = "XCC", **more: object) -> tuple[str, bytes]:
        """Enrol somebody, and return the holder's and the requester's reference."""
        number = next(_PERSONS)
        own = f"person-{number}"
        self.enroller.enrol(record(own, unit(1000 + number), **more))
        answer = self.world.client(requester).match(
            face(unit(1000 + number)), purpose="border-check"
        )
        (found,) = (each for each in answer.holders if each.holder == "XAA")
        return own, bytes.fromhex(found.reference)

    def ticket(self, reference: bytes, **more: str) -> FollowUpTicket:
        """Return what is asked, signed by the requester's person."""
        terms = {"purpose": "border-check", "modality": "face"} | more
        requester = terms.pop("requester", "XCC")
        return FollowUpTicket.make(
            requester=Member(requester),
            holder=Member(terms.pop("holder", "XAA")),
            reference=reference,
            basis="article 12",
            key=self.key(f"{requester}-first"),
            random_bytes=secrets.token_bytes,
            **terms,
        )

    def ask(self, **more: object) -> tuple[str, FollowUpTicket]:
        """Match somebody and ask; return the holder's reference and the ticket."""
        own, reference = self.match(**more)
        ticket = self.ticket(reference)
        self.client.request_follow_up(ticket)
        return own, ticket

    def waiting(self, ticket: FollowUpTicket) -> ReceivedFollowUp:
        """Return a follow-up as its holder gets it."""
        named = ticket.signed.request.follow_up_id.hex()
        (found,) = (
            each
            for each in self.officer.received_follow_ups()
            if each.follow_up_id == named
        )
        return found

    def confirm(self, ticket: FollowUpTicket) -> None:
        """Confirm."""
        self.officer.confirm_follow_up(
            self.waiting(ticket), key=self.key("XAA-first"), signers=self.signers
        )

    def release(self, ticket: FollowUpTicket) -> None:
        """Release."""
        self.enroller.release_follow_up(
            self.waiting(ticket),
            CONTENT,
            key=self.key("XAA-second"),
            signers=self.signers,
        )

    def state(self, ticket: FollowUpTicket) -> tuple[str, str]:
        """Return how far a follow-up is to the requester's eyes, and its refusal."""
        named = ticket.signed.request.follow_up_id.hex()
        (found,) = (
            (each.state, each.refusal)
            for each in self.client.requested_follow_ups()
            if each.follow_up_id == named
        )
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange where XCC gets references of XAA's, at a time of its own."""
    with World(
        tmp_path_factory.mktemp("followup"),
        agreements={"XAA": agreement("XAA", *CLAUSES)},
        clock=ManualClock(SystemClock().now()),
    ) as made:
        yield made


@pytest.fixture
def pair(world: World) -> Pair:
    """Return the two members."""
    return Pair(world)


def test_a_match_is_followed_up_from_end_to_end(pair: Pair, tmp_path: Path) -> None:
    """The officer sees the record; what is given is read once; both logs have it."""
    own, ticket = pair.ask()
    waiting = pair.waiting(ticket)
    assert waiting.references == (own,)
    assert waiting.record_count == 1
    assert waiting.signed.request.basis == "article 12"
    assert waiting.signed.signer(pair.signers).holder == Member("XCC")
    assert waiting.expires_at - waiting.requested_at == dt.timedelta(hours=48)
    assert pair.state(ticket) == ("requested", "")
    with pytest.raises(PreconditionError) as nothing:
        pair.client.read_follow_up(ticket)
    pair.confirm(ticket)
    pair.release(ticket)
    assert pair.state(ticket) == ("requested", "")
    sealed = pair.client.read_follow_up(ticket)
    assert len(sealed) == limits.FOLLOW_UP_SEALED_BYTES
    assert ticket.open(sealed, pair.signers).content == CONTENT
    assert nothing.value.reason == "NOTHING_TO_READ"
    with pytest.raises(PreconditionError) as over:
        pair.client.read_follow_up(ticket)
    assert over.value.reason == "FOLLOW_UP_OVER"
    assert pair.state(ticket) == ("read", "")
    assert kinds(pair.world, tmp_path, "XCC") == ["request", "reading"]
    steps = ["request", "confirmation", "release", "reading"]
    assert kinds(pair.world, tmp_path, "XAA") == steps


def test_a_holders_own_references_are_in_no_text_of_a_program() -> None:
    """As they are in none of a client's."""
    shown = {each.name for each in dataclasses.fields(Received) if each.repr}
    assert shown == {"row", "records"}


def kinds(world: World, folder: Path, member: str) -> list[str]:
    """Return the steps of follow-ups that a member's verified log tells."""
    auditor = world.client(member, "auditor")
    export_log(auditor, folder / member, None)
    found = verify(
        folder / member,
        VerifierKey.parse(auditor.checkpoint().verifier_key),
        secret=AuditorSecret.parse((world.root / f"auditors/{member}.key").read_text()),
        receipts=[],
    )
    assert found.faults == []
    return [
        entry["kind"].removeprefix("follow-up-")
        for entry in found.entries
        if entry["kind"].startswith("follow-up-")
    ]


def test_both_clients_do_the_same(pair: Pair) -> None:
    """The asynchronous one too, on all three desks."""
    _, reference = pair.match()
    ticket = pair.ticket(reference)

    async def follow_up() -> bytes:
        def of(member: str, role: str) -> AsyncExchangeClient:
            return AsyncExchangeClient(pair.world.profile(member, role))

        async with (
            of("XCC", "client") as client,
            of("XAA", "officer") as officer,
            of("XAA", "enroller") as enroller,
        ):
            await client.request_follow_up(ticket)
            (found,) = await officer.received_follow_ups()
            await officer.confirm_follow_up(
                found, key=pair.key("XAA-first"), signers=pair.signers
            )
            (found,) = await enroller.received_follow_ups()
            await enroller.release_follow_up(
                found, CONTENT, key=pair.key("XAA-second"), signers=pair.signers
            )
            sealed = await client.read_follow_up(ticket)
            asked = await client.requested_follow_ups()
            assert asked[0].state == "read"
            with pytest.raises(NotFoundError):
                await officer.refuse_follow_up(found.follow_up_id, "other")
            return sealed

    sealed = asyncio.run(follow_up())
    assert ticket.open(sealed, pair.signers).content == CONTENT


def ended(profile: Profile, method: str, request: Message) -> tuple[object, ...]:
    """Return everything that a call is ended with, byte for byte; it is tried once."""
    settings = prepare_channel(profile)
    options = [("grpc.enable_retries", 0)]
    with grpc.secure_channel(profile.target, settings.credentials, options) as channel:
        stub = followup_pb2_grpc.FollowUpServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            getattr(stub, method)(request, timeout=10)
    call = caught.value
    return (
        call.code(),
        call.details(),
        tuple(call.initial_metadata() or ()),
        tuple(sorted((m.key, m.value) for m in call.trailing_metadata() or ())),
    )


def answered(profile: Profile, ticket: FollowUpTicket) -> tuple[object, ...]:
    """Return everything that a request for a follow-up is ended with."""
    request = followup_pb2.RequestFollowUpRequest(
        request_id=str(uuid.uuid4()),
        reference=ticket.reference,
        note=ticket.signed.note.data,
    )
    return ended(profile, "RequestFollowUp", request)


def test_every_no_is_the_same_bytes(pair: Pair) -> None:
    """Masked, foreign, forged, expired, used or never given: nobody can tell which."""
    profile = pair.world.profile("XCC")
    tickets = {"forged": pair.ticket(secrets.token_bytes(limits.REFERENCE_BYTES))}
    _, used = pair.ask()
    tickets["used"] = pair.ticket(used.reference)
    _, foreign = pair.match("XDD")
    tickets["foreign"] = pair.ticket(foreign)
    own, tickets["withdrawn"] = _unused(pair)
    pair.enroller.withdraw(own)
    own, tickets["excluded"] = _unused(pair)
    pair.enroller.protect(own, excluded=["XCC"])
    ends = pair.world.clock.now() + dt.timedelta(seconds=30)
    _, tickets["expired"] = _unused(pair, expires_at=ends)
    assert isinstance(pair.world.clock, ManualClock)
    pair.world.clock.advance(dt.timedelta(seconds=30))
    told = {name: answered(profile, ticket) for name, ticket in tickets.items()}
    (only,) = set(told.values())
    assert only[0] is grpc.StatusCode.NOT_FOUND
    good = pair.client.request_follow_up(_unused(pair)[1])
    assert good > pair.world.clock.now()


def _unused(pair: Pair, **more: object) -> tuple[str, FollowUpTicket]:
    """Match somebody; return the holder's reference and what could be asked."""
    own, reference = pair.match(**more)
    return own, pair.ticket(reference)


def test_protection_reaches_what_is_asked_already(pair: Pair) -> None:
    """The holder's desks do not find it, the requester sees a holder that is idle."""
    own, ticket = pair.ask()
    pair.confirm(ticket)
    pair.release(ticket)
    found = pair.waiting(ticket)
    pair.enroller.protect(own, excluded=["XCC"])
    with pytest.raises(PreconditionError) as nothing:
        pair.client.read_follow_up(ticket)
    assert nothing.value.reason == "NOTHING_TO_READ"
    assert pair.state(ticket) == ("requested", "")
    for step in (
        lambda: pair.officer.confirm_follow_up(
            found, key=pair.key("XAA-first"), signers=pair.signers
        ),
        lambda: pair.officer.refuse_follow_up(found.follow_up_id, "other"),
    ):
        with pytest.raises(NotFoundError) as caught:
            step()
        assert caught.value.reason == "NO_SUCH_FOLLOW_UP"
    assert found.follow_up_id not in {
        each.follow_up_id for each in pair.enroller.received_follow_ups()
    }


def test_a_refusal_is_told_by_its_class(pair: Pair) -> None:
    """And is of the officer alone."""
    _, ticket = pair.ask()
    named = pair.waiting(ticket).follow_up_id
    with pytest.raises(InvalidRequestError):
        pair.officer.refuse_follow_up(named, "because")
    with pytest.raises(RefusedError):
        pair.enroller.refuse_follow_up(named, "other")
    pair.officer.refuse_follow_up(named, "match-not-upheld")
    assert pair.state(ticket) == ("refused", "match-not-upheld")


def test_what_agreements_do_not_permit_is_an_honest_refusal(pair: Pair) -> None:
    """Whatever the reference; it is not used up by it."""
    _, reference = pair.match()
    asked = pair.ticket(reference, purpose="visa")
    with pytest.raises(RefusedError) as caught:
        pair.client.request_follow_up(asked)
    assert caught.value.reason == "NOT_PERMITTED"
    other = pair.ticket(reference, requester="XBB")  # at the level `holder` only
    with pytest.raises(RefusedError) as caught:
        pair.world.client("XBB").request_follow_up(other)
    assert caught.value.reason == "NOT_PERMITTED"
    ticket = pair.ticket(reference)
    pair.client.request_follow_up(ticket)


def test_a_member_asks_as_itself_about_what_it_signed(pair: Pair) -> None:
    """Another's note is refused, one of another reference too, all faults at once."""
    _, reference = pair.match()
    with pytest.raises(RefusedError) as refused:
        pair.client.request_follow_up(pair.ticket(reference, requester="XDD"))
    assert refused.value.reason == "NOT_YOURSELF"
    good = pair.ticket(reference)
    fun = pair.ticket(reference, purpose="fun")
    named = str(uuid.uuid4())
    profile = pair.world.profile("XCC")
    for request, reasons in (
        (
            followup_pb2.RequestFollowUpRequest(reference=b"short", note=b"none"),
            ["REQUEST_ID_REQUIRED", "WRONG_REFERENCE", "NOT_A_NOTE"],
        ),
        (
            followup_pb2.RequestFollowUpRequest(
                request_id=named, reference=bytes(16), note=good.signed.note.data
            ),
            ["OTHER_REFERENCE"],
        ),
        (
            followup_pb2.RequestFollowUpRequest(
                request_id=named, reference=reference, note=fun.signed.note.data
            ),
            ["UNKNOWN_VALUE"],
        ),
        (
            followup_pb2.RequestFollowUpRequest(
                request_id=named,
                reference=reference,
                note=bytes(limits.MAX_FOLLOW_UP_NOTE_BYTES + 1),
            ),
            ["TOO_LONG"],
        ),
    ):
        told = ended(profile, "RequestFollowUp", request)
        assert told[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert [each for each in reasons if each not in str(told[3])] == []
    pair.client.request_follow_up(good)


def test_what_a_holder_sends_is_checked_at_the_door(pair: Pair) -> None:
    """An id that is none, a confirmation of another, a payload not filled up."""
    _, ticket = pair.ask()
    _, other = pair.ask()
    found = pair.waiting(ticket)
    with pytest.raises(InvalidRequestError) as caught:
        pair.officer.refuse_follow_up("12", "other")
    assert caught.value.reason == "WRONG_ID"
    confirming = followup_pb2.ConfirmFollowUpRequest(
        request_id=str(uuid.uuid4()),
        follow_up_id=found.follow_up_id,
        note=other.signed.note.data,
    )
    officer = pair.world.profile("XAA", "officer")
    told = ended(officer, "ConfirmFollowUp", confirming)
    assert "OTHER_FOLLOW_UP" in str(told[3])
    short = followup_pb2.ReleaseFollowUpRequest(
        request_id=str(uuid.uuid4()),
        follow_up_id=found.follow_up_id,
        sealed_payload=b"short",
    )
    enroller = pair.world.profile("XAA", "enroller")
    assert "WRONG_SIZE" in str(ended(enroller, "ReleaseFollowUp", short)[3])


def test_nothing_is_given_on_the_exchanges_word(pair: Pair) -> None:
    """Not to a key that the requester has not signed, nor without a confirmation."""
    _, ticket = pair.ask()
    found = pair.waiting(ticket)
    nobody = parse_signers(b"version = 1\n", "list")
    with pytest.raises(UnauthenticatedError):
        pair.officer.confirm_follow_up(found, key=pair.key("XAA-first"), signers=nobody)
    with pytest.raises(UnauthenticatedError):
        pair.release(ticket)  # as the exchange would have it: not confirmed
    pair.confirm(ticket)
    with pytest.raises(UnauthenticatedError):
        pair.enroller.release_follow_up(
            pair.waiting(ticket),
            CONTENT,
            key=pair.key("XAA-first"),  # who has confirmed
            signers=pair.signers,
        )
    pair.release(ticket)


def test_a_locked_gallery_is_an_outage_and_a_restart_changes_nothing(
    pair: Pair,
) -> None:
    """Nobody is told that there is no such reference because keys are not at hand."""
    _, asked = pair.ask()
    _, later = _unused(pair)
    administrator = pair.world.client("XAA", "administrator")
    administrator.lock()
    forged = pair.ticket(secrets.token_bytes(limits.REFERENCE_BYTES))
    profile = pair.world.profile("XCC")
    told = answered(profile, later)
    assert told == answered(profile, forged)
    assert told[0] is grpc.StatusCode.UNAVAILABLE
    listing = followup_pb2.ListReceivedFollowUpsRequest()
    officer = pair.world.profile("XAA", "officer")
    told = ended(officer, "ListReceivedFollowUps", listing)
    assert told[0] is grpc.StatusCode.UNAVAILABLE
    assert "GALLERY_LOCKED" in str(told[3])
    administrator.unlock(deadline=30)
    pair.world.restart()
    again = Pair(pair.world)
    again.confirm(asked)
    again.release(asked)
    sealed = again.client.read_follow_up(asked)
    assert asked.open(sealed, again.signers).content == CONTENT
    again.client.request_follow_up(later)


def test_an_agreement_that_ends_ends_what_is_under_way(pair: Pair) -> None:
    """Each next step is refused, honestly; the holder may still refuse it."""
    _, ticket = pair.ask()
    pair.confirm(ticket)
    found = pair.waiting(ticket)
    write_agreement(
        pair.world.root, agreement("XAA", permit("XCC", "holder"), revision=2)
    )
    pair.world.restart()
    again = Pair(pair.world)
    for step in (
        lambda: again.release(ticket),
        lambda: again.client.read_follow_up(ticket),
    ):
        with pytest.raises(RefusedError) as caught:
            step()
        assert caught.value.reason == "NOT_PERMITTED"
    again.officer.refuse_follow_up(found.follow_up_id, "purpose-not-covered")
    assert again.state(ticket) == ("refused", "purpose-not-covered")
    write_agreement(pair.world.root, agreement("XAA", *CLAUSES, revision=3))
    pair.world.restart()


def test_the_clock_ends_it_by_itself(pair: Pair) -> None:
    """48 hours after it was asked for, released or not."""
    _, ticket = pair.ask()
    pair.confirm(ticket)
    pair.release(ticket)
    assert isinstance(pair.world.clock, ManualClock)
    pair.world.clock.advance(dt.timedelta(hours=48))
    assert pair.state(ticket) == ("expired", "")
    with pytest.raises(PreconditionError):
        pair.client.read_follow_up(ticket)
    assert pair.officer.received_follow_ups() == ()
    pair.world.restart()  # the sweep is made at once
    again = Pair(pair.world)
    assert again.state(ticket) == ("expired", "")
