"""A CBEFF wrapper gives the minutiae in it, or what is wrong with it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from finger import small_record, write_record
from itl import bir, wrapper

from biometrics.errors import InvalidRequestError
from enrolment.formats.cbeff import read_cbeff
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = write_record(small_record(2011, views=1))  # a right thumb of quality 90
UNKNOWN = bytes([*write_record(small_record(2005, views=1))])


def refused(data: bytes) -> list[str]:
    """Return the fields that a wrapper is refused for."""
    with pytest.raises(InvalidRequestError) as caught:
        read_cbeff(data)
    return [fault.field for fault in caught.value.faults]


def test_minutiae_of_all_birs_are_one_record_named_by_the_file(tmp_path: Path):
    """Images in the same wrapper are passed over."""
    path = tmp_path / "case-7.cbeff"
    second = write_record(small_record(2005, views=2))
    path.write_bytes(wrapper(bir(BLOCK), bir(b"FIR\0", kind="7"), bir(second, "1", "")))
    source = open_source(path)
    (block,) = source.blocks()
    (found,) = block.items
    assert isinstance(found, Found)
    assert found.reference == "case-7"
    assert [s.position for s in found.samples] == [
        *("right-thumb", "right-thumb", "right-index")
    ]


def test_a_wrapper_says_what_its_record_leaves_out():
    """Position and quality, of a record of one view."""
    data = bytearray(UNKNOWN)
    data[24] = data[26] = 0  # position and quality of the view
    (view,) = read_cbeff(wrapper(bir(bytes(data), subtype="Left  LittleFinger")))
    assert (view.position, view.quality) == ("left-little", 77)
    (view,) = read_cbeff(wrapper(bir(BLOCK, subtype="", score="")))
    assert (view.position, view.quality) == ("right-thumb", 90)


def test_a_wrapper_that_contradicts_its_record_is_refused():
    """Neither is believed then."""
    assert refused(wrapper(bir(BLOCK, subtype="Left Thumb"))) == [
        "BIR[0].BDBInfo.Subtype"
    ]


def test_a_large_wrapper_is_read_in_pieces():
    """Text of any length comes through."""
    image = bir(bytes(300_000), kind="7")
    assert len(read_cbeff(wrapper(image, bir(BLOCK), image))) == 1


def test_a_single_bir_may_be_the_root():
    """As other writers do; other namespaces inside it are passed over."""
    root = bir(BLOCK, owner="Mosip").replace("<SB>", '<x xmlns="urn:x"><BIR/></x><SB>')
    assert len(read_cbeff(root.encode())) == 1


def test_a_wrapper_that_is_cut_anywhere_is_refused():
    """At every byte."""
    data = wrapper(bir(BLOCK))
    for end in range(len(data)):
        assert refused(data[:end])
    assert refused(data + b"<") == ["BIR"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (wrapper(bir(BLOCK, owner="258")), "BIR[0].BDBInfo.Format.Organization"),
        (wrapper(bir(BLOCK, kind="two")), "BIR[0].BDBInfo.Format.Type"),
        (wrapper(bir(BLOCK, kind="99")), "BIR[0].BDBInfo.Format.Type"),
        (wrapper(bir(BLOCK, encrypted="true")), "BIR[0].BDBInfo.Encryption"),
        (wrapper(bir(BLOCK).replace("<BDB>", "<BDB>#")), "BIR[0].BDB"),
        (wrapper(bir(BLOCK[:-1])), "BIR[0].BDB.length"),
        (
            wrapper(bir(UNKNOWN[:26] + b"\0" + UNKNOWN[27:], score="101")),
            "BIR[0].BDBInfo.Quality.Score",
        ),
        (wrapper(), "BIR"),
        (wrapper(bir(b"FIR\0", kind="7")), "BIR"),
        (b"<Other/>", "BIR"),
        (b"<BIR" + b"><BIR" * 20 + b"/>", "BIR"),
        (b"<BIR>" + b"&lt;" * 300_000 + b"</BIR>", "BIR"),
        (b"<BIR>" + b"<a/>" * 5000 + b"</BIR>", "BIR"),
        (b"<BIR " + b"".join(b" a%d=''" % n for n in range(20000)) + b"/>", "BIR"),
        (
            wrapper(bir(BLOCK), head='<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">]>'),
            "DOCTYPE",
        ),
        (b'<!DOCTYPE b SYSTEM "file:///etc/passwd"><BIR/>', "DOCTYPE"),
        (b'<?xml version="1.0" encoding="nothing"?><BIR/>', "BIR"),
    ],
)
def test_a_wrong_place_is_named(data: bytes, field: str):
    """The first of each BIR."""
    assert refused(data) == [field]


def test_all_faults_of_a_wrapper_are_told():
    """Of every BIR that is wrong, one."""
    data = wrapper(bir(BLOCK, owner="1"), bir(BLOCK), bir(BLOCK, encrypted="1"))
    assert refused(data) == [
        "BIR[0].BDBInfo.Format.Organization",
        "BIR[2].BDBInfo.Encryption",
    ]
