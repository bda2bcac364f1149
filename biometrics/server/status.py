"""The one family of errors as `google.rpc.Status`; `biometrics.client` reads it back.

Each status carries exactly one `ErrorInfo` (domain `biometrics.exchange`), and where
they apply a `BadRequest`, a `PreconditionFailure` or a `RetryInfo` (AIP-193).

A defect of ours is told as `DEFECT` and an incident number, whatever it was: what
broke can depend on another member's records, and belongs into our log.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs

from biometrics import limits
from biometrics.errors import ExchangeError, Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

DOMAIN: Final = "biometrics.exchange"
PUSHBACK: Final = "grpc-retry-pushback-ms"
_NEVER_TOLD: Final = frozenset({Kind.DEFECT, Kind.CONFIGURATION})
_CUT: Final = "..."
# Of one fault's field and of its message; a fault is mostly far shorter.
_FAULT_TEXT_BYTES: Final = 256
# What surrounds the texts: tags, lengths and, once, the name of the detail's type.
_FAULT_BYTES: Final = 16
_ENVELOPE_BYTES: Final = 192


def is_told(error: BaseException) -> bool:
    """Say whether the caller is told what went wrong, rather than `DEFECT`."""
    return isinstance(error, ExchangeError) and error.kind not in _NEVER_TOLD


def status_of(error: ExchangeError) -> Status:
    """Return what the caller is told of an error for which `is_told` holds.

    The whole is at most `limits.MAX_STATUS_BYTES`: faults that do not fit are left
    out, and the last one kept says how many.
    """
    status = _status(error.kind.value, error.reason, error.message)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(dt.timedelta(seconds=error.retry_after))
        _add(status, error_details_pb2.RetryInfo(retry_delay=delay))
    room = limits.MAX_STATUS_BYTES - status.ByteSize() - _ENVELOPE_BYTES
    if error.kind is Kind.PRECONDITION:
        whole = Fault(field="", reason=error.reason, message=error.message)
        _add(status, _precondition_failure(_fitting(error.faults or [whole], room)))
    elif error.faults:
        _add(status, _bad_request(_fitting(error.faults, room)))
    return status


def pushback_of(error: Exception, share: float) -> int | None:
    """Return after how many milliseconds gRPC itself should try again.

    gRPC does not read a `RetryInfo`, but this (gRFC A6), in place of its own waits.

    Args:
        error: that the call ends with.
        share: from 0 to 1, drawn, of what is added so that not all come at once.

    Returns:
        None where gRPC may wait as it likes, -1 where it had better not try again: the
        caller would wait for longer than it may think.
    """
    if not isinstance(error, ExchangeError) or error.retry_after is None:
        return None
    if error.retry_after > limits.CLIENT_MOST_WAIT_SECONDS:
        return -1
    return round(1000 * error.retry_after * (1 + share * limits.BUSY_RETRY_SPREAD))


def defect(incident: str) -> Status:
    """Return what the caller is told of a defect.

    Args:
        incident: under which the server's log has the rest.
    """
    return _status(
        Kind.DEFECT.value,
        "DEFECT",
        "a defect of the exchange; nothing can be said about the request. Tell its"
        f" operator the incident `{incident}`",
        {"incident": incident},
    )


def unknown_method() -> Status:
    """Return what the caller is told of a method that is not served."""
    return _status(12, "UNKNOWN_METHOD", "this exchange serves no such method")


def _status(
    code: int, reason: str, message: str, metadata: dict[str, str] | None = None
) -> Status:
    """Return a status with its one ErrorInfo."""
    status = Status(
        code=code, message=_bounded(message, limits.MAX_STATUS_MESSAGE_BYTES)
    )
    info = error_details_pb2.ErrorInfo(domain=DOMAIN, reason=reason, metadata=metadata)
    _add(status, info)
    return status


def _add(status: Status, detail: Message) -> None:
    """Append a detail."""
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)


def _bad_request(faults: Sequence[Fault]) -> Message:
    """Return the detail of a request that is wrong."""
    detail: Message = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=fault.field, reason=fault.reason, description=fault.message
            )
            for fault in faults
        ]
    )
    return detail


def _precondition_failure(faults: Sequence[Fault]) -> Message:
    """Return the detail of a state in which something cannot be done."""
    detail: Message = error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(
                subject=fault.field, type=fault.reason, description=fault.message
            )
            for fault in faults
        ]
    )
    return detail


def _fitting(faults: Sequence[Fault], room: int) -> list[Fault]:
    """Return the first faults, bounded, that fit into `room` bytes."""
    kept: list[Fault] = []
    for fault in faults:
        bounded = Fault(
            field=_bounded(fault.field, _FAULT_TEXT_BYTES),
            reason=fault.reason,
            message=_bounded(fault.message, _FAULT_TEXT_BYTES),
        )
        texts = (bounded.field, bounded.reason, bounded.message)
        room -= sum(len(text.encode()) for text in texts) + _FAULT_BYTES
        if room < 0:
            left = f"{len(faults) - len(kept)} more; mend these first"
            return [*kept, Fault(field="", reason="MORE_FAULTS", message=left)]
        kept.append(bounded)
    return kept


def _bounded(text: str, most: int) -> str:
    """Return the text in at most `most` bytes of UTF-8, marked where it was cut."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return data.decode()
    return data[: most - len(_CUT)].decode(errors="ignore") + _CUT
