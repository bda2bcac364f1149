"""Key-encryption keys that members keep, and hand over to open their galleries.

1. The exchange makes a key pair when it starts, and signs the public half.
2. The member seals its key-encryption key to it, for one request, by HPKE (RFC 9180).
3. The exchange opens that and holds the key in memory, until the member locks its
   galleries or the exchange stops.

What is recorded on the way opens nothing later: the private half goes with the process.
The key agreement is of X25519 and ML-KEM-768 together, and as strong as the stronger.
It guards the key wherever TLS ends before the exchange does, and not against whoever
controls the exchange.
"""

from __future__ import annotations

import secrets
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

from biometrics.custody.framing import Purpose, frame
from biometrics.custody.xaes import KEY_BYTES, NONCE_BYTES, Xaes
from biometrics.errors import GalleryLockedError, SealError

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member

# Why galleries stay locked that their member could open by handing its key over.
NOT_AT_HAND: Final = "KEY_NOT_HANDED_OVER"
NOT_OPENED: Final = "NOT_HANDED_OVER"
SUITE: Final = "mlkem768-x25519 hkdf-sha256 aes-256-gcm"
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_BYTES: Final = 1184
PUBLIC_BYTES: Final = _MLKEM_BYTES + 32


class HandOver:
    """The exchange's end: a key pair for as long as the process lives."""

    __slots__ = ("_private", "public")

    def __init__(self) -> None:
        """Make the pair; `public` are the bytes that members seal to."""
        mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = (
            mlkem.public_key().public_bytes_raw()
            + x25519.public_key().public_bytes_raw()
        )

    def open(self, sealed: bytes, member: Member, request_id: bytes) -> bytes:
        """Return the key-encryption key that `seal_to` sealed.

        Raises:
            SealError: it was sealed to another exchange or before a restart, by another
                member, or for another request.
        """
        try:
            key = _SUITE.decrypt(sealed, self._private, _info(member, request_id))
        except (InvalidTag, ValueError) as error:
            raise _not_handed() from error
        if len(key) != KEY_BYTES:
            raise _not_handed()
        return key


def seal_to(public: bytes, key: bytes, member: Member, request_id: bytes) -> bytes:
    """Return a key-encryption key, sealed for one request to one exchange.

    Args:
        public: `HandOver.public`, `PUBLIC_BYTES` of them.
        key: 32 bytes.
        member: whose galleries it opens.
        request_id: 16 bytes, of the request that carries it.

    Raises:
        SealError: `public` is no such key.
    """
    try:
        recipient = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_BYTES]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_BYTES:]),
        )
        return _SUITE.encrypt(key, recipient, _info(member, request_id))
    except ValueError as error:
        raise SealError(
            "NOT_A_PUBLIC_KEY", "what the exchange gave is no key that can be sealed to"
        ) from error


class HandedKeyProvider:
    """A key-encryption key that is there only while its member has handed it over."""

    def __init__(
        self, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """Begin without it; nonces come from `random_bytes`."""
        self._random_bytes = random_bytes
        self._xaes: Xaes | None = None

    def __repr__(self) -> str:
        """Return nothing of the key."""
        return f"HandedKeyProvider(is_at_hand={self._xaes is not None})"

    def take(self, key: bytes) -> None:
        """Hold a key of 32 bytes, in place of one that was handed over before."""
        self._xaes = Xaes(key)

    def drop(self) -> None:
        """Forget it."""
        self._xaes = None

    def check(self) -> None:
        """Return if it is at hand.

        Raises:
            GalleryLockedError: it is not.
        """
        self._held()

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a key, sealed by XAES-256-GCM and bound to the context.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
        """
        return self._held().seal(self._random_bytes(NONCE_BYTES), key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return a key that `wrap` wrapped.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
            SealError: damaged, wrapped by another key or in another context.
        """
        return self._held().open(wrapped, context)

    def _held(self) -> Xaes:
        xaes = self._xaes
        if xaes is None:
            raise GalleryLockedError(
                NOT_AT_HAND,
                "the member keeps its key-encryption key, and hands it over to open its"
                " galleries: `biometrics galleries unlock --key FILE`",
            )
        return xaes


def _info(member: Member, request_id: bytes) -> bytes:
    """Return what a key that is handed over is bound to."""
    return frame(Purpose.HAND_OVER, member.code, request_id)


def _not_handed() -> SealError:
    return SealError(
        NOT_OPENED,
        "the key that was handed over does not open: it was sealed to another exchange,"
        " or before this one was restarted, or for another member or request",
    )
