"""Signed notes are read strictly, and written in one way."""

from __future__ import annotations

import base64

import pytest
from signing.signed import FIRST, SECOND, key

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.signing import Note, Signature, SigningKey, VerifierKey

# Made by golang.org/x/mod/sumdb/note, whose documentation prints these.
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n\N{EM DASH} PeterNeumann"
    " x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
    "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
TEXT = "one\n\nthree\n"
NOTE = Note(TEXT, (FIRST.sign(TEXT), SECOND.sign(TEXT)))


def test_a_note_of_another_program_is_verified():
    """What the format's first implementation signed has been signed for us too."""
    verifier = VerifierKey.parse(GO_VERIFIER)
    note = Note.parse(GO_NOTE)
    (signature,) = note.signatures
    assert verifier.text == GO_VERIFIER
    assert (signature.name, signature.key_id) == (verifier.name, verifier.key_id)
    assert verifier.has_signed(note.text, signature)
    assert not verifier.has_signed(note.text + "more\n", signature)
    assert note.data == GO_NOTE


def test_what_is_written_is_read():
    """Text and signatures, the text's own empty lines included."""
    assert Note.parse(NOTE.data) == NOTE
    start = "one\n\nthree\n\n\N{EM DASH} exchange.test/XAA/first "
    assert NOTE.data.startswith(start.encode())


def test_only_the_key_itself_has_signed():
    """Another key has not, and no other text is signed."""
    mine, other = NOTE.signatures
    assert FIRST.verifier.has_signed(TEXT, mine)
    assert not FIRST.verifier.has_signed(TEXT, other)
    assert not FIRST.verifier.has_signed("one\n", mine)


def line(name: str, value: bytes | str) -> bytes:
    """Return a signature's line, whatever it says."""
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    return f"\N{EM DASH} {name} {text}\n".encode()


GOOD = line("name", bytes(68))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\n" + GOOD,
        b"text\n" + GOOD,
        b"text\n\n" + GOOD[:-1],
        b"text\n\n" + GOOD + b"more\n",
        b"text\n\n" + GOOD.replace("\N{EM DASH}".encode(), b"-"),
        b"text\n\n" + line("", bytes(68)),
        b"text\n\n" + line("a+b", bytes(68)),
        b"text\n\n" + line("a\N{NO-BREAK SPACE}b", bytes(68)),
        b"text\n\n" + line("a" * (limits.MAX_SIGNER_CHARACTERS + 1), bytes(68)),
        b"text\n\n" + line("name", bytes(4)),
        b"text\n\n" + line("name", "not base64"),
        b"text\n\n" + line("name", "AAAAAAA\u00e9"),
        b"text\n\n" + line("name", base64.b64encode(bytes(68)).decode()[:-2] + "B="),
        b"te\rxt\n\n" + GOOD,
        b"te\txt\n\n" + GOOD,
        b"te\xffxt\n\n" + GOOD,
        b"text\n\n" + GOOD * (limits.MAX_NOTE_SIGNATURES + 1),
        b"t" * limits.MAX_NOTE_BYTES + b"\n\n" + GOOD,
    ],
)
def test_what_is_no_note_is_refused(data: bytes):
    """With one reason, and what is wrong with it."""
    with pytest.raises(InvalidRequestError, match="is no signed note") as refused:
        Note.parse(data)
    assert refused.value.reason == "NOT_A_NOTE"


def test_as_many_signatures_as_the_format_asks_for_are_taken():
    """Sixteen at least."""
    assert len(Note.parse(b"text\n\n" + GOOD * 16).signatures) == 16
    assert limits.MAX_NOTE_SIGNATURES >= 16


def test_keys_are_read_as_they_are_written():
    """Both texts, and the id is the one of the format."""
    assert VerifierKey.parse(FIRST.verifier.text) == FIRST.verifier
    again = SigningKey.parse(FIRST.text)
    assert (again.text, again.verifier) == (FIRST.text, FIRST.verifier)
    assert FIRST.text.startswith("PRIVATE+KEY+exchange.test/XAA/first+")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+",
        "name+00000000+!",
        "name+00000000+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
        FIRST.text,
        FIRST.verifier.text + "\n",
        FIRST.verifier.text.replace("first", "fir st"),
        FIRST.verifier.text.replace("first", "second"),
        FIRST.verifier.text.replace(FIRST.verifier.key_id.hex(), "00000000"),
        VerifierKey("n", bytes([2] * 32)).text.replace("+AQ", "+Ag"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str):
    """One that was cut or mistyped is not another key."""
    with pytest.raises(InvalidRequestError) as refused:
        VerifierKey.parse(text)
    assert refused.value.reason == "NOT_A_KEY"


@pytest.mark.parametrize(
    "text",
    [
        "",
        FIRST.verifier.text,
        FIRST.text.replace("first", "second"),
        FIRST.text[:-1],
        FIRST.text + "=",
        "PRIVATE+KEY+",
    ],
)
def test_what_is_no_signing_key_is_refused_without_telling_it(text: str):
    """The message has nothing of the key in it."""
    with pytest.raises(InvalidRequestError) as refused:
        SigningKey.parse(text)
    assert refused.value.reason == "NOT_A_KEY"
    assert not text or text not in refused.value.message


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a" * 129])
def test_a_key_has_a_name_that_a_note_can_hold(name: str):
    """Else its signatures could not be read."""
    with pytest.raises(InvalidRequestError) as refused:
        SigningKey(name, bytes(32))
    assert refused.value.reason == "WRONG_KEY_NAME"


def test_a_key_does_not_show_itself():
    """Not where it is printed, and no two are the same."""
    assert FIRST.text not in repr(FIRST)
    assert key("a").text != key("b").text
    new = [SigningKey.generate("n", lambda count: bytes([count]) * count)]
    assert new[0].text == SigningKey("n", bytes([32]) * 32).text


def test_a_signature_is_one_line():
    """With the id of its key before the value."""
    signature = Signature(name="n", key_id=b"\0\0\0\1", value=b"v")
    assert signature.line == "\N{EM DASH} n AAAAAXY=\n"
