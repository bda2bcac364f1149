"""What one front end passes on to another, and what a third can do about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from custody.small_world import HOLDERS, NOW

from biometrics.clock import ManualClock
from biometrics.custody import HandedKeyProvider, Vault
from biometrics.errors import GalleryLockedError, PreconditionError, SealError
from biometrics.sealing import seal_to

if TYPE_CHECKING:
    from custody.small_world import World

    from biometrics.custody.keyring import Keyring

XAA, XAB, XAC = HOLDERS
GALLERY = "faces-v1"
VALUE = b"0123456789abcdef"
KEY = bytes(range(32))


def front_end(world: World, exchange: str = "exchange") -> Vault:
    """Return a vault of an exchange; XAA keeps its key."""
    members = {XAA: HandedKeyProvider(), XAB: world.provider("XAB")}
    clock = ManualClock(NOW)
    return Vault(world.provider(exchange), members, world.rows, clock, os.urandom)


def hand(vault: Vault, key: bytes = KEY) -> None:
    """Hand XAA's key over, and open its galleries."""
    request = bytes(16)
    sealed = seal_to(vault.sealing_key(XAA), key, XAA, b"hand-over", request)
    vault.hand(XAA, sealed, request)
    vault.unlock(XAA)


def ring(vault: Vault) -> Keyring:
    """Return XAA's keys."""
    return vault._rings[XAA]


def test_a_key_that_is_passed_on_opens_what_was_sealed(world: World) -> None:
    """By the other, which was never handed it."""
    one, other = front_end(world), front_end(world)
    assert one.pass_on(XAA, other.shown()) is None  # nobody has handed any
    hand(one)
    assert one.pass_on(XAB, other.shown()) is None  # nor keeps any
    assert one.pass_on(XAA, other.shown()) is None  # nor is this one shown to anybody
    assert one.shown() == one.shown() != other.shown()
    sealed = one.seal(world.binding(), VALUE)
    passed = one.pass_on(XAA, other.shown())
    assert passed is not None
    other.take_over(XAA, passed)
    other.unlock(XAA)
    assert other.open(world.binding(), sealed) == VALUE


def test_it_is_passed_to_nobody_who_lacks_the_key_of_the_exchange(world: World) -> None:
    """And taken from nobody either."""
    one, other = front_end(world), front_end(world)
    one.shown()
    hand(one)
    shown = bytearray(other.shown())
    for place in (0, len(shown) - 1):
        shown[place] ^= 1
        assert one.pass_on(XAA, bytes(shown)) is None
        shown[place] ^= 1
    passed = one.pass_on(XAA, bytes(shown))
    assert passed is not None
    forged = seal_to(other.shown()[:-32], os.urandom(32), XAA, b"passed on")
    for wrong in (b"", passed[:-1], passed[:40] + passed[41:], forged + passed[-32:]):
        with pytest.raises(PreconditionError) as refused:
            other.take_over(XAA, wrong)
        assert refused.value.reason == "PASSED_BY_NOBODY"


def test_it_is_void_after_a_lock_and_for_anybody_else(world: World) -> None:
    """As what is handed over is."""
    one, other = front_end(world), front_end(world)
    one.shown()
    hand(one)
    before = other.shown()
    passed = one.pass_on(XAA, before)
    assert passed is not None
    with pytest.raises(PreconditionError) as refused:
        front_end(world).take_over(XAA, passed)
    assert refused.value.reason == "KEY_AT_THE_EXCHANGE"
    with pytest.raises(PreconditionError):
        other.take_over(XAB, passed)
    other.lock(XAC)
    assert other.shown() != before
    with pytest.raises(PreconditionError) as refused:
        other.take_over(XAA, passed)
    assert refused.value.reason == "SEALED_TO_ANOTHER"


def test_a_key_that_another_has_made_is_learnt(world: World) -> None:
    """When something under it is opened, or when it is asked for."""
    one, other = front_end(world), front_end(world)
    for vault in (one, other):
        hand(vault)
    sealed = one.seal(world.binding(), VALUE)
    assert not other.has(XAA, sealed.key_id)
    assert other.open(world.binding(), sealed) == VALUE
    assert other.has(XAA, sealed.key_id)
    assert not other.has(XAC, sealed.key_id)
    with pytest.raises(SealError):
        other.open(world.binding(), sealed._replace(key_id=99))
    other.lock(XAA)
    assert not other.has(XAA, sealed.key_id)
    with pytest.raises(GalleryLockedError):
        other.learn(XAA)


def test_the_first_key_settles_whose_all_others_are(world: World) -> None:
    """Another front end with another key-encryption key finds out."""
    one, other = front_end(world), front_end(world)
    hand(one)
    hand(other, os.urandom(32))
    one.settle(XAA)
    with pytest.raises(SealError):
        other.settle(XAA)
    other.lock(XAA)
    with pytest.raises(SealError):
        hand(other, os.urandom(32))


def test_a_key_that_is_durable_is_kept_whatever_is_retired(world: World) -> None:
    """A rotation may have begun before the end of the one before is heard of."""
    vault = front_end(world)
    hand(vault)
    epochs = [vault.seal(world.binding(), VALUE)]
    for _ in range(2):
        for row in vault.successors(XAA):
            world.rows.add_gallery_key(row)
        vault.learn(XAA)
        epochs.append(vault.seal(world.binding(), VALUE))
    first = epochs[0]
    del world.rows.keys[0]
    vault.learn(XAA)
    vault.retire(XAA)
    for sealed in epochs[1:]:
        assert vault.open(world.binding(), sealed) == VALUE
    with pytest.raises(GalleryLockedError) as refused:
        vault.open(world.binding(), first)
    assert refused.value.reason == "KEYS_ROTATED"
    # Nor does it come back by whoever has read its row before.
    assert first.key_id not in ring(vault)._opened().by_id
