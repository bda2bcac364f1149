"""A table gives its rows, or says which column or row is wrong."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats import footer
from enrolment.formats.guard import EndedError, Guard
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, Unreadable, VectorSample

ROWS = np.arange(1, 5 * 16 + 1, dtype=np.float32).reshape(5, 16)
NAMES = ["a", "bb", "Zoë", "\N{OLD PERSIAN SIGN A}", "e"]
ENDS = dt.datetime(2030, 12, 31, 23, 59, 59, 999999, dt.UTC)
FIXED = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 16)


def save(path: Path, **columns: Any) -> Path:  # noqa: ANN401 - any column
    """Write a table by the end of the file's name."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    else:
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, table.schema) as w,
        ):
            w.write_table(table)
    return path


def read(path: Path) -> list[Found | Unreadable]:
    """Return what a table gives."""
    return [item for block in open_source(path).blocks() for item in block.items]


@pytest.fixture(params=["parquet", "arrow", "feather"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a table is to be."""
    return tmp_path / f"gallery.{request.param}"


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("fixed", [True, False])
def test_every_row_is_a_record(path: Path, kind: pa.DataType, *, fixed: bool):
    """Of any width, in lists of a fixed length or of any."""
    listed = pa.list_(kind, 16) if fixed else pa.list_(kind)
    rows = ROWS.astype(kind.to_pandas_dtype())
    save(path, reference=NAMES, embedding=pa.array(list(rows), listed))
    items = read(path)
    for number, item in enumerate(items):
        assert isinstance(item, Found)
        assert (item.number, item.reference) == (number, NAMES[number])
        (sample,) = item.samples
        assert isinstance(sample, VectorSample)
        assert np.array_equal(sample.vector, rows[number])
    assert len(items) == 5
    assert open_source(path).dimension == (16 if fixed else None)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([dt.date(2030, 12, 31), None] * 2 + [None]),
        pa.array(["2030-12-31", None, "2030-12-31T23:59:59.999999Z", None, None]),
        pa.array([ENDS, None] * 2 + [None], pa.timestamp("us", "Asia/Bangkok")),
        pa.array(
            [int(ENDS.timestamp()) * 10**9 + 999_999_999, None] * 2 + [None],
            pa.int64(),
        ).cast(pa.timestamp("ns", "UTC")),
    ],
)
def test_a_row_says_when_it_expires(path: Path, column: pa.Array):
    """By a day, a text or a moment; a null says nothing."""
    save(path, reference=NAMES, embedding=FIXED, expires=column)
    said = [item.expires_at for item in read(path) if isinstance(item, Found)]
    assert said == [ENDS, None] * 2 + [None]


def test_a_row_that_says_no_moment_is_refused_alone(path: Path):
    """The rows around it are read."""
    said = ["2030-12-31", "soon", None, "", "2030-13-01"]
    save(path, reference=NAMES, embedding=FIXED, expires=said)
    wrong = [item for item in read(path) if isinstance(item, Unreadable)]
    assert [(item.number, item.faults[0].reason) for item in wrong] == [
        (number, "WRONG_TIME") for number in (1, 3, 4)
    ]


def test_position_and_quality_are_read_where_they_are(path: Path):
    """Nulls say nothing; other columns are left alone; integers are references."""
    save(
        path,
        reference=pa.array([1, 2, 3, 4, None]),
        embedding=FIXED,
        position=["face", None, "left-thumb", "face", "nose"],
        quality=pa.array([1, 2, None, 100, 7], pa.uint8()),
        other=[{"a": 1}] * 5,
    )
    said = []
    for item in read(path):
        assert isinstance(item, Found)
        (sample,) = item.samples
        assert isinstance(sample, VectorSample)
        said.append((item.reference, sample.position, sample.quality))
    assert said == [
        ("1", "face", 1),
        ("2", None, 2),
        ("3", "left-thumb", None),
        ("4", "face", 100),
        ("", "nose", 7),
    ]


def test_a_row_with_nulls_is_refused_alone(path: Path):
    """In lists of any length; the rows beside it keep their own numbers."""
    rows: list[Any] = [list(map(float, row)) for row in ROWS]
    rows[1] = None
    rows[3][5] = None
    save(path, reference=NAMES, embedding=pa.array(rows, pa.list_(pa.float32())))
    items = read(path)
    assert [isinstance(item, Found) for item in items] == [
        True,
        False,
        True,
        False,
        True,
    ]
    last = items[4]
    assert isinstance(last, Found)
    assert isinstance(last.samples[0], VectorSample)
    assert last.samples[0].vector.tolist() == ROWS[4].tolist()
    assert isinstance(items[1], Unreadable)
    assert (items[1].number, items[1].reference) == (1, "bb")
    assert items[1].faults[0].reason == "WRONG_VECTOR"


def test_rows_beyond_a_batch_are_numbered_on(tmp_path: Path):
    """Blocks are small, whatever row groups are."""
    count = limits.TABLE_ROWS_PER_BATCH + 300
    flat = pa.array(np.ones(count * 16, np.float32))
    path = save(
        tmp_path / "many.parquet",
        reference=pa.array(np.arange(count)),
        embedding=pa.FixedSizeListArray.from_arrays(flat, 16),
    )
    blocks = list(open_source(path).blocks())
    assert max(len(block.items) for block in blocks) == limits.BULK_RECORDS_PER_CHUNK
    items = [item for block in blocks for item in block.items]
    assert [item.reference for item in items] == [str(n) for n in range(count)]
    assert [item.number for item in items] == list(range(count))
    assert blocks[-1].share == 1.0


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"reference": NAMES}, {"embedding": "MISSING_COLUMN"}),
        ({"embedding": FIXED}, {"reference": "MISSING_COLUMN"}),
        (
            {"embedding": NAMES, "reference": [0.5] * 5, "quality": NAMES},
            {
                "embedding": "WRONG_TYPE",
                "reference": "WRONG_TYPE",
                "quality": "WRONG_TYPE",
            },
        ),
        (
            {"embedding": pa.array([[1]] * 5), "reference": NAMES},
            {"embedding": "WRONG_TYPE"},
        ),
        (
            {
                "embedding": pa.array([[1.0] * 4097] * 5, pa.list_(pa.float32(), 4097)),
                "reference": NAMES,
                "position": [1] * 5,
            },
            {"position": "WRONG_TYPE", "embedding": "WRONG_DIMENSION"},
        ),
    ],
)
def test_other_columns_are_refused_by_name(
    path: Path, columns: dict[str, Any], told: dict[str, str]
):
    """All that is wrong, at once."""
    save(path, **columns)
    with pytest.raises(InvalidRequestError) as caught:
        open_source(path)
    assert {f.field: f.reason for f in caught.value.faults} == {
        f"{path}:{name}": reason for name, reason in told.items()
    }


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    """Which one is meant cannot be known."""
    table = pa.table(
        [NAMES, NAMES, FIXED], names=["reference", "reference", "embedding"]
    )
    pa.parquet.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(InvalidRequestError, match="several columns of this name"):
        open_source(tmp_path / "twice.parquet")


def test_row_groups_that_one_row_may_fill_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Only where lists may have any length."""
    monkeypatch.setattr(limits, "MAX_LIST_VALUES", 79)
    lists = FIXED.cast(pa.list_(pa.float32()))
    path = save(tmp_path / "open.parquet", reference=NAMES, embedding=lists)
    with pytest.raises(InvalidRequestError, match="row group 0 has more than 79"):
        open_source(path)
    path = save(tmp_path / "fixed.parquet", reference=NAMES, embedding=FIXED)
    assert len(read(path)) == 5


def test_offsets_that_point_elsewhere_are_refused_unread(tmp_path: Path):
    """Before memory that is not the file's is looked at."""
    offsets = pa.py_buffer(np.array([0, 2**24, 2, 3, 4, 5], np.int32).tobytes())
    names = pa.StringArray.from_buffers(5, offsets, pa.py_buffer(b"abcde"))
    path = save(tmp_path / "bad.arrow", reference=names, embedding=FIXED)
    with pytest.raises(InvalidRequestError) as caught:
        read(path)
    assert caught.value.reason == "FILE_DAMAGED"


def test_without_the_extra_a_table_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And nothing else needs it."""
    path = save(tmp_path / "gallery.parquet", reference=NAMES, embedding=FIXED)
    monkeypatch.setitem(sys.modules, "enrolment.formats.tables", None)
    with pytest.raises(InvalidRequestError, match=r"exchange\[tables\]") as caught:
        open_source(path)
    assert caught.value.reason == "EXTRA_MISSING"


def test_a_file_that_ends_its_reader_is_refused_by_name(tmp_path: Path):
    """And the next one is read, by a process that is started anew."""
    kept = Path(__file__).with_name("ends_its_reader.parquet")
    path = tmp_path / "damaged.parquet"
    path.write_bytes(kept.read_bytes())
    done = subprocess.run(
        [sys.executable, footer.__file__],
        input=json.dumps(str(path)).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode < 0, "pyarrow has learnt to raise: `guard` can go"
    for _ in range(2):
        with pytest.raises(InvalidRequestError) as caught:
            open_source(path)
        (fault,) = caught.value.faults
        assert (fault.field, fault.reason) == (str(path), "FILE_DAMAGED")
        assert (
            len(
                read(save(tmp_path / "sound.parquet", embedding=FIXED, reference=NAMES))
            )
            == 5
        )


@pytest.mark.parametrize(
    "program", ["import time; time.sleep(60)", "", "print('[1', end='', flush=True)"]
)
def test_whoever_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
):
    """It neither hangs nor leaves a process behind."""
    monkeypatch.setattr(limits, "FOOTER_SECONDS", 0.3)
    guard = Guard([sys.executable, "-c", program])
    for _ in range(2):
        with pytest.raises(EndedError):
            guard.most_values(tmp_path / "any.parquet")
    assert guard._process is None
    guard.close()


def test_row_groups_are_counted_where_lists_have_any_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One that is too large is named; lists of a fixed length are read anyway."""
    monkeypatch.setattr(limits, "MAX_LIST_VALUES", 5 * 16 - 1)
    path = tmp_path / "gallery.parquet"
    save(path, embedding=FIXED, reference=NAMES)
    assert len(read(path)) == 5
    save(path, embedding=pa.array(list(ROWS), pa.list_(pa.float32())), reference=NAMES)
    with pytest.raises(InvalidRequestError, match="row group 0") as caught:
        open_source(path)
    assert caught.value.reason == "GROUP_TOO_LARGE"
