"""What custody and signing rest on, against the public vectors of C2SP's Wycheproof.

They are read from the folder `testvectors_v1` of a clone of it, which the environment
variable WYCHEPROOF names; without, these tests skip. The vectors of XAES-256-GCM are in
`test_xaes`. Those of HPKE cannot be tried: all have associated data for each message,
which the library's interface does not take.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from biometrics.signing import Signature, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.environ.get("WYCHEPROOF", "")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="WYCHEPROOF names no folder of public vectors"
)
Vector = dict[str, Any]


def vectors(name: str) -> Iterator[tuple[Vector, Vector]]:
    """Yield the vectors of a file, each with its group."""
    document = json.loads((Path(FOLDER) / f"{name}_test.json").read_text("utf-8"))
    for group in document["testGroups"]:
        for vector in group["tests"]:
            yield group, vector


def of(vector: Vector, *names: str) -> tuple[bytes, ...]:
    """Return some fields of a vector."""
    return tuple(bytes.fromhex(vector[name]) for name in names)


def test_aes_gcm():
    """Both ways in which values are opened; keys and nonces of the sizes used."""
    count = 0
    for group, vector in vectors("aes_gcm"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        key, nonce, aad, clear = of(vector, "key", "iv", "aad", "msg")
        sealed = b"".join(of(vector, "ct", "tag"))
        cipher, buffer = AESGCM(key), bytearray(len(clear))
        if vector["result"] == "valid":
            assert cipher.encrypt(nonce, clear, aad) == sealed
            assert cipher.decrypt(nonce, sealed, aad) == clear
            cipher.decrypt_into(nonce, sealed, aad, buffer)
            assert buffer == clear
        else:
            with pytest.raises(InvalidTag):
                cipher.decrypt(nonce, sealed, aad)
            with pytest.raises(InvalidTag):
                cipher.decrypt_into(nonce, sealed, aad, buffer)
        count += 1
    assert count >= 60


def test_hkdf():
    """The step that is used; the one before it is an HMAC."""
    count = 0
    for _, vector in vectors("hkdf_sha256"):
        material, salt, info, expected = of(vector, "ikm", "salt", "info", "okm")
        secret = hmac.digest(salt or bytes(32), material, hashlib.sha256)
        if vector["result"] == "valid":
            made = HKDFExpand(SHA256(), vector["size"], info).derive(secret)
            assert made == expected
        else:
            with pytest.raises(ValueError, match="larger than"):
                HKDFExpand(SHA256(), vector["size"], info)
        count += 1
    assert count >= 80


def test_x25519():
    """A shared secret of zeros alone is refused, which the vectors leave open."""
    count = 0
    for _, vector in vectors("x25519"):
        public, private, shared = of(vector, "public", "private", "shared")
        own = X25519PrivateKey.from_private_bytes(private)
        if any(shared):
            assert own.exchange(X25519PublicKey.from_public_bytes(public)) == shared
        else:
            with pytest.raises(ValueError, match="shared key"):
                own.exchange(X25519PublicKey.from_public_bytes(public))
        count += 1
    assert count >= 500


def test_ml_kem():
    """A ciphertext of the right size always gives the expected secret."""
    count = 0
    for _, vector in vectors("mlkem_768"):
        seed, ciphertext = of(vector, "seed", "c")
        if vector["result"] == "valid":
            (expected,) = of(vector, "K")
            key = MLKEM768PrivateKey.from_seed_bytes(seed)
            assert key.decapsulate(ciphertext) == expected
        else:
            with pytest.raises(ValueError):  # noqa: PT011 - whichever is wrong
                MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
        count += 1
    assert count >= 150


def test_ed25519():
    """The library, and where the message is a text, the keys of signed notes."""
    count = 0
    for group, vector in vectors("ed25519"):
        public = bytes.fromhex(group["publicKey"]["pk"])
        message, value = of(vector, "msg", "sig")
        is_valid = vector["result"] == "valid"
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(value, message)
        except InvalidSignature:
            assert not is_valid
        else:
            assert is_valid
        key = VerifierKey("name", public)
        signature = Signature(name="name", key_id=key.key_id, value=value)
        try:
            text = message.decode()
        except UnicodeDecodeError:
            continue
        assert key.has_signed(text, signature) is is_valid
        count += 1
    assert count >= 70
