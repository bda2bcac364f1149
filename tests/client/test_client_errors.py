"""Whatever goes wrong is an error of the one family, and says what to do."""

from __future__ import annotations

import datetime as dt
import socket
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from biometrics import limits
from biometrics.client import ExchangeClient, Profile, Template
from biometrics.client.channel import Peers
from biometrics.client.status import translate
from biometrics.errors import (
    ConflictError,
    DeadlineError,
    DefectError,
    ExchangeError,
    ExhaustedError,
    Fault,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.pocket import (
    FAR_AHEAD,
    LONG_AGO,
    Authority,
    Failure,
    RunningExchange,
    Script,
    info,
    member_name,
    write_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from biometrics.client import Record


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch):
    """Tries follow one another at once."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)


FAMILY = [
    (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
    (grpc.StatusCode.UNAUTHENTICATED, UnauthenticatedError),
    (grpc.StatusCode.PERMISSION_DENIED, RefusedError),
    (grpc.StatusCode.NOT_FOUND, NotFoundError),
    (grpc.StatusCode.ALREADY_EXISTS, ConflictError),
    (grpc.StatusCode.FAILED_PRECONDITION, PreconditionError),
    (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError),
    (grpc.StatusCode.INTERNAL, DefectError),
    (grpc.StatusCode.DATA_LOSS, DefectError),
]


@pytest.mark.parametrize(("code", "kind"), FAMILY)
def test_a_status_comes_back_as_its_error(
    exchange: ExchangeClient,
    script: Script,
    code: grpc.StatusCode,
    kind: type[ExchangeError],
):
    """Kind, reason and message are those that the exchange gave."""
    script.failures.append(Failure(code, "what is wrong", (info("ITS_REASON"),)))
    with pytest.raises(ExchangeError) as caught:
        exchange.spaces()
    assert type(caught.value) is kind
    assert (caught.value.reason, caught.value.message) == (
        "ITS_REASON",
        "what is wrong",
    )
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_every_fault_comes_back(
    exchange: ExchangeClient, script: Script, face: Callable[..., Template]
):
    """The violations of a request are faults with field, reason and message."""
    violation = error_details_pb2.BadRequest.FieldViolation
    bad = error_details_pb2.BadRequest(
        field_violations=[
            violation(field="purpose", reason="UNKNOWN", description="no purpose"),
            violation(field="holders[0]", reason="TWICE", description="named twice"),
        ]
    )
    code = grpc.StatusCode.INVALID_ARGUMENT
    script.failures.append(Failure(code, "two faults", (info("UNKNOWN"), bad)))
    with pytest.raises(InvalidRequestError) as caught:
        exchange.match(face(1), purpose="visa")
    assert caught.value.faults == (
        Fault(field="purpose", reason="UNKNOWN", message="no purpose"),
        Fault(field="holders[0]", reason="TWICE", message="named twice"),
    )


def test_a_failed_precondition_says_which(exchange: ExchangeClient, script: Script):
    """The violations of a precondition are faults as well."""
    state = error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(
                type="GALLERY_LOCKED", subject="faces-v1", description="unlock it"
            )
        ]
    )
    code = grpc.StatusCode.FAILED_PRECONDITION
    script.failures.append(Failure(code, "locked", (info("LOCKED"), state)))
    with pytest.raises(PreconditionError) as caught:
        exchange.galleries()
    expected = Fault(field="faces-v1", reason="GALLERY_LOCKED", message="unlock it")
    assert caught.value.faults == (expected,)


def test_an_exhausted_bound_is_tried_again_and_then_told(
    exchange: ExchangeClient, script: Script
):
    """After the tries are used up the error says when to come back."""
    retry = error_details_pb2.RetryInfo(
        retry_delay=Duration(seconds=2, nanos=5 * 10**8)
    )
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    failure = Failure(code, "too many calls", (info("TOO_MANY_CALLS"), retry))
    script.failures.extend([failure] * limits.CLIENT_TRIES)
    with pytest.raises(ExhaustedError) as caught:
        exchange.spaces()
    assert caught.value.retry_after == 2.5
    assert len(script.requests) == limits.CLIENT_TRIES


def test_a_call_that_the_exchange_could_not_take_is_repeated_as_it_was(
    exchange: ExchangeClient, script: Script, person: Callable[[int], Record]
):
    """The second try carries the same request id, so nothing is done twice."""
    failure = Failure(grpc.StatusCode.UNAVAILABLE, "later", (info("DRAINING"),))
    script.failures.extend([failure] * 2)
    assert exchange.enrol(person(1)).status == "enrolled"
    assert len({request.request_id for request in script.requests}) == 1
    assert len(script.requests) == 3


def test_a_large_request_is_tried_again_like_a_small_one(
    exchange: ExchangeClient, script: Script
):
    """A batch near the bound of a message is sent until it is taken."""
    code = grpc.StatusCode.UNAVAILABLE
    script.failures.extend([Failure(code, "busy", (info("BUSY"),))] * 2)
    probes = [Template(space="faces-v1", position="face", vector=np.ones(4000, "f4"))]
    exchange.match_many(probes * 250, purpose="border-check")
    assert len(script.requests) == 3


def test_a_refusal_is_not_tried_again(exchange: ExchangeClient, script: Script):
    """Only what may pass is repeated."""
    failure = Failure(grpc.StatusCode.PERMISSION_DENIED, "no", (info("NOT_YOURS"),))
    script.failures.append(failure)
    with pytest.raises(RefusedError):
        exchange.galleries()
    assert len(script.requests) == 1


def test_a_foreign_domains_reason_is_not_taken_for_ours(
    exchange: ExchangeClient, script: Script
):
    """A proxy's reason could collide with one of the exchange's."""
    foreign = error_details_pb2.ErrorInfo(reason="NOT_PERMITTED", domain="proxy.test")
    script.failures.append(
        Failure(grpc.StatusCode.PERMISSION_DENIED, "by a proxy", (foreign,))
    )
    with pytest.raises(RefusedError) as caught:
        exchange.spaces()
    assert caught.value.reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (grpc.StatusCode.INTERNAL, DefectError, "ended the call with `INTERNAL`: bare"),
        (grpc.StatusCode.UNIMPLEMENTED, PreconditionError, "older version"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError, "is recognised"),
    ],
)
def test_a_status_without_details_is_told_by_its_code(
    *,
    exchange: ExchangeClient,
    script: Script,
    code: grpc.StatusCode,
    kind: type[ExchangeError],
    told: str,
):
    """Where the exchange's own words are missing, the client finds some."""
    script.failures.append(Failure(code, "bare"))
    with pytest.raises(kind, match=told) as caught:
        exchange.spaces()
    assert caught.value.reason == code.name


class _Call(grpc.RpcError):
    """An error as gRPC would raise it, with any trailers."""

    def __init__(
        self, code: grpc.StatusCode, text: str | None, trailers: object
    ) -> None:
        self._parts = (code, text, trailers)

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str | None:
        return self._parts[1]

    def trailing_metadata(self) -> object:
        return self._parts[2]


def _peers(tmp_path: Path) -> Peers:
    return Peers(
        member="XAA",
        target="exchange.test:1",
        authority=tmp_path / "authority.pem",
        certificate=tmp_path / "client.pem",
        valid_until=FAR_AHEAD,
        is_of_authority=True,
    )


def _garbled() -> list[bytes]:
    broken = AnyMessage(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"
    )
    status = status_pb2.Status(code=7, message="no", details=[broken])
    other = status_pb2.Status(code=5, message="no")
    return [b"\xff\xff", status.SerializeToString(), other.SerializeToString()]


@pytest.mark.parametrize("trailer", _garbled())
def test_details_that_do_not_parse_leave_the_code(tmp_path: Path, trailer: bytes):
    """Garbled or contradicting trailers raise the code's error and no other."""
    trailers = (("grpc-status-details-bin", trailer),)
    call = _Call(grpc.StatusCode.PERMISSION_DENIED, "no", trailers)
    error = translate(call, _peers(tmp_path))
    assert type(error) is RefusedError
    assert error.reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("text", "reason", "told"),
    [
        ("... CERTIFICATE_VERIFY_FAILED: ...", "SERVER_NOT_TRUSTED", "authority.pem"),
        ("Peer name x is not in peer certificate", "SERVER_NAME_WRONG", "server_name"),
        ("SSL alert number 48", "CERTIFICATE_REFUSED", f"{FAR_AHEAD:%Y-%m-%d}"),
        ("Connection refused", "SERVER_NOT_RUNNING", "nothing listens"),
        ("DNS resolution failed", "TARGET_NOT_FOUND", "no such host"),
        ("something else", "NOT_REACHED", "has not expired"),
    ],
)
def test_a_connection_that_fails_says_what_to_check(
    tmp_path: Path, text: str, reason: str, told: str
):
    """Each sign in gRPC's text has its own advice, and names the target."""
    call = _Call(grpc.StatusCode.UNAVAILABLE, text, ())
    error = translate(call, _peers(tmp_path))
    assert type(error) is UnavailableError
    assert error.reason == reason
    assert told in error.message
    assert "`exchange.test:1` not reached" in error.message


