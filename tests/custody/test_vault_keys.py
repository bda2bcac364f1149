"""Gallery keys: made once, durable first, checked, locked and unlocked."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from custody.small_world import World

from biometrics.custody import Vault, create_key_file
from biometrics.errors import GalleryLockedError, SealError, StorageError
from biometrics.members import Member
from biometrics.sealed import Binding, GalleryKeyRow, NewGalleryKey, Sealed

XAA, XAB, STRANGER = Member("XAA"), Member("XAB"), Member("XZZ")
VALUE = b"0123456789abcdef"


def is_locked(vault: Vault, binding: Binding, sealed: Sealed | None = None):
    """Say whether sealing and opening are both refused for being locked."""
    assert not vault.is_unlocked(binding.member)
    with pytest.raises(GalleryLockedError) as refused:
        vault.seal(binding, VALUE)
    with pytest.raises(GalleryLockedError):
        vault.codes(binding.member, binding.gallery)
    if sealed is not None:
        with pytest.raises(GalleryLockedError):
            vault.open(binding, sealed)
        with pytest.raises(GalleryLockedError):
            vault.open_into(binding, sealed, bytearray(len(VALUE)))
    return refused.value.reason == "GALLERY_LOCKED"


def test_a_member_is_locked_until_it_is_unlocked(world: World):
    """A new vault holds no key of anybody's."""
    assert is_locked(world.vault(), world.binding())


def test_a_locked_member_neither_seals_nor_opens(world: World):
    """After `lock` keys are gone; others go on; the index key stays."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    lookup = vault.index(XAA).lookup("reference")
    vault.lock(XAA)
    assert is_locked(vault, world.binding(), sealed)
    assert vault.index(XAA).lookup("reference") == lookup
    assert vault.is_unlocked(XAB)
    vault.seal(world.binding(member=XAB), VALUE)


def test_unlocking_brings_everything_back(world: World):
    """What was sealed before a lock, or by another process, opens after an unlock."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    vault.lock(XAA)
    vault.unlock(XAA)
    assert vault.open(world.binding(), sealed) == VALUE
    assert world.unlocked().open(world.binding(), sealed) == VALUE
    assert world.rows.additions == 1


def test_a_member_without_a_key_is_locked_for_ever(world: World):
    """Who holds no galleries here cannot be unlocked, and locking it is no error."""
    vault = world.unlocked()
    with pytest.raises(GalleryLockedError):
        vault.unlock(STRANGER)
    vault.lock(STRANGER)
    assert is_locked(vault, world.binding(member=STRANGER))


def test_a_wrong_key_locks_its_member_only(world: World):
    """A foreign key-encryption key opens nothing, and stops nobody else."""
    before = world.unlocked()
    sealed = {m: before.seal(world.binding(member=m), VALUE) for m in (XAA, XAB)}
    lookup = before.index(XAA).lookup("reference")
    vault = world.vault(XAA="XAC")
    with pytest.raises(SealError):
        vault.unlock(XAA)
    vault.unlock(XAB)
    assert is_locked(vault, world.binding(), sealed[XAA])
    assert vault.open(world.binding(member=XAB), sealed[XAB]) == VALUE
    assert vault.index(XAA).lookup("reference") == lookup


@pytest.mark.parametrize(
    "changes",
    [
        {"commitment": bytes(32)},
        {"commitment": b""},
        {"gallery": "faces-v2"},
        {"epoch": 2},
        {"wrapped": bytes(72)},
        {"wrapped": b""},
    ],
)
def test_a_changed_row_does_not_unlock(world: World, changes: dict[str, object]):
    """A gallery key whose row was changed in any way locks its member."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    world.change_key(0, **changes)
    with pytest.raises(SealError):
        vault.unlock(XAA)
    assert is_locked(vault, world.binding())


def test_a_row_moved_to_another_member_does_not_unlock(world: World):
    """Even under the same key-encryption key a gallery key is one member's."""
    world.unlocked().seal(world.binding(), VALUE)
    world.change_key(0, member=XAB)
    with pytest.raises(SealError):
        world.vault(XAB="XAA").unlock(XAB)


def test_two_gallery_keys_cannot_trade_commitments(world: World):
    """A commitment is refused by every key but the one it was made for."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    vault.seal(world.binding(gallery="faces-v2"), VALUE)
    first, second = world.rows.keys
    world.change_key(0, commitment=second.commitment)
    with pytest.raises(SealError, match="committed to"):
        vault.unlock(XAA)
    world.change_key(0, commitment=first.commitment)
    vault.unlock(XAA)


def test_a_key_that_the_store_gives_instead_is_refused(world: World):
    """A first use that gets another gallery's row back does not seal with it."""
    vault = world.unlocked()
    vault.seal(world.binding(), VALUE)
    foreign = world.rows.keys[0]
    world.rows.add_gallery_key = lambda _row: foreign
    with pytest.raises(SealError):
        vault.seal(world.binding(gallery="faces-v2"), VALUE)


def test_a_key_that_is_not_durable_is_not_used(world: World):
    """If the store cannot keep a new key, nothing is sealed; later it is."""
    vault = world.unlocked()
    add = world.rows.add_gallery_key

    def full(_row: NewGalleryKey) -> NoReturn:
        raise StorageError("STORAGE_FULL", "the disk is full")

    world.rows.add_gallery_key = full
    with pytest.raises(StorageError):
        vault.seal(world.binding(), VALUE)
    world.rows.add_gallery_key = add
    sealed = vault.seal(world.binding(), VALUE)
    assert world.unlocked().open(world.binding(), sealed) == VALUE


