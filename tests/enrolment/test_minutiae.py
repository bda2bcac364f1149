"""A record of finger minutiae is read as written, or its wrong field is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from finger import records, small_record, write_record
from hypothesis import given, settings
from hypothesis import strategies as st

from biometrics.errors import InvalidRequestError
from enrolment.formats.minutiae import read_minutiae

if TYPE_CHECKING:
    from enrolment.formats.finger import MinutiaeRecord

EDITIONS = pytest.mark.parametrize("edition", [2005, 2011])


def refused(data: bytes) -> str:
    """Return the field that bytes are refused for."""
    with pytest.raises(InvalidRequestError) as caught:
        read_minutiae(data)
    (fault,) = caught.value.faults
    assert fault.reason == "WRONG_FIELD"
    return fault.field


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """Return bytes with some of them replaced."""
    return data[:at] + new + data[at + len(new) :]


@given(record=records())
@settings(max_examples=150)
def test_what_is_written_is_read(record: MinutiaeRecord):
    """Every field of every view, in both editions."""
    assert read_minutiae(write_record(record)) == record


def test_fields_lie_where_the_standard_puts_them():
    """One record of each edition, byte by byte, not by the tests' own writer."""
    old = bytes.fromhex(
        "464d520020323000 00000024 00b5 0200 0180 00c5 00c5 01 00"
        "07 10 5a 01 8064 000e 50 5a 0000"
    )
    (view,) = read_minutiae(old).views
    assert (view.width, view.height, view.position) == (512, 384, "left-index")
    assert (view.view, view.impression, view.quality) == (1, 0, 90)
    (minutia,) = view.minutiae
    assert (minutia.x, minutia.y, minutia.angle, minutia.quality) == (100, 14, 80, 90)
    assert minutia.type.name == "BIFURCATION"
    new = bytes.fromhex(
        "464d520030333000 0000003f 0001 01"
        "00000030 07d50c0f1123140000 00 abcd 00b5 01 5a abcd 0123 01 000102"
        "02 01 00c5 00c5 1d 0200 0180 51 01 4064 000e 50 0000"
    )
    (view,) = read_minutiae(new).views
    assert (view.position, view.view, view.impression) == ("right-index", 1, 29)
    assert (view.quality, view.minutiae[0].quality) == (90, None)


@EDITIONS
def test_a_record_that_is_cut_anywhere_is_refused(edition: int):
    """At every byte, by name of a field."""
    data = write_record(small_record(edition))
    for end in range(len(data)):
        assert refused(data[:end])
    assert refused(data + b"\0") == "length"


@EDITIONS
@pytest.mark.parametrize("count", [0, 1, 3, 255])
def test_a_count_that_is_not_what_follows_is_refused(edition: int, count: int):
    """Of views and of minutiae."""
    data = write_record(small_record(edition))
    views = 22 if edition == 2005 else 13
    assert refused(changed(data, views, bytes([count])))
    minutiae = data.index(b"\x03\x00\x00\x01\xf3")  # three, the first at (0, 499)
    if count != 3:
        assert refused(changed(data, minutiae, bytes([count])))


@pytest.mark.parametrize(
    ("edition", "at", "new", "field"),
    [
        (2005, 0, b"FAC", "format"),
        (2005, 4, b"040", "version"),
        (2005, 8, b"\xff\xff\xff\xff", "length"),
        (2005, 14, b"\0\0", "width"),
        (2005, 16, b"\xff\xff", "height"),
        (2005, 18, b"\0\x62", "horizontal"),
        (2005, 23, b"\1", "reserved"),
        (2005, 24, b"\x0b", "views[0].position"),
        (2005, 25, b"\x04", "views[0].impression"),
        (2005, 26, b"\x65", "views[0].quality"),
        (2005, 28, b"\xc0\0", "views[0].minutiae[0].type"),
        (2005, 28, b"\x01\x90", "views[0].minutiae[0].x"),
        (2005, 30, b"\x81\xf3", "views[0].minutiae[0].y"),
        (2005, 30, b"\x01\xf4", "views[0].minutiae[0].y"),
        (2005, 33, b"\x65", "views[0].minutiae[0].quality"),
        (2005, 46, b"\xff\xff", "views[0].extended"),
        (2005, 53, b"\1", "views[1].view"),
        (2011, 14, b"\2", "certification_flag"),
        (2011, 15, b"\0\0\0\1", "views[0].length"),
        (2011, 21, b"\x0d", "views[0].captured"),
        (2011, 28, b"\x15", "views[0].technology"),
        (2011, 34, b"\x65", "views[0].qualities[0]"),
        (2011, 39, b"\x0b", "views[0].position"),
        (2011, 40, b"\x10", "views[0].view"),
        (2011, 45, b"\x0a", "views[0].impression"),
        (2011, 50, b"\x70", "views[0].minutia_bytes"),
        (2011, 50, b"\x62", "views[0].ridge_ending"),
        (2011, 57, b"\x65", "views[0].minutiae[0].quality"),
    ],
)
def test_a_wrong_field_is_named(edition: int, at: int, new: bytes, field: str):
    """The first that is wrong."""
    data = write_record(small_record(edition))
    assert refused(changed(data, at, new)) == field


@EDITIONS
@given(data=st.data())
@settings(max_examples=300)
def test_damage_is_refused_or_read_and_never_anything_else(
    edition: int, data: st.DataObject
):
    """Whatever is put in place of whatever bytes."""
    damaged = bytearray(write_record(small_record(edition)))
    places = st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        read_minutiae(bytes(damaged))
    except InvalidRequestError:
        return


@given(junk=st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_refused(junk: bytes):
    """Text where numbers belong, too."""
    for start in (b"", b"FMR\0", b"FMR\0 20\0", b"FMR\x00030\0"):
        length = len(start + junk).to_bytes(4, "big")
        for data in (start + junk, start + length + junk[4:]):
            try:
                record = read_minutiae(data)
            except InvalidRequestError:
                continue
            assert len(write_record(record)) > 0
