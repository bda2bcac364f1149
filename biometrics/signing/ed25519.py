"""Keys of Ed25519 under a name, as texts that can be read out and compared.

    public key:  <name>+<key id>+<base64 of the kind and the public key>
    secret key:  PRIVATE+KEY+<name>+<key id>+<base64 of the kind and the seed>

The kind is one byte, which says what is signed by them: a key of one kind is none of
another. `biometrics.signing.keys` has those of notes, `biometrics.audit.cosignature`
those of witnesses.

Sources: C2SP, "signed-note"; RFC 8032. The texts are those of
golang.org/x/mod/sumdb/note, which other tools for such notes read too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Generic, Self, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.signing.note import is_key_name

if TYPE_CHECKING:
    from collections.abc import Callable

_SEED_BYTES: Final = 32
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - how every secret key begins


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key under a name.

    Attributes:
        name: not empty, without space or plus; best an address, such as
            `exchange.example/XAA/legal-office`.
        public: 32 bytes, of Ed25519.
    """

    kind: ClassVar[bytes]
    what: ClassVar[str]  # it is, for people

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a public key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        key = cls(*_read(text, cls.kind, cls.what))
        if key.text != text:
            raise _no_key(cls.what)
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they say which key signed."""
        typed = self.kind + self.public
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:4]

    @property
    def text(self) -> str:
        """The key as `parse` reads it."""
        return _write(self, self.public)

    def verifies(self, value: bytes, stated: bytes) -> bool:
        """Say whether a signature is this key's, of what is stated."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        try:
            key.verify(value, stated)
        except InvalidSignature:
            return False
        return True


PublicT = TypeVar("PublicT", bound=PublicKey)


class SecretKey(Generic[PublicT]):
    """A secret key under a name; its texts and its value appear in no message.

    Attributes:
        public: its public key.
    """

    __slots__ = ("_private", "_seed", "public")

    of: ClassVar[type[PublicKey]]  # whose secret keys they are
    what: ClassVar[str]  # it is, for people

    public: PublicT

    def __init__(self, name: str, seed: bytes) -> None:
        """Hold the key that the 32 bytes of `seed` make.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        _refuse_wrong_name(name)
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.public = cast("PublicT", self.of(name, public))

    @classmethod
    def generate(cls, name: str, random_bytes: Callable[[int], bytes]) -> Self:
        """Make a new key.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        return cls(name, random_bytes(_SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a secret key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        if not text.startswith(_SECRET):
            raise _no_key(cls.what)
        key = cls(*_read(text.removeprefix(_SECRET), cls.of.kind, cls.what))
        if key.text != text:
            raise _no_key(cls.what)
        return key

    @property
    def text(self) -> str:
        """The secret key as `parse` reads it."""
        return _SECRET + _write(self.public, self._seed)

    def value_of(self, stated: bytes) -> bytes:
        """Return the signature of what is stated."""
        return self._private.sign(stated)


def _refuse_wrong_name(name: str) -> None:
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


def _read(text: str, kind: bytes, what: str) -> tuple[str, bytes]:
    """Return name and 32 bytes of a key's text; what id it claims is not looked at.

    Args:
        text: without what a secret key begins with.
        kind: that it must have.
        what: it is to be, for people.

    Raises:
        InvalidRequestError: it is none of that kind.
    """
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_key(what) from error
    if not is_key_name(name) or data[:1] != kind or len(data) != 1 + _SEED_BYTES:
        raise _no_key(what)
    return name, data[1:]


def _write(key: PublicKey, data: bytes) -> str:
    """Return a key's text, with its public or its secret part."""
    encoded = base64.b64encode(key.kind + data).decode()
    return f"{key.name}+{key.key_id.hex()}+{encoded}"


def _no_key(what: str) -> InvalidRequestError:
    """Return the error of a text that is no key; it never has the text in it."""
    return InvalidRequestError(
        "NOT_A_KEY",
        f"is not {what} of Ed25519; copy the whole text of the command that made it",
    )
