"""Errors of the family become statuses of a bounded size, with one ErrorInfo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from biometrics import errors, limits
from biometrics.errors import ExchangeError, Fault, Kind
from biometrics.server.status import defect, is_told, status_of, unknown_method

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

KINDS = [
    errors.InvalidRequestError,
    errors.UnauthenticatedError,
    errors.RefusedError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.PreconditionError,
    errors.ExhaustedError,
    errors.DeadlineError,
    errors.UnavailableError,
    errors.StorageError,
    errors.GalleryLockedError,
]
SECRETS = [errors.DefectError, errors.SealError, errors.ConfigurationError]


def details(status: Status, kind: type[ExchangeError]):
    """Return the details of one kind."""
    found = []
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            detail = kind()
            packed.Unpack(detail)
            found.append(detail)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_code_reason_and_message_of_an_error_are_told(kind: type[ExchangeError]):
    """The canonical code, and one ErrorInfo with reason and domain."""
    status = status_of(kind("SOME_REASON", "what is wrong"))
    assert (status.code, status.message) == (kind.kind.value, "what is wrong")
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("SOME_REASON", "biometrics.exchange")
    assert is_told(kind("SOME_REASON", "what is wrong"))


@pytest.mark.parametrize("kind", SECRETS)
def test_defects_and_the_operators_files_are_not_told(kind: type[ExchangeError]):
    """What is ours to mend stays with us."""
    assert not is_told(kind("SOME_REASON", "what is wrong"))
    assert not is_told(ValueError("what is wrong"))


def test_every_kind_is_told_or_hidden_on_purpose():
    """A new kind of error is decided on before it crosses the wire."""
    known = {each.kind for each in [*KINDS, *SECRETS]}
    assert known == set(Kind)


def test_a_defect_is_told_by_its_incident_alone():
    """Code, reason and incident, and nothing of what broke."""
    status = defect("00ff")
    assert status.code == Kind.DEFECT.value
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, dict(info.metadata)) == ("DEFECT", {"incident": "00ff"})
    assert "00ff" in status.message


def test_an_unknown_method_is_told_with_the_canonical_code():
    """UNIMPLEMENTED is 12."""
    status = unknown_method()
    assert status.code == 12
    assert len(details(status, error_details_pb2.ErrorInfo)) == 1


def test_faults_become_field_violations_in_their_order():
    """Field, reason and message of each."""
    faults = [
        Fault(field=f"records[{i}].data", reason=f"R{i}", message=f"m{i}")
        for i in range(3)
    ]
    status = status_of(errors.InvalidRequestError.of(faults))
    (found,) = details(status, error_details_pb2.BadRequest)
    told = [(v.field, v.reason, v.description) for v in found.field_violations]
    assert told == [(f.field, f.reason, f.message) for f in faults]


def test_a_precondition_is_told_as_such():
    """With its faults, or itself where it has none."""
    fault = Fault(field="gallery", reason="LOADING", message="is being read")
    for given_faults, subject, kind in (
        ([fault], "gallery", "LOADING"),
        ([], "", "NOT_NOW"),
    ):
        error = errors.PreconditionError("NOT_NOW", "wait", faults=given_faults)
        (found,) = details(status_of(error), error_details_pb2.PreconditionFailure)
        (violation,) = found.violations
        assert (violation.subject, violation.type) == (subject, kind)


def test_the_time_to_wait_is_told():
    """Fractions of a second survive."""
    error = errors.ExhaustedError("BUSY", "wait", retry_after=1.5)
    (found,) = details(status_of(error), error_details_pb2.RetryInfo)
    assert found.retry_delay.ToTimedelta().total_seconds() == 1.5


def test_no_time_to_wait_is_no_detail():
    """Whoever gets no RetryInfo is not told to retry."""
    error = errors.ExhaustedError("BUSY", "wait")
    assert not details(status_of(error), error_details_pb2.RetryInfo)


def test_faults_that_do_not_fit_are_counted():
    """The first ones are kept, and the last entry says how many are missing."""
    faults = [
        Fault(field=f"records[{i}]", reason="BAD", message="x" * 200)
        for i in range(500)
    ]
    status = status_of(errors.InvalidRequestError.of(faults))
    (found,) = details(status, error_details_pb2.BadRequest)
    *kept, last = found.field_violations
    assert len(kept) > 1
    assert last.reason == "MORE_FAULTS"
    assert str(500 - len(kept)) in last.description


def test_a_long_message_is_cut_with_a_mark():
    """At the bound in bytes, never inside a character."""
    status = status_of(errors.RefusedError("NO", "ü" * limits.MAX_STATUS_MESSAGE_BYTES))
    assert len(status.message.encode()) <= limits.MAX_STATUS_MESSAGE_BYTES
    assert status.message.strip("ü") == "..."
    assert status.message.endswith("...")


texts = st.text(max_size=2000)
faults = st.builds(Fault, field=texts, reason=st.just("R"), message=texts)


@given(
    kind=st.sampled_from(KINDS),
    message=texts,
    found=st.lists(faults, max_size=30),
    retry=st.none() | st.floats(0, 1e6),
)
def test_no_error_grows_beyond_what_trailers_carry(
    kind: type[ExchangeError], message: str, found: list[Fault], retry: float | None
):
    """Whatever an error quotes, its status stays within the bound."""
    error: ExchangeError = kind("REASON", message, faults=found, retry_after=retry)
    assert status_of(error).ByteSize() <= limits.MAX_STATUS_BYTES


def test_lone_surrogates_are_told_as_question_marks():
    """Text that is no UTF-8 does not turn an error into another one."""
    assert status_of(errors.RefusedError("NO", "a\ud800b")).message == "a?b"
