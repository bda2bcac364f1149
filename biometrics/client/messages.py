"""Requests that have effects, or in which something can be seen to be wrong.

What is wrong is refused here, without asking the exchange, with the same error and the
same field names as by it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from biometrics import limits
from biometrics.client.contents import (
    member_codes,
    number_given,
    probe_message,
    write_record,
    write_template,
)
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

    from biometrics.client.inputs import Chunk, Probe, Record, Template

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


class Written(NamedTuple):
    """A request as it is sent.

    Attributes:
        request_id: that it has.
        body: its bytes; to count them takes as long as to write them.
    """

    request_id: str
    body: bytes

    def __repr__(self) -> str:
        """Return nothing of what it contains."""
        return f"Written({self.request_id!r})"


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
        return _sound(message, [*self._identify(given, message), *faults])

    def _identify(self, given: RequestId, message: _Asked) -> list[Fault]:
        """Give a request its id; return what is wrong with the one given."""
        if given is None:
            made = uuid.UUID(bytes=self._random_bytes(16), version=_UUID4)
            message.request_id = str(made)
            return []
        try:
            message.request_id = str(uuid.UUID(str(given)))
        except ValueError:
            told = "must be a UUID, or left out for a random one"
            return [
                Fault(field="request_id", reason="REQUEST_ID_REQUIRED", message=told)
            ]
        return []

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
            purpose=number_given(match_pb2.Purpose, purpose, "purpose", faults),
            probe=probe_message(probe, "probe", faults),
            holders=member_codes(holders, "holders", faults),
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
            purpose=number_given(match_pb2.Purpose, purpose, "purpose", faults),
            probes=[
                probe_message(probe, f"probes[{index}]", faults)
                for index, probe in enumerate(probes)
            ],
            holders=member_codes(holders, "holders", faults),
        )
        return self.under(given, message, faults)

    def enrol(self, record: Record, given: RequestId) -> enrolment_pb2.EnrolRequest:
        """Return the enrolment of one record.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        message = enrolment_pb2.EnrolRequest()
        faults = write_record(record, message.record)
        return self.under(given, message, [each.under("record") for each in faults])

    def chunk(self, chunk: Chunk) -> Written:
        """Return the enrolment of one chunk, written once for however often it is sent.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        message = enrolment_pb2.BulkEnrolRequest()
        faults = [
            fault.under(f"records[{index}]")
            for index, record in enumerate(chunk.records)
            for fault in write_record(record, message.records.add())
        ]
        _check([*self._identify(chunk.request_id, message), *faults])
        written = Written(message.request_id, message.SerializeToString())
        _check_size(len(written.body))
        return written

    def plant(
        self, count: int, space: str, position: str, given: RequestId
    ) -> enrolment_pb2.PlantCanariesRequest:
        """Return the planting of canaries.

        Raises:
            InvalidRequestError: with every fault that can be seen from here.
        """
        faults: list[Fault] = []
        message = enrolment_pb2.PlantCanariesRequest(
            space=space,
            position=number_given(template_pb2.Position, position, "position", faults),
        )
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
        message = enrolment_pb2.ReplaceRequest(
            reference=reference, accept_lower_quality=accept_lower_quality
        )
        own = write_template(template, message.template)
        faults = [fault.under("template") for fault in own]
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
        message = followup_pb2.RefuseFollowUpRequest(
            follow_up_id=follow_up_id,
            refusal=number_given(followup_pb2.Refusal, refusal, "refusal", faults),
        )
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
    message = agreement_pb2.ExplainAgreementRequest(
        holder=holder,
        requester=requester,
        modality=number_given(template_pb2.Modality, modality, "modality", faults),
        purpose=number_given(match_pb2.Purpose, purpose, "purpose", faults),
    )
    return _sound(message, faults)


def _sound(message: SizedT, faults: Sequence[Fault]) -> SizedT:
    """Return the message if it has no fault and is not too large to be sent."""
    _check(faults)
    _check_size(message.ByteSize())
    return message


def _check(faults: Sequence[Fault]) -> None:
    """Refuse a request that has faults."""
    if faults:
        raise InvalidRequestError.of(faults)


def _check_size(size: int) -> None:
    """Refuse a request that is too large to be sent."""
    most = limits.MAX_MESSAGE_BYTES - limits.SEALING_BYTES
    if size > most:
        raise InvalidRequestError(
            "MESSAGE_TOO_LARGE",
            f"the request has {size} bytes where {most} are"
            " allowed; send fewer probes or records at once",
        )
