"""A sealed value opens where it belongs, and nowhere else."""

import numpy as np
import pytest
from custody.small_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biometrics.custody import Vault
from biometrics.errors import SealError
from biometrics.members import Member
from biometrics.sealed import REFERENCES, Binding, Sealed

VALUE = b"0123456789abcdef" * 4
# For each field of a binding, what it is swapped for.
SWAPPED = {
    "member": Member("XAB"),
    "gallery": "faces-v2",
    "record": bytes(range(1, 17)),
    "modality": "iris",
    "space": "faces-v1@0124",
    "position": "right-iris",
    "sample": 1,
    "generation": 2,
}


def refuses(vault: Vault, binding: Binding, sealed: Sealed):
    """Say whether a value does not open, and leaves nothing of itself behind."""
    buffer = bytearray(b"\xff" * len(VALUE))
    with pytest.raises(SealError) as refused:
        vault.open_into(binding, sealed, buffer)
    assert refused.value.reason == "DOES_NOT_OPEN"
    with pytest.raises(SealError):
        vault.open(binding, sealed)
    return set(buffer) in ({0x00}, {0xFF})


def test_every_field_is_swapped():
    """The table above leaves out no field of a binding."""
    assert set(SWAPPED) == {*Binding._fields}


@pytest.mark.parametrize("name", sorted(SWAPPED))
def test_a_value_does_not_open_with_any_field_swapped(world: World, name: str):
    """Every single field of the binding counts, also between galleries in use."""
    vault = world.unlocked()
    own = world.binding()
    other = world.binding(**{name: SWAPPED[name]})
    sealed, foreign = vault.seal(own, VALUE), vault.seal(other, VALUE)
    assert vault.open(own, sealed) == VALUE
    assert refuses(vault, other, sealed)
    assert refuses(vault, own, foreign)


def test_fields_do_not_run_into_each_other(world: World):
    """Letters moved from one field to the next are another binding."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(modality="fa", space="ce"), VALUE)
    assert refuses(vault, world.binding(modality="f", space="ace"), sealed)


def test_a_value_does_not_open_under_another_key_id(world: World):
    """A key id changed to another gallery's, another member's or none is refused."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    for other in (
        world.binding(gallery="faces-v2"),
        world.binding(member=Member("XAB")),
    ):
        moved = sealed._replace(key_id=vault.seal(other, VALUE).key_id)
        assert moved.key_id != sealed.key_id
        assert refuses(vault, world.binding(), moved)
        assert refuses(vault, other, moved)
    assert refuses(vault, world.binding(), sealed._replace(key_id=99))


def test_the_number_of_a_key_is_part_of_the_binding(world: World):
    """A gallery key that the store numbers anew opens nothing that it sealed."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    world.change_key(0, key_id=7)
    vault.unlock(Member("XAA"))
    assert refuses(vault, world.binding(), sealed._replace(key_id=7))


def test_wrapped_keys_cannot_be_exchanged(world: World):
    """Two values of one gallery that trade keys, or contents, do not open."""
    vault = world.unlocked()
    bindings = world.binding(), world.binding(record=bytes(16))
    first, second = (vault.seal(binding, VALUE) for binding in bindings)
    traded = first._replace(wrapped_key=second.wrapped_key)
    assert refuses(vault, bindings[0], traded)
    assert refuses(vault, bindings[1], traded)
    assert refuses(vault, bindings[0], first._replace(ciphertext=second.ciphertext))


def test_no_changed_byte_opens(world: World):
    """A value of which any one stored byte was changed does not open."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    for name in ("wrapped_key", "ciphertext"):
        stored = getattr(sealed, name)
        for at in range(len(stored)):
            changed = bytearray(stored)
            changed[at] ^= 0x01
            damaged = sealed._replace(**{name: bytes(changed)})
            assert refuses(vault, world.binding(), damaged)


