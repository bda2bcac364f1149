"""gRPC's errors, turned back into the one family of `biometrics.errors`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # no stubs
from grpc_status import rpc_status

from biometrics import limits
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

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

    from biometrics.client.channel import Peers

DOMAIN: Final = "biometrics.exchange"
SERVER_NOT_RUNNING: Final = "SERVER_NOT_RUNNING"

# Every code that is not here is a defect on one side.
_ERRORS: Final[dict[grpc.StatusCode, type[ExchangeError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: RefusedError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExhaustedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: PreconditionError,
}

# What gRPC's text says of a connection that did not come about, and what that
# means. The first that occurs is taken.
_SIGNS: Final = (
    ("certificate_verify_failed", "SERVER_NOT_TRUSTED"),
    ("peer name", "SERVER_NAME_WRONG"),
    ("hostname verification", "SERVER_NAME_WRONG"),
    ("alert", "CERTIFICATE_REFUSED"),
    ("connection reset", "CERTIFICATE_REFUSED"),
    ("socket closed", "CERTIFICATE_REFUSED"),
    ("broken pipe", "CERTIFICATE_REFUSED"),
    ("connection refused", SERVER_NOT_RUNNING),
    ("name resolution", "TARGET_NOT_FOUND"),
    ("dns resolution", "TARGET_NOT_FOUND"),
    ("domain name not found", "TARGET_NOT_FOUND"),
)
# HTTP/2's REFUSED_STREAM (RFC 9113, section 8.7): nothing was done with the call.
_REFUSED_STREAM: Final = "rst_stream with error code 7"
# Those behind which a certificate may be that the server did not accept.
_SAID_OF_CERTIFICATES: Final = frozenset({"CERTIFICATE_REFUSED", "NOT_REACHED"})


def translate(error: grpc.RpcError, peers: Peers) -> ExchangeError:
    """Return what an RPC ended with, as an error of the family.

    Args:
        error: of a synchronous or an asynchronous call.
        peers: for the text where no connection came about.
    """
    call = cast("grpc.Call", error)
    code, text = call.code(), call.details() or ""
    told = _read_details(call)
    if told is None:
        return _bare(code, text, peers)
    return _ERRORS.get(code, DefectError)(
        told.reason or code.name,
        text,
        faults=told.faults,
        retry_after=told.retry_after,
    )


@dataclass(slots=True)
class _Details:
    """What the details of a status say, besides code and message."""

    reason: str = ""
    faults: list[Fault] = field(default_factory=list)
    retry_after: float | None = None


def _read_details(call: grpc.Call) -> _Details | None:
    """Return what a status says, or None where there is none to be trusted."""
    try:
        status = rpc_status.from_call(call)
        if status is None:
            return None
        told = _Details()
        for detail in status.details:
            _read_detail(detail, told)
    except (ValueError, DecodeError):
        # Details that contradict the code or do not parse: the code alone counts.
        return None
    return told


def _read_detail(detail: AnyMessage, told: _Details) -> None:
    """Add one detail; a kind that this version does not know adds nothing."""
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    request = error_details_pb2.BadRequest()
    state = error_details_pb2.PreconditionFailure()
    if detail.Unpack(info) and info.domain == DOMAIN:
        told.reason = info.reason
    elif detail.Unpack(retry):
        told.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    elif detail.Unpack(request):
        told.faults += [
            Fault(field=found.field, reason=found.reason, message=found.description)
            for found in request.field_violations
        ]
    elif detail.Unpack(state):
        told.faults += [
            Fault(field=found.subject, reason=found.type, message=found.description)
            for found in state.violations
        ]


def _bare(code: grpc.StatusCode, text: str, peers: Peers) -> ExchangeError:
    """Return the error of a call that the exchange itself did not answer."""
    target = peers.target
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unreached(text, peers)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = (
            f"`{target}` did not answer before the deadline: it is slow, is starting"
            " again, or is not there any more, which the next call tells; the request"
            " may have been carried out. Make it again: what is enrolled or withdrawn"
            " is recognised, and a request id that you gave returns the stored answer"
        )
        return DeadlineError("DEADLINE_EXCEEDED", message)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        message = (
            f"`{target}` does not know this call; it may be of an older version, or no"
            " exchange at all"
        )
        return PreconditionError("UNIMPLEMENTED", message)
    if code is grpc.StatusCode.CANCELLED:
        message = (
            f"`{target}` ended the call before it was done: it is stopping, or has too"
            " many calls on this connection; make this one again, and fewer at once"
        )
        return UnavailableError(
            "CANCELLED", message, retry_after=limits.BUSY_RETRY_SECONDS
        )
    told = f": {text}" if text else ""
    return _ERRORS.get(code, DefectError)(
        code.name, f"`{target}` ended the call with `{code.name}`{told}"
    )


def _unreached(text: str, peers: Peers) -> ExchangeError:
    """Return the error of a connection that did not come about, or broke."""
    lowered = text.lower()
    if _REFUSED_STREAM in lowered:
        return ExhaustedError(
            "TOO_MANY_CALLS",
            f"`{peers.target}` takes no more calls on this connection now; make fewer"
            " at once, and this one again",
            retry_after=limits.BUSY_RETRY_SECONDS,
        )
    reason = next((known for sign, known in _SIGNS if sign in lowered), "NOT_REACHED")
    if reason in _SAID_OF_CERTIFICATES and peers.valid_until <= dt.datetime.now(dt.UTC):
        return UnauthenticatedError(
            "CERTIFICATE_EXPIRED",
            f"the client certificate `{peers.certificate}` expired on"
            f" {peers.valid_until:%Y-%m-%d %H:%M} UTC; get a new one",
        )
    if reason == "CERTIFICATE_REFUSED" and not peers.is_of_authority:
        reason = "CERTIFICATE_FOREIGN"
    checks = {
        "SERVER_NOT_TRUSTED": "its certificate has expired or is not signed by"
        f" `{peers.authority}`: check `authority` in the profile, and the server",
        "SERVER_NAME_WRONG": "its certificate is for another name: check `target` and"
        " `server_name` in the profile",
        "CERTIFICATE_REFUSED": "the connection was closed: the server may have stopped,"
        f" or it does not accept the client certificate `{peers.certificate}` (valid"
        f" until {peers.valid_until:%Y-%m-%d %H:%M} UTC); check that it has not expired"
        " and that the exchange's authority signed it",
        # Likely and no more: an exchange may have one authority for itself and another
        # for its clients.
        "CERTIFICATE_FOREIGN": "the connection was closed: the server may have stopped,"
        f" or it does not accept the client certificate `{peers.certificate}`, which"
        f" `{peers.authority}` has not signed; check that it is of the authority that"
        " the exchange accepts",
        SERVER_NOT_RUNNING: "nothing listens there: check that the server is running"
        " and that `target` in the profile is right",
        "TARGET_NOT_FOUND": "there is no such host: check `target` in the profile",
        "NOT_REACHED": "check that the server is running, that `target` is right, that"
        f" `{peers.authority}` signed its certificate and that `{peers.certificate}`"
        f" (valid until {peers.valid_until:%Y-%m-%d %H:%M} UTC) has not expired",
    }
    return UnavailableError(reason, f"`{peers.target}` not reached: {checks[reason]}")
