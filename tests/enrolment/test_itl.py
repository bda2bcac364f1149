"""A transaction by ANSI/NIST-ITL is read as written, or its wrong field is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from itl import (
    PIXELS,
    own_type_9,
    rows,
    tagged,
    texts,
    transaction,
    type_4,
    type_9,
    type_10,
    type_14,
)

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.formats.finger import FingerView, MinutiaType
from enrolment.formats.image import Coding, ImageSample
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, Unreadable
from enrolment.preflight import NO_EXTRACTOR, record_faults

if TYPE_CHECKING:
    from pathlib import Path

    from enrolment.formats.source import Sample


def read(folder: Path, data: bytes, name: str = "case-1.an2") -> Found:
    """Return the one record of a file with this content."""
    path = folder / name
    path.write_bytes(data)
    (block,) = open_source(path).blocks()
    (found,) = block.items
    assert isinstance(found, Found)
    return found


def samples(folder: Path, *records: tuple[int, int, bytes]) -> tuple[Sample, ...]:
    """Return the samples of a transaction."""
    return read(folder, transaction(*records)).samples


def refused(folder: Path, data: bytes) -> list[str]:
    """Return the fields that a transaction is refused for."""
    path = folder / "case-1.an2"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError) as caught:
        open_source(path)
    assert all(fault.field.startswith(str(path)) for fault in caught.value.faults)
    return [f.field.removeprefix(f"{path}:") for f in caught.value.faults]


def test_a_whole_transaction_is_one_record_named_by_its_file(tmp_path: Path):
    """Images and minutiae in their order; texts and other types are passed over."""
    other = (15, 9, tagged(15, {2: "09", 999: PIXELS}))
    found = read(
        tmp_path,
        transaction(texts(), type_4(), type_14(), other, type_9(), type_10()),
    )
    assert found.reference == "case-1"
    four, fourteen, nine, ten = found.samples
    assert isinstance(four, ImageSample)
    assert (four.coding, four.width, four.height) == (Coding.RAW, 13, 4)
    assert (four.data, four.position, four.horizontal) == (PIXELS, "right-index", 197)
    assert isinstance(fourteen, ImageSample)
    assert (fourteen.data, fourteen.position) == (PIXELS, "right-thumb")
    assert (fourteen.quality, fourteen.vertical) == (87, 197)
    assert isinstance(ten, ImageSample)
    assert (ten.position, ten.modality, ten.horizontal) == ("face", "face", None)
    assert isinstance(nine, FingerView)
    reasons = [fault.reason for fault in record_faults(found)]
    assert reasons == [NO_EXTRACTOR, NO_EXTRACTOR, "TOO_FEW_MINUTIAE", NO_EXTRACTOR]


def test_minutiae_of_incits_378_are_those_of_19794_2(tmp_path: Path):
    """Angles come in units of two degrees."""
    (view,) = samples(tmp_path, type_9())
    assert isinstance(view, FingerView)
    assert (view.position, view.view, view.quality) == ("left-index", 0, 61)
    assert (view.width, view.height, view.horizontal) == (400, 500, 197)
    first, second = view.minutiae
    assert (first.x, first.y, first.angle, first.quality) == (10, 499, 64, 80)
    assert (second.type, second.angle) == (MinutiaType.BIFURCATION, 255)
    assert second.quality is None


def test_the_standards_own_minutiae_are_turned(tmp_path: Path):
    """They count from below, in hundredths of a millimetre, with the angle reversed."""
    (view,) = samples(tmp_path, own_type_9())
    assert isinstance(view, FingerView)
    assert (view.horizontal, view.width, view.height) == (1000, 1001, 2001)
    first, second = view.minutiae
    assert (first.x, first.y, first.angle) == (1000, 0, 192)
    assert (second.x, second.y, second.angle) == (100, 1500, 64)
    assert (first.type, second.type) == (MinutiaType.ENDING, MinutiaType.BIFURCATION)


def test_views_of_one_finger_are_numbered(tmp_path: Path):
    """Each position by itself."""
    views = samples(tmp_path, type_9(1), own_type_9(2), type_9(3, f134="02"))
    assert [getattr(view, "view", None) for view in views] == [0, 1, 0]


def test_several_fingers_in_one_image_have_no_position(tmp_path: Path):
    """Nor has a palm."""
    for codes in ("13", "21", rows(["2"], ["3"])):
        (sample,) = samples(tmp_path, type_14(f13=codes))
        assert isinstance(sample, ImageSample)
        assert sample.position is None


def test_old_tags_have_two_digits(tmp_path: Path):
    """As transactions had before the edition of 2007."""
    one = {2: "02", 3: "0", 6: "07", 10: "1", 12: "001\x1f10002000090\x1f0\x1fA"}
    head = tagged(1, {2: "0201", 3: "1\x1f1\x1e9\x1f02"}, digits=2)
    (view,) = read(tmp_path, head + tagged(9, one, digits=2)).samples
    assert isinstance(view, FingerView)
    assert view.position == "left-index"


def test_a_transaction_that_is_cut_anywhere_is_refused(tmp_path: Path):
    """At every byte, and one byte more."""
    data = transaction(texts(), type_4(), type_9(), type_10())
    for end in range(len(data)):
        assert refused(tmp_path, data[:end])
    assert refused(tmp_path, data + b"\0") == ["end"]


def test_all_faults_of_a_transaction_are_told(tmp_path: Path):
    """Of every record that is wrong, one."""
    data = transaction(
        type_4(1, code=9), type_9(2, f136="3"), type_14(3, f11="GIF"), type_10(4)
    )
    assert refused(tmp_path, data) == [
        *("records[1].4.008", "records[2].9.136", "records[3].14.011"),
    ]


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (type_9(f128=""), "9.128"),
        (type_9(f128="x"), "9.128"),
        (type_9(f128="10"), "9.137"),
        (type_9(f131="98"), "9.131"),
        (type_9(f130="0"), "9.130"),
        (type_9(f135="101"), "9.135"),
        (type_9(f137=rows(["1", "2"], ["2", "3"])), "9.137"),
        (type_9(f136="1", f137=rows(["1", "1", "1", "180", "1", "1"])), "9.137"),
        (type_9(f136="1", f137=rows(["1", "1", "1", "9", "3", "1"])), "9.137"),
        (type_9(f136="1", f137=rows(["1", "1", "1", "9", "1", "101"])), "9.137"),
        (type_9(f137="", f331="x"), "9.137"),
        (type_9(f137="\x1e" * limits.MAX_FIELD_ITEMS), "9.137"),
        (own_type_9(f12=rows(["1", "1000200036", "0", "A"])), "9.010"),
        (own_type_9(f10="1", f12=rows(["1", "10002000360", "0", "A"])), "9.012"),
        (own_type_9(f10="1", f12=rows(["1", "1000200009", "0", "A"])), "9.012"),
        (own_type_9(f10="1", f12=rows(["1", "10002000090", "64", "A"])), "9.012"),
        (own_type_9(f10="1", f12=rows(["1", "10002000090", "0", "E"])), "9.012"),
        (own_type_9(f6=""), "9.006"),
        (type_14(f6="14"), "14.999"),
        (type_14(f6="0"), "14.006"),
        (type_14(f6=rows(["1"], ["2"])), "14.006"),
        (type_14(f12="16"), "14.012"),
        (type_14(f24="11"), "14.024"),
        (type_14(f24=rows(["11", "101"])), "14.024"),
        (type_10(f12="YCC"), "10.012"),
        (type_10(f3=""), "10.003"),
    ],
)
def test_a_wrong_field_is_named(
    tmp_path: Path, record: tuple[int, int, bytes], field: str
):
    """With the record that it stands in."""
    assert refused(tmp_path, transaction(record)) == [f"records[1].{field}"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "records[0].1.001"),
        (b"1.001:99999999999\x1d", "records[0].1.001"),
        (transaction(type_9(), version="FILE"), "records[0].1.002"),
        (transaction(type_9()).replace(b"1.003:1", b"1.003:2"), "records[0].1.003"),
        (transaction(type_9()).replace(b"\x1f02\x1d1.004", b"\x1f03\x1d1.004"), None),
        (transaction((9, 2, type_14()[2])), "records[1].9.001"),
        (transaction((4, 2, type_4(1)[2])), "records[1].4.002"),
        (transaction((4, 1, b"\0\0\0\4\1")), "records[1].4.001"),
        (transaction((9, 2, tagged(9, {2: "02", 3: "\x1c"}))), "records[1].9.003"),
        (transaction((9, 2, tagged(9, {2: "02\x1d9.002:02"}))), "records[1].9.002"),
        (transaction((9, 2, tagged(9, {2: "02\x1d8.003:02"}))), "records[1]"),
        (transaction(texts()), "records"),
    ],
)
def test_records_that_are_not_what_the_first_says_are_refused(
    tmp_path: Path, data: bytes, field: str | None
):
    """Lengths, counts, types and IDCs."""
    assert refused(tmp_path, data) == [field or "records[1].9.002"]


def test_a_file_beyond_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor one with more fields than a record may have."""
    many = dict.fromkeys(range(2, 2 + limits.MAX_RECORD_FIELDS), "1")
    assert refused(tmp_path, transaction((2, 1, tagged(2, many)))) == [
        f"records[1].2.{1 + limits.MAX_RECORD_FIELDS}"
    ]
    monkeypatch.setattr(
        "enrolment.formats.persons._READERS", {".an2": (lambda _: None, 3)}
    )
    assert refused(tmp_path, b"1234") == [str(tmp_path / "case-1.an2")]


