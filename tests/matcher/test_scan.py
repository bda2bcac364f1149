"""Codes in FAISS's layout can be taken out, put back and grown, and never wrap."""

import numpy as np
import pytest
from coded import DIMENSIONS, all_at, coding, units
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.engine import Probes, Segment
from matcher.engine.scan import BLOCK_ROWS, CoarseCodes

sizes = st.integers(0, 3 * BLOCK_ROWS + 1)
dimensions = st.sampled_from([2, 64, 127, 200, 512, 1024])


def coded(dimension: int, count: int, seed: int = 0) -> tuple[CoarseCodes, np.ndarray]:
    """Return codes, and the turned vectors that they are of."""
    code = coding(dimension)
    turned = code.rotation.turn(units(seed, count, dimension))
    return CoarseCodes.empty(code.code).grown(turned), turned


def found(codes: CoarseCodes, probes: np.ndarray) -> list[tuple[int, int, float]]:
    """Return what a search above the mean score finds, in order."""
    parts = codes.search(probes, 0.01)
    return sorted(zip(*(part.tolist() for part in parts), strict=True))


@given(dimensions, sizes)
@settings(deadline=None, max_examples=60)
def test_blocks_make_the_same_codes_again(dimension: int, count: int):
    """What is written to disk block by block is searched as before."""
    codes, turned = coded(dimension, count)
    again = CoarseCodes.empty(coding(dimension).code).of_blocks(codes.blocks(), count)
    assert len(again) == count
    np.testing.assert_array_equal(again.rows(), codes.rows())
    assert found(again, turned[:5]) == found(codes, turned[:5])


@given(dimensions, sizes)
@settings(deadline=None, max_examples=60)
def test_rows_make_the_same_codes_again(dimension: int, count: int):
    """What is taken out row by row is what was put in, and can be put back."""
    codes, turned = coded(dimension, count)
    np.testing.assert_array_equal(codes.vectors(), codes.decoded(turned))
    again = codes.of_rows(codes.rows())
    assert len(again) == count
    np.testing.assert_array_equal(again.vectors(), codes.vectors())
    assert found(again, turned[:5]) == found(codes, turned[:5])


@given(dimensions, sizes, sizes)
@settings(deadline=None, max_examples=60)
def test_growing_leaves_the_old_codes_as_they_were(dimension: int, old: int, new: int):
    """A search that has begun goes on in codes that nobody changes."""
    codes, turned = coded(dimension, old)
    more = coding(dimension).rotation.turn(units(1, new, dimension))
    before, blocks = found(codes, turned[:5]), codes.blocks()
    grown = codes.grown(more)
    assert (len(codes), len(grown)) == (old, old + new)
    assert found(codes, turned[:5]) == before
    np.testing.assert_array_equal(codes.blocks(), blocks)
    np.testing.assert_array_equal(grown.rows()[:old], codes.rows())
    np.testing.assert_array_equal(grown.vectors()[old:], codes.decoded(more))


@given(dimensions, sizes, sizes)
@settings(deadline=None, max_examples=30)
def test_codes_from_blocks_can_grow(dimension: int, old: int, new: int):
    """A last block that is not full takes further rows."""
    codes, turned = coded(dimension, old)
    more = coding(dimension).rotation.turn(units(1, new, dimension))
    again = codes.of_blocks(codes.blocks(), old).grown(more)
    assert found(again, turned[:5]) == found(codes.grown(more), turned[:5])


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
