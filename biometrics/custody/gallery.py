"""Gallery keys, and values sealed under them.

member's key-encryption key  (a `KeyProvider`)
  `-- gallery key            one per member, gallery and epoch
        |-- commitment       stored; no other key has it
        |-- wrapping key     in memory while the member is unlocked
        |     `-- value key  one per template or reference
        |           `-- the value, AES-256-GCM
        `-- codes key        in memory while the member is unlocked; see `codes`
              |-- rotation   one per position
              `-- file key   one per file of codes
                    `-- the file, AES-256-GCM in pieces
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from biometrics.custody.buffers import as_bytes, wipe
from biometrics.custody.codes import CodesKey
from biometrics.custody.framing import Purpose, derive, frame, frame_rest
from biometrics.custody.xaes import KEY_BYTES, NONCE_BYTES, TAG_BYTES, Xaes, unopened
from biometrics.sealed import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from biometrics.custody.buffers import Values
    from biometrics.custody.providers import KeyProvider
    from biometrics.members import Member
    from biometrics.sealed import Binding, GalleryKeyRow

# A value key seals one message, ever, so its nonce need not differ from others'
# (NIST SP 800-38D, section 8: unique for each key).
_ONLY_NONCE: Final = bytes(12)
# Of a value: its key, and the nonce that this is wrapped under.
SEAL_RANDOM_BYTES: Final = KEY_BYTES + NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a gallery key is for.

    Attributes:
        member: the holder.
        gallery: name of the gallery.
        number: from 1, one more with each rotation.
    """

    member: Member
    gallery: str
    number: int

    def wrap(self, secret: bytes, provider: KeyProvider) -> bytes:
        """Return a gallery key, wrapped for this epoch alone."""
        return provider.wrap(secret, self._context())

    def commit(self, secret: bytes) -> bytes:
        """Return 32 bytes that no other gallery key answers to."""
        return derive(secret, Purpose.GALLERY_KEY_COMMITMENT, *self._fields())

    def open(self, row: GalleryKeyRow, provider: KeyProvider) -> GalleryKey:
        """Return the gallery key of a row.

        Raises:
            SealError: the row is not of this epoch, is damaged, or was wrapped by
                another key-encryption key.
        """
        # 1. Unwrap, in the context of this epoch.
        secret = provider.unwrap(row.wrapped, self._context())
        # 2. Check the commitment, in constant time: the wrap alone does not commit
        #    to one key.
        if not hmac.compare_digest(self.commit(secret), row.commitment):
            raise unopened("its key is not the one that was committed to")
        # 3. Derive what it is used for; the gallery key itself goes no further.
        return self.key(row.key_id, secret)

    def reveal(self, row: GalleryKeyRow, provider: KeyProvider) -> bytes:
        """Return the gallery key of a row that `open` has opened, to be lent."""
        return provider.unwrap(row.wrapped, self._context())

    def key(self, key_id: int, secret: bytes) -> GalleryKey:
        """Return what a gallery key wraps value keys and keeps codes with."""
        wrapping = derive(secret, Purpose.GALLERY_KEY_WRAPPING, *self._fields())
        codes = derive(secret, Purpose.CODES_KEY, *self._fields())
        return GalleryKey(self, key_id, wrapping, CodesKey(self, key_id, codes))

    def _context(self) -> bytes:
        return frame(Purpose.GALLERY_KEY, *self._fields())

    def _fields(self) -> tuple[str, str, int]:
        return self.member.code, self.gallery, self.number


class GalleryKey:
    """Seals and opens the values of one gallery; for several threads at once."""

    __slots__ = ("_for_key", "_for_value", "_xaes", "codes", "epoch", "key_id")

    def __init__(
        self, epoch: Epoch, key_id: int, wrapping: bytes, codes: CodesKey
    ) -> None:
        """Wrap value keys by `wrapping`, 32 bytes, under the number `key_id`."""
        self.epoch = epoch
        self.key_id = key_id
        self.codes = codes
        self._xaes = Xaes(wrapping)
        # The part of the associated data that is the same all over the gallery. The
        # number of the gallery key is only in the wrap's: a rotation wraps value keys
        # anew and leaves the values as they are.
        fields = epoch.member.code, epoch.gallery
        self._for_key = frame(Purpose.RECORD_KEY, *fields, key_id)
        self._for_value = frame(Purpose.RECORD_VALUE, *fields)

    def seal_all(
        self, values: Sequence[tuple[Binding, Values]], randomness: bytes
    ) -> list[Sealed]:
        """Seal values, each under a key of its own; see `Vault.seal_all`.

        Args:
            values: contiguous, each with what it belongs to, in this gallery.
            randomness: `SEAL_RANDOM_BYTES` of each, random and never used before.
        """
        drawn = [
            (randomness[start : start + KEY_BYTES], randomness[start + KEY_BYTES : end])
            for start, end in pairwise(
                range(0, SEAL_RANDOM_BYTES * (len(values) + 1), SEAL_RANDOM_BYTES)
            )
        ]
        rests = [frame_rest(binding) for binding, _ in values]
        # 1. A fresh key seals the value, and nothing else.
        ciphertexts = [
            AESGCM(key).encrypt(_ONLY_NONCE, as_bytes(clear), self._for_value + rest)
            for (_, clear), (key, _), rest in zip(values, drawn, rests, strict=True)
        ]
        # 2. The gallery's wrapping key seals that key.
        wrapped = self._xaes.seal_all(
            [
                (nonce, key, self._for_key + rest)
                for (key, nonce), rest in zip(drawn, rests, strict=True)
            ]
        )
        return [
            Sealed(self.key_id, *both)
            for both in zip(wrapped, ciphertexts, strict=True)
        ]

    def rewrap(
        self,
        binding: Binding,
        wrapped: bytes,
        newer: GalleryKey,
        random_bytes: Callable[[int], bytes],
    ) -> bytes:
        """Return a value's key, wrapped by the gallery's newer key instead.

        The value stays as it is, and nobody opens it.

        Raises:
            SealError: it is damaged, or belongs to something else.
        """
        rest = frame_rest(binding)
        key = self._xaes.open(wrapped, self._for_key + rest)
        nonce = random_bytes(NONCE_BYTES)
        return newer._xaes.seal(nonce, key, newer._for_key + rest)

    def open_into(self, binding: Binding, sealed: Sealed, buffer: Values) -> None:
        """Open a value into a buffer of exactly its size; see `Vault.open_into`."""
        clear = as_bytes(buffer)
        try:
            self._open_into(binding, sealed, clear)
        except BaseException:
            # AES-GCM decrypts before it knows whether the tag is right.
            wipe(clear)
            raise

    def _open_into(self, binding: Binding, sealed: Sealed, clear: memoryview) -> None:
        if binding.gallery != self.epoch.gallery:
            raise unopened("its key is another gallery's")
        if len(sealed.ciphertext) != len(clear) + TAG_BYTES:
            raise unopened("its size is wrong")
        rest = frame_rest(binding)
        # 1. The value's key.
        key = self._xaes.open(sealed.wrapped_key, self._for_key + rest)
        # 2. The value.
        try:
            AESGCM(key).decrypt_into(
                _ONLY_NONCE, sealed.ciphertext, self._for_value + rest, clear
            )
        except InvalidTag as error:
            raise unopened("its seal is broken") from error
