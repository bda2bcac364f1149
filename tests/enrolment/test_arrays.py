"""An array file gives what was put in, or one error that says what is wrong."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.arrays import ArrayFile, read_npz, write_npz
from enrolment.formats.npy import HeaderError, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROWS = np.arange(5 * 16, dtype=np.float32).reshape(5, 16)
REFERENCES = ["a", "bb", "Zoë", "\N{OLD PERSIAN SIGN A}", "e" * 128]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of many examples."""
    return tmp_path_factory.mktemp("arrays")


@pytest.fixture(params=[np.savez, np.savez_compressed])
def save(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Both ways in which NumPy writes archives."""
    saver: Callable[..., None] = request.param
    return saver


def whole(file: ArrayFile, chunk: int = 2) -> NDArray[np.float32]:
    """Return all rows of a file, and check their numbers on the way."""
    blocks = []
    done = 0
    for start, block in file.rows(chunk):
        assert start == done
        assert block.dtype == np.float32
        assert 1 <= len(block) <= chunk
        blocks.append(block)
        done += len(block)
    assert done == file.count
    return np.concatenate(blocks)


def refused(path: Path, **asked: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the faults of a file, reasons by field; it must be refused by its path."""
    with pytest.raises(InvalidRequestError) as caught:
        read_npz(path, **asked)
    assert all(fault.field.startswith(str(path)) for fault in caught.value.faults)
    before = f"{path.parent}/"
    return {
        fault.field.removeprefix(before): fault.reason for fault in caught.value.faults
    }


def npy(array: NDArray[Any]) -> bytes:
    """Return an array in NumPy's own format."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def pack(path: Path, **members: bytes) -> Path:
    """Write an archive of members as they are given."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Vectors and references."""
    path = tmp_path / "gallery.npz"
    write_npz(path, ROWS, REFERENCES)
    file = read_npz(path)
    assert (file.count, file.dimension, file.references) == (5, 16, REFERENCES)
    assert np.array_equal(whole(file), ROWS)


def test_arrays_of_unequal_length_are_not_written(tmp_path: Path) -> None:
    """Nothing is left behind either."""
    with pytest.raises(ValueError, match="as many references"):
        write_npz(tmp_path / "gallery.npz", ROWS, REFERENCES[1:])
    assert not list(tmp_path.iterdir())


@given(
    rows=arrays(
        floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        array_shapes(min_dims=2, max_dims=2, min_side=16, max_side=20),
    ),
    by_column=st.booleans(),
    deflated=st.booleans(),
    chunk=st.integers(1, 40),
)
@settings(max_examples=60)
def test_every_float_order_and_chunk_gives_the_same_rows(
    folder: Path, rows: NDArray[Any], *, by_column: bool, deflated: bool, chunk: int
) -> None:
    """NaN and infinity come through: they are for admission to refuse."""
    path = folder / "floats.npz"
    save = np.savez_compressed if deflated else np.savez
    save(path, embedding=np.asfortranarray(rows) if by_column else rows)
    with np.errstate(all="ignore"):
        expected = rows.astype(np.float32)
    assert np.array_equal(whole(read_npz(path), chunk), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (np.array([7, -1, 2**62, 0, 5]), ["7", "-1", str(2**62), "0", "5"]),
        (np.array([2**64 - 1] * 5, np.uint64), [str(2**64 - 1)] * 5),
        (np.array(["x", "", "ü", "z", "w"], ">U3"), ["x", "", "ü", "z", "w"]),
        (np.array([b"x", b"\xc3\xbc", b"", b"z", b"w"]), ["x", "ü", "", "z", "w"]),
    ],
)
def test_references_are_texts_bytes_or_integers(
    tmp_path: Path,
    save: Callable[..., None],
    reference: NDArray[Any],
    expected: list[str],
) -> None:
    """In any byte order; all become texts."""
    save(tmp_path / "gallery.npz", embedding=ROWS, reference=reference)
    assert read_npz(tmp_path / "gallery.npz").references == expected


@pytest.mark.parametrize("named", [np.array([3, 1, 3, 3, 1]), np.array(list("ababb"))])
def test_further_arrays_may_be_texts_or_integers(
    tmp_path: Path, named: NDArray[Any]
) -> None:
    """Whoever asks for texts gets texts of either."""
    np.savez(tmp_path / "gallery.npz", embedding=ROWS, subject=named)
    file = read_npz(tmp_path / "gallery.npz", texts=("subject",))
    assert file.texts("subject") == [str(each) for each in named]
    assert file.references is None


def test_objects_are_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    """A column out of a data frame is one."""
    named = np.array(list("ababb"), object)
    np.savez(tmp_path / "bad.npz", embedding=ROWS, subject=named)
    with pytest.raises(InvalidRequestError, match=r"`array\.astype\(str\)`"):
        read_npz(tmp_path / "bad.npz", texts=("subject",))


