"""Building requests and reading responses; both clients use it.

What can be seen to be wrong without asking the exchange is refused here with the
same error and the same field names.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np

from biometrics import limits
from biometrics.client.inputs import Probe
from biometrics.client.words import number_of
from biometrics.errors import Fault, InvalidRequestError
from biometrics.v1 import (
    agreement_pb2,
    enrolment_pb2,
    followup_pb2,
    match_pb2,
    review_pb2,
    template_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from biometrics.client.inputs import Chunk, Record, Template

RequestId = uuid.UUID | str | None


class _Sized(Protocol):
    """A message, of which is asked how large it is."""

    def ByteSize(self) -> int:  # noqa: N802 - named by protobuf
        """Return how many bytes are sent."""


class _Asked(_Sized, Protocol):
    """A request that has effects."""

    request_id: str


SizedT = TypeVar("SizedT", bound=_Sized)
AskedT = TypeVar("AskedT", bound=_Asked)

_UUID4: Final = 4
_SINGLE: Final = np.dtype("<f4")


class RequestMaker:
    """Makes the requests that have effects, each under its request id.

    Those in which nothing can be wrong that is seen from here are put under it as they
    are.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Take random request ids from `random_bytes`."""
        self._random_bytes = random_bytes

    def under(
        self, given: RequestId, message: AskedT, faults: Sequence[Fault] = ()
    ) -> AskedT:
        """Put a request under its id, and return it if it can be sent.

        Args:
            given: its id; None for a random one.
            message: the request.
            faults: what is wrong with it.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        if given is None:
            made = uuid.UUID(bytes=self._random_bytes(16), version=_UUID4)
            message.request_id = str(made)
            return _sound(message, faults)
        try:
            message.request_id = str(uuid.UUID(str(given)))
        except ValueError:
            told = "must be a UUID, or left out for a random one"
            wrong = Fault(
                field="request_id", reason="REQUEST_ID_REQUIRED", message=told
            )
            faults = [wrong, *faults]
        return _sound(message, faults)

    def match(
        self,
        probe: Template | Probe,
        purpose: str,
        holders: Sequence[str],
        given: RequestId,
    ) -> match_pb2.MatchRequest:
        """Return a search for one person.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = match_pb2.MatchRequest(
            purpose=_purpose(purpose, faults),
            probe=_probe(probe, "probe", faults),
            holders=_codes(holders, "holders", faults),
        )
        return self.under(given, message, faults)

    def batch(
        self,
        probes: Sequence[Template | Probe],
        purpose: str,
        holders: Sequence[str],
        given: RequestId,
    ) -> match_pb2.BatchMatchRequest:
        """Return a search for several persons.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = match_pb2.BatchMatchRequest(
            purpose=_purpose(purpose, faults),
            probes=[
                _probe(probe, f"probes[{index}]", faults)
                for index, probe in enumerate(probes)
            ],
            holders=_codes(holders, "holders", faults),
        )
        return self.under(given, message, faults)

    def enrol(self, record: Record, given: RequestId) -> enrolment_pb2.EnrolRequest:
        """Return the enrolment of one record.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = enrolment_pb2.EnrolRequest(
            record=_record(record, "record", faults),
        )
        return self.under(given, message, faults)

    def chunk(self, chunk: Chunk) -> enrolment_pb2.BulkEnrolRequest:
        """Return the enrolment of one chunk.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = enrolment_pb2.BulkEnrolRequest(
            records=[
                _record(record, f"records[{index}]", faults)
                for index, record in enumerate(chunk.records)
            ],
        )
        return self.under(chunk.request_id, message, faults)

    def plant(
        self, count: int, space: str, position: str, given: RequestId
    ) -> enrolment_pb2.PlantCanariesRequest:
        """Return the planting of canaries.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = enrolment_pb2.PlantCanariesRequest(space=space)
        try:
            message.position = number_of(template_pb2.Position, position, "position")
        except InvalidRequestError as error:
            faults.extend(error.faults)
        most = limits.MAX_CANARIES_PLANTED
        if 1 <= count <= most:
            message.count = count
        else:
            told = f"`{count}` must be 1 to {most}"
            faults.append(Fault(field="count", reason="WRONG_COUNT", message=told))
        return self.under(given, message, faults)

    def replace(
        self,
        reference: str,
        template: Template,
        given: RequestId,
        *,
        sample: int | None,
        accept_lower_quality: bool,
    ) -> enrolment_pb2.ReplaceRequest:
        """Return the replacement of one template.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = enrolment_pb2.ReplaceRequest(
            reference=reference,
            template=_template(template, "template", faults),
            accept_lower_quality=accept_lower_quality,
        )
        if sample is not None:
            if 0 <= sample < limits.MAX_TEMPLATES_PER_RECORD:
                message.sample = sample
            else:
                told = f"must be 0 to {limits.MAX_TEMPLATES_PER_RECORD - 1}"
                faults.append(
                    Fault(field="sample", reason="WRONG_SAMPLE", message=told)
                )
        return self.under(given, message, faults)

    def refuse_follow_up(
        self, follow_up_id: str, refusal: str, given: RequestId
    ) -> followup_pb2.RefuseFollowUpRequest:
        """Return the refusal of a follow-up.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = followup_pb2.RefuseFollowUpRequest(follow_up_id=follow_up_id)
        try:
            message.refusal = number_of(followup_pb2.Refusal, refusal, "refusal")
        except InvalidRequestError as error:
            faults.extend(error.faults)
        return self.under(given, message, faults)


def decide_review_request(case: str, verdict: str) -> review_pb2.DecideReviewRequest:
    """Return the request to say what one's side thinks of a freeze.

    Raises:
        InvalidRequestError: there is no such verdict.
    """
    number = number_of(review_pb2.Verdict, verdict, "verdict")
    return review_pb2.DecideReviewRequest(case_id=case, verdict=number)


def explain_request(
    holder: str, requester: str, purpose: str, modality: str
) -> agreement_pb2.ExplainAgreementRequest:
    """Return the question whether one search is permitted.

    Raises:
        InvalidRequestError: with every fault that can be seen from here.
    """
    faults: list[Fault] = []
    number = template_pb2.MODALITY_UNSPECIFIED
    try:
        number = number_of(template_pb2.Modality, modality, "modality")
    except InvalidRequestError as error:
        faults.extend(error.faults)
    message = agreement_pb2.ExplainAgreementRequest(
        holder=holder,
        requester=requester,
        purpose=_purpose(purpose, faults),
        modality=number,
    )
    return _sound(message, faults)


def vector_bytes(vector: ArrayLike) -> bytes:
    """Return a vector as little-endian float32.

    Args:
        vector: one-dimensional, of any floating-point type.

    Raises:
        InvalidRequestError: it is none. Whether it has the space's dimension and
            is finite is for the exchange to say.
    """
    array = np.asarray(vector)
    if array.dtype.kind != "f":
        reason, message = (
            "WRONG_DTYPE",
            f"a vector is of floating-point numbers, not of `{array.dtype}`",
        )
    elif array.ndim != 1:
        reason, message = (
            "WRONG_SHAPE",
            f"a vector has one dimension, not the shape `{array.shape}`; pass one row",
        )
    else:
        if array.dtype == _SINGLE:
            return array.tobytes()
        # A float64 beyond float32 becomes infinite, which the exchange refuses.
        with np.errstate(over="ignore"):
            return array.astype(_SINGLE).tobytes()
    raise InvalidRequestError.of([Fault(field="data", reason=reason, message=message)])


def _purpose(purpose: str, faults: list[Fault]) -> match_pb2.Purpose.ValueType:
    """Return the number of a purpose; append the fault of one that is none."""
    try:
        return number_of(match_pb2.Purpose, purpose, "purpose")
    except InvalidRequestError as error:
        faults.extend(error.faults)
        return match_pb2.PURPOSE_UNSPECIFIED


def _codes(codes: Sequence[str], where: str, faults: list[Fault]) -> Sequence[str]:
    """Return member codes; append the fault of one that is taken for several."""
    if not isinstance(codes, str):
        return codes
    told = f'must be several codes, such as `("{codes[:3]}",)`; this is one text'
    faults.append(Fault(field=where, reason="NOT_A_LIST", message=told))
    return ()


def _probe(given: Template | Probe, where: str, faults: list[Fault]) -> match_pb2.Probe:
    """Return a probe; append what is wrong with it."""
    probe = given if isinstance(given, Probe) else Probe(template=given)
    message = match_pb2.Probe(
        templates=[
            _template(template, f"{where}.templates[{index}]", faults)
            for index, template in enumerate((probe.template, *probe.further))
        ],
        excluded_holders=_codes(
            probe.excluded_holders, f"{where}.excluded_holders", faults
        ),
    )
    for index, word in enumerate(probe.fallback_positions):
        field = f"{where}.fallback_positions[{index}]"
        try:
            number = number_of(template_pb2.Position, word, field)
        except InvalidRequestError as error:
            faults.extend(error.faults)
        else:
            message.fallback_positions.append(number)
    return message


def _record(record: Record, where: str, faults: list[Fault]) -> enrolment_pb2.Record:
    """Return a record's message; append what is wrong with it."""
    message = enrolment_pb2.Record(
        reference=record.reference,
        templates=[
            _template(template, f"{where}.templates[{index}]", faults)
            for index, template in enumerate(record.templates)
        ],
        excluded_requesters=_codes(
            record.excluded, f"{where}.excluded_requesters", faults
        ),
        legal_basis=record.legal_basis,
    )
    if record.expires_at is not None:
        if record.expires_at.tzinfo is None:
            faults.append(
                Fault(
                    field=f"{where}.expire_time",
                    reason="NO_TIME_ZONE",
                    message="the moment has no time zone; give one, such as UTC",
                )
            )
        else:
            message.expire_time.FromDatetime(record.expires_at)
    return message


