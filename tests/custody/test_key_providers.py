"""One contract for every place where a key-encryption key can be."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from softhsm import MODULE, SoftToken, needs_softhsm

from biometrics.custody import (
    HandedKey,
    HandedKeyProvider,
    KeyFile,
    KeyProvider,
    TokenKey,
    create_key_file,
    parse_source,
)
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    GalleryLockedError,
    SealError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET, CONTEXT = b"s" * 32, b"context"


@dataclass(frozen=True)
class Kind:
    """Providers of one kind: two of one key, and one of another."""

    first: KeyProvider
    same: KeyProvider
    other: KeyProvider


def files(folder: Path) -> Kind:
    """Return providers of key files."""
    for name in ("a.key", "b.key"):
        create_key_file(folder / name, secrets.token_bytes)
    return Kind(
        *(
            KeyFile(folder / name).open(secrets.token_bytes)
            for name in ("a.key", "a.key", "b.key")
        )
    )


def handed() -> Kind:
    """Return providers that were handed a key."""
    kind = Kind(HandedKeyProvider(), HandedKeyProvider(), HandedKeyProvider())
    for provider, key in zip(
        (kind.first, kind.same, kind.other), (b"k" * 32, b"k" * 32, b"o" * 32), strict=1
    ):
        assert isinstance(provider, HandedKeyProvider)
        provider.take(key)
    return kind


def tokens(token: SoftToken) -> Kind:
    """Return providers of a token."""
    return Kind(
        *(
            parse_source(token.uri(label), Path()).open(secrets.token_bytes)
            for label in ("XAA", "XAA", "XAB")
        )
    )


@pytest.fixture(params=["file", "handed", pytest.param("token", marks=needs_softhsm)])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Return providers of each kind in turn."""
    if request.param == "file":
        return files(tmp_path)
    if request.param == "handed":
        return handed()
    return tokens(request.getfixturevalue("soft_token"))


def test_what_was_wrapped_unwraps(kind: Kind):
    """By the same key, wherever it is held; never the same bytes twice."""
    kind.first.check()
    wrapped = kind.first.wrap(SECRET, CONTEXT)
    assert SECRET not in wrapped
    assert kind.first.wrap(SECRET, CONTEXT) != wrapped
    assert kind.same.unwrap(wrapped, CONTEXT) == SECRET


@pytest.mark.parametrize("context", [b"", b"Context", b"context "])
def test_it_unwraps_in_no_other_context(kind: Kind, context: bytes):
    """What it was wrapped for is sealed with it."""
    wrapped = kind.first.wrap(SECRET, CONTEXT)
    with pytest.raises(SealError):
        kind.first.unwrap(wrapped, context)


def test_no_other_key_unwraps_it(kind: Kind):
    """Each member has its own."""
    wrapped = kind.first.wrap(SECRET, CONTEXT)
    with pytest.raises(SealError):
        kind.other.unwrap(wrapped, CONTEXT)


def test_damage_anywhere_is_found(kind: Kind):
    """A bit in each byte, and every shorter length."""
    wrapped = kind.first.wrap(SECRET, CONTEXT)
    for place in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(SealError):
            kind.first.unwrap(bytes(damaged), CONTEXT)
        with pytest.raises(SealError):
            kind.first.unwrap(wrapped[:place], CONTEXT)
    assert kind.first.unwrap(wrapped, CONTEXT) == SECRET


def test_a_repr_has_no_key(kind: Kind):
    """Nor has anything that is printed by it."""
    for key in (b"k" * 32, b"o" * 32):
        assert key.hex() not in repr(kind.first)
        assert repr(key) not in repr(kind.first)


# -- handed over ---------------------------------------------------------------


def test_a_key_that_was_not_handed_over_is_not_at_hand():
    """Nor is one that was dropped."""
    provider = HandedKey().open(secrets.token_bytes)
    uses: list[Callable[[], object]] = [
        provider.check,
        lambda: provider.wrap(SECRET, CONTEXT),
        lambda: provider.unwrap(b"w" * 72, CONTEXT),
    ]
    for _ in range(2):
        for use in uses:
            with pytest.raises(GalleryLockedError, match="unlock --key") as refused:
                use()
            assert refused.value.reason == "KEY_NOT_HANDED_OVER"
        provider.take(b"k" * 32)
        provider.check()
        provider.drop()


