"""Files of codes open whole, as what they are, or not at all; rotations are secret."""

import itertools
import traceback
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
from custody.small_world import World
from hypothesis import given
from hypothesis import strategies as st

from biometrics.custody import CodesKey
from biometrics.custody.gallery import Epoch
from biometrics.errors import SealError
from biometrics.members import Member
from biometrics.sealed import FileKind, SealedFile

XAA, XAB = Member("XAA"), Member("XAB")
MIB = 1024 * 1024
HEADER, TAG = 16, 16
SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 17]
# For each field of a file, what it is swapped for.
SWAPPED = {
    "kind": FileKind.MANIFEST,
    "position": "left-iris",
    "name": bytes(range(1, 17)),
}


@pytest.fixture
def key(world: World) -> CodesKey:
    """Return the key of a gallery's codes."""
    return world.unlocked().codes(XAA, "faces-v1")


def content(size: int) -> bytes:
    """Return bytes in which no two pieces are equal."""
    return np.random.default_rng(size).bytes(size)


def stored(key: CodesKey, values: bytes, **changes: object) -> list[bytes]:
    """Return the header and the pieces of a file."""
    return list(key.seal(World.file(**changes), values))


def remains(error: BaseException) -> Iterator[bytearray]:
    """Yield the buffers in the frames that an error came through."""
    for frame, _line in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, bytearray):
                yield value


def refuses(key: CodesKey, file: SealedFile, sealed: bytes):
    """Say whether a file does not open, and leaves nothing of itself behind."""
    with pytest.raises(SealError) as refused:
        key.open(file, sealed)
    assert refused.value.reason == "DOES_NOT_OPEN"
    return not any(any(buffer) for buffer in remains(refused.value))


@pytest.mark.parametrize("size", SIZES)
def test_whatever_is_sealed_opens(world: World, key: CodesKey, size: int):
    """Every size comes back, as memory one can overwrite, out of pieces of 1 MiB."""
    values = content(size)
    header, *pieces = stored(key, values)
    lengths = [len(piece) - TAG for piece in pieces]
    assert len(header) == HEADER
    assert sum(lengths) == size
    assert set(lengths[:-1]) <= {MIB}
    assert lengths[-1] > 0 or size == 0
    assert len(header) + sum(map(len, pieces)) == key.sealed_bytes(size)
    opened = key.open(world.file(), header + b"".join(pieces))
    assert isinstance(opened, bytearray)
    assert opened == values


def test_a_file_opens_in_another_process_and_after_a_lock(world: World):
    """The key of a gallery's codes is the same wherever the gallery is unlocked."""
    vault = world.unlocked()
    key = vault.codes(XAA, "faces-v1")
    sealed = b"".join(stored(key, b"codes"))
    vault.lock(XAA)
    vault.unlock(XAA)
    for again in (vault, world.unlocked()):
        other = again.codes(XAA, "faces-v1")
        assert other is not key
        assert other.open(world.file(), sealed) == b"codes"
        assert other.seed("face") == key.seed("face")


def test_codes_are_sealed_out_of_arrays(world: World, key: CodesKey):
    """Read-only arrays are sealed as they lie in memory; files open out of any."""
    values = np.arange(70_000, dtype=np.uint32).reshape(100, 700)
    values.flags.writeable = False
    sealed = b"".join(key.seal(world.file(), values))
    for read in (sealed, bytearray(sealed), np.frombuffer(sealed, np.uint8)):
        assert key.open(world.file(), read) == values.tobytes()


def test_an_array_with_gaps_is_refused_at_once(world: World, key: CodesKey):
    """Values that do not lie together are refused before a file is begun."""
    with pytest.raises(TypeError, match="contiguous"):
        key.seal(world.file(), np.zeros(16, np.uint8)[::2])


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_name_of_another_length_is_refused(world: World, length: int):
    """A name that cannot be 16 random bytes is a mistake of the program's."""
    with pytest.raises(ValueError, match="16 bytes"):
        world.file(name=bytes(length))


def test_every_field_is_swapped():
    """The table above leaves out no field of a file."""
    assert set(SWAPPED) == {field.name for field in fields(SealedFile)}


@pytest.mark.parametrize("name", sorted(SWAPPED))
def test_a_file_does_not_open_with_any_field_swapped(
    world: World, key: CodesKey, name: str
):
    """Every single field of a file counts."""
    change = {name: SWAPPED[name]}
    own, foreign = (b"".join(stored(key, b"codes", **c)) for c in ({}, change))
    assert key.open(world.file(), own) == b"codes"
    assert refuses(key, world.file(**change), own)
    assert refuses(key, world.file(), foreign)


def test_a_file_does_not_open_for_another_member_or_gallery(world: World):
    """A file that was moved to another gallery is refused there."""
    vault = world.unlocked()
    places = (XAA, "faces-v1"), (XAA, "faces-v2"), (XAB, "faces-v1")
    keys = [vault.codes(*place) for place in places]
    for one, other in itertools.permutations(keys, 2):
        assert refuses(other, world.file(), b"".join(stored(one, b"codes")))


def test_a_file_does_not_open_in_another_epoch(world: World):
    """After a rotation codes are made anew: old files open under the old key only."""
    old = world.unlocked().codes(XAA, "faces-v1")
    world.rotate()
    new = world.unlocked().codes(XAA, "faces-v1")
    assert (old.key_id, new.key_id) == (1, 2)
    assert refuses(new, world.file(), b"".join(stored(old, b"codes")))
    assert refuses(old, world.file(), b"".join(stored(new, b"codes")))