def test_the_working_folder_is_named_as_it_was_given() -> None:
    """An error about a path never begins with nothing."""
    with pytest.raises(InvalidRequestError, match=r"^\.: cannot be read: is a dir"):
        read_npz(Path())


def test_a_file_without_references_has_none(tmp_path: Path) -> None:
    """Arrays that nobody asked for are left alone, whatever they are."""
    other = np.array([{}, [], 1, 2, 3], object)
    np.savez(tmp_path / "plain.npz", embedding=ROWS, other=other)
    file = read_npz(tmp_path / "plain.npz")
    assert file.references is None
    assert np.array_equal(whole(file), ROWS)


def test_all_faults_are_told_at_once_by_file_and_array(tmp_path: Path) -> None:
    """So that one correction is enough."""
    np.savez(
        tmp_path / "bad.npz",
        embedding=np.ones((3, limits.MIN_DIMENSION - 1), np.float32),
        reference=np.array(["a", "b"]),
        subject=np.ones((3, 1)),
    )
    path = tmp_path / "bad.npz"
    with pytest.raises(InvalidRequestError) as caught:
        read_npz(path, texts=("subject", "sample"))
    assert [(fault.field, fault.reason) for fault in caught.value.faults] == [
        (f"{path}:subject", "WRONG_TYPE"),
        (f"{path}:subject", "WRONG_SHAPE"),
        (f"{path}:sample", "MISSING_ARRAY"),
        (f"{path}:embedding", "WRONG_DIMENSION"),
        (f"{path}:reference", "WRONG_COUNT"),
    ]


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("embedding", np.ones((0, 16)), "WRONG_COUNT"),
        ("embedding", np.ones((3, 0)), "WRONG_DIMENSION"),
        ("embedding", np.ones((3, limits.MAX_DIMENSION + 1)), "WRONG_DIMENSION"),
        ("embedding", np.ones(16), "WRONG_SHAPE"),
        ("embedding", np.ones((1, 3, 16)), "WRONG_SHAPE"),
        ("embedding", np.float32(1), "WRONG_SHAPE"),
        ("embedding", np.ones((3, 16), np.int32), "WRONG_TYPE"),
        ("embedding", np.ones((3, 16), np.complex64), "WRONG_ARRAY"),
        ("embedding", np.ones((3, 16), np.longdouble), "WRONG_ARRAY"),
        ("embedding", np.ones(3, [("a", "f4"), ("b", "f4")]), "WRONG_ARRAY"),
        ("embedding", np.ones((3, 16), object), "WRONG_ARRAY"),
        ("reference", np.array(["a", None, 3], object), "WRONG_ARRAY"),
        ("reference", np.array([True] * 5), "WRONG_ARRAY"),
        ("reference", np.ones(5), "WRONG_TYPE"),
        ("reference", np.array(["\ud800"] * 5), "WRONG_TEXT"),
        ("reference", np.frombuffer(b"\xff" * 20, "<u4").view("<U1"), "WRONG_TEXT"),
        ("reference", np.array([b"\xff"] * 5), "WRONG_TEXT"),
        ("reference", np.array(["a" * 1025] * 5), "WRONG_WIDTH"),
        ("reference", np.array([b"a" * 1025] * 5), "WRONG_WIDTH"),
        ("subject", np.ones(5), "WRONG_TYPE"),
        ("subject", np.array(["\ud800"] * 5), "WRONG_TEXT"),
    ],
)
def test_arrays_of_other_types_and_shapes_are_refused(
    tmp_path: Path, name: str, array: NDArray[Any], reason: str
) -> None:
    """Each with a reason of its own."""
    members = {"embedding": ROWS, "subject": np.arange(5), name: array}
    if name == "embedding" and array.ndim == 2:
        members["subject"] = np.arange(len(array))
    np.savez(tmp_path / "bad.npz", **members)
    told = refused(tmp_path / "bad.npz", texts=("subject",))
    assert told == {f"bad.npz:{name}": reason}


