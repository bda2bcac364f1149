"""What clients seal to a running exchange, so that TLS is not its only guard.

1. The exchange makes a key pair for each member, and signs the public half.
2. A client seals to it by HPKE (RFC 9180), bound to its member and to what it is for.
3. The exchange opens that.

What is recorded on the way opens nothing later: the private half goes with the process,
and sooner if the member locks its galleries.
The key agreement is of X25519 and ML-KEM-768 together, and as strong as the stronger.
It guards wherever TLS ends before the exchange does, and not against whoever controls
the exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

from biometrics.errors import PreconditionError, UnauthenticatedError

if TYPE_CHECKING:
    from biometrics.members import Member

SUITE: Final = "mlkem768-x25519 hkdf-sha256 aes-256-gcm"
# Why a client has to ask for the public half again.
SEALED_TO_ANOTHER: Final = "SEALED_TO_ANOTHER"
# What a member's key-encryption key is sealed for; a request, for its message's name.
HAND_OVER: Final = "hand-over"
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_BYTES: Final = 1184
_MLKEM_SEED_BYTES: Final = 64
SEEDS_BYTES: Final = _MLKEM_SEED_BYTES + 32
_LENGTH_BYTES: Final = 4
_FORMAT: Final = b"biometrics.exchange sealed 1"


class SealingKey:
    """The end that opens: a key pair, of the exchange as long as the process lives."""

    __slots__ = ("_private", "public")

    def __init__(self, seeds: bytes = b"") -> None:
        """Make the pair; `public` are the bytes that are sealed to.

        Args:
            seeds: 96 bytes that it follows from, where it outlives the process.
        """
        if seeds:
            mlkem = MLKEM768PrivateKey.from_seed_bytes(seeds[:_MLKEM_SEED_BYTES])
            x25519 = X25519PrivateKey.from_private_bytes(seeds[_MLKEM_SEED_BYTES:])
        else:
            mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = (
            mlkem.public_key().public_bytes_raw()
            + x25519.public_key().public_bytes_raw()
        )

    def open(self, sealed: bytes, member: Member, *purpose: bytes) -> bytes:
        """Return what `seal_to` sealed.

        Raises:
            PreconditionError: it was sealed to another exchange or before a restart, by
                another member, or for something else.
        """
        try:
            return _SUITE.decrypt(sealed, self._private, _info(member, purpose))
        except (InvalidTag, ValueError) as error:
            raise PreconditionError(
                SEALED_TO_ANOTHER,
                "what was sealed does not open: it was sealed to another exchange, or"
                " before this one was restarted or the galleries were locked, or for"
                " another member or request; get the key by"
                " CustodyService.GetSealingKey, and seal it again",
            ) from error


class SealingKeys:
    """A key pair for each member, made when it is first asked for; for threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: dict[Member, SealingKey] = {}

    def of(self, member: Member) -> SealingKey:
        """Return the one that a member's systems seal to now."""
        found = self._keys.get(member)
        return self._keys.setdefault(member, SealingKey()) if found is None else found

    def renew(self, member: Member) -> None:
        """Drop a member's: what was sealed to it opens nothing any more."""
        self._keys.pop(member, None)


def seal_to(public: bytes, clear: bytes, member: Member, *purpose: bytes) -> bytes:
    """Return a value, sealed to one run of one exchange.

    Args:
        public: `SealingKey.public`, of that member.
        clear: the value.
        member: who seals it.
        purpose: what it is for; it opens for that alone.

    Raises:
        UnauthenticatedError: `public` is no such key.
    """
    try:
        recipient = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_BYTES]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_BYTES:]),
        )
        return _SUITE.encrypt(clear, recipient, _info(member, purpose))
    except ValueError as error:
        raise UnauthenticatedError(
            "NOT_A_SEALING_KEY",
            "what the exchange gave is no key that can be sealed to",
        ) from error


def _info(member: Member, purpose: tuple[bytes, ...]) -> bytes:
    """Return what a sealed value is bound to: each field preceded by its length."""
    fields = (_FORMAT, member.code.encode(), *purpose)
    return b"".join(len(f).to_bytes(_LENGTH_BYTES, "big") + f for f in fields)
