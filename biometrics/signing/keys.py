"""Keys of signed notes.

The kind of both is 0x01: see `biometrics.signing.ed25519`.

Source: C2SP, "signed-note", section "Ed25519 signatures".
"""

from __future__ import annotations

from biometrics.signing.ed25519 import PublicKey, SecretKey
from biometrics.signing.note import Signature


class VerifierKey(PublicKey):
    """A public key that notes are checked by."""

    __slots__ = ()

    kind = b"\x01"  # type of the signature: C2SP, "Signature types"
    what = "a verifier key"

    def has_signed(self, text: str, signature: Signature) -> bool:
        """Say whether a signature that names this key is its signature of `text`."""
        return self.verifies(signature.value, text.encode())


class SigningKey(SecretKey[VerifierKey]):
    """A secret key that notes are signed by."""

    __slots__ = ()

    of = VerifierKey
    what = "a signing key"

    @property
    def verifier(self) -> VerifierKey:
        """Its public key."""
        return self.public

    def sign(self, text: str) -> Signature:
        """Return the signature of a note's text."""
        return Signature(
            name=self.public.name,
            key_id=self.public.key_id,
            value=self.value_of(text.encode()),
        )
