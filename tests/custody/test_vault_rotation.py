"""Gallery keys are replaced: every value's key is wrapped anew, no value is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from custody.small_world import HOLDERS

from biometrics.errors import GalleryLockedError, SealError
from biometrics.sealed import Sealed

if TYPE_CHECKING:
    from custody.small_world import World

    from biometrics.custody import Vault

XAA, XAB, _ = HOLDERS
VALUE = b"0123456789abcdef"


def begin(world: World, vault: Vault) -> None:
    """Make successors of XAA's keys durable, and use them."""
    rows = [world.rows.add_gallery_key(row) for row in vault.successors(XAA)]
    vault.adopt(XAA, rows)


def rewrapped(world: World, vault: Vault, sealed: Sealed) -> Sealed:
    """Return a value with its key under the newest key."""
    key_id, wrapped = vault.rewrap(world.binding(), sealed.key_id, sealed.wrapped_key)
    return Sealed(key_id=key_id, wrapped_key=wrapped, ciphertext=sealed.ciphertext)


def test_both_keys_open_until_the_older_one_is_retired(world: World) -> None:
    """What is sealed meanwhile is under the newer one; the ciphertext never changes."""
    vault = world.unlocked()
    before = vault.seal(world.binding(), VALUE)
    codes = vault.codes(XAA, "faces-v1").seed("face")
    begin(world, vault)
    assert vault.is_rotating(XAA)
    assert not vault.is_rotating(XAB)
    assert vault.seal(world.binding(), VALUE).key_id != before.key_id
    assert vault.codes(XAA, "faces-v1").seed("face") != codes
    after = rewrapped(world, vault, before)
    for sealed in (before, after):
        assert vault.open(world.binding(), sealed) == VALUE
    vault.retire(XAA)
    assert not vault.is_rotating(XAA)
    assert vault.open(world.binding(), after) == VALUE
    with pytest.raises(GalleryLockedError) as refused:
        vault.open(world.binding(), before)
    assert refused.value.reason == "KEYS_ROTATED"
    with pytest.raises(SealError):
        vault.open(world.binding(), after._replace(key_id=99))


def test_another_process_opens_what_was_wrapped_anew(world: World) -> None:
    """With the rows alone; the older row is no more."""
    vault = world.unlocked()
    before = vault.seal(world.binding(), VALUE)
    begin(world, vault)
    after = rewrapped(world, vault, before)
    del world.rows.keys[0]
    assert world.unlocked().open(world.binding(), after) == VALUE


def test_a_key_is_wrapped_anew_only_for_what_it_belongs_to(world: World) -> None:
    """A wrap that was moved, damaged or is another gallery's stays closed."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    begin(world, vault)
    for binding, wrapped in (
        (world.binding(sample=1), sealed.wrapped_key),
        (world.binding(generation=2), sealed.wrapped_key),
        (world.binding(), sealed.wrapped_key[:-1] + b"?"),
    ):
        with pytest.raises(SealError):
            vault.rewrap(binding, sealed.key_id, wrapped)


def test_a_locked_member_is_not_rotated(world: World) -> None:
    """Its keys are not at hand; and nobody is rotated who has no gallery."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    begin(world, vault)
    vault.lock(XAA)
    assert not vault.is_rotating(XAA)
    vault.retire(XAA)
    with pytest.raises(GalleryLockedError):
        vault.successors(XAA)
    with pytest.raises(GalleryLockedError):
        vault.adopt(XAA, world.rows.keys)
    with pytest.raises(GalleryLockedError):
        vault.rewrap(world.binding(), sealed.key_id, sealed.wrapped_key)
    assert vault.successors(XAB) == []
    vault.unlock(XAA)
    assert vault.is_rotating(XAA)
    assert vault.open(world.binding(), sealed) == VALUE


def test_who_holds_nothing_here_has_nothing_to_retire(world: World) -> None:
    """A member that the exchange does not know is locked for ever."""
    vault = world.unlocked()
    stranger = world.stranger
    vault.retire(stranger)
    assert not vault.is_rotating(stranger)


def test_the_signing_key_is_made_once_and_wrapped_by_the_exchange(
    world: World,
) -> None:
    """Every process signs by the same; another exchange's key does not open it."""
    seed = world.vault().signing_seed()
    assert len(seed) == 32
    assert world.vault().signing_seed() == seed
    assert world.rows.signing is not None
    assert seed not in world.rows.signing
    with pytest.raises(SealError):
        world.vault(exchange="XAA").signing_seed()
