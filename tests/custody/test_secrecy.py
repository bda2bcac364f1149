"""No key and no value in anything that can be printed or that is stored."""

import logging
import traceback

import pytest
from custody.small_world import World

from biometrics.custody import CodesKey, FileKeyProvider
from biometrics.errors import ExchangeError
from biometrics.members import Member

XAA = Member("XAA")
VALUE = b"CANARY-template-0123456789"


def in_any_form(secret: bytes) -> set[str]:
    """Return how a secret could look in text."""
    return {
        secret.hex(),
        secret.hex().upper(),
        repr(secret)[2:-1],
        str(list(secret))[1:-1],
        str(int.from_bytes(secret, "big")),
        str(int.from_bytes(secret, "little")),
    }


def shows_none(text: str, secrets: list[bytes]) -> bool:
    """Say whether a text has none of the secrets in it, in any form."""
    return not any(form in text for s in secrets for form in in_any_form(s))


def keys_of(world: World) -> list[bytes]:
    """Return every key that was drawn; nonces, of 24 bytes, are no secret.

    Those of values are drawn with their nonces, all of them at once.
    """
    given = world.random_bytes.given
    keys = [each for each in given if len(each) == 32]
    of_values = [each for each in given if len(each) % 56 == 0]
    for drawn in of_values:
        keys += [drawn[start : start + 32] for start in range(0, len(drawn), 56)]
    return keys


def secrets_of(key: CodesKey) -> list[bytes]:
    """Return what a key of codes has and gives."""
    return [key._secret, key.seed("face")]


def test_the_search_below_finds_what_it_looks_for():
    """The check itself can fail."""
    secret = bytes(range(200, 232))
    for form in in_any_form(secret):
        assert not shows_none(f"key {form}", [secret])


def test_no_repr_shows_a_key(world: World):
    """Vault, providers, rings, keys and rows can be printed."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    provider = world.provider("XAA")
    ring = vault._rings[XAA]
    key = ring.numbered(1)
    shown = [vault, provider, ring, key, key.epoch, key._xaes, ring._keys]
    shown += [vault.index(XAA), vault._indexes, vars(vault), vars(ring), vars(provider)]
    shown += [world.rows.keys, world.rows.indexes, sealed]
    codes = vault.codes(XAA, "faces-v1")
    shown += [codes, codes.seal(world.file(), VALUE), world.file()]
    text = "\n".join(f"{thing!r} {thing}" for thing in shown)
    assert shows_none(text, [*keys_of(world), *secrets_of(codes), VALUE])
    assert repr(provider) == f"FileKeyProvider('{world.folder / 'XAA.key'}')"


def test_no_error_and_no_log_shows_a_key(
    world: World, caplog: pytest.LogCaptureFixture
):
    """Tracebacks of everything that can fail show neither keys nor values."""
    caplog.set_level(logging.DEBUG)
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    codes = vault.codes(XAA, "faces-v1")
    file = b"".join(codes.seal(world.file(), VALUE))
    bad_file = world.folder / "bad.key"
    bad_file.write_text((world.folder / "XAA.key").read_text() + "x")
    bad_file.chmod(0o600)
    world.change_key(0, commitment=bytes(32))
    failures = (
        lambda: vault.open(world.binding(sample=1), sealed),
        lambda: vault.open(world.binding(), sealed._replace(key_id=9)),
        lambda: vault.open_into(world.binding(), sealed, bytearray(3)),
        lambda: vault.open(
            world.binding(), sealed._replace(ciphertext=bytes(len(sealed.ciphertext)))
        ),
        lambda: vault.index(XAA).open_reply(bytes(16), sealed.wrapped_key),
        lambda: codes.open(world.file(), file[:-1]),
        lambda: codes.open(world.file(position="left-iris"), file),
        lambda: world.vault(XAA="XAB").unlock(XAA),
        lambda: vault.unlock(XAA),
        lambda: vault.seal(world.binding(), VALUE),
        lambda: FileKeyProvider(bad_file),
    )
    for fail in failures:
        with pytest.raises(ExchangeError) as failed:
            fail()
        chain = "".join(traceback.format_exception(failed.value))
        chain += repr(failed.value) + repr(failed.value.__cause__)
        assert shows_none(chain, [*keys_of(world), *secrets_of(codes), VALUE])
    assert not caplog.records


def test_no_stored_row_shows_a_key(world: World):
    """What the store is given has neither keys nor values in the clear."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    reply = vault.index(XAA).seal_reply(bytes(16), VALUE)
    row = world.rows.keys[0]
    stored = [row.wrapped, row.commitment, *world.rows.indexes.values()]
    stored += [sealed.wrapped_key, sealed.ciphertext, reply]
    codes = vault.codes(XAA, "faces-v1")
    stored += codes.seal(world.file(), VALUE)
    for secret in [*keys_of(world), *secrets_of(codes), VALUE]:
        assert not any(secret[:8] in data for data in stored)