def test_a_stream_that_was_refused_is_a_call_too_many(tmp_path: Path):
    """What gRPC says of a connection with too many calls is no lost connection."""
    text = "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))"
    error = translate(_Call(grpc.StatusCode.UNAVAILABLE, text, ()), _peers(tmp_path))
    assert type(error) is ExhaustedError
    assert error.reason == "TOO_MANY_CALLS"
    assert error.retry_after


def test_a_call_may_end_without_a_text(tmp_path: Path):
    """A cancelled call is unavailable, not a defect."""
    call = _Call(grpc.StatusCode.CANCELLED, None, None)
    assert type(translate(call, _peers(tmp_path))) is UnavailableError


def test_a_server_that_is_not_running_is_told(tmp_path: Path, authority: Authority):
    """Nothing listens: the error names the target and what to check."""
    with socket.socket() as bound:  # bound and not listening: refuses connections
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        profile = Profile.load(write_profile(tmp_path, authority, port))
        with ExchangeClient(profile) as client, pytest.raises(ExchangeError) as caught:
            client.spaces()
    assert caught.value.reason == "SERVER_NOT_RUNNING"
    assert f"127.0.0.1:{port}" in caught.value.message


def test_a_server_that_does_not_come_back_is_waited_for_once(
    tmp_path: Path, authority: Authority
):
    """A call waits for a server that has answered; the next is told that it is gone."""
    running = RunningExchange(authority)
    with ExchangeClient(
        Profile.load(write_profile(tmp_path, authority, running.port))
    ) as client:
        client.spaces()
        running.stop()
        with pytest.raises(DeadlineError, match="which the next call tells"):
            client.spaces(deadline=0.5)
        with pytest.raises(UnavailableError) as caught:
            client.spaces(deadline=30)
    assert caught.value.reason == "SERVER_NOT_RUNNING"


