"""One family of errors, with a kind and a reason for programs."""

import copy
import inspect

import grpc
import pytest

from biometrics import errors
from biometrics.errors import ExchangeError, Fault, InvalidRequestError, Kind

FAMILY = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, ExchangeError)
]


@pytest.mark.parametrize("family", FAMILY)
def test_every_error_keeps_what_the_caller_is_told(family: type[ExchangeError]):
    """Reason, message, faults and the time of a retry come back as given."""
    fault = Fault(field="a", reason="B", message="c")
    error = family("REASON", "a message", faults=[fault], retry_after=1.5)
    assert (error.reason, error.message, str(error)) == (
        "REASON",
        "a message",
        "a message",
    )
    assert error.faults == (fault,)
    assert error.retry_after == 1.5
    assert isinstance(error.kind, Kind)


@pytest.mark.parametrize("family", FAMILY)
def test_every_error_comes_over_from_another_process(family: type[ExchangeError]):
    """Whole, or whoever has asked a shard would not know that it is alive."""
    fault = Fault(field="a", reason="B", message="c")
    error = family("REASON", "a message", faults=[fault], retry_after=1.5)
    told = copy.copy(error)  # made anew from what would come over
    assert (type(told), str(told), vars(told)) == (family, str(error), vars(error))


def test_the_family_is_drawn_in_its_docstring():
    """No error is missing from the tree that readers are shown."""
    assert [each for each in FAMILY if each.__name__ not in errors.__doc__] == []


def test_kinds_are_the_canonical_codes():
    """Each kind has the number of its gRPC code; configuration has none."""
    numbers = {code.value[0] for code in grpc.StatusCode}
    for kind in Kind:
        assert (kind.value in numbers) == (kind is not Kind.CONFIGURATION)


def test_faults_can_be_seen_from_further_out():
    """A fault keeps its reason and message while its path grows."""
    fault = Fault(field="data", reason="NOT_FINITE", message="found NaN")
    outer = fault.under("templates[2]").under("record")
    assert outer == Fault(
        field="record.templates[2].data", reason="NOT_FINITE", message="found NaN"
    )
    whole = Fault(field="", reason="X", message="y")
    assert whole.under("record").field == "record"


def test_one_error_tells_all_faults():
    """The first fault gives the reason, and the message names every field."""
    faults = [
        Fault(field="space", reason="UNKNOWN_SPACE", message="is unknown"),
        Fault(field="data", reason="NOT_FINITE", message="has NaN"),
    ]
    error = InvalidRequestError.of(faults)
    assert error.reason == "UNKNOWN_SPACE"
    assert error.message == "space: is unknown; data: has NaN"
    assert error.faults == tuple(faults)
