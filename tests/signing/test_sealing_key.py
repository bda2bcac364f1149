"""The note with the key that clients seal to: whose it is, and what it is."""

from __future__ import annotations

import secrets

import pytest

from biometrics.errors import UnauthenticatedError
from biometrics.signing import Note, SigningKey, read_sealing_key, sealing_key_note

PUBLIC, SUITE = bytes(range(40)), "some suite"
KEY = SigningKey.generate("exchange.test/erasure", secrets.token_bytes)
OTHER = SigningKey.generate("exchange.test/erasure", secrets.token_bytes)


def signed(text: str, *keys: SigningKey) -> bytes:
    """Return a note."""
    return Note(text, tuple(key.sign(text) for key in keys)).data


def test_the_key_comes_out_as_it_went_in():
    """For whoever knows the signer; a second signature does no harm."""
    note = sealing_key_note(PUBLIC, SUITE, KEY)
    assert read_sealing_key(note, SUITE, KEY.verifier) == PUBLIC
    text = Note.parse(note).text
    assert read_sealing_key(signed(text, OTHER, KEY), SUITE, KEY.verifier) == PUBLIC


TEXT = Note.parse(sealing_key_note(PUBLIC, SUITE, KEY)).text


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (b"", "no signed note"),
        (sealing_key_note(PUBLIC, SUITE, OTHER), "not signed by"),
        (sealing_key_note(PUBLIC, "another suite", KEY), "another kind"),
        (signed("biometrics.exchange erasure\nkey AAAA\n", KEY), "another kind"),
        (signed(f"{TEXT}more\n", KEY), "not base64"),
        (signed(TEXT.replace("key ", "key -"), KEY), "not base64"),
    ],
)
def test_nothing_else_passes_for_it(note: bytes, told: str):
    """No note of another kind or signer, and none that was changed."""
    with pytest.raises(UnauthenticatedError, match=told) as refused:
        read_sealing_key(note, SUITE, KEY.verifier)
    assert refused.value.reason == "EXCHANGE_NOT_PROVEN"


def test_a_bit_changed_anywhere_is_found():
    """In the text or in the signature."""
    note = bytearray(sealing_key_note(PUBLIC, SUITE, KEY))
    for place in range(len(note)):
        note[place] ^= 1
        with pytest.raises(UnauthenticatedError):
            read_sealing_key(bytes(note), SUITE, KEY.verifier)
        note[place] ^= 1
