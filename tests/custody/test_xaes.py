"""XAES-256-GCM against the vectors of its specification."""

import hashlib
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from biometrics.custody.xaes import Xaes
from biometrics.errors import SealError

# https://c2sp.org/XAES-256-GCM, "test vectors": the first bit of L is 0, then 1.
NONCE = b"ABCDEFGHIJKLMNOPQRSTUVWX"
VECTORS = [
    (
        bytes([0x01] * 32),
        b"XAES-256-GCM",
        b"",
        "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
    ),
    (
        bytes([0x03] * 32),
        b"XAES-256-GCM",
        b"c2sp.org/XAES-256-GCM",
        "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
    ),
]
SUBKEY = "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b"
ACCUMULATED_10_000 = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
STREAM_START = "7f9c2ba4e88f827d616045507605853e"


@pytest.mark.parametrize(("key", "plaintext", "aad", "expected"), VECTORS)
def test_seals_and_opens_the_published_vectors(
    key: bytes, plaintext: bytes, aad: bytes, expected: str
):
    """Both branches of the derivation give the published ciphertext, and open."""
    sealed = Xaes(key).seal(NONCE, plaintext, aad)
    assert sealed == NONCE + bytes.fromhex(expected)
    assert Xaes(key).open(sealed, aad) == plaintext


def test_the_derived_key_is_the_published_one():
    """The subkey is an AES-256-GCM key that any other implementation can use."""
    key, plaintext, aad, expected = VECTORS[0]
    subkey = AESGCM(bytes.fromhex(SUBKEY))
    assert subkey.decrypt(NONCE[12:], bytes.fromhex(expected), aad) == plaintext
    assert Xaes(key).open(NONCE + bytes.fromhex(expected), aad) == plaintext


def test_ten_thousand_accumulated_vectors():
    """The published hash over 10,000 derived vectors comes out, and each opens."""
    stream = hashlib.shake_128(b"").digest(10_000 * (32 + 24 + 1 + 255 + 1 + 255))
    assert stream[:16].hex() == STREAM_START
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        at += count
        return stream[at - count : at]

    accumulated = hashlib.shake_128()
    for _ in range(10_000):
        key, nonce = read(32), read(24)
        plaintext, aad = read(read(1)[0]), read(read(1)[0])
        xaes = Xaes(key)
        sealed = xaes.seal(nonce, plaintext, aad)
        assert xaes.open(sealed, aad) == plaintext
        accumulated.update(sealed[24:])
    assert accumulated.hexdigest(32) == ACCUMULATED_10_000


def test_no_changed_byte_opens():
    """A message of which any one byte was changed does not open."""
    xaes = Xaes(bytes(32))
    sealed = xaes.seal(NONCE, b"key", b"aad")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 0x80
        with pytest.raises(SealError):
            xaes.open(bytes(changed), b"aad")


@pytest.mark.parametrize("length", [0, 1, 23, 24, 39, 42])
def test_no_shortened_message_opens(length: int):
    """A message that was cut off does not open, wherever it was cut."""
    xaes = Xaes(bytes(32))
    sealed = xaes.seal(NONCE, b"key", b"aad")
    assert len(sealed) == 43
    with pytest.raises(SealError):
        xaes.open(sealed[:length], b"aad")


def test_other_associated_data_or_key_does_not_open():
    """A message opens under its own associated data and key alone."""
    sealed = Xaes(bytes(32)).seal(NONCE, b"key", b"aad")
    with pytest.raises(SealError):
        Xaes(bytes(32)).open(sealed, b"ada")
    with pytest.raises(SealError):
        Xaes(bytes([1] * 32)).open(sealed, b"aad")


@pytest.mark.parametrize("length", [12, 23, 25])
def test_refuses_a_nonce_of_another_length(length: int):
    """A nonce that is not 24 bytes is a mistake of the program's, not used."""
    with pytest.raises(ValueError, match="24 bytes"):
        Xaes(bytes(32)).seal(bytes(length), b"key", b"aad")


def test_threads_share_one_key():
    """One key derives right subkeys for several threads at once."""
    xaes = Xaes(bytes(32))
    wrong = []

    def work(seed: int) -> None:
        for count in range(2_000):
            nonce = bytes([seed]) * 12 + count.to_bytes(12, "big")
            if xaes.open(Xaes(bytes(32)).seal(nonce, b"key", b""), b"") != b"key":
                wrong.append((seed, count))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
