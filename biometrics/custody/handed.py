"""Key-encryption keys that members keep, and hand over to open their galleries."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from biometrics.custody.xaes import NONCE_BYTES, Xaes
from biometrics.errors import GalleryLockedError, PreconditionError, SealError

if TYPE_CHECKING:
    from collections.abc import Callable

# Why galleries stay locked that their member can open by handing its key over.
NOT_AT_HAND: Final = "KEY_NOT_HANDED_OVER"


class HandedKeyProvider:
    """A key-encryption key that is there only while its member has handed it over."""

    def __init__(
        self, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """Begin without it; nonces come from `random_bytes`."""
        self._random_bytes = random_bytes
        self._xaes: Xaes | None = None
        self._key = b""

    def __repr__(self) -> str:
        """Return nothing of the key."""
        return f"HandedKeyProvider(is_at_hand={self._xaes is not None})"

    def take(self, key: bytes) -> None:
        """Hold a key of 32 bytes.

        Raises:
            PreconditionError: another one is held, with which the galleries are open.
        """
        taken = Xaes(key)
        if self._xaes is not None:
            try:
                self._xaes.open(taken.seal(bytes(NONCE_BYTES), b"", b""), b"")
            except SealError as error:
                raise PreconditionError(
                    "KEY_NOT_THE_ONE",
                    "the key that was handed over is not the one that the galleries are"
                    " open with; they stay open",
                ) from error
        self._xaes, self._key = taken, key

    def key(self) -> bytes:
        """Return it, to be passed on to another front end; empty if it is not here."""
        return self._key

    def drop(self) -> None:
        """Forget it."""
        self._xaes, self._key = None, b""

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
