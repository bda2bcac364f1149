"""An agreement counts with two signatures of its holder's signers, as it was signed."""

from __future__ import annotations

import hashlib

import pytest
from signing.signed import (
    FIRST,
    OTHER,
    PERMIT,
    SECOND,
    SIGNERS,
    STRANGER,
    THIRD,
    XAA,
    XBB,
    note,
    toml,
)

from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.signing import Note, SignedVersion, SigningKey, verify_version

DATA = toml(3, more=PERMIT)
BOTH = note(DATA, 3, (FIRST, SECOND))


def verify(
    data: bytes = DATA, signed: bytes | None = BOTH, holder: Member = XAA
) -> SignedVersion:
    """Return the version, if it is good."""
    return verify_version(
        data, signed, holder=holder, source=f"{holder}.toml", signers=SIGNERS
    )


def refused(
    data: bytes = DATA, signed: bytes | None = BOTH, holder: Member = XAA
) -> str:
    """Return the reason for which a version is refused."""
    with pytest.raises(ConfigurationError) as caught:
        verify(data, signed, holder)
    assert f"{holder}.toml" in caught.value.message
    return caught.value.reason


def test_two_listed_signers_make_a_version():
    """It says what the file says, who signed it, and keeps both as they were."""
    found = verify()
    assert (found.version.holder, found.version.revision) == (XAA, 3)
    assert [clause.source for clause in found.version.clauses] == ["XAA.toml:6"]
    assert [signer.name for signer in found.signers] == ["Ministry", "Parliament"]
    assert found.digest == hashlib.sha256(DATA).digest()
    assert (found.data, found.note) == (DATA, BOTH)


@pytest.mark.parametrize("keys", [(SECOND, FIRST), (THIRD, FIRST, SECOND)])
def test_the_order_of_signatures_does_not_matter(keys: tuple[SigningKey, ...]):
    """Nor does one more."""
    assert len(verify(signed=note(DATA, 3, keys)).signers) == len(keys)


def test_a_signature_of_nobody_listed_counts_for_nothing():
    """It takes nothing away either."""
    found = verify(signed=note(DATA, 3, (STRANGER, FIRST, OTHER, SECOND)))
    assert [signer.name for signer in found.signers] == ["Ministry", "Parliament"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ((FIRST,), "`Ministry`"),
        ((FIRST, FIRST), "`Ministry`"),
        ((FIRST, STRANGER), "`Ministry`"),
        ((FIRST, OTHER), "`Ministry`"),
        ((FIRST, SigningKey("exchange.test/new", FIRST._seed)), "`Ministry`"),
        ((STRANGER, OTHER), "nobody"),
    ],
)
def test_one_person_is_not_enough(keys: tuple[SigningKey, ...], told: str):
    """Signed once, twice by one, or by strangers and by signers of another holder."""
    signed = note(DATA, 3, keys)
    assert refused(signed=signed) == "TOO_FEW_SIGNATURES"
    with pytest.raises(ConfigurationError, match=f"is signed by {told} of those"):
        verify(signed=signed)


def test_what_is_not_signed_is_refused():
    """It says how it is signed."""
    assert refused(signed=None) == "UNSIGNED"
    assert refused(signed=b"") == "NOT_A_NOTE"
    with pytest.raises(ConfigurationError, match="agreements propose"):
        verify(signed=None)


def test_a_holder_without_signers_permits_nothing():
    """Whoever signed."""
    assert refused(holder=Member("XCC")) == "NO_SIGNERS"


def test_a_note_is_for_one_holder_and_one_revision():
    """What two signed of one file counts for no other."""
    assert refused(toml(4, more=PERMIT)) == "CHANGED_SINCE_SIGNED"
    assert refused(holder=XBB) == "TOO_FEW_SIGNATURES"
    for wrong in (note(DATA, 4, (FIRST, SECOND)), other_kind(), longer()):
        assert refused(signed=wrong) == "CHANGED_SINCE_SIGNED"


def other_kind() -> bytes:
    """Return a note of another kind that both signed, about the same file."""
    return resigned(Note.parse(BOTH).text.replace("agreement", "something", 1))


def longer() -> bytes:
    """Return a note that says more than it must."""
    return resigned("more\n" + Note.parse(BOTH).text)


def resigned(text: str) -> bytes:
    """Return a text that both signed."""
    return Note(text, (FIRST.sign(text), SECOND.sign(text))).data


def test_a_file_of_another_holder_is_refused_though_it_is_signed():
    """XAA's signers cannot give away what is XBB's, nor XBB's word for XAA's."""
    data = DATA.replace(b'holder = "XAA"', b'holder = "XBB"').replace(
        b'requester = "XBB"', b'requester = "XCC"'
    )
    assert refused(data, note(data, 3, (FIRST, SECOND))) == "WRONG_HOLDER"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("quota_per_day = 5\n", "UNKNOWN_KEY"),
        (PERMIT + 'fpir_class = "strict"\n', "UNKNOWN_KEY"),
        ("= 1\n", "INVALID_TOML"),
        (PERMIT.replace("visa", "tourism"), "INVALID_VALUE"),
    ],
)
def test_signatures_do_not_make_a_wrong_file_right(more: str, reason: str):
    """A word that nothing enforces is not accepted, whoever signs it."""
    data = toml(3, more=more)
    assert refused(data, note(data, 3, (FIRST, SECOND))) == reason


def test_a_file_that_is_not_text_is_refused():
    """Signed or not."""
    data = toml(3, more="# \xff").replace("\xff".encode(), b"\xff")
    assert refused(data, note(data, 3, (FIRST, SECOND))) == "NOT_UTF8"


def test_what_is_not_signed_is_not_read():
    """A file is parsed only once it is known who answers for it."""
    assert refused(b"= 1\n", note(b"= 1\n", 3, (FIRST,))) == "TOO_FEW_SIGNATURES"
    assert refused(b"= 1\n", BOTH) == "CHANGED_SINCE_SIGNED"


def test_one_byte_changed_in_the_file_is_found():
    """Wherever it is, and each of its bits."""
    for place in range(len(DATA)):
        changed = bytearray(DATA)
        changed[place] ^= 1 << place % 8
        assert refused(bytes(changed)) == "CHANGED_SINCE_SIGNED"
    assert refused(DATA + b"\n") == "CHANGED_SINCE_SIGNED"
    assert refused(DATA[:-1]) == "CHANGED_SINCE_SIGNED"


def test_one_byte_changed_in_the_note_is_found():
    """Every byte, set to each of several others; one taken away; one more."""
    for place, byte in enumerate(BOTH):
        for other in {byte ^ 1, byte ^ 2, byte ^ 4, byte ^ 32, byte ^ 128, 10, 32}:
            if other != byte:
                changed = bytearray(BOTH)
                changed[place] = other
                assert refused(signed=bytes(changed)), (place, other)
        assert refused(signed=BOTH[:place] + BOTH[place + 1 :]), place
        assert refused(signed=BOTH[:place] + b"a" + BOTH[place:]), place


def test_a_wrong_signature_of_a_listed_key_refuses_the_whole():
    """Though two others are good."""
    signed = Note.parse(note(DATA, 3, (FIRST, SECOND)))
    wrong = THIRD.sign("another text\n")
    data = Note(signed.text, (*signed.signatures, wrong)).data
    assert refused(signed=data) == "WRONG_SIGNATURE"
