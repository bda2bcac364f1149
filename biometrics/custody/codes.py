"""The key of a gallery's codes, and the files that they are kept in.

A short code is a template that a secret rotation blurs: whoever has both decodes it
to a near-template. So the rotation comes out of the gallery's key and is stored
nowhere, and files of codes are sealed under that key.

A sealed file is a header and one or more pieces. All but the last hold exactly
`SEALED_PIECE_BYTES`, the last holds what is left, and is empty only if the file is:

    header  magic, 8 bytes; format version and piece size, 4 bytes each, big endian
    piece   AES-256-GCM: the ciphertext and its tag of 16 bytes
    nonce   number of the piece from 0, 11 bytes, big endian; 1 if it is the last, or 0

This is STREAM (Hoang, Reyhanitabar, Rogaway and Vizar, "Online authenticated-encryption
and its nonce-reuse misuse-resistance", CRYPTO 2015, https://eprint.iacr.org/2015/189),
with nonces as the payload of https://c2sp.org/age has them. The number keeps pieces in
order, and the mark of the last one tells of a file that was cut where a piece ends.
Every piece is bound to the header. What else a file is bound to is in its key, which
is this one file's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from biometrics.custody.buffers import as_bytes, wipe
from biometrics.custody.framing import Purpose, derive
from biometrics.custody.xaes import TAG_BYTES, unopened
from biometrics.limits import SEALED_PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from biometrics.custody.buffers import Values
    from biometrics.custody.gallery import Epoch
    from biometrics.sealed import SealedFile

_FORMAT_VERSION: Final = 1
_HEADER: Final = (
    b"BIOCODES"
    + _FORMAT_VERSION.to_bytes(4, "big")
    + SEALED_PIECE_BYTES.to_bytes(4, "big")
)
_STORED_PIECE_BYTES: Final = SEALED_PIECE_BYTES + TAG_BYTES
_NUMBER_BYTES: Final = 11


class CodesKey:
    """Rotates the codes of one gallery and seals their files, in one epoch.

    For several threads at once. It goes on working after its member is locked: whoever
    holds one MUST drop it then, with the rotations and codes that came of it.
    """

    __slots__ = ("_epoch", "_secret", "key_id")

    def __init__(self, epoch: Epoch, key_id: int, secret: bytes) -> None:
        """Derive from `secret`, 32 bytes of the gallery key numbered `key_id`."""
        self.key_id = key_id
        self._epoch = epoch.member.code, epoch.gallery, epoch.number
        self._secret = secret

    def seed(self, position: str) -> bytes:
        """Return the 32 bytes of the secret rotation of one position's codes.

        They are the same in every process, and others in the next epoch.
        """
        return derive(self._secret, Purpose.CODES_ROTATION, *self._epoch, position)

    def seal(self, file: SealedFile, plaintext: Values) -> Iterator[bytes]:
        """Return a sealed file in pieces, to be written one after another.

        Args:
            file: what it is. Its name MUST be new for each content, because the key
                follows from it: two contents under one name would share their nonces,
                which gives both away and lets others be forged.
            plaintext: contiguous, of any element type and size. It MUST NOT change
                before the last piece was taken.
        """
        return _pieces(self._key(file), as_bytes(plaintext))

    def open(self, file: SealedFile, sealed: Buffer) -> bytearray:
        """Return what a file holds, in memory that the caller can overwrite.

        Args:
            file: what it must be.
            sealed: all of it, as it was read. It MUST NOT change meanwhile, as a mapped
                file can.

        Raises:
            SealError: it is damaged, cut off, or longer than it was; it is another
                file, or of another format version. Nothing of it is left in memory.
        """
        stored = as_bytes(sealed)
        clear = bytearray(_plaintext_bytes(stored))
        try:
            _open_into(self._key(file), stored, memoryview(clear))
        except BaseException:
            # AES-GCM decrypts before it knows whether the tag is right, and pieces
            # before the one that is wrong were in order.
            wipe(clear)
            raise
        return clear

    @staticmethod
    def sealed_bytes(plaintext_bytes: int) -> int:
        """Return the size of a sealed file that holds so many bytes."""
        pieces = max(-(-plaintext_bytes // SEALED_PIECE_BYTES), 1)
        return len(_HEADER) + plaintext_bytes + pieces * TAG_BYTES

    def _key(self, file: SealedFile) -> AESGCM:
        """Return the key of one file."""
        fields = file.kind.value, file.position, file.name
        key = derive(self._secret, Purpose.CODES_FILE, *self._epoch, *fields)
        return AESGCM(key)


def _pieces(key: AESGCM, clear: memoryview) -> Iterator[bytes]:
    """Yield the header and each piece of a file."""
    yield _HEADER
    # The empty file has a piece too, as it could not be told from no file otherwise.
    starts = range(0, max(len(clear), 1), SEALED_PIECE_BYTES)
    for number, start in enumerate(starts):
        nonce = _nonce(number, is_last=start == starts[-1])
        yield key.encrypt(nonce, clear[start : start + SEALED_PIECE_BYTES], _HEADER)


def _plaintext_bytes(stored: memoryview) -> int:
    """Return how many bytes a file holds, by its header and its size."""
    if stored[: len(_HEADER)] != _HEADER:
        raise unopened("its format is not the one that is read here")
    size = len(stored) - len(_HEADER)
    before_last = max(size - 1, 0) // _STORED_PIECE_BYTES
    if size - before_last * _STORED_PIECE_BYTES < TAG_BYTES:
        raise unopened("it is too short")
    return size - (before_last + 1) * TAG_BYTES


def _open_into(key: AESGCM, stored: memoryview, clear: memoryview) -> None:
    """Open every piece of a file into a buffer of exactly the size of its content."""
    starts = range(len(_HEADER), len(stored), _STORED_PIECE_BYTES)
    for number, start in enumerate(starts):
        nonce = _nonce(number, is_last=start == starts[-1])
        piece = stored[start : start + _STORED_PIECE_BYTES]
        at = number * SEALED_PIECE_BYTES
        try:
            key.decrypt_into(nonce, piece, _HEADER, clear[at : at + SEALED_PIECE_BYTES])
        except InvalidTag as error:
            raise unopened("its seal is broken") from error


def _nonce(number: int, *, is_last: bool) -> bytes:
    """Return the nonce of a piece; in one file no two are equal."""
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([is_last])
