"""Members are known by their codes."""

import pytest

from biometrics.errors import InvalidRequestError
from biometrics.members import BODIES, STATES, Member


def test_there_are_48_members():
    """45 states and territories and three UN bodies, each with its own code."""
    assert len(STATES) == 45
    assert len(BODIES) == 3
    assert not STATES & BODIES


@pytest.mark.parametrize("code", sorted(STATES | BODIES))
def test_every_code_of_the_region_is_a_member(code: str):
    """The code is kept and printed as it is."""
    assert Member(code).code == str(Member(code)) == code


@pytest.mark.parametrize("code", ["XAA", "XMM", "XZZ"])
def test_user_assigned_codes_are_members(code: str):
    """ISO 3166-1 leaves XAA to XZZ to its users."""
    assert Member(code).code == code


@pytest.mark.parametrize(
    "code",
    ["", "aus", "AU", "AUSS", "DEU", "XA", "XAAA", "X1A", "XAA\n", " XAA", "XÄA", "*"],
)
def test_other_codes_are_refused(code: str):
    """A code of no member is told as such, and at most 16 characters of it."""
    with pytest.raises(InvalidRequestError, match="no member code") as refused:
        Member(code)
    assert refused.value.reason == "UNKNOWN_MEMBER"


def test_long_nonsense_is_not_repeated():
    """A message does not grow with what is sent."""
    with pytest.raises(InvalidRequestError) as refused:
        Member("Q" * 10_000)
    assert len(refused.value.message) < 150


def test_members_are_values():
    """Equal codes are one member; members sort by code; none can be changed."""
    assert Member("XAA") == Member("XAA")
    assert len({Member("XAA"), Member("XAA"), Member("XBB")}) == 2
    assert sorted([Member("XBB"), Member("XAA")]) == [Member("XAA"), Member("XBB")]
    with pytest.raises(AttributeError):
        Member("XAA").code = "XBB"  # type: ignore[misc]  # what is tested