class Bomb:
    """Goes off when it is unpickled."""

    exploded = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Set the flag on unpickling."""
        return (setattr, (Bomb, "exploded", True))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """Objects are refused by their type, not by what is in them."""
    np.savez(tmp_path / "bad.npz", embedding=ROWS, reference=np.array([Bomb()] * 5))
    assert refused(tmp_path / "bad.npz") == {"bad.npz:reference": "WRONG_ARRAY"}
    assert not Bomb.exploded


def header(text: str, version: bytes = b"\x01\x00", width: int = 2) -> bytes:
    """Return an array's header with this text."""
    data = text.encode("latin1")
    return b"\x93NUMPY" + version + len(data).to_bytes(width, "little") + data


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 16)}"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff",
        header(GOOD)[:-1],
        header(GOOD, b"\x03\x00", 4),
        header(GOOD + " " * 5000),
        header(GOOD.replace("(5, 16)", "(5, -16)")),
        header(GOOD.replace("(5, 16)", "(5, 16.0)")),
        header(GOOD.replace("(5, 16)", "[5, 16]")),
        header(GOOD.replace("(5, 16)", "(5, True)")),
        header(GOOD.replace("False", "0")),
        header(GOOD.replace("'shape'", "'form'")),
        header(GOOD.replace("<f4", "<f1")),
        header(GOOD.replace("'<f4'", "4")),
        header("(" * 3000),
        header("[1, 2]"),
        header("__import__('os')"),
        header("\xff"),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, start: bytes) -> None:
    """Before a byte behind them is believed."""
    path = pack(tmp_path / "bad.npz", embedding=start)
    assert refused(path) == {"bad.npz:embedding": "WRONG_ARRAY"}


def test_headers_of_version_two_are_read(tmp_path: Path) -> None:
    """Other writers than NumPy choose it."""
    data = header(GOOD, b"\x02\x00", 4) + ROWS.tobytes()
    file = read_npz(pack(tmp_path / "gallery.npz", embedding=data))
    assert np.array_equal(whole(file), ROWS)


@pytest.mark.parametrize("shape", ["(4, 16)", "(6, 16)", f"({10**12}, 16)"])
def test_sizes_are_checked_before_elements_are_read(tmp_path: Path, shape: str) -> None:
    """A header cannot make the reader ask for memory."""
    data = header(GOOD.replace("(5, 16)", shape)) + ROWS.tobytes()
    told = refused(pack(tmp_path / "bad.npz", embedding=data))
    assert told == {"bad.npz:embedding": "WRONG_SIZE"}