# -- tokens --------------------------------------------------------------------


def refusal(source: str) -> ExchangeError:
    """Return why a token's key is not at hand."""
    with pytest.raises(ExchangeError) as refused:
        parse_source(source, Path()).open(secrets.token_bytes).check()
    return refused.value


@needs_softhsm
@pytest.mark.parametrize("label", ["small", "soft"])
def test_a_key_that_is_weak_or_can_be_read_is_refused(
    soft_token: SoftToken, label: str
):
    """AES with 256 bits that never leaves its token, and nothing else."""
    assert refusal(soft_token.uri(label)).reason == "KEY_UNFIT"


@needs_softhsm
def test_what_keeps_a_token_from_being_used_is_told(
    soft_token: SoftToken, tmp_path: Path
):
    """The wrong token, key or PIN, a PIN that others can read, and a module of none."""
    uri = soft_token.uri("XAA")
    assert "NoSuchKey" in refusal(soft_token.uri("nobody")).message
    wrong = uri.replace("token=exchange", "token=other")
    assert "NoSuchToken" in refusal(wrong).message
    pin = tmp_path / "pin"
    pin.write_text("1")
    other = uri.replace(str(soft_token.pin_file), str(pin))
    pin.chmod(0o644)
    assert "others than its owner" in refusal(other).message
    pin.chmod(0o600)
    assert "Pin" in refusal(other).message
    pin.unlink()
    assert refusal(other).reason == "KEY_NOT_AT_HAND"
    module = uri.replace(str(MODULE), str(soft_token.pin_file))
    assert refusal(module).reason == "NOT_A_PKCS11_MODULE"


@needs_softhsm
def test_a_token_that_is_removed_and_put_back_is_found_again(soft_token: SoftToken):
    """Without it nothing unwraps; with it, everything."""
    provider = parse_source(soft_token.uri("XAA"), Path()).open(secrets.token_bytes)
    wrapped = provider.wrap(SECRET, CONTEXT)
    soft_token.remove()
    try:
        with pytest.raises(GalleryLockedError) as refused:
            provider.unwrap(wrapped, CONTEXT)
    finally:
        soft_token.put_back()
    assert refused.value.reason == "KEY_NOT_AT_HAND"
    assert provider.unwrap(wrapped, CONTEXT) == SECRET


# -- settings ------------------------------------------------------------------


def test_a_source_is_a_file_a_word_or_a_uri():
    """Paths are taken from the settings' folder; a URI's parts are decoded."""
    assert parse_source("keys/XAA.key", Path("/e")) == KeyFile(Path("/e/keys/XAA.key"))
    assert parse_source("handed-over", Path("/e")) == HandedKey()
    uri = "pkcs11:object=a%3Bb;token=t?pin-source=file:pin&module-path=/m.so"
    assert parse_source(uri, Path("/e")) == TokenKey(
        module=Path("/m.so"), token="t", label="a;b", pin_file=Path("/e/pin")
    )


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=t;object=o",
        "pkcs11:token=t;object=?module-path=m&pin-source=p",
        "pkcs11:token=t;object=o;object=o?module-path=m&pin-source=p",
        "pkcs11:token=t;object=o;id=1?module-path=m&pin-source=p",
        "pkcs11:token=t;object=o?module-path=m&pin-source=p&pin-value=1",
    ],
)
def test_a_uri_with_more_or_less_in_it_is_refused(uri: str):
    """A PIN in the settings, say, where others might read it."""
    with pytest.raises(ConfigurationError) as refused:
        parse_source(uri, Path())
    assert refused.value.reason == "WRONG_KEY_URI"


def test_without_the_extra_a_token_is_refused(monkeypatch: pytest.MonkeyPatch):
    """With what there is to install."""
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    source = parse_source("pkcs11:token=t;object=o?module-path=m&pin-source=p", Path())
    with pytest.raises(ConfigurationError, match="extra `pkcs11`") as refused:
        source.open(secrets.token_bytes)
    assert refused.value.reason == "EXTRA_MISSING"
