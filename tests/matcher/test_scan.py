"""Codes in FAISS's layout can be taken out, put back and grown, and never wrap."""

from pathlib import Path

import numpy as np
import pytest
from coded import DIMENSIONS, all_at, coding, units
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.engine import Probes, Segment, scan
from matcher.engine.scan import BLOCK_ROWS, LIST_ROWS, CoarseCodes

sizes = st.integers(0, 3 * BLOCK_ROWS + 1)
dimensions = st.sampled_from([2, 64, 127, 200, 512, 1024])


def coded(dimension: int, count: int, seed: int = 0) -> tuple[CoarseCodes, np.ndarray]:
    """Return codes, and the turned vectors that they are of."""
    code = coding(dimension)
    turned = code.rotation.turn(units(seed, count, dimension))
    codes = CoarseCodes.empty(code.code)
    return codes.grown(codes.coded(turned)), turned


def added(dimension: int, turned: np.ndarray) -> CoarseCodes:
    """Return the codes of turned vectors as FAISS itself puts them into an index."""
    code = coding(dimension).code
    index = scan._empty_index(code)
    index.add(turned)
    return CoarseCodes(code, index)


def found(codes: CoarseCodes, probes: np.ndarray) -> list[tuple[int, int, float]]:
    """Return what a search above the mean score finds, in order."""
    parts = codes.search(probes, 0.01)
    return sorted(zip(*(part.tolist() for part in parts), strict=True))


@given(dimensions, sizes)
@settings(max_examples=60)
def test_rows_make_the_same_codes_again(dimension: int, count: int):
    """What is taken out row by row is what was put in, and can be put back."""
    codes, turned = coded(dimension, count)
    np.testing.assert_array_equal(codes.rows(), codes.coded(turned))
    again = CoarseCodes.of_rows(coding(dimension).code, codes.rows())
    assert len(again) == count
    np.testing.assert_array_equal(again.vectors(), codes.vectors())
    assert found(again, turned[:5]) == found(codes, turned[:5])


@given(dimensions, sizes, sizes)
@settings(max_examples=60)
def test_growing_leaves_the_old_codes_as_they_were(dimension: int, old: int, new: int):
    """A search that has begun goes on in codes that nobody changes."""
    codes, turned = coded(dimension, old)
    more = coding(dimension).rotation.turn(units(1, new, dimension))
    before, rows = found(codes, turned[:5]), codes.rows()
    grown = codes.grown(codes.coded(more))
    assert (len(codes), len(grown)) == (old, old + new)
    assert found(codes, turned[:5]) == before
    np.testing.assert_array_equal(codes.rows(), rows)
    np.testing.assert_array_equal(grown.rows()[:old], codes.rows())
    np.testing.assert_array_equal(grown.rows()[old:], codes.coded(more))


@given(dimensions, sizes, sizes)
@settings(max_examples=60)
def test_codes_grow_as_faiss_has_them(dimension: int, old: int, new: int):
    """Rows that are put after others are found as those that FAISS adds itself."""
    codes, turned = coded(dimension, old)
    more = coding(dimension).rotation.turn(units(1, new, dimension))
    grown = codes.grown(codes.coded(more))
    theirs = added(dimension, np.concatenate([turned, more]))
    np.testing.assert_array_equal(grown.rows(), theirs.rows())
    probes = np.concatenate([turned[:5], more[:5]])
    assert found(grown, probes) == found(theirs, probes)


@pytest.mark.parametrize("count", [31, 32, 33, 64, 65, 200])
def test_rows_in_several_lists_are_found_as_in_one(
    monkeypatch: pytest.MonkeyPatch, count: int
):
    """How codes are cut into lists changes nothing of what they say."""
    codes, turned = coded(200, count)
    monkeypatch.setattr(scan, "LIST_ROWS", 64)
    again = CoarseCodes.of_rows(coding(200).code, codes.rows())
    np.testing.assert_array_equal(again.rows(), codes.rows())
    assert found(again, turned) == found(codes, turned)
    more = coding(200).rotation.turn(units(1, 40, 200))
    rows = codes.coded(more)
    assert found(again.grown(rows), turned) == found(codes.grown(rows), turned)


@given(dimensions, sizes, sizes)
@settings(max_examples=30)
def test_codes_from_rows_can_grow(dimension: int, old: int, new: int):
    """A last block that is not full takes further rows."""
    codes, turned = coded(dimension, old)
    more = coding(dimension).rotation.turn(units(1, new, dimension))
    rows = codes.coded(more)
    again = CoarseCodes.of_rows(coding(dimension).code, codes.rows()).grown(rows)
    assert found(again, turned[:5]) == found(codes.grown(rows), turned[:5])


@pytest.mark.parametrize("dimension", [2, 3, 16, 63, *DIMENSIONS, 2048])
def test_identical_vectors_are_found_in_every_dimension(dimension: int):
    """Sums of 16 bits do not wrap at the highest score there is, cosine 1."""
    vectors = units(2, 400, dimension)
    segment = Segment.empty(coding(dimension)).grown(np.arange(400), vectors)
    probes = Probes.of(segment.coding, vectors, all_at(1.0, 400))
    answers = segment.search(probes)
    assert all(number in ids for number, ids in enumerate(answers))
    best = np.einsum("rd,rd->r", probes.turned, segment.coarse.vectors())
    whose, scores, rows = segment.coarse.search(probes.turned, float(best.min()) - 0.05)
    own = scores[whose == rows]
    np.testing.assert_allclose(own[np.argsort(whose[whose == rows])], best, atol=0.03)


def test_another_layout_of_codes_is_refused(monkeypatch: pytest.MonkeyPatch):
    """With a version of FAISS that lays out codes otherwise, nothing is searched."""
    scan._check_layout.cache_clear()
    monkeypatch.setattr(scan, "_ORDER", np.arange(16))
    with pytest.raises(RuntimeError, match="lays out codes"):
        CoarseCodes.of_rows(coding(64).code, np.zeros((1, 32), np.uint8))
    monkeypatch.undo()
    CoarseCodes.of_rows(coding(64).code, np.zeros((1, 32), np.uint8))


def flags_of(address: int) -> list[str]:
    """Return what Linux says of the memory at an address."""
    is_there = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first:
            start, end = (int(each, 16) for each in first.split("-"))
            is_there = start <= address < end
        elif is_there and first == "VmFlags:":
            return rest
    return []


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="the system has no large pages",
)
def test_whole_lists_are_to_lie_in_large_pages():
    """They are what is scanned for long."""
    rows = np.zeros((2 * LIST_ROWS, 64), np.uint8)
    codes = CoarseCodes.of_rows(coding(512).code, rows)
    lists = scan._lists(codes._index)
    for number in range(2):
        blocks = scan._blocks(lists, number)
        assert "hg" in flags_of(blocks.ctypes.data + blocks.nbytes // 2)
