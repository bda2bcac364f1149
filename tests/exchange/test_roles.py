"""Who may call what, as itself and as another: every role, every method.

The table stands here once more, written by hand from what each role is for. A method
that is added needs a row in it, or this fails.
"""

from __future__ import annotations

import uuid
from itertools import product
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from echo import refusal
from google.protobuf import message_factory
from world import AGREEMENTS, World

from biometrics.callers import Caller, Role
from biometrics.client.channel import prepare_channel
from biometrics.client.profile import Profile
from biometrics.clock import SystemClock
from biometrics.members import Member
from biometrics.server.development_pki import DevelopmentPki
from biometrics.server.methods import METHODS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.descriptor import MethodDescriptor

# By method: whose roles (client, enroller, auditor, administrator: M, witness,
# officer, coordinator of the region: R), the field that names whoever is acted as,
# and the reason if that is another.
YOURSELF = "NOT_YOURSELF"
TABLE = {
    "MatchService/Match": ("C", "requester", YOURSELF),
    "MatchService/BatchMatch": ("C", "requester", YOURSELF),
    "EnrolmentService/Enrol": ("E", "holder", YOURSELF),
    "EnrolmentService/BulkEnrol": ("E", "holder", YOURSELF),
    "EnrolmentService/Withdraw": ("E", "holder", YOURSELF),
    "EnrolmentService/Replace": ("E", "holder", YOURSELF),
    "EnrolmentService/Protect": ("E", "holder", YOURSELF),
    "EnrolmentService/PlantCanaries": ("E", "holder", YOURSELF),
    "EnrolmentService/ListGalleries": ("EAM", "", ""),
    "EnrolmentService/SummariseRecords": ("EAM", "", ""),
    "EnrolmentService/ListRecords": ("E", "", ""),
    "CustodyService/Lock": ("M", "holder", YOURSELF),
    "CustodyService/Unlock": ("M", "holder", YOURSELF),
    "CustodyService/Rotate": ("M", "holder", YOURSELF),
    "CustodyService/Destroy": ("M", "confirm_holder", "NOT_CONFIRMED"),
    "CustodyService/GetSealingKey": ("CEM", "", ""),
    "CustodyService/GetCustody": ("EAM", "", ""),
    "CustodyService/ListErasures": ("EAM", "", ""),
    "DuplicateService/FindDuplicates": ("E", "holder", YOURSELF),
    "AgreementService/ListAgreements": ("CEAMO", "", ""),
    "AgreementService/ListPermissions": ("CEAMO", "", ""),
    # Of two others: a party may ask about the other party.
    "AgreementService/ExplainAgreement": ("CEAMO", "holder,requester", "NOT_A_PARTY"),
    "ReviewService/ListReviews": ("AM", "", ""),
    "ReviewService/DecideReview": ("AM", "", ""),
    "ReviewService/ListAlerts": ("AM", "", ""),
    "FollowUpService/RequestFollowUp": ("C", "requester", YOURSELF),
    "FollowUpService/ListRequestedFollowUps": ("C", "", ""),
    "FollowUpService/ReadFollowUp": ("C", "requester", YOURSELF),
    "FollowUpService/ListReceivedFollowUps": ("EO", "", ""),
    "FollowUpService/ConfirmFollowUp": ("O", "holder", YOURSELF),
    "FollowUpService/RefuseFollowUp": ("O", "holder", YOURSELF),
    "FollowUpService/ReleaseFollowUp": ("E", "holder", YOURSELF),
    "SpaceService/ListSpaces": ("CEAMO", "", ""),
    "AuditService/GetCheckpoint": ("AWR", "", ""),
    "AuditService/GetTile": ("AWR", "", ""),
    "AuditService/ListLeaves": ("AWR", "", ""),
    "AuditService/ListOwnEntries": ("A", "", ""),
    "AuditService/ListEntryKeys": ("A", "", ""),
    "AuditService/AddCosignature": ("AW", "", ""),
    "RegionService/DescribeCaller": ("CEAMWOR", "", ""),
    "RegionService/ListHolders": ("CEAMO", "", ""),
    "RegionService/GetLoad": ("CEAMOR", "", ""),
    "RegionService/DescribeRegion": ("R", "", ""),
    "Health/Check": ("CEAMWOR", "", ""),
    "Health/List": ("CEAMWOR", "", ""),
    "Health/Watch": ("CEAMWOR", "", ""),
}
LETTERS = dict(zip("CEAMWOR", Role, strict=True))
METHOD = {
    f"{service.name}/{method.name}": method
    for service in SERVICES
    for method in service.methods
}
REFUSED = {"WRONG_ROLE", "OTHER_ADDRESS"}
# Fields that name a member, but not whoever is acted as.
OF_OTHERS = {"holders", "excluded_requesters"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return an exchange where each role of XAA has its certificate."""
    with World(tmp_path_factory.mktemp("roles"), agreements=AGREEMENTS) as made:
        issue(made.root, Role.WITNESS, made.target)
        issue(made.root, Role.COORDINATOR, made.target)
        yield made


@pytest.fixture(scope="module")
def channels(world: World) -> Iterator[dict[Role, grpc.Channel]]:
    """Return a connection of each role."""
    made = {role: connect(world.profile_file("XAA", role)) for role in Role}
    yield made
    for channel in made.values():
        channel.close()


def issue(root: Path, role: Role, target: str) -> None:
    """Sign for one more system of XAA."""
    pki, _ = DevelopmentPki.of(
        root / "exchange.toml",
        clock=SystemClock(),
        random_bytes=lambda n: bytes([1] * n),
    )
    pki.issue(Caller(member=Member("XAA"), role=role, name=f"{role}-1"), target)


def connect(profile: Path) -> grpc.Channel:
    """Return a channel of a profile, which tries once."""
    settings = prepare_channel(Profile.load(profile))
    return grpc.secure_channel(
        Profile.load(profile).target,
        settings.credentials,
        [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)],
    )


def ask(channel: grpc.Channel, method: MethodDescriptor, **fields: object) -> str:
    """Return the reason with which a method refuses, or nothing."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = message_factory.GetMessageClass(method.input_type)(**fields)
    codec: tuple[Any, Any] = (type(request).SerializeToString, bytes)
    call = channel.stream_stream(path, *codec)(iter([request]), timeout=5)
    try:
        for _ in call:
            call.cancel()
            return ""
    except grpc.RpcError as error:
        caught = error
        return refusal(lambda: _throw(caught))[1]
    return ""


def _throw(error: Exception) -> None:
    """Raise an error."""
    raise error


def test_every_method_of_the_contract_has_a_row_here():
    """Whoever adds one says here who may call it."""
    assert set(METHOD) == set(TABLE)
    assert len(METHODS) == len(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_request_names_nobody_but_whom_the_row_knows(name: str):
    """A field that is added may let a member act as another."""
    fields = {
        each.name
        for each in METHOD[name].input_type.fields
        if any(word in each.name for word in ("holder", "requester", "member"))
    }
    assert fields - OF_OTHERS == set(filter(None, TABLE[name][1].split(",")))


@pytest.mark.parametrize(("name", "role"), list(product(TABLE, Role)))
def test_a_role_may_call_what_its_row_says_and_only_as_itself(
    channels: dict[Role, grpc.Channel], name: str, role: Role
):
    """Own: answered, or refused for what is asked. Other: refused for who asks."""
    letters, claim, reason = TABLE[name]
    is_permitted = role in {LETTERS[letter] for letter in letters}
    method = METHOD[name]
    own = dict.fromkeys(filter(None, claim.split(",")), "XAA")
    told = ask(channels[role], method, **own)
    assert (told not in REFUSED) is is_permitted, told
    if not claim:
        return
    other: dict[str, Any] = dict.fromkeys(claim.split(","), "XBB")
    if "request_id" in method.input_type.fields_by_name:
        other["request_id"] = str(uuid.uuid4())
    if "probes" in method.input_type.fields_by_name:
        other["probes"] = [{}]
    if reason == "NOT_A_PARTY":
        other |= {"purpose": "PURPOSE_VISA", "modality": "MODALITY_FACE"}
    told = ask(channels[role], method, **other)
    assert told == (reason if is_permitted else "WRONG_ROLE")


def test_an_administrator_searches_opens_and_enrols_nothing():
    """Nor does any method that it may call answer with a template or a match."""
    words = ("Match", "Enrol/", "BulkEnrol", "Duplicates", "ListRecords", "Replace")
    for name, (letters, _, _) in TABLE.items():
        if "M" in letters:
            assert not any(word in f"{name}/" for word in words), name


def test_administrators_can_have_an_address_of_their_own(
    tmp_path_factory: pytest.TempPathFactory,
):
    """There alone they are served, and nobody else is."""
    made = World(tmp_path_factory.mktemp("apart"), agreements=AGREEMENTS)
    text = (made.root / "exchange.toml").read_text()
    text = text.replace('# admin_listen = "127.0.0.1:7444"', 'admin_listen = "[::1]:0"')
    (made.root / "exchange.toml").write_text(text)
    with made:
        assert made.exchange is not None
        apart = f"[::1]:{made.exchange.admin_port}"
        spaces, custody = (
            METHOD["SpaceService/ListSpaces"],
            METHOD["CustodyService/GetCustody"],
        )
        for role in (Role.CLIENT, Role.ADMINISTRATOR):
            profile = made.profile_file("XAA", role)
            with connect(profile) as channel:
                told = ask(channel, spaces)
            profile.write_text(profile.read_text().replace(made.target, apart))
            with connect(profile) as channel:
                told_apart = ask(channel, spaces)
                told_custody = ask(channel, custody)
            if role is Role.CLIENT:
                assert (told, told_apart) == ("", "OTHER_ADDRESS")
            else:
                assert (told, told_apart, told_custody) == ("OTHER_ADDRESS", "", "")