@pytest.mark.parametrize("length", [0, 15, 16, 30, 71])
def test_no_shortened_value_opens(world: World, length: int):
    """A value or key that was cut off does not open, wherever it was cut."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    for name in ("wrapped_key", "ciphertext"):
        short = getattr(sealed, name)[:length]
        assert refuses(vault, world.binding(), sealed._replace(**{name: short}))


def test_a_buffer_of_another_size_is_refused(world: World):
    """A value is opened into a buffer of its own size and no other."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    for size in (0, len(VALUE) - 1, len(VALUE) + 1):
        buffer = bytearray(size)
        with pytest.raises(SealError, match="size is wrong"):
            vault.open_into(world.binding(), sealed, buffer)
        assert not any(buffer)


def test_a_value_that_fails_leaves_zeros(world: World):
    """What was decrypted before the seal proved broken is overwritten."""
    vault = world.unlocked()
    sealed = vault.seal(world.binding(), VALUE)
    broken = sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])
    buffer = bytearray(b"\xff" * len(VALUE))
    with pytest.raises(SealError, match="broken"):
        vault.open_into(world.binding(), sealed._replace(ciphertext=broken), buffer)
    assert buffer == bytes(len(VALUE))


def test_templates_are_sealed_from_and_opened_into_arrays(world: World):
    """Read-only float32 rows go in as they lie in memory, and come out equal."""
    vault = world.unlocked()
    vector = np.random.default_rng(3).normal(size=512).astype(np.float32)
    vector.flags.writeable = False
    clear = np.empty((3, 512), np.float32)
    for row, given_as in zip(
        clear, (vector, vector.data, vector.reshape(2, 256)), strict=True
    ):
        sealed = vault.seal(world.binding(), given_as)
        vault.open_into(world.binding(), sealed, row)
        assert vault.open(world.binding(), sealed) == vector.tobytes()
    assert (clear == vector).all()


def test_values_of_several_galleries_are_sealed_at_once(world: World):
    """Each is under its own gallery's key, and opens where it belongs."""
    vault = world.unlocked()
    bindings = [world.binding(gallery=name) for name in ("faces-v1", "faces-v2")] * 2
    values = [(binding, bytes([n]) * len(VALUE)) for n, binding in enumerate(bindings)]
    sealed = vault.seal_all(values)
    others = [*bindings[1:], bindings[0]]
    for (binding, value), other, each in zip(values, others, sealed, strict=True):
        assert vault.open(binding, each) == value
        assert refuses(vault, other, each)
    assert vault.seal_all([]) == []


def test_an_array_with_gaps_is_refused(world: World):
    """Values that do not lie together are not sealed as something else."""
    with pytest.raises(TypeError, match="contiguous"):
        world.unlocked().seal(world.binding(), np.zeros(16, np.float32)[::2])


@pytest.mark.parametrize("at_once", [1, 50])
def test_equal_values_are_sealed_differently(world: World, at_once: int):
    """Nothing that is stored tells that two values are equal."""
    vault = world.unlocked()
    values = [(world.binding(), VALUE)] * at_once
    sealed = [each for _ in range(50 // at_once) for each in vault.seal_all(values)]
    assert all(vault.open(world.binding(), each) == VALUE for each in sealed)
    assert len({s.wrapped_key[:24] for s in sealed}) == 50  # nonces
    assert len({s.wrapped_key[24:] for s in sealed}) == 50
    assert len({s.ciphertext for s in sealed}) == 50
    assert not any(VALUE[:16] in s.ciphertext for s in sealed)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.binary(max_size=300),
    record=st.binary(min_size=16, max_size=16),
    place=st.tuples(st.text(max_size=20), st.integers(0, 2**32)),
)
def test_whatever_is_sealed_opens(
    world: World, value: bytes, record: bytes, place: tuple[str, int]
):
    """Every value comes back, under every binding, as memory one can overwrite."""
    vault = world.unlocked()
    binding = world.binding(
        gallery=REFERENCES, record=record, space=place[0], sample=place[1]
    )
    opened = vault.open(binding, vault.seal(binding, value))
    assert isinstance(opened, bytearray)
    assert opened == value
