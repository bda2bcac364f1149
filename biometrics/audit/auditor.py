"""Keys of members' auditors, to whom keys of entries are handed.

    public key:  AUDITOR+<member>+<base64 of 1,184 bytes of ML-KEM and 32 of X25519>
    secret key:  PRIVATE+AUDITOR+<member>+<base64 of a seed of 64 and one of 32 bytes>

A key of entries is sealed to an auditor by HPKE (RFC 9180) with a hybrid of ML-KEM-768
and X25519 (X-Wing), HKDF-SHA-256 and AES-256-GCM: what is recorded today stays sealed
unless both are broken. It takes 0.2 ms, which is why it is done once an hour.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from biometrics.errors import InvalidRequestError
from biometrics.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO: Final = b"biometrics.exchange key of log entries 1 "
_PUBLIC: Final = "AUDITOR+"
_SECRET: Final = "PRIVATE+AUDITOR+"  # noqa: S105 - how every secret key begins
_MLKEM_PUBLIC_BYTES: Final = 1184
_MLKEM_SEED_BYTES: Final = 64
_X25519_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AuditorKey:
    """The public key of a member's auditor.

    Attributes:
        member: whose.
        public: 1,216 bytes.
    """

    member: Member
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a public key.

        Raises:
            InvalidRequestError: it is none.
        """
        key = cls(*_read(text, _PUBLIC, _MLKEM_PUBLIC_BYTES + _X25519_BYTES))
        key._loaded()
        return key

    @property
    def text(self) -> str:
        """The key as `parse` reads it."""
        return f"{_PUBLIC}{self.member}+{base64.b64encode(self.public).decode()}"

    def seal(self, secret: bytes, key_id: bytes) -> bytes:
        """Return a key of entries, sealed to the auditor."""
        return _SUITE.encrypt(secret, self._loaded(), _info(self.member, key_id))

    def _loaded(self) -> MLKEM768X25519PublicKey:
        """Return it as the library has it."""
        try:
            return MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.public[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(self.public[_MLKEM_PUBLIC_BYTES:]),
            )
        except ValueError as error:
            raise _no_key() from error


class AuditorSecret:
    """The secret key of a member's auditor; it is in no message."""

    __slots__ = ("_key", "_seeds", "member")

    def __init__(self, member: Member, seeds: bytes) -> None:
        """Hold the key that 96 bytes of seeds make."""
        self.member = member
        self._seeds = seeds
        self._key = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(seeds[:_MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(seeds[_MLKEM_SEED_BYTES:]),
        )

    @classmethod
    def generate(cls, member: Member, random_bytes: Callable[[int], bytes]) -> Self:
        """Make a new key."""
        return cls(member, random_bytes(_MLKEM_SEED_BYTES + _X25519_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a secret key.

        Raises:
            InvalidRequestError: it is none.
        """
        return cls(*_read(text, _SECRET, _MLKEM_SEED_BYTES + _X25519_BYTES))

    @property
    def text(self) -> str:
        """The secret key as `parse` reads it."""
        return f"{_SECRET}{self.member}+{base64.b64encode(self._seeds).decode()}"

    @property
    def public(self) -> AuditorKey:
        """The public key."""
        mlkem = MLKEM768PrivateKey.from_seed_bytes(self._seeds[:_MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(self._seeds[_MLKEM_SEED_BYTES:])
        return AuditorKey(
            self.member,
            mlkem.public_key().public_bytes_raw()
            + x25519.public_key().public_bytes_raw(),
        )

    def open(self, handed: bytes, key_id: bytes) -> bytes:
        """Return the key of entries that was sealed to the auditor.

        Raises:
            InvalidRequestError: it was sealed to somebody else, or is damaged.
        """
        try:
            return _SUITE.decrypt(handed, self._key, _info(self.member, key_id))
        except (InvalidTag, ValueError) as error:
            raise InvalidRequestError(
                "KEY_NOT_OPENED",
                f"a key of entries does not open with this secret key of {self.member}:"
                " it is damaged, or was handed to another key of the member's",
            ) from error


def _info(member: Member, key_id: bytes) -> bytes:
    """Return what the key is handed over for."""
    return _INFO + member.code.encode() + b" " + key_id


def _read(text: str, head: str, size: int) -> tuple[Member, bytes]:
    """Return the member and the bytes of a key's text."""
    code, _, encoded = text.strip().removeprefix(head).partition("+")
    if not text.startswith(head):
        raise _no_key()
    try:
        data = base64.b64decode(encoded, validate=True)
        member = Member(code)
    except (binascii.Error, ValueError, InvalidRequestError) as error:
        raise _no_key() from error
    if len(data) != size:
        raise _no_key()
    return member, data


def _no_key() -> InvalidRequestError:
    """Return the error of a text that is no key; it never has the text in it."""
    return InvalidRequestError(
        "NOT_AN_AUDITOR_KEY",
        "is no such key of an auditor; copy the whole line that `biometrics audit key`"
        " wrote",
    )
