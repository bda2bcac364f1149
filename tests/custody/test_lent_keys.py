"""What a shard is lent opens templates of its members, and does nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from custody.small_world import HOLDERS

from biometrics.custody import LentKeys
from biometrics.errors import (
    GalleryLockedError,
    PreconditionError,
    SealError,
    UnauthenticatedError,
)
from biometrics.sealed import REFERENCES

if TYPE_CHECKING:
    from custody.small_world import World

    from biometrics.custody import Vault
    from biometrics.sealed import Sealed

XAA, XAB, _ = HOLDERS
GALLERY = "faces-v1"
VALUE = b"0123456789abcdef"


def opened(world: World, lent: LentKeys, sealed: Sealed) -> bytes:
    """Return a value of XAA's, opened by keys that are lent."""
    clear = bytearray(len(VALUE))
    lent.open_into(world.binding(), sealed, clear)
    return bytes(clear)


def lend(vault: Vault, lent: LentKeys) -> LentKeys:
    """Lend XAA's keys."""
    lent.take(XAA, vault.lend(XAA, lent.public))
    return lent


def test_they_open_templates_and_codes_as_the_vault_does(world: World) -> None:
    """Of the member alone that they are of."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    lent = lend(vault, LentKeys())
    assert lent.is_unlocked(XAA)
    assert opened(world, lent, sealed) == VALUE
    seed = vault.codes(XAA, GALLERY).seed("face")
    assert lent.codes(XAA, GALLERY).seed("face") == seed
    assert not lent.is_unlocked(XAB)
    with pytest.raises(GalleryLockedError):
        lent.codes(XAB, GALLERY)
    with pytest.raises(GalleryLockedError):
        lent.codes(XAA, "a gallery without a key")


def test_what_belongs_to_something_else_does_not_open(world: World) -> None:
    """The binding is checked here as it is in the vault."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    lent = lend(vault, LentKeys())
    with pytest.raises(SealError):
        lent.open_into(world.binding(generation=9), sealed, bytearray(len(VALUE)))


def test_a_key_that_was_not_lent_is_a_lock_and_no_damage(world: World) -> None:
    """The gallery is loaded again once it is lent: nobody is told of damage."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    lent = lend(vault, LentKeys())
    rows = [world.rows.add_gallery_key(row) for row in vault.successors(XAA)]
    vault.adopt(XAA, rows)
    sealed = vault.seal(world.binding(), VALUE)
    with pytest.raises(GalleryLockedError):
        opened(world, lent, sealed)
    assert opened(world, lend(vault, lent), sealed) == VALUE
    assert len(lent.every_codes(XAA, GALLERY)) == 2
    newest = vault.codes(XAA, GALLERY).key_id
    assert lent.codes(XAA, GALLERY).key_id == newest


def test_they_are_dropped_with_a_lock_and_the_older_with_a_rotation(
    world: World,
) -> None:
    """As those of the vault are."""
    vault = world.unlocked()
    before = vault.seal(world.binding(), VALUE)
    rows = [world.rows.add_gallery_key(row) for row in vault.successors(XAA)]
    vault.adopt(XAA, rows)
    lent = lend(vault, LentKeys())
    lent.retire(XAA)
    lent.retire(XAB)
    assert len(lent.every_codes(XAA, GALLERY)) == 1
    with pytest.raises(GalleryLockedError):
        opened(world, lent, before)
    lent.lock(XAA)
    lent.lock(XAB)
    assert not lent.is_unlocked(XAA)
    with pytest.raises(GalleryLockedError):
        lent.every_codes(XAA, GALLERY)


def test_nothing_is_lent_of_references_or_of_a_locked_member(world: World) -> None:
    """The key of the holder's references stays; so does everything while locked."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    reference = world.binding(gallery=REFERENCES)
    sealed = vault.seal(reference, VALUE)
    lent = lend(vault, LentKeys())
    assert sealed.key_id not in vault.lendable(XAA)
    with pytest.raises(GalleryLockedError):
        lent.open_into(reference, sealed, bytearray(len(VALUE)))
    vault.lock(XAA)
    assert vault.lendable(XAA) == frozenset()
    with pytest.raises(GalleryLockedError):
        vault.lend(XAA, lent.public)


def test_they_are_sealed_to_one_process_and_of_one_member(world: World) -> None:
    """What was sent to one opens at no other, and for no other member."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    lent, other = LentKeys(), LentKeys()
    sealed = vault.lend(XAA, lent.public)
    for borrower, member in ((other, XAA), (lent, XAB)):
        with pytest.raises(PreconditionError):
            borrower.take(member, sealed)
        assert not borrower.is_unlocked(member)
    with pytest.raises(UnauthenticatedError):
        vault.lend(XAA, b"no key")
    assert "key" not in repr(lent).lower().replace("lentkeys", "")
