"""XAES-256-GCM: authenticated encryption under random nonces.

Implements https://c2sp.org/XAES-256-GCM; the numbers below are the steps of its
"detailed key derivation algorithm". A key may seal 2**80 messages under random
nonces. Like AES-GCM it does not commit to its key: what needs that says so itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from biometrics.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16
_HALF: Final = NONCE_BYTES // 2  # goes into the subkey; the rest is its GCM nonce
_BLOCK_BITS: Final = 128
# Steps 3 and 4 without the nonce: 00 01 58 00 and 00 02 58 00, then 96 zero bits.
_M1: Final = 0x00015800 << 96
_M2: Final = 0x00025800 << 96


class Xaes:
    """One key. Steps 1 and 2 are done once; may be used by several threads."""

    __slots__ = ("_aes", "_lock", "_masks")

    def __init__(self, key: bytes) -> None:
        """Prepare `key`, 32 bytes."""
        # The block cipher itself: each block that it is given is a message of the
        # key derivation, never data. The mode named ECB is how it is asked for.
        self._aes = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305
        self._lock = threading.Lock()
        # 1. L = AES(0).
        block = int.from_bytes(self._aes.update(bytes(16)), "big")
        # 2. K1 = L << 1, and the field's polynomial if a bit fell off; no branch.
        carried = block >> (_BLOCK_BITS - 1)
        k1 = ((block << 1) & ((1 << _BLOCK_BITS) - 1)) ^ (0x87 * carried)
        self._masks = ((_M1 ^ k1) << _BLOCK_BITS) | (_M2 ^ k1)

    def _subkey(self, nonce: bytes) -> AESGCM:
        """Return the AES-256-GCM key for the first half of a nonce."""
        # 5. Kx = AES(M1 ^ K1) || AES(M2 ^ K1).
        messages = self._messages(nonce)
        with self._lock:
            subkey = self._aes.update(messages)
        return AESGCM(subkey)

    def _subkeys(self, nonces: Sequence[bytes]) -> list[AESGCM]:
        """Return those of several nonces: no block depends on another."""
        messages = b"".join(map(self._messages, nonces))
        with self._lock:
            subkeys = self._aes.update(messages)
        return [
            AESGCM(subkeys[start : start + KEY_BYTES])
            for start in range(0, len(subkeys), KEY_BYTES)
        ]

    def _messages(self, nonce: bytes) -> bytes:
        """Return M1 and M2 for the first half of a nonce, masked with K1."""
        # 3, 4. Side by side.
        half = int.from_bytes(nonce[:_HALF], "big")
        return (self._masks ^ (half << _BLOCK_BITS | half)).to_bytes(KEY_BYTES, "big")

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Seal a message.

        Args:
            nonce: 24 bytes, random, never used before.
            plaintext: the message.
            aad: what it is bound to.

        Returns:
            The nonce, the ciphertext and a 16-byte tag.
        """
        (sealed,) = self.seal_all([(nonce, plaintext, aad)])
        return sealed

    def seal_all(self, messages: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """Seal messages, each as `seal` does, in less time than one by one.

        Args:
            messages: nonce, message, and what it is bound to, of each.
        """
        nonces = [nonce for nonce, _, _ in messages]
        if wrong := {len(nonce) for nonce in nonces} - {NONCE_BYTES}:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {wrong.pop()}")
        # 6. Nx = N[12:].
        return [
            nonce + subkey.encrypt(nonce[_HALF:], plaintext, aad)
            for subkey, (nonce, plaintext, aad) in zip(
                self._subkeys(nonces), messages, strict=True
            )
        ]

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the message that `seal` sealed.

        Raises:
            SealError: damaged, under another key, or bound to something else.
        """
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise unopened("it is too short")
        nonce = sealed[:NONCE_BYTES]
        try:
            # 6. Nx = N[12:].
            return self._subkey(nonce).decrypt(nonce[_HALF:], sealed[NONCE_BYTES:], aad)
        except InvalidTag as error:
            raise unopened("its seal is broken") from error


def unopened(why: str) -> SealError:
    """Return the error of a value that does not open, without naming the value."""
    return SealError(
        "DOES_NOT_OPEN",
        f"a sealed value does not open, {why}: it is damaged, it was moved, or its key"
        " is another; restore it from a backup",
    )