def _template(
    template: Template, where: str, faults: list[Fault]
) -> template_pb2.Template:
    """Return a template's message; append what is wrong with it."""
    message = template_pb2.Template(
        space=template.space, data_type=template_pb2.DATA_TYPE_FLOAT32
    )
    try:
        message.position = number_of(
            template_pb2.Position, template.position, "position"
        )
    except InvalidRequestError as error:
        faults.extend(fault.under(where) for fault in error.faults)
    try:
        message.data = vector_bytes(template.vector)
    except InvalidRequestError as error:
        faults.extend(fault.under(where) for fault in error.faults)
    if template.quality is not None:
        if 0 <= template.quality <= limits.MAX_QUALITY:
            message.quality = template.quality
        else:
            faults.append(
                Fault(
                    field=f"{where}.quality",
                    reason="WRONG_QUALITY",
                    message=f"must be 0 to {limits.MAX_QUALITY}, or left out",
                )
            )
    return message


def _sound(message: SizedT, faults: Sequence[Fault]) -> SizedT:
    """Return the message if it has no fault and is not too large to be sent."""
    if faults:
        raise InvalidRequestError.of(faults)
    size = message.ByteSize()
    most = limits.MAX_MESSAGE_BYTES - limits.SEALING_BYTES
    if size > most:
        raise InvalidRequestError(
            "MESSAGE_TOO_LARGE",
            f"the request has {size} bytes where {most} are"
            " allowed; send fewer probes or records at once",
        )
    return message
