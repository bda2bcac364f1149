"""What crosses the wire: answers of one size, deadlines, and callers as themselves."""

from __future__ import annotations

import sqlite3
import uuid
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from world import SPACE, World, face, record, unit

from biometrics import limits
from biometrics.client.channel import prepare_channel
from biometrics.errors import RefusedError
from biometrics.v1 import (
    agreement_pb2,
    enrolment_pb2,
    enrolment_pb2_grpc,
    match_pb2,
    template_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

MATCH = "/biometrics.v1.MatchService/Match"
ENROL = "/biometrics.v1.EnrolmentService/Enrol"


@pytest.fixture(scope="module")
def channel(world: World) -> Iterator[grpc.Channel]:
    """XCC's plain channel, on which bytes can be seen and sent."""
    world.enroller("XAA").enrol(record("size", unit(1)))
    hidden = record("hidden", unit(2), excluded=("XCC",))
    world.enroller("XAA").enrol(hidden)
    settings = prepare_channel(world.profile("XCC"))
    with grpc.secure_channel(
        world.target, settings.credentials, settings.options
    ) as channel:
        yield channel


def probe(number: int) -> match_pb2.Probe:
    """Return the probe of a subject."""
    template = template_pb2.Template(
        space=SPACE,
        position=template_pb2.POSITION_FACE,
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        data=unit(number).tobytes(),
    )
    return match_pb2.Probe(templates=[template])


def request(number: int, **more: object) -> match_pb2.MatchRequest:
    """Return a search for a subject."""
    fields = {
        "request_id": str(uuid.uuid4()),
        "purpose": match_pb2.PURPOSE_BORDER_CHECK,
        "probe": probe(number),
        **more,
    }
    return match_pb2.MatchRequest(**fields)  # type: ignore[arg-type]


def send(
    channel: grpc.Channel, method: str, body: bytes, timeout: float | None = 5.0
) -> tuple[bytes, grpc.Call]:
    """Call a method with raw bytes."""
    response, call = channel.unary_unary(method).with_call(body, timeout=timeout)
    return response, call


def refused(
    channel: grpc.Channel, method: str, body: bytes, timeout: float | None = 5.0
) -> tuple[grpc.StatusCode, str]:
    """Call a method that must refuse; return the code and the one reason."""
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, method, body, timeout)
    return caught.value.code(), reason_of(caught.value)


def reason_of(error: grpc.RpcError) -> str:
    """Return the reason of the one ErrorInfo, or nothing if gRPC itself refused."""
    status = rpc_status.from_call(error)
    if status is None:
        return ""
    infos = [d for d in status.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    (packed,) = infos
    info = error_details_pb2.ErrorInfo()
    packed.Unpack(info)
    return info.reason


def test_every_answer_has_the_same_size_status_and_trailers(
    channel: grpc.Channel,
) -> None:
    """Match, no match and a record hidden from the caller are alike in bytes."""
    seen = set()
    for number in (1, 2, 3):
        body, call = send(channel, MATCH, request(number).SerializeToString())
        seen.add((len(body), call.code(), tuple(call.trailing_metadata() or ())))
    assert seen == {(limits.MATCH_RESPONSE_BYTES, grpc.StatusCode.OK, ())}


def test_a_hidden_record_and_an_absent_one_give_the_same_bytes(
    channel: grpc.Channel,
) -> None:
    """What is kept from a requester cannot be told from what is not there.

    But for what is random in receipts; of them `test_proof` asks the same.
    """
    answers = set()
    for number in (2, 3, 4):
        body = request(number, holders=["XAA"]).SerializeToString()
        answer = match_pb2.MatchResponse.FromString(send(channel, MATCH, body)[0])
        assert len(answer.receipt) == limits.RECEIPT_BYTES
        answer.receipt = b""
        answers.add(answer.SerializeToString())
    assert len(answers) == 1


def test_what_is_stored_of_an_answer_has_one_size(world: World) -> None:
    """Whoever sees the database cannot tell a match from none by a reply's length."""
    sizes = set()
    for number in (1, 2, 3):
        world.client("XCC").match(face(unit(number)), purpose="border-check")
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            last = "SELECT length(body) FROM reply ORDER BY reply_id DESC LIMIT 1"
            sizes.add(database.execute(last).fetchone()[0])
        database.close()
    assert len(sizes) == 1
    assert sizes.pop() < limits.MATCH_RESPONSE_BYTES / 3


def test_an_answer_says_that_a_receipt_is_issued(channel: grpc.Channel) -> None:
    """And has one, of the one size that they have."""
    body, _ = send(channel, MATCH, request(1).SerializeToString())
    answer = match_pb2.MatchResponse.FromString(body)
    assert answer.receipt_status == match_pb2.RECEIPT_STATUS_ISSUED
    assert len(answer.receipt) == limits.RECEIPT_BYTES


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"request_id": ""}, "INVALID_ARGUMENT", "REQUEST_ID_REQUIRED"),
        ({"request_id": "7"}, "INVALID_ARGUMENT", "REQUEST_ID_REQUIRED"),
        ({"request_id": "z" * 36}, "INVALID_ARGUMENT", "REQUEST_ID_REQUIRED"),
        ({"request_id": "1_" * 18}, "INVALID_ARGUMENT", "REQUEST_ID_REQUIRED"),
        (
            {"request_id": "{12345678-1234-4234-8234-1234567890}"},
            "INVALID_ARGUMENT",
            "REQUEST_ID_REQUIRED",
        ),
        ({"purpose": 0}, "INVALID_ARGUMENT", "UNKNOWN_VALUE"),
        ({"purpose": 99}, "INVALID_ARGUMENT", "UNKNOWN_VALUE"),
        ({"holders": ["nobody"]}, "INVALID_ARGUMENT", "UNKNOWN_MEMBER"),
        ({"holders": ["XAA"] * 65}, "INVALID_ARGUMENT", "TOO_MANY"),
        ({"requester": "XAA"}, "PERMISSION_DENIED", "NOT_YOURSELF"),
        ({"probe": match_pb2.Probe()}, "INVALID_ARGUMENT", "WRONG_COUNT"),
    ],
)
def test_a_bad_search_is_refused_with_its_reason(
    channel: grpc.Channel, change: dict[str, object], code: str, reason: str
) -> None:
    """Each fault of a request has its own code and reason."""
    body = request(1, **change).SerializeToString()
    assert refused(channel, MATCH, body) == (grpc.StatusCode[code], reason)


