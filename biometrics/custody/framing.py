"""Canonical bytes: what seals are bound to, and what keys are derived for.

Every field is preceded by its length, so two different lists of fields never give
the same bytes. The first two are the version of the format and a purpose, so that
nothing made for one purpose serves another.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from biometrics.custody.xaes import KEY_BYTES

if TYPE_CHECKING:
    from biometrics.sealed import Binding

FORMAT_VERSION: Final = 1
_LENGTH_BYTES: Final = 4
_NUMBER_BYTES: Final = 8
_NUMBER_LENGTH: Final = _NUMBER_BYTES.to_bytes(_LENGTH_BYTES, "big")


class Purpose(Enum):
    """What bytes are for. Values are stored, in effect: never change one."""

    GALLERY_KEY = "gallery-key"
    GALLERY_KEY_COMMITMENT = "gallery-key/commitment"
    GALLERY_KEY_WRAPPING = "gallery-key/wrapping"
    RECORD_KEY = "record-key"
    RECORD_VALUE = "record-value"
    INDEX_KEY = "index-key"
    INDEX_LOOKUP = "index-key/lookup"
    INDEX_DIGEST = "index-key/digest"
    INDEX_REPLIES = "index-key/replies"
    INDEX_TAG = "index-key/tag"
    CODES_KEY = "codes-key"
    CODES_ROTATION = "codes-key/rotation"
    CODES_FILE = "codes-key/file"
    SIGNING_KEY = "signing-key"
    LOG_KEY = "signing-key/log"
    FRONT_ENDS = "signing-key/front-ends"
    REPLY = "reply"
    RECORD_TAG = "record-tag"


def frame(purpose: Purpose, *fields: str | bytes | int) -> bytes:
    """Return version, purpose and fields as canonical bytes."""
    return framed(FORMAT_VERSION, purpose.value, *fields)


def framed(*fields: str | bytes | int) -> bytes:
    """Return fields that follow those of a `frame`, as it would have framed them."""
    return b"".join(map(_field, fields))


@lru_cache(maxsize=1024)
def framed_often(*fields: str | bytes | int) -> bytes:
    """Return what `framed` does, of fields that are the same in many records."""
    return framed(*fields)


def frame_rest(binding: Binding) -> bytes:
    """Return the fields of a binding that change within a gallery.

    They follow a frame that begins with member and gallery.
    """
    _member, _gallery, record, *kind = binding
    # An exchange has few kinds of template, and opens a million of each; nor has it
    # many ordinals, for nearly all records are of the first generation.
    return framed_bytes(record) + framed_often(*kind)


def derive(secret: bytes, purpose: Purpose, *fields: str | bytes | int) -> bytes:
    """Return 32 bytes that depend on a secret key and on what they are for.

    HKDF with SHA-256 (RFC 5869); the secret is a random key of 32 bytes, so that
    its section 3.3 allows the first step to be left out.
    """
    info = frame(purpose, *fields)
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=info).derive(secret)


def framed_bytes(field: bytes) -> bytes:
    """Return what `framed` does, of bytes."""
    return len(field).to_bytes(_LENGTH_BYTES, "big") + field


def framed_number(field: int) -> bytes:
    """Return what `framed` does, of a number."""
    return _NUMBER_LENGTH + field.to_bytes(_NUMBER_BYTES, "big")


def _field(field: str | bytes | int) -> bytes:
    """Return a field, preceded by its length."""
    if isinstance(field, int):
        return framed_number(field)
    return framed_bytes(field.encode() if isinstance(field, str) else field)