def test_a_manifest_gives_a_transaction_its_reference(tmp_path: Path):
    """A damaged one beside it is refused in its place."""
    (tmp_path / "a.an2").write_bytes(transaction(type_9()))
    (tmp_path / "b.NIST").write_bytes(transaction(type_9())[:-1])
    manifest = tmp_path / "list.jsonl"
    lines = [
        {"reference": name, "templates": [{"file": file}]}
        for name, file in (("one", "a.an2"), ("two", "b.NIST"))
    ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (block,) = open_source(manifest).blocks()
    one, two = block.items
    assert isinstance(one, Found)
    assert one.reference == "one"
    assert isinstance(two, Unreadable)
    assert two.faults[0].field == "line[2].file"


def test_images_of_a_manifest_are_not_held_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A block ends with the record that fills it."""
    monkeypatch.setattr(limits, "MANIFEST_BYTES_PER_BLOCK", 2 * len(PIXELS))
    (tmp_path / "a.an2").write_bytes(transaction(type_4()))
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "reference,file\n" + "".join(f"r-{number},a.an2\n" for number in range(7))
    )
    sizes = [len(block.items) for block in open_source(manifest).blocks()]
    assert sizes == [3, 3, 1]


def test_the_images_of_one_record_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """However many files its lines name."""
    (tmp_path / "a.an2").write_bytes(transaction(type_4()))
    manifest = tmp_path / "list.csv"
    manifest.write_text("reference,file\nr,a.an2\nr,a.an2\nr,a.an2\ns,a.an2\n")
    monkeypatch.setattr(limits, "MAX_TRANSACTION_BYTES", 2 * len(PIXELS))
    (block,) = open_source(manifest).blocks()
    wrong, sound = block.items
    assert isinstance(wrong, Unreadable)
    assert [f.reason for f in wrong.faults] == ["RECORD_TOO_LARGE"]
    assert isinstance(sound, Found)