def test_data_of_a_broken_length_is_refused(channel: grpc.Channel) -> None:
    """Bytes that are no whole number of components are told apart from a dimension."""
    search = request(1)
    search.probe.templates[0].data = bytes(33)
    refusal = refused(channel, MATCH, search.SerializeToString())
    assert refusal == (grpc.StatusCode.INVALID_ARGUMENT, "WRONG_LENGTH")


def test_an_unstated_number_type_is_refused(channel: grpc.Channel) -> None:
    """A template says how its components are written."""
    search = request(1)
    search.probe.templates[0].data_type = template_pb2.DATA_TYPE_UNSPECIFIED
    refusal = refused(channel, MATCH, search.SerializeToString())
    assert refusal == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_VALUE")


def test_a_call_without_a_deadline_is_refused(channel: grpc.Channel) -> None:
    """Nobody waits for ever."""
    refusal = refused(channel, MATCH, request(1).SerializeToString(), timeout=None)
    assert refusal == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED")


def test_an_oversize_message_is_refused(world: World) -> None:
    """The server refuses it before anything reads it, whatever the client allows."""
    settings = prepare_channel(world.profile("XCC"))
    unbounded = [("grpc.max_send_message_length", -1)]
    with grpc.secure_channel(world.target, settings.credentials, unbounded) as channel:
        code, _ = refused(channel, MATCH, bytes(limits.MAX_MESSAGE_BYTES + 1))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_bytes_that_are_no_message_are_refused(channel: grpc.Channel) -> None:
    """Rubbish is the caller's fault, not a defect."""
    code, _ = refused(channel, MATCH, b"\xff" * 40)
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_searching_certificate_cannot_enrol(channel: grpc.Channel) -> None:
    """Roles are of the certificate: a client does not reach enrolment."""
    body = enrolment_pb2.EnrolRequest().SerializeToString()
    assert refused(channel, ENROL, body)[0] == grpc.StatusCode.PERMISSION_DENIED


SERVICE = "/biometrics.v1.EnrolmentService/"


@pytest.fixture(scope="module")
def enrolling(world: World) -> Iterator[grpc.Channel]:
    """XAA's plain channel for enrolment."""
    settings = prepare_channel(world.profile("XAA", "enroller"))
    with grpc.secure_channel(
        world.target, settings.credentials, settings.options
    ) as channel:
        yield channel


def a_record(**more: object) -> enrolment_pb2.Record:
    """Return a record that is right but for `more`."""
    fields = {"reference": "r", "templates": probe(77).templates, **more}
    return enrolment_pb2.Record(**fields)  # type: ignore[arg-type]


