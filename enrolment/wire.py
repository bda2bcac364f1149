"""Enrolment messages to values and back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.callers import acting_as
from biometrics.clock import UTC
from biometrics.errors import ExchangeError, Fault, InvalidRequestError
from biometrics.templates import Position
from biometrics.v1 import enrolment_pb2 as v1
from biometrics.v1 import template_pb2
from biometrics.wire import (
    caught,
    content_of,
    read_members,
    read_request_id,
    read_template,
    read_templates,
    read_word,
    write_word,
)
from enrolment.admission import (
    Record,
    count_faults,
    deliberate_faults,
    life_faults,
    reference_faults,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from biometrics.members import Member
    from biometrics.templates import Template, TemplateSpace, TemplateSpaces


@dataclass(frozen=True, slots=True)
class Asked:
    """What tells a replay from another request, known before the rest is read."""

    holder: Member
    request_id: bytes
    content: bytes


def read_asked(message: v1.EnrolRequest | v1.BulkEnrolRequest) -> Asked:
    """Return what may have been asked before.

    Raises:
        InvalidRequestError: it cannot have been, under no request id.
    """
    holder = acting_as(message.holder)
    return Asked(holder, read_request_id(message.request_id), content_of(message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolling:
    """A request to enrol, parsed.

    Attributes:
        holder: who enrols; from the certificate.
        request_id: 16 bytes of its UUID.
        count: how many records, one or more.
        read: reads some of them, or why they are refused.
    """

    holder: Member
    request_id: bytes
    count: int
    read: Callable[[slice], list[Record | InvalidRequestError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawing:
    """A request to withdraw, parsed."""

    holder: Member
    request_id: bytes
    content: bytes
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacing:
    """A request to replace a template, parsed.

    Attributes:
        holder: whose record it is; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request as it came, to tell a replay from another request.
        reference: that the record was enrolled under.
        template: the new one.
        sample: ordinal in the record of the old one; None where it is the only one.
        accept_lower_quality: whether the new one may be worse.
    """

    holder: Member
    request_id: bytes
    content: bytes
    reference: str
    template: Template
    sample: int | None
    accept_lower_quality: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Protecting:
    """A request to protect, parsed.

    Attributes:
        holder: whose record it is; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request as it came, to tell a replay from another request.
        reference: that the record was enrolled under.
        excluded: members that must never learn of the record; all of them.
    """

    holder: Member
    request_id: bytes
    content: bytes
    reference: str
    excluded: frozenset[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """A request to plant canaries, parsed.

    Attributes:
        holder: whose they are to be; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request as it came, to tell a replay from another request.
        space: in which.
        position: at which; one that the space has.
        count: how many, one or more.
    """

    holder: Member
    request_id: bytes
    content: bytes
    space: TemplateSpace
    position: Position
    count: int


def read_enrol(
    message: v1.EnrolRequest, spaces: TemplateSpaces, now: dt.datetime
) -> Enrolling:
    """Return what an EnrolRequest asks; its record is admitted or raises."""
    holder = acting_as(message.holder)
    faults: list[Fault] = []
    request_id = b""
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    record = read_record(message.record, spaces, now)
    if isinstance(record, InvalidRequestError):
        faults += [fault.under("record") for fault in record.faults]
    if faults:
        raise InvalidRequestError.of(faults)
    return Enrolling(
        holder=holder,
        request_id=request_id,
        count=1,
        read=lambda _: [record],
    )


def read_chunk(
    message: v1.BulkEnrolRequest, spaces: TemplateSpaces, now: dt.datetime
) -> Enrolling:
    """Return what one chunk asks; a refused record does not stop the others.

    Its records are read when they are asked for.
    """
    holder = acting_as(message.holder)
    faults: list[Fault] = []
    request_id = b""
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    most = limits.MAX_RECORDS_PER_CHUNK
    if not 1 <= len(message.records) <= most:
        told = f"{len(message.records)} records; a chunk has 1 to {most}"
        faults.append(Fault(field="records", reason="WRONG_COUNT", message=told))
    if faults:
        raise InvalidRequestError.of(faults)
    return Enrolling(
        holder=holder,
        request_id=request_id,
        count=len(message.records),
        read=lambda part: read_records(message.records[part], spaces, now),
    )


def read_record(
    message: v1.Record, spaces: TemplateSpaces, now: dt.datetime
) -> Record | InvalidRequestError:
    """Return the record, or one error with all that is wrong with it."""
    (record,) = read_records([message], spaces, now)
    return record


def read_records(
    messages: Sequence[v1.Record], spaces: TemplateSpaces, now: dt.datetime
) -> list[Record | InvalidRequestError]:
    """Return the records, each or one error with all that is wrong with it."""
    # A count over the bound is refused without reading what exceeds it.
    most = limits.MAX_TEMPLATES_PER_RECORD
    parts = [message.templates[:most] for message in messages]
    read = iter(read_templates(chain.from_iterable(parts), spaces, enrolled=True))
    return [
        _record(message, list(islice(read, len(part))), now)
        for message, part in zip(messages, parts, strict=True)
    ]


def _record(
    message: v1.Record,
    read: Sequence[Template | InvalidRequestError],
    now: dt.datetime,
) -> Record | InvalidRequestError:
    """Return a record whose templates are read, or all that is wrong with it."""
    faults = reference_faults(message.reference) + count_faults(len(message.templates))
    templates: list[Template] = []
    for index, template in enumerate(read):
        if isinstance(template, InvalidRequestError):
            field = f"templates[{index}]"
            faults += [fault.under(field) for fault in template.faults]
        else:
            templates.append(template)
    excluded = read_members(
        message.excluded_requesters,
        limits.MAX_EXCLUDED_REQUESTERS,
        "excluded_requesters",
        faults,
    )
    expires_at = None
    if message.HasField("expire_time"):
        with caught(faults, "expire_time"):
            expires_at = read_moment(message.expire_time)
    faults += life_faults(
        legal_basis=message.legal_basis, expires_at=expires_at, now=now
    )
    if faults:
        return InvalidRequestError.of(faults)
    return Record(
        message.reference,
        tuple(templates),
        excluded,
        message.legal_basis,
        expires_at,
        content_of(message),
    )


def read_withdraw(message: v1.WithdrawRequest) -> Withdrawing:
    """Return what a WithdrawRequest asks."""
    holder = acting_as(message.holder)
    faults = reference_faults(message.reference)
    request_id = b""
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    if faults:
        raise InvalidRequestError.of(faults)
    return Withdrawing(
        holder=holder,
        request_id=request_id,
        content=content_of(message),
        reference=message.reference,
    )


def read_replace(message: v1.ReplaceRequest, spaces: TemplateSpaces) -> Replacing:
    """Return what a ReplaceRequest asks."""
    holder = acting_as(message.holder)
    faults = reference_faults(message.reference)
    request_id, template = b"", None
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    with caught(faults, "template"):
        template = read_template(message.template, spaces, enrolled=True)
    if faults or template is None:
        raise InvalidRequestError.of(faults)
    return Replacing(
        holder=holder,
        request_id=request_id,
        content=content_of(message),
        reference=message.reference,
        template=template,
        sample=message.sample if message.HasField("sample") else None,
        accept_lower_quality=message.accept_lower_quality,
    )


def read_plant(message: v1.PlantCanariesRequest, spaces: TemplateSpaces) -> Planting:
    """Return what a PlantCanariesRequest asks."""
    holder = acting_as(message.holder)
    faults: list[Fault] = []
    request_id, space, position = b"", None, None
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    with caught(faults, ""):
        space = spaces.named(message.space)
    with caught(faults, ""):
        position = read_word(
            Position, template_pb2.Position, message.position, "position"
        )
    if space and position and position not in space.positions:
        told = f"`{space.name}` has no `{position}`"
        faults.append(Fault(field="position", reason="WRONG_POSITION", message=told))
    most = limits.MAX_CANARIES_PLANTED
    if not 1 <= message.count <= most:
        told = f"`{message.count}` must be 1 to {most}"
        faults.append(Fault(field="count", reason="WRONG_COUNT", message=told))
    if faults or space is None or position is None:
        raise InvalidRequestError.of(faults)
    return Planting(
        holder=holder,
        request_id=request_id,
        content=content_of(message),
        space=space,
        position=position,
        count=message.count,
    )


def read_protect(message: v1.ProtectRequest) -> Protecting:
    """Return what a ProtectRequest asks."""
    holder = acting_as(message.holder)
    faults = reference_faults(message.reference)
    request_id = b""
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    excluded = read_members(
        message.excluded_requesters,
        limits.MAX_EXCLUDED_REQUESTERS,
        "excluded_requesters",
        faults,
    )
    faults += deliberate_faults(
        excluded=len(message.excluded_requesters), nobody=message.exclude_nobody
    )
    if faults:
        raise InvalidRequestError.of(faults)
    return Protecting(
        holder=holder,
        request_id=request_id,
        content=content_of(message),
        reference=message.reference,
        excluded=excluded,
    )


def read_moment(message: Timestamp) -> dt.datetime:
    """Return the moment of a timestamp."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        told = "is no moment between the years 1 and 9999"
        fault = Fault(field="", reason="WRONG_TIME", message=told)
        raise InvalidRequestError.of([fault]) from error


def write_faults(error: ExchangeError) -> v1.RecordOutcome:
    """Return the outcome of a refused record."""
    faults = list(error.faults[: limits.MAX_FAULTS_TOLD])
    if more := len(error.faults) - len(faults):
        told = f"{more} more faults; mend those above and send it again"
        faults.append(Fault(field="", reason="MORE_FAULTS", message=told))
    return v1.RecordOutcome(
        outcome=v1.ENROL_OUTCOME_REFUSED,
        faults=[
            v1.Fault(field=f.field, reason=f.reason, message=f.message) for f in faults
        ],
    )


def write_position(position: str) -> template_pb2.Position.ValueType:
    """Return the number of a stored position."""
    number = write_word(template_pb2.Position, Position(position))
    return template_pb2.Position.ValueType(number)
