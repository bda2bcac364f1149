"""The list of signers is read strictly: two persons or offices stand behind each."""

from __future__ import annotations

import hashlib

import pytest
from signing.signed import FIRST, LIST, OTHER, SECOND, SIGNERS, XAA, XBB, key, table

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.signing import SigningKey, parse_signers

HEAD = "version = 1\n"
MINISTRY = table(XAA, "Ministry", FIRST)


def test_the_list_says_who_signs_for_whom():
    """In its order, and nobody for a holder that is not there."""
    assert [(s.name, s.key) for s in SIGNERS.of(XBB)] == [
        ("Ministry", OTHER.verifier),
        ("Parliament", key("XBB/second").verifier),
    ]
    assert SIGNERS.of(Member("XCC")) == ()
    assert SIGNERS.holders == {XAA, XBB}


def test_the_fingerprint_is_of_the_file():
    """Whoever has the same file has the same fingerprint."""
    assert SIGNERS.fingerprint == hashlib.sha256(LIST.encode()).hexdigest()


def test_a_list_of_nobody_is_valid():
    """Nothing can be signed by it."""
    assert parse_signers(HEAD.encode(), "signers.toml").of(XAA) == ()


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (MINISTRY, ["WRONG_COUNT"]),
        (
            "".join(table(XAA, f"n{i}", key(str(i))) for i in range(17)),
            ["WRONG_COUNT"],
        ),
        (MINISTRY + table(XAA, "Court", FIRST), ["REPEATED_KEY"]),
        (
            MINISTRY + table(XAA, "Court", SigningKey("other", FIRST._seed)),
            ["REPEATED_KEY"],
        ),
        (
            MINISTRY
            + table(XAA, "Court", SECOND)
            + table(XBB, "Ministry", FIRST)
            + table(XBB, "Court", OTHER),
            ["REPEATED_KEY"],
        ),
        (MINISTRY + table(XAA, "MINISTRY", SECOND), ["REPEATED_SIGNER"]),
        (MINISTRY.replace(FIRST.verifier.text, FIRST.text), ["NOT_A_KEY"]),
        (MINISTRY.replace('holder = "XAA"', 'holder = "ZZZ"'), ["UNKNOWN_MEMBER"]),
        (MINISTRY.replace('"Ministry"', '" "'), ["EMPTY_TEXT"]),
        (MINISTRY + "colour = 1\n", ["UNKNOWN_KEY"]),
        ("[[holder]]\n", ["UNKNOWN_KEY"]),
    ],
)
def test_what_is_no_list_is_refused(text: str, reasons: list[str]):
    """With every fault and its place."""
    with pytest.raises(ConfigurationError) as refused:
        parse_signers((HEAD + text).encode(), "signers.toml")
    assert [fault.reason for fault in refused.value.faults] == reasons
    assert all("signers.toml" in fault.field for fault in refused.value.faults)
    assert FIRST.text not in refused.value.message


def test_the_bounds_are_those_of_the_limits():
    """Two are needed, and sixteen are enough."""
    assert limits.SIGNATURES_REQUIRED == 2
    text = "".join(table(XAA, f"n{i}", key(str(i))) for i in range(16))
    assert len(parse_signers((HEAD + text).encode(), "s").of(XAA)) == 16
