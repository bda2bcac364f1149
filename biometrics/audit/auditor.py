"""Keys of members' auditors, to whom keys of entries are handed.

    public key:  AUDITOR+<member>+<base64 of 1,184 bytes of ML-KEM and 32 of X25519>
    secret key:  PRIVATE+AUDITOR+<member>+<base64 of a seed of 64 and one of 32 bytes>

A key of entries is sealed as `biometrics.sealing` seals: what is recorded today stays
sealed unless X25519 and ML-KEM-768 are both broken. It takes 0.2 ms, which is why it is
done once an hour.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from biometrics.errors import (
    InvalidRequestError,
    PreconditionError,
    UnauthenticatedError,
)
from biometrics.members import Member
from biometrics.sealing import SEEDS_BYTES, SealingKey, seal_to

if TYPE_CHECKING:
    from collections.abc import Callable

_PURPOSE: Final = b"key of log entries"
_PUBLIC: Final = "AUDITOR+"
_SECRET: Final = "PRIVATE+AUDITOR+"  # noqa: S105 - how every secret key begins


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
        key = cls(*_read(text, _PUBLIC))
        try:
            key.seal(b"", b"")
        except UnauthenticatedError as error:
            raise _no_key() from error
        return key

    @property
    def text(self) -> str:
        """The key as `parse` reads it."""
        return f"{_PUBLIC}{self.member}+{base64.b64encode(self.public).decode()}"

    def seal(self, secret: bytes, key_id: bytes) -> bytes:
        """Return a key of entries, sealed to the auditor."""
        return seal_to(self.public, secret, self.member, _PURPOSE, key_id)


class AuditorSecret:
    """The secret key of a member's auditor; it is in no message."""

    __slots__ = ("_key", "_seeds", "member")

    def __init__(self, member: Member, seeds: bytes) -> None:
        """Hold the key that 96 bytes of seeds make."""
        self.member = member
        self._seeds = seeds
        self._key = SealingKey(seeds)

    @classmethod
    def generate(cls, member: Member, random_bytes: Callable[[int], bytes]) -> Self:
        """Make a new key."""
        return cls(member, random_bytes(SEEDS_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a secret key.

        Raises:
            InvalidRequestError: it is none.
        """
        member, seeds = _read(text, _SECRET)
        if len(seeds) != SEEDS_BYTES:
            raise _no_key()
        return cls(member, seeds)

    @property
    def text(self) -> str:
        """The secret key as `parse` reads it."""
        return f"{_SECRET}{self.member}+{base64.b64encode(self._seeds).decode()}"

    @property
    def public(self) -> AuditorKey:
        """The public key."""
        return AuditorKey(self.member, self._key.public)

    def open(self, handed: bytes, key_id: bytes) -> bytes:
        """Return the key of entries that was sealed to the auditor.

        Raises:
            InvalidRequestError: it was sealed to somebody else, or is damaged.
        """
        try:
            return self._key.open(handed, self.member, _PURPOSE, key_id)
        except PreconditionError as error:
            raise InvalidRequestError(
                "KEY_NOT_OPENED",
                f"a key of entries does not open with this secret key of {self.member}:"
                " it is damaged, or was handed to another key of the member's",
            ) from error


def _read(text: str, head: str) -> tuple[Member, bytes]:
    """Return the member and the bytes of a key's text."""
    code, _, encoded = text.strip().removeprefix(head).partition("+")
    if not text.startswith(head):
        raise _no_key()
    try:
        return Member(code), base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, InvalidRequestError) as error:
        raise _no_key() from error


def _no_key() -> InvalidRequestError:
    """Return the error of a text that is no key; it never has the text in it."""
    return InvalidRequestError(
        "NOT_AN_AUDITOR_KEY",
        "is no such key of an auditor; copy the whole line that `biometrics audit key`"
        " wrote",
    )