def test_codes_have_a_key_before_anything_is_sealed(world: World):
    """A gallery whose codes come first gets its key then, durable before it is used."""
    vault, add = world.unlocked(), world.rows.add_gallery_key

    def full(_row: NewGalleryKey) -> NoReturn:
        raise StorageError("STORAGE_FULL", "the disk is full")

    world.rows.add_gallery_key = full
    with pytest.raises(StorageError):
        vault.codes(XAA, "faces-v1")
    world.rows.add_gallery_key = add
    key = vault.codes(XAA, "faces-v1")
    assert key.key_id == vault.seal(world.binding(), VALUE).key_id == 1
    assert vault.codes(XAA, "faces-v1") is key
    assert len(world.rows.keys) == 1


def test_a_key_is_made_once_for_each_gallery(world: World):
    """Members and galleries have keys of their own, from epoch 1, told apart."""
    vault = world.unlocked()
    for _ in range(3):
        for member in (XAA, XAB):
            for gallery in ("faces-v1", "faces-v2"):
                vault.seal(world.binding(member=member, gallery=gallery), VALUE)
    keys = world.rows.keys
    assert [(k.member.code, k.gallery, k.epoch) for k in keys] == [
        ("XAA", "faces-v1", 1),
        ("XAA", "faces-v2", 1),
        ("XAB", "faces-v1", 1),
        ("XAB", "faces-v2", 1),
    ]
    assert len({key.commitment for key in keys}) == 4
    assert {len(key.commitment) for key in keys} == {32}


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_epoch_seals_and_the_older_still_open(world: World, order: int):
    """After a rotation new values go under the new key; old ones stay readable."""
    old = world.unlocked().seal(world.binding(), VALUE)
    world.rotate()
    world.rows.keys = world.rows.keys[::order]
    vault = world.unlocked()
    assert vault.seal(world.binding(), VALUE).key_id == 2
    assert vault.codes(XAA, "faces-v1").key_id == 2
    assert vault.open(world.binding(), old) == VALUE


def test_threads_that_come_first_share_one_key(world: World):
    """Eight first uses at the same moment make one gallery key."""
    vault, barrier = world.unlocked(), threading.Barrier(8)

    def first_use(_number: int) -> Sealed:
        barrier.wait(10)
        return vault.seal(world.binding(), VALUE)

    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(first_use, range(8)))
    assert world.rows.additions == 1
    assert all(vault.open(world.binding(), s) == VALUE for s in sealed)


def test_processes_that_come_first_share_one_key(world: World):
    """Of two vaults on one store, the second to make a key takes the first's."""
    one, two = world.unlocked(), world.unlocked()
    first, second = one.seal(world.binding(), VALUE), two.seal(world.binding(), VALUE)
    assert world.rows.additions == 2
    assert len(world.rows.keys) == 1
    assert two.open(world.binding(), first) == one.open(world.binding(), second)


def test_a_thread_that_waited_for_the_first_use_takes_its_key(world: World):
    """Who finds the ring changing looks again before it makes a key."""
    vault, add = world.unlocked(), world.rows.add_gallery_key
    adding, may_add = threading.Event(), threading.Event()

    def slow(row: NewGalleryKey) -> GalleryKeyRow:
        adding.set()
        assert may_add.wait(10)
        return add(row)

    world.rows.add_gallery_key = slow
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(vault.seal, world.binding(), VALUE)
        assert adding.wait(10)
        second = threads.submit(vault.seal, world.binding(), VALUE)
        locking = threading.Thread(target=vault.lock, args=(XAB,))
        locking.start()
        locking.join(10)  # another member does not wait
        assert not vault.is_unlocked(XAB)
        may_add.set()
        assert first.result(10).key_id == second.result(10).key_id == 1
    assert world.rows.additions == 1


def test_lock_outlasts_an_unlocking_that_is_under_way(world: World):
    """Once `lock` has returned, no unlocking that began before undoes it."""
    vault = world.vault()
    world.rows.may_read.clear()
    unlocking = threading.Thread(target=vault.unlock, args=(XAA,))
    unlocking.start()
    assert world.rows.reading.wait(10)
    locking = threading.Thread(target=vault.lock, args=(XAA,))
    locking.start()
    locking.join(0.05)
    world.rows.may_read.set()
    for thread in (unlocking, locking):
        thread.join(10)
    assert is_locked(vault, world.binding())


def test_a_lock_before_the_first_use_makes_no_key(world: World):
    """A seal that was waiting when its member was locked is refused."""
    vault = world.unlocked()
    vault.lock(XAA)
    with pytest.raises(GalleryLockedError):
        vault._rings[XAA]._make("faces-v1")  # where it had been waiting
    assert not world.rows.keys


def test_a_lost_key_file_cannot_be_replaced(world: World):
    """A new key file under the old name does not unlock what is there."""
    world.unlocked().seal(world.binding(), VALUE)
    path = world.folder / "XAA.key"
    kept = path.read_bytes()
    path.unlink()
    create_key_file(path, world.random_bytes)
    with pytest.raises(SealError):
        world.vault().unlock(XAA)
    shutil.copy(path, world.folder / "lost.key")
    path.write_bytes(kept)
    world.vault().unlock(XAA)
