"""Keys of signed notes, as texts that can be read out and compared.

    verifier key:  <name>+<key id>+<base64 of 0x01 and the public key>
    signing key:   PRIVATE+KEY+<name>+<key id>+<base64 of 0x01 and the seed>

Sources: C2SP, "signed-note", section "Ed25519 signatures"; RFC 8032. The texts are
those of golang.org/x/mod/sumdb/note, which other tools for such notes read too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.signing.note import Signature, is_key_name

if TYPE_CHECKING:
    from collections.abc import Callable

_ED25519: Final = b"\x01"  # type of the signature: C2SP, "Signature types"
_SEED_BYTES: Final = 32
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - how every secret key begins


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name.

    Attributes:
        name: not empty, without space or plus; best an address, such as
            `exchange.example/XAA/legal-office`.
        public: 32 bytes, of Ed25519.
    """

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        key = cls(*read_key(text, _ED25519, "a verifier key"))
        if key.text != text:
            raise no_key("a verifier key")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they say which key signed."""
        return key_id_of(self.name, _ED25519 + self.public)

    @property
    def text(self) -> str:
        """The key as `parse` reads it."""
        return write_key(self.name, self.key_id, _ED25519 + self.public)

    def has_signed(self, text: str, signature: Signature) -> bool:
        """Say whether a signature that names this key is its signature of `text`."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        try:
            key.verify(signature.value, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A secret key under a name; its texts and its value appear in no message."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        """Hold the key that the 32 bytes of `seed` make.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        refuse_wrong_name(name)
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier = VerifierKey(name, public)

    @classmethod
    def generate(cls, name: str, random_bytes: Callable[[int], bytes]) -> Self:
        """Make a new key.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        return cls(name, random_bytes(_SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a signing key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        if not text.startswith(_SECRET):
            raise no_key("a signing key")
        key = cls(*read_key(text.removeprefix(_SECRET), _ED25519, "a signing key"))
        if key.text != text:
            raise no_key("a signing key")
        return key

    @property
    def text(self) -> str:
        """The secret key as `parse` reads it."""
        key = self.verifier
        return _SECRET + write_key(key.name, key.key_id, _ED25519 + self._seed)

    def sign(self, text: str) -> Signature:
        """Return the signature of a note's text."""
        return Signature(
            name=self.verifier.name,
            key_id=self.verifier.key_id,
            value=self._private.sign(text.encode()),
        )


def refuse_wrong_name(name: str) -> None:
    """Refuse what cannot be the name of a key.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not is_key_name(name):
        raise InvalidRequestError(
            "WRONG_KEY_NAME",
            "a name of a key has no space, no `+` and no control character, and at"
            f" most {limits.MAX_SIGNER_CHARACTERS} characters; take an address such"
            " as `exchange.example/XAA/legal-office`",
        )


def key_id_of(name: str, typed: bytes) -> bytes:
    """Return the id of a key: four bytes over its name, its type and its public part.

    Args:
        name: of the key.
        typed: the type of its signatures, one byte, and the public key.
    """
    return hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]


def read_key(text: str, kind: bytes, what: str) -> tuple[str, bytes]:
    """Return name and 32 bytes of a key's text; what id it claims is not looked at.

    Args:
        text: without what a secret key begins with.
        kind: of its signatures, one byte.
        what: it is to be, for people.

    Raises:
        InvalidRequestError: it is none of that kind.
    """
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise no_key(what) from error
    if not is_key_name(name) or data[:1] != kind or len(data) != 1 + _SEED_BYTES:
        raise no_key(what)
    return name, data[1:]


def write_key(name: str, key_id: bytes, typed: bytes) -> str:
    """Return a key's text."""
    return f"{name}+{key_id.hex()}+{base64.b64encode(typed).decode()}"


def no_key(what: str) -> InvalidRequestError:
    """Return the error of a text that is no key; it never has the text in it."""
    return InvalidRequestError(
        "NOT_A_KEY",
        f"is not {what} of Ed25519; copy the whole text of the command that made it",
    )
