"""A manifest gives the records that it lists, from beneath its folder only."""

from __future__ import annotations

import datetime as dt
import json
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from finger import small_record, write_record
from hypothesis import given, settings
from hypothesis import strategies as st

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.files import open_beneath
from enrolment.formats.finger import FingerView
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, Unreadable, VectorSample

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.arange(1, 3 * 16 + 1, dtype=np.float32).reshape(3, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with vectors, and a secret beside it."""
    folder = tmp_path / "gallery"
    (folder / "deep" / "er").mkdir(parents=True)
    np.save(folder / "one.npy", ROWS[0])
    np.save(folder / "deep" / "er" / "all.npy", ROWS)
    (folder / "bare.f32").write_bytes(ROWS[2].tobytes())
    (folder / "finger.fmr").write_bytes(write_record(small_record(2011)))
    np.save(tmp_path / "secret.npy", ROWS[1])
    return folder


def read(path: Path) -> list[Found | Unreadable]:
    """Return what a manifest gives."""
    return [item for block in open_source(path).blocks() for item in block.items]


def csv(folder: Path, *lines: str, header: str = "reference,file") -> Path:
    """Write a CSV manifest."""
    path = folder / "list.csv"
    path.write_text("\n".join((header, *lines)) + "\n", "utf-8")
    return path


def jsonl(folder: Path, *records: Any) -> Path:  # noqa: ANN401 - anything, to be refused
    """Write a JSONL manifest."""
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def faults(item: Found | Unreadable) -> list[tuple[str, str]]:
    """Return fields and reasons of a refusal."""
    assert isinstance(item, Unreadable)
    return [(fault.field, fault.reason) for fault in item.faults]


def vectors(item: Found | Unreadable) -> list[list[float]]:
    """Return the vectors of a record."""
    assert isinstance(item, Found)
    return [
        each.vector.tolist() for each in item.samples if isinstance(each, VectorSample)
    ]


def test_lines_of_one_reference_are_one_record(folder: Path):
    """Several templates, with all that can be said of each."""
    path = csv(
        folder,
        "a,one.npy,,face,,",
        "a,deep/er/all.npy,1,face,70,other-space",
        "",
        '"b, c",bare.f32,,,,',
        header="reference,file,row,position,quality,space",
    )
    first, second = read(path)
    assert vectors(first) == ROWS[:2].tolist()
    assert isinstance(first, Found)
    _, sample = first.samples
    assert isinstance(sample, VectorSample)
    assert (sample.position, sample.quality, sample.space) == (
        *("face", 70),
        "other-space",
    )
    assert isinstance(second, Found)
    assert (second.number, second.reference) == (1, "b, c")
    assert vectors(second) == [ROWS[2].tolist()]


def test_a_record_expires_when_its_lines_say(folder: Path):
    """A day lasts to its end in UTC; a moment is what it says; nothing is nothing."""
    header = "reference,file,expires"
    path = csv(
        folder,
        "a,one.npy,2030-12-31",
        "a,bare.f32,2030-12-31",
        "b,one.npy,2030-12-31T12:00:00+02:00",
        "c,one.npy,",
        "d,one.npy,2030-12-31",
        "d,bare.f32,2031-12-31",
        "e,one.npy,20301231",
        "f,one.npy,2030-02-30",
        header=header,
    )
    a, b, c, *wrong = read(path)
    assert isinstance(a, Found)
    assert isinstance(b, Found)
    assert isinstance(c, Found)
    assert len(a.samples) == 2
    assert [each.expires_at for each in (a, b, c)] == [
        dt.datetime(2030, 12, 31, 23, 59, 59, 999999, dt.UTC),
        dt.datetime(2030, 12, 31, 10, tzinfo=dt.UTC),
        None,
    ]
    assert [faults(each) for each in wrong] == [
        [(f"line[{number}].expires", "WRONG_TIME")] for number in (7, 8, 9)
    ]
    template = {"file": "one.npy"}
    path = jsonl(
        folder,
        {"reference": "a", "templates": [template], "expires": "2030-12-31"},
        {"reference": "b", "templates": [template], "expires": None},
        {"reference": "c", "templates": [template], "expires": "soon"},
        {"reference": "d", "templates": [template], "expires": 2030},
    )
    first, second, *wrong = read(path)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert (first.expires_at, second.expires_at) == (a.expires_at, None)
    assert [faults(each) for each in wrong] == [
        [("line[3].expires", "WRONG_TIME")],
        [("line[4].expires", "WRONG_VALUE")],
    ]


def test_a_line_of_json_is_a_record(folder: Path):
    """The same, with lists."""
    path = jsonl(
        folder,
        {
            "reference": "a",
            "templates": [
                {"file": "one.npy", "position": "face"},
                {"file": "deep/er/all.npy", "row": 2, "quality": 0},
            ],
        },
        {"reference": "b", "templates": [{"file": "finger.fmr"}]},
    )
    first, second = read(path)
    assert vectors(first) == [ROWS[0].tolist(), ROWS[2].tolist()]
    assert isinstance(second, Found)
    assert all(isinstance(each, FingerView) for each in second.samples)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.npy", "OUTSIDE_FOLDER"),
        ("deep/../../secret.npy", "OUTSIDE_FOLDER"),
        ("/etc/passwd", "OUTSIDE_FOLDER"),
        ("link.npy", "UNREADABLE_FILE"),
        ("inner.npy", "UNREADABLE_FILE"),
        ("up/secret.npy", "UNREADABLE_FILE"),
        ("loop", "UNREADABLE_FILE"),
        ("loop/one.npy", "UNREADABLE_FILE"),
        ("pipe", "NOT_A_FILE"),
        ("deep", "UNREADABLE_FILE"),
        ("absent.npy", "UNREADABLE_FILE"),
        ("x" * 300, "UNREADABLE_FILE"),
        ("deep/er/all.npy", "ROW_REQUIRED"),
        ("bad.npy", "NOT_NPY"),
        ("empty", "WRONG_DIMENSION"),
    ],
)
def test_nothing_outside_and_nothing_odd_is_opened(
    folder: Path, name: str, reason: str
):
    """By either manifest; the lines around it are read, and nothing waits."""
    (folder / "link.npy").symlink_to(folder.parent / "secret.npy")
    (folder / "inner.npy").symlink_to("one.npy")
    (folder / "up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (folder / "bad.npy").write_bytes(b"text")
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    items = read(csv(folder, "a,one.npy", f"b,{name}", "c,one.npy"))
    assert [isinstance(each, Found) for each in items] == [True, False, True]
    assert (items[1].reference, faults(items[1])) == ("b", [("line[3].file", reason)])
    template = {"file": name}
    (item,) = read(jsonl(folder, {"reference": "b", "templates": [template]}))
    assert faults(item) == [("line[1].file", reason)]


def test_a_name_with_a_zero_byte_is_refused(folder: Path):
    """It would end there for the system."""
    with (
        pytest.raises(InvalidRequestError, match="must be a path beneath"),
        open_beneath(folder, "one.npy\0x"),
    ):
        pass


@pytest.mark.parametrize(
    ("header", "line", "told"),
    [
        ("reference,file", "a", [("line[2]", "WRONG_LINE")]),
        ("reference,file", "a,one.npy,face", [("line[2]", "WRONG_LINE")]),
        ("reference,file", '"a,one.npy', [("line[2]", "WRONG_LINE")]),
        ("reference,file", "a,", [("line[2].file", "WRONG_VALUE")]),
        (
            "reference,file,row,position,quality",
            "a,one.npy,-1,nose,101",
            [
                ("line[2].row", "WRONG_VALUE"),
                ("line[2].position", "WRONG_VALUE"),
                ("line[2].quality", "WRONG_VALUE"),
            ],
        ),
        ("reference,file,row", "a,one.npy,1", [("line[2].file", "NO_SUCH_ROW")]),
        (
            "reference,file,row",
            "a,one.npy,9999999999",
            [("line[2].row", "WRONG_VALUE")],
        ),
    ],
)
def test_a_wrong_line_of_csv_is_refused_with_its_number(
    folder: Path, header: str, line: str, told: list[tuple[str, str]]
):
    """Every value that is wrong, at once."""
    (item,) = read(csv(folder, line, header=header))
    assert faults(item) == told


@pytest.mark.parametrize(
    "header",
    [
        *("", "reference", "file", "reference,file,name", "reference,file,file"),
        *('"reference', "reference;file", "\0"),
        "x" * (limits.MAX_MANIFEST_LINE_BYTES + 1),
    ],
)
def test_another_header_is_refused(folder: Path, header: str):
    """An unknown column is a mistake that would be lost."""
    path = csv(folder, "a,one.npy", header=header)
    with pytest.raises(InvalidRequestError) as caught:
        open_source(path)
    (fault,) = caught.value.faults
    assert (fault.field, fault.reason) == (f"{path}:line[1]", "WRONG_HEADER")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", [("line[1]", "WRONG_LINE")]),
        ("[" * 50_000, [("line[1]", "WRONG_LINE")]),
        ('{"reference": "a", "reference": "b"}', [("line[1]", "WRONG_LINE")]),
        ("7", [("line[1]", "WRONG_VALUE")]),
        ('{"reference": 7, "templates": []}', None),
        ('{"reference": "a", "templates": [{"file": "one.npy", "x": 1}]}', None),
        ('{"reference": "a", "templates": [{"file": "one.npy", "row": true}]}', None),
        ('{"reference": "a", "templates": [{"file": "one.npy", "row": 1e2}]}', None),
    ],
)
def test_a_wrong_line_of_json_is_refused(
    folder: Path, text: str, told: list[tuple[str, str]] | None
):
    """What is no JSON, says a thing twice, or says something else."""
    path = folder / "list.jsonl"
    path.write_text(text)
    (item,) = read(path)
    assert told is None or faults(item) == told
    assert isinstance(item, Unreadable)


def test_every_wrong_line_of_a_record_is_told_at_once(folder: Path):
    """What is wrong with a line hides neither another one nor a file."""
    lines = ("a,nothing.npy,", "a,one.npy,nose", "a,../secret.npy,", "b,one.npy,")
    wrong, sound = read(csv(folder, *lines, header="reference,file,position"))
    assert [where for where, _ in faults(wrong)] == [
        *("line[3].position", "line[2].file", "line[4].file")
    ]
    assert isinstance(sound, Found)


def test_more_templates_than_a_record_has_are_refused_unread(folder: Path):
    """However many lines go on; the next record is read."""
    lines = ["a,one.npy"] * 500
    first, second = read(csv(folder, *lines, "b,one.npy"))
    assert faults(first) == [("line[2]", "WRONG_COUNT")]
    assert isinstance(second, Found)
    record = {"reference": "a", "templates": [{"file": "one.npy"}] * 33}
    (item,) = read(jsonl(folder, record))
    assert faults(item) == [("line[1].templates", "WRONG_VALUE")]


def test_pictures_are_not_held_all_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """A block ends with the record that fills it; one record has no more than fit."""
    (folder / "a.png").write_bytes(bytes(100))
    monkeypatch.setattr(limits, "MANIFEST_BYTES_PER_BLOCK", 200)
    path = csv(folder, *(f"r-{number},a.png" for number in range(7)))
    assert [len(block.items) for block in open_source(path).blocks()] == [3, 3, 1]
    monkeypatch.setattr(limits, "MAX_TRANSACTION_BYTES", 200)
    wrong, sound = read(csv(folder, "r,a.png", "r,a.png", "r,a.png", "s,a.png"))
    assert faults(wrong) == [("line[4].file", "RECORD_TOO_LARGE")]
    assert isinstance(sound, Found)


def test_an_endless_line_is_not_held(folder: Path):
    """Sixteen megabytes without an end are a refusal, and what follows is read."""
    path = folder / "list.csv"
    text = b"reference,file\n" + b"a" * 2**24 + b"\nb,one.npy\n"
    path.write_bytes(text)
    tracemalloc.start()
    try:
        first, second = read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert faults(first) == [("line[2]", "LINE_TOO_LONG")]
    assert isinstance(second, Found)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one vector, for many examples."""
    folder = tmp_path_factory.mktemp("names")
    np.save(folder / "one.npy", ROWS[0])
    return folder


def texts() -> st.SearchStrategy[str]:
    """Any text that a line can have."""
    return st.text(
        st.characters(codec="utf-8", exclude_characters="\r\n\0"),
        min_size=1,
        max_size=9,
    )


@given(names=st.lists(texts(), min_size=1, max_size=5, unique=True))
@settings(max_examples=60)
def test_any_reference_comes_through(named: Path, names: list[str]):
    """Quoted as CSV and JSON quote."""
    folder = named
    quoted = ('"' + name.replace('"', '""') + '"' for name in names)
    items = read(csv(folder, *(f"{name},one.npy" for name in quoted)))
    assert [item.reference for item in items] == names
    records = ({"reference": n, "templates": [{"file": "one.npy"}]} for n in names)
    assert [item.reference for item in read(jsonl(folder, *records))] == names