ID = str(uuid.uuid4())
MANY = [a_record()] * (limits.MAX_RECORDS_PER_CHUNK + 1)
REFUSED = [
    ("Enrol", enrolment_pb2.EnrolRequest(holder="XRA"), "NOT_YOURSELF"),
    ("Withdraw", enrolment_pb2.WithdrawRequest(holder="XRA"), "NOT_YOURSELF"),
    ("Enrol", enrolment_pb2.EnrolRequest(record=a_record()), "REQUEST_ID_REQUIRED"),
    (
        "Enrol",
        enrolment_pb2.EnrolRequest(
            request_id=ID, record=enrolment_pb2.Record(reference="r")
        ),
        "WRONG_COUNT",
    ),
    (
        "Enrol",
        enrolment_pb2.EnrolRequest(
            request_id=ID, record=a_record(expire_time={"seconds": 10**15})
        ),
        "WRONG_TIME",
    ),
    (
        "Withdraw",
        enrolment_pb2.WithdrawRequest(request_id="", reference="r"),
        "REQUEST_ID_REQUIRED",
    ),
    ("ListRecords", enrolment_pb2.ListRecordsRequest(page_size=501), "WRONG_SIZE"),
    ("ListRecords", enrolment_pb2.ListRecordsRequest(page_token="zz"), "WRONG_TOKEN"),
    ("ListRecords", enrolment_pb2.ListRecordsRequest(page_token="00"), "WRONG_TOKEN"),
]
AGREEMENTS_BY_PAGE = [
    ({"page_size": 501}, "WRONG_SIZE"),
    ({"page_token": "x"}, "WRONG_TOKEN"),
    ({"page_token": "-1"}, "WRONG_TOKEN"),
    ({"page_token": "9" * 40}, "WRONG_TOKEN"),
]


@pytest.mark.parametrize(("fields", "reason"), AGREEMENTS_BY_PAGE)
def test_a_bad_page_of_agreements_is_refused(
    channel: grpc.Channel, fields: dict[str, object], reason: str
) -> None:
    """Sizes over the bound and tokens that were never given have their reasons."""
    body = agreement_pb2.ListAgreementsRequest(**fields).SerializeToString()  # type: ignore[arg-type]
    method = "/biometrics.v1.AgreementService/ListAgreements"
    assert refused(channel, method, body)[1] == reason


@pytest.mark.parametrize(("method", "message", "reason"), REFUSED)
def test_a_bad_enrolment_is_refused_with_its_reason(
    enrolling: grpc.Channel, method: str, message: Message, reason: str
) -> None:
    """Each fault of an enroller's request has its own reason."""
    _, told = refused(enrolling, SERVICE + method, message.SerializeToString())
    assert told == reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (enrolment_pb2.BulkEnrolRequest(holder="XRA"), "NOT_YOURSELF"),
        (enrolment_pb2.BulkEnrolRequest(request_id=ID), "WRONG_COUNT"),
        (
            enrolment_pb2.BulkEnrolRequest(request_id=ID, records=MANY),
            "WRONG_COUNT",
        ),
        (enrolment_pb2.BulkEnrolRequest(records=[a_record()]), "REQUEST_ID_REQUIRED"),
    ],
)
def test_a_bad_chunk_ends_its_stream_with_its_reason(
    enrolling: grpc.Channel, message: enrolment_pb2.BulkEnrolRequest, reason: str
) -> None:
    """A chunk that cannot be acted on as a whole is refused as a whole."""
    stub = enrolment_pb2_grpc.EnrolmentServiceStub(enrolling)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.BulkEnrol(iter([message]), timeout=5))
    assert reason_of(caught.value) == reason


@pytest.mark.parametrize("count", [0, limits.MAX_PROBES_PER_BATCH + 1])
def test_a_batch_of_a_wrong_size_is_refused(channel: grpc.Channel, count: int) -> None:
    """A batch has from 1 to 256 probes."""
    batch = match_pb2.BatchMatchRequest(
        request_id=ID,
        purpose=match_pb2.PURPOSE_BORDER_CHECK,
        probes=[match_pb2.Probe()] * count,
    )
    body = batch.SerializeToString()
    _, told = refused(channel, "/biometrics.v1.MatchService/BatchMatch", body)
    assert told == "WRONG_COUNT"


def test_only_the_parties_may_ask_about_an_agreement(world: World) -> None:
    """A third member is refused, and a party gets file and line."""
    question = {
        "holder": "XAA",
        "requester": "XCC",
        "purpose": "border-check",
        "modality": "face",
    }
    for member in ("XAA", "XCC"):
        told = world.client(member).explain(**question)
        assert (told.permitted, told.level) == (True, "reference")
        assert told.decided_by.startswith("XAA.toml:")
    with pytest.raises(RefusedError) as caught:
        world.client("XBB").explain(**question)
    assert caught.value.reason == "NOT_A_PARTY"
    nobody = world.client("XCC").explain(**{**question, "purpose": "visa"})
    assert (nobody.permitted, nobody.decided_by) == (False, "")
