"""The stored format, opened by hand from the key file up.

What is sealed today must open in ten years, so that this file spells every byte out
and uses nothing of custody's but XAES-256-GCM, which has vectors of its own.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from custody.small_world import World

from biometrics.custody import CodesKey
from biometrics.custody.gallery import Epoch, GalleryKey
from biometrics.custody.xaes import Xaes
from biometrics.members import Member
from biometrics.sealed import Sealed

VALUE = b"0123456789abcdef" * 4
PIECE = 1024 * 1024
VERSION = b"\0\0\0\x08" + bytes(7) + b"\x01"


def field(value: str | bytes | int) -> bytes:
    """Return a field after its length, four bytes; numbers take eight."""
    if isinstance(value, int):
        value = value.to_bytes(8, "big")
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(4, "big") + data


def bound(purpose: str, *values: str | bytes | int) -> bytes:
    """Return what something is bound to, or derived for."""
    return VERSION + field(purpose) + b"".join(map(field, values))


def derived(secret: bytes, info: bytes) -> bytes:
    """Return one block of HKDF-Expand, RFC 5869 section 2.3."""
    return hmac.digest(secret, info + b"\x01", "sha256")


def key_in(world: World, name: str) -> Xaes:
    """Return the key in a key file."""
    digits = (world.folder / f"{name}.key").read_text().splitlines()[-1]
    return Xaes(bytes.fromhex(digits))


def gallery_key(number: int, secret: bytes) -> GalleryKey:
    """Return the gallery key of that epoch and number."""
    epoch = Epoch(Member("XAA"), "faces-v1", number)
    codes = CodesKey(epoch, key_id=number, secret=secret)
    return GalleryKey(epoch, key_id=number, wrapping=secret, codes=codes)


def test_a_template_opens_by_hand(world: World):
    """Key file, gallery key, commitment, wrapping key, value key, value."""
    sealed = world.unlocked().seal(world.binding(sample=3, generation=2), VALUE)
    row = world.rows.keys[0]
    epoch = ("XAA", "faces-v1", 1)
    secret = key_in(world, "XAA").open(row.wrapped, bound("gallery-key", *epoch))
    assert row.commitment == derived(secret, bound("gallery-key/commitment", *epoch))
    wrapping = Xaes(derived(secret, bound("gallery-key/wrapping", *epoch)))
    gallery = ("XAA", "faces-v1")
    rest = (bytes(range(16)), "face", "faces-v1@0123", "face", 3, 2)
    key = wrapping.open(
        sealed.wrapped_key, bound("record-key", *gallery, row.key_id, *rest)
    )
    assert len(key) == 32
    opened = AESGCM(key).decrypt(
        bytes(12), sealed.ciphertext, bound("record-value", *gallery, *rest)
    )
    assert opened == VALUE


def test_the_index_key_works_by_hand(world: World):
    """Exchange's key file, index key, and the three keys out of it."""
    index = world.vault().index(Member("XAA"))
    wrapped = world.rows.indexes[Member("XAA")]
    secret = key_in(world, "exchange").open(wrapped, bound("index-key", "XAA"))
    lookup, digest, replies = (
        derived(secret, bound(f"index-key/{purpose}", "XAA"))
        for purpose in ("lookup", "digest", "replies")
    )
    assert index.lookup("R-1") == hmac.digest(lookup, b"R-1", hashlib.sha256)
    assert index.digest(b"body") == hmac.digest(digest, b"body", hashlib.sha256)
    sealed = index.seal_reply(bytes(16), b"answer")
    assert Xaes(replies).open(sealed, bound("reply", "XAA", bytes(16))) == b"answer"


def test_a_file_of_codes_opens_by_hand(world: World):
    """Key file, gallery key, codes key, file key, header and pieces; the rotation."""
    values = bytes(PIECE) + VALUE
    key = world.unlocked().codes(Member("XAA"), "faces-v1")
    stored = b"".join(key.seal(world.file(), values))
    row, epoch = world.rows.keys[0], ("XAA", "faces-v1", 1)
    secret = key_in(world, "XAA").open(row.wrapped, bound("gallery-key", *epoch))
    codes = derived(secret, bound("codes-key", *epoch))
    named = (*epoch, "segment", "face", bytes(range(16)))
    of_file = AESGCM(derived(codes, bound("codes-key/file", *named)))
    header = b"BIOCODES" + b"\0\0\0\x01" + b"\0\x10\0\0"
    assert stored[:16] == header
    first, last = stored[16 : 16 + PIECE + 16], stored[16 + PIECE + 16 :]
    opened = of_file.decrypt(bytes(12), first, header)
    opened += of_file.decrypt(bytes(10) + b"\x01\x01", last, header)
    assert opened == values
    assert key.seed("face") == derived(
        codes, bound("codes-key/rotation", *epoch, "face")
    )


def test_a_value_stays_as_it_is_when_its_key_is_wrapped_anew(world: World):
    """The gallery key's number and epoch bind the wrapped key, never the value."""
    binding = world.binding()
    old, new = (gallery_key(number, bytes([number]) * 32) for number in (1, 2))
    (sealed,) = old.seal_all([(binding, VALUE)], world.random_bytes(56))
    rest = (bytes(range(16)), "face", "faces-v1@0123", "face", 0, 1)
    key, nonce = Xaes(bytes([1]) * 32), bytes(range(24))
    of_old, of_new = (
        bound("record-key", "XAA", "faces-v1", number, *rest) for number in (1, 2)
    )
    value_key = key.open(sealed.wrapped_key, of_old)
    rewrapped = Sealed(
        key_id=2,
        wrapped_key=Xaes(bytes([2]) * 32).seal(nonce, value_key, of_new),
        ciphertext=sealed.ciphertext,
    )
    buffer = bytearray(len(VALUE))
    new.open_into(binding, rewrapped, buffer)
    assert buffer == VALUE
