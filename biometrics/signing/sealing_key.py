"""The key that clients seal to, in a note that the exchange signs.

    biometrics.exchange sealing key
    suite mlkem768-x25519 hkdf-sha256 aes-256-gcm
    key base64...

So a client that knows the signer seals to the exchange, and not to whoever stands
between.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from biometrics.errors import InvalidRequestError, UnauthenticatedError
from biometrics.signing.note import Note

if TYPE_CHECKING:
    from biometrics.signing.keys import SigningKey, VerifierKey

# What the text is, so that no other note can pass for it.
_KIND: Final = "biometrics.exchange sealing key"


def sealing_key_note(public: bytes, suite: str, key: SigningKey) -> bytes:
    """Return a public key in a note, signed.

    Args:
        public: the key.
        suite: what it is a key of.
        key: the exchange's.
    """
    encoded = base64.b64encode(public).decode()
    text = f"{_KIND}\nsuite {suite}\nkey {encoded}\n"
    return Note(text, (key.sign(text),)).data


def read_sealing_key(data: bytes, suite: str, verifier: VerifierKey) -> bytes:
    """Return the public key in a note.

    Args:
        data: the note.
        suite: what it must be a key of.
        verifier: who must have signed it.

    Raises:
        UnauthenticatedError: it is not signed by that key, or is something else.
    """
    try:
        note = Note.parse(data)
    except InvalidRequestError as error:
        raise _not_it(error.message) from error
    if not any(
        (signature.name, signature.key_id) == (verifier.name, verifier.key_id)
        and verifier.has_signed(note.text, signature)
        for signature in note.signatures
    ):
        raise _not_it(f"it is not signed by `{verifier.text}`")
    kind, _, rest = note.text.partition("\n")
    named, _, encoded = rest.removesuffix("\n").partition("\nkey ")
    if kind != _KIND or named != f"suite {suite}":
        raise _not_it("it is another kind of note, or of another suite")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _not_it("the key in it is not base64") from error


def _not_it(told: str) -> UnauthenticatedError:
    """Return the error of a note that no key may be sealed by."""
    return UnauthenticatedError(
        "EXCHANGE_NOT_PROVEN",
        f"the exchange did not prove that the key is its own: {told}; nothing was"
        " sealed to it or sent. Compare `verifier` in the profile with its operator's",
    )