def test_a_closed_client_says_that_it_is(profile: Profile):
    """Whatever goes wrong is an error of the family."""
    with ExchangeClient(profile) as client:
        pass
    with pytest.raises(PreconditionError) as caught:
        client.spaces()
    assert caught.value.reason == "CLIENT_CLOSED"


def test_a_server_of_a_foreign_authority_is_not_trusted(
    tmp_path: Path, running: RunningExchange
):
    """The client sends nothing to a server that its authority did not sign."""
    profile = Profile.load(write_profile(tmp_path, Authority("other"), running.port))
    with ExchangeClient(profile) as client, pytest.raises(ExchangeError) as caught:
        client.spaces()
    assert caught.value.reason == "SERVER_NOT_TRUSTED"
    assert "authority.pem" in caught.value.message


def test_a_server_of_another_name_is_not_trusted(
    tmp_path: Path, authority: Authority, running: RunningExchange
):
    """The certificate must be for the name in the profile."""
    path = write_profile(
        tmp_path, authority, running.port, server_name='"elsewhere.test"'
    )
    with (
        ExchangeClient(Profile.load(path)) as client,
        pytest.raises(ExchangeError) as caught,
    ):
        client.spaces()
    assert caught.value.reason == "SERVER_NAME_WRONG"


def test_an_expired_client_certificate_is_told_with_its_date(
    tmp_path: Path, authority: Authority, running: RunningExchange
):
    """The server only hangs up; the client says until when its own was valid."""
    path = write_profile(tmp_path, authority, running.port)
    until = LONG_AGO + dt.timedelta(days=1)
    certificate, key = authority.issue([member_name()], until)
    (tmp_path / "client.pem").write_bytes(certificate)
    (tmp_path / "client.key").write_bytes(key)
    with (
        ExchangeClient(Profile.load(path)) as client,
        pytest.raises(UnauthenticatedError, match="2020-01-02") as caught,
    ):
        client.spaces()
    assert caught.value.reason == "CERTIFICATE_EXPIRED"


def test_a_client_with_another_authoritys_certificate_is_told(
    tmp_path: Path, authority: Authority, running: RunningExchange
):
    """The server only hangs up; the client sees that its authority did not sign it."""
    path = write_profile(tmp_path, authority, running.port)
    certificate, key = Authority("foreign").issue([member_name()])
    (tmp_path / "client.pem").write_bytes(certificate)
    (tmp_path / "client.key").write_bytes(key)
    with (
        ExchangeClient(Profile.load(path)) as client,
        pytest.raises(UnavailableError, match=r"client\.pem") as caught,
    ):
        client.spaces()
    assert caught.value.reason == "CERTIFICATE_FOREIGN"


def test_a_client_of_a_foreign_authority_is_told(tmp_path: Path, authority: Authority):
    """A server that trusts another authority hangs up, and the client says why."""
    foreign = RunningExchange(authority, trusts=Authority("foreign").certificate)
    try:
        profile = Profile.load(write_profile(tmp_path, authority, foreign.port))
        with ExchangeClient(profile) as client, pytest.raises(ExchangeError) as caught:
            client.spaces()
    finally:
        foreign.stop()
    assert caught.value.reason in {"CERTIFICATE_REFUSED", "NOT_REACHED"}
    assert "client.pem" in caught.value.message


def test_a_name_may_be_taken_from_the_target(
    tmp_path: Path, authority: Authority, running: RunningExchange
):
    """Without `server_name` the certificate must be for the target's host."""
    path = write_profile(
        tmp_path,
        authority,
        running.port,
        server_name='""',
        target=f'"localhost:{running.port}"',
    )
    with ExchangeClient(Profile.load(path)) as client:
        assert client.spaces()[0].name == "faces-v1"