def test_more_rows_than_the_bound_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are arrays in Fortran order that would not fit into memory."""
    np.savez(tmp_path / "many.npz", embedding=np.asfortranarray(ROWS))
    monkeypatch.setattr(limits, "MAX_ARRAY_ROWS", 4)
    assert refused(tmp_path / "many.npz") == {"many.npz:embedding": "WRONG_COUNT"}
    monkeypatch.setattr(limits, "MAX_ARRAY_ROWS", 5)
    monkeypatch.setattr(limits, "MAX_COLUMN_ORDER_BYTES", ROWS.nbytes - 1)
    assert refused(tmp_path / "many.npz") == {"many.npz:embedding": "WRONG_ORDER"}


def test_a_file_larger_than_memory_is_read_in_blocks(
    tmp_path: Path, save: Callable[..., None]
) -> None:
    """Thirty-two megabytes pass through less than eight; a bomb is no worse."""
    save(tmp_path / "large.npz", embedding=np.zeros((16384, 512), np.float32))
    tracemalloc.start()
    try:
        file = read_npz(tmp_path / "large.npz")
        for _, block in file.rows(256):
            assert not block.any()
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_damaged_element_is_noticed_before_any_row_is_given(tmp_path: Path) -> None:
    """A wrong template must not be enrolled, nor half of a file."""
    rows = np.random.default_rng(1).random((1000, 16), np.float32)
    np.savez(tmp_path / "gallery.npz", embedding=rows)
    data = bytearray((tmp_path / "gallery.npz").read_bytes())
    data[data.index(rows[-1].tobytes())] ^= 1
    (tmp_path / "gallery.npz").write_bytes(data)
    assert refused(tmp_path / "gallery.npz") == {"gallery.npz": "FILE_DAMAGED"}


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ({"embedding": npy(ROWS[:4])}, "FILE_CHANGED"),
        ({"embedding": b"other"}, "FILE_CHANGED"),
        ({"embedding": npy(ROWS)[:-1]}, "FILE_DAMAGED"),
        ({"other": npy(ROWS)}, "FILE_DAMAGED"),
    ],
)
def test_a_file_that_changes_after_it_was_opened_is_refused(
    tmp_path: Path, later: dict[str, bytes], reason: str
) -> None:
    """Its references would no longer belong to its rows."""
    write_npz(tmp_path / "gallery.npz", ROWS, REFERENCES)
    file = read_npz(tmp_path / "gallery.npz")
    pack(tmp_path / "gallery.npz", **later)
    with pytest.raises(InvalidRequestError) as caught:
        list(file.rows(2))
    assert caught.value.reason == reason


def test_a_chunk_without_rows_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    """It is not the file's fault."""
    write_npz(tmp_path / "gallery.npz", ROWS, REFERENCES)
    with pytest.raises(ValueError, match="at least one row"):
        next(read_npz(tmp_path / "gallery.npz").rows(0))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Missing files, folders, other formats."""
    assert refused(tmp_path / "none.npz") == {"none.npz": "UNREADABLE_FILE"}
    (tmp_path / "folder.npz").mkdir()
    assert refused(tmp_path / "folder.npz") == {"folder.npz": "UNREADABLE_FILE"}
    (tmp_path / "bare.npz").write_bytes(npy(ROWS))
    assert refused(tmp_path / "bare.npz") == {"bare.npz": "FILE_DAMAGED"}
    empty = pack(tmp_path / "empty.npz")
    assert refused(empty) == {"empty.npz:embedding": "MISSING_ARRAY"}


def test_archives_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """Rare compressions, encryption, a name twice, more names than there are uses."""
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("embedding.npy", npy(ROWS))
    assert refused(path) == {"bad.npz:embedding": "WRONG_COMPRESSION"}

    data = bytearray(pack(path, embedding=npy(ROWS)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # encrypted, says the directory
    path.write_bytes(data)
    assert refused(path) == {"bad.npz": "FILE_DAMAGED"}

    pack(path, **{f"a{number}": b"" for number in range(limits.MAX_ARRAY_MEMBERS + 1)})
    assert refused(path) == {"bad.npz": "WRONG_MEMBERS"}

    data = bytearray(pack(path, embedding=npy(ROWS)).read_bytes())
    end = data.index(b"PK\x05\x06")  # the directory starts after the end
    data[end + 16 : end + 20] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    assert refused(path) == {"bad.npz": "FILE_DAMAGED"}

    data = pack(path, embedding=npy(ROWS), embeddinh=npy(ROWS)).read_bytes()
    path.write_bytes(data.replace(b"embeddinh", b"embedding"))
    assert refused(path) == {"bad.npz": "WRONG_MEMBERS"}


@pytest.fixture(scope="module", params=[np.savez, np.savez_compressed])
def sound(request: pytest.FixtureRequest, folder: Path) -> bytes:
    """The bytes of a sound file."""
    subject = np.arange(5)
    request.param(
        folder / "sound.npz", embedding=ROWS, reference=REFERENCES, subject=subject
    )
    return (folder / "sound.npz").read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=150)
def test_a_file_that_was_cut_anywhere_is_refused(
    folder: Path, sound: bytes, share: float
) -> None:
    """Never another exception, and never fewer rows."""
    path = folder / "cut.npz"
    path.write_bytes(sound[: int(share * len(sound))])
    assert set(refused(path, texts=("subject",))) == {"cut.npz"}


@given(data=st.data())
@settings(max_examples=400)
def test_a_damaged_file_is_refused_or_gives_what_it_held(
    folder: Path, sound: bytes, data: st.DataObject
) -> None:
    """Some bytes, such as a date, do not matter; none may change a vector."""
    damaged = bytearray(sound)
    places = st.integers(0, len(sound) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = folder / "damaged.npz"
    path.write_bytes(damaged)
    try:
        file = read_npz(path, texts=("subject",))
        rows = whole(file)
    except InvalidRequestError:
        return
    assert np.array_equal(rows, ROWS)
    assert file.references in (REFERENCES, None)
    assert file.texts("subject") == ["0", "1", "2", "3", "4"]


@given(junk=st.binary(max_size=400))
@settings(max_examples=150)
def test_any_bytes_as_an_array_are_refused(folder: Path, junk: bytes) -> None:
    """Whatever follows the magic."""
    for start in (b"", b"\x93NUMPY\x01\x00", header(GOOD)):
        path = pack(folder / "junk.npz", embedding=start + junk)
        if start + junk == header(GOOD) + ROWS.tobytes():
            continue
        assert set(refused(path)) == {"junk.npz:embedding"}


def test_no_damage_of_a_header_raises_anything_else() -> None:
    """Every byte of a header, changed in turn, and every nesting of its literal."""
    file = io.BytesIO()
    np.save(file, np.ones((3, 16), np.float32))
    header = file.getvalue()[:128]
    damaged = [
        header[:at] + bytes([value]) + header[at + 1 :]
        for at in range(len(header))
        for value in (0, 32, 40, 76, 92, 123, 255)
    ]
    deep = b"(" * 2000 + b")" * 2000
    damaged.append(header[:8] + len(deep).to_bytes(2, "little") + deep)
    damaged += [header[:size] for size in range(len(header))]
    read = 0
    for data in damaged:
        try:
            read += read_header(io.BytesIO(data)).data_bytes > 0
        except HeaderError:
            continue
    assert 0 < read < len(damaged) / 4