def test_the_same_secret_serves_one_gallery_and_epoch():
    """Even were two secrets equal, files and rotations would not be."""
    places = (XAA, "faces-v1", 1), (XAB, "faces-v1", 1)
    places += (XAA, "faces-v2", 1), (XAA, "faces-v1", 2)
    keys = [CodesKey(Epoch(*place), 1, bytes(32)) for place in places]
    for one, other in itertools.permutations(keys, 2):
        assert refuses(other, World.file(), b"".join(stored(one, b"codes")))
    assert len({key.seed("face") for key in keys}) == 4


def test_no_changed_byte_opens(world: World, key: CodesKey):
    """A file of which any one byte was changed does not open."""
    sealed = b"".join(stored(key, b"codes"))
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 0x01
        assert refuses(key, world.file(), bytes(changed))


def test_no_changed_byte_opens_in_any_piece(world: World, key: CodesKey):
    """So it is in each piece of a file of several, at its ends and between."""
    pieces = stored(key, content(2 * MIB + 99))
    ends = list(itertools.accumulate(map(len, pieces)))
    places = {*range(0, ends[-1], 99_991), *ends[:-1], *(end - 1 for end in ends)}
    changed = bytearray(b"".join(pieces))
    for at in places:
        changed[at] ^= 0x80
        assert refuses(key, world.file(), bytes(changed))
        changed[at] ^= 0x80
    assert len(key.open(world.file(), changed)) == 2 * MIB + 99


def test_no_shortened_file_opens(world: World, key: CodesKey):
    """A file that was cut off does not open, wherever it was cut."""
    sealed = b"".join(stored(key, b"codes"))
    for length in range(len(sealed)):
        assert refuses(key, world.file(), sealed[:length])


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + 99])
def test_no_file_cut_where_a_piece_ends_opens(world: World, key: CodesKey, size: int):
    """Whole pieces that are missing at the end are noticed, and so are parts."""
    pieces = stored(key, content(size))
    sealed = b"".join(pieces)
    for end in itertools.accumulate(map(len, pieces[:-1])):
        for length in (end - TAG, end - 1, end, end + 1, end + TAG - 1, end + TAG):
            assert refuses(key, world.file(), sealed[:length])


@pytest.mark.parametrize("size", [0, 5, MIB, MIB + 5])
def test_no_lengthened_file_opens(world: World, key: CodesKey, size: int):
    """A file after which anything follows does not open."""
    pieces = stored(key, content(size))
    sealed = b"".join(pieces)
    others = stored(key, content(size), name=bytes(16))
    for more in (b"\0", bytes(TAG), bytes(MIB), pieces[-1], others[-1], sealed):
        assert refuses(key, world.file(), sealed + more)


def test_pieces_open_in_their_order_and_file_only(world: World, key: CodesKey):
    """Pieces that trade places, are missing, come twice or from elsewhere are seen."""
    header, one, two, three, last = stored(key, content(4 * MIB))
    _header, foreign, *_rest = stored(key, content(4 * MIB), name=bytes(16))
    assert key.open(world.file(), header + one + two + three + last)
    for pieces in (
        [two, one, three, last],
        [one, two, last, three],
        [last, two, three, one],
        [one, three, last],
        [two, three, last],
        [one, two, two, last],
        [one, one, two, three, last],
        [foreign, two, three, last],
    ):
        assert refuses(key, world.file(), header + b"".join(pieces))


def test_a_file_that_fails_leaves_zeros(world: World, key: CodesKey):
    """What was decrypted before the seal proved broken is overwritten."""
    sealed = b"".join(stored(key, content(MIB + 5)))
    with pytest.raises(SealError, match="broken") as refused:
        key.open(world.file(), sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert bytes(MIB + 5) in list(remains(refused.value))


@pytest.mark.parametrize("at", [0, 11, 13], ids=["magic", "version", "piece size"])
def test_another_format_is_refused_as_such(world: World, key: CodesKey, at: int):
    """A file of another format, of whatever version, is not taken for a damaged one."""
    sealed = bytearray(b"".join(stored(key, b"codes")))
    sealed[at] += 1
    with pytest.raises(SealError, match="format"):
        key.open(world.file(), sealed)


@given(st.binary(max_size=200), st.booleans())
def test_nothing_else_opens(data: bytes, has_header: bool):  # noqa: FBT001 -- drawn
    """Whatever is found in the place of a file, it is refused as damaged."""
    key = CodesKey(Epoch(XAA, "faces-v1", 1), 1, bytes(32))
    header = next(key.seal(World.file(), b"")) if has_header else b""
    assert refuses(key, World.file(), header + data)


def test_equal_contents_are_sealed_differently(key: CodesKey):
    """Nothing that is stored tells that two files are equal."""
    sealed = [
        b"".join(stored(key, bytes(64), name=bytes([number]) * 16))
        for number in range(50)
    ]
    assert len({file[HEADER : HEADER + 32] for file in sealed}) == 50
    assert not any(bytes(16) in file for file in sealed)


def test_every_position_of_every_gallery_has_a_rotation_of_its_own(world: World):
    """Seeds are 32 bytes; members, galleries and positions share none."""
    vault = world.unlocked()
    seeds = {
        vault.codes(member, gallery).seed(position)
        for member in (XAA, XAB)
        for gallery in ("faces-v1", "faces-v2")
        for position in ("", "face", "left-iris")
    }
    assert len(seeds) == 12
    assert {len(seed) for seed in seeds} == {32}


def test_a_rotation_opens_no_file(world: World, key: CodesKey):
    """Who learns the rotation of a position does not learn the key of its files."""
    seed = key.seed("face")
    other = CodesKey(Epoch(XAA, "faces-v1", 1), 1, seed)
    assert key._secret != seed
    assert refuses(other, world.file(), b"".join(stored(key, b"codes")))
