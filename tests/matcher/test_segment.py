"""A segment finds what comparing every row finds, and little else."""

from dataclasses import replace

import numpy as np
import pytest
from coded import all_at, at_cosine, coding, scores, units

from matcher.engine import Probes, Segment
from matcher.engine.segment import NEAREST, joined

ROWS = 700  # no whole number of blocks
WORLDS = [
    (64, None),
    (65, None),
    (128, 12.0),
    (200, None),
    (512, None),
    (512, 12.0),
    (512, 180.0),
    (1024, 12.0),
    (4096, 180.0),
]


def segment_of(vectors: np.ndarray, first: int = 0) -> Segment:
    """Return vectors coded; their ids are sevens, so that none is a row."""
    ids = 7 * np.arange(first, first + len(vectors)) + 3
    return Segment.empty(coding(vectors.shape[1])).grown(ids, vectors)


def probes_for(vectors: np.ndarray, effective: float | None) -> np.ndarray:
    """Return strangers, and probes at all distances from rows."""
    dimension = vectors.shape[1]
    strangers = units(8, 60, dimension, effective)
    mates, others = vectors[:60], units(9, 60, dimension, effective)
    near = [
        at_cosine(mates[n::6], others[n::6], 0.2 + 0.15 * n).astype(np.float32)
        for n in range(6)
    ]
    return np.concatenate([strangers, *near])


def exact_scores(segment: Segment, probes: Probes) -> tuple[np.ndarray, np.ndarray]:
    """Return coarse scores and what signs add, (q, n), computed in float64."""
    padded = segment.coding.code.shape.padded
    signs = np.unpackbits(segment.signs, axis=1, count=padded).astype(np.float64)
    amplitude = segment.coding.code.amplitude
    coarse = scores(probes.turned, segment.coarse.vectors())
    return coarse, amplitude * scores(probes.turned, 2 * signs - 1)


def rounding_of(probes: Probes, segment: Segment, threshold: float) -> np.ndarray:
    """Return by how much the cuts of each probe allow for FAISS."""
    code = segment.coding.code
    cut = code.coarse.cut(np.array([threshold]), code.shape.padded)
    return (cut - probes.coarse)[:, None]


@pytest.mark.parametrize(("dimension", "effective"), WORLDS)
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_search_misses_nothing(
    dimension: int, effective: float | None, threshold: float
):
    """Every living row at or above the threshold is found, and no removed one."""
    vectors = units(7, ROWS, dimension, effective)
    segment = segment_of(vectors)
    segment.alive[::5] = False
    probes = probes_for(vectors, effective)
    wanted = (scores(probes, vectors) >= threshold) & segment.alive
    made = Probes.of(segment.coding, probes, all_at(threshold, len(probes)))
    answers = segment.search(made)
    assert wanted.any()
    for answer, rows in zip(answers, wanted, strict=True):
        assert np.isin(segment.ids[rows], answer).all()
        assert not np.isin(segment.ids[::5], answer).any()
        assert len(np.unique(answer)) == len(answer)


@pytest.mark.parametrize(("dimension", "effective"), WORLDS)
@pytest.mark.parametrize("threshold", [-0.95, 0.1, 0.35])
def test_candidates_are_those_of_both_cuts(
    dimension: int, effective: float | None, threshold: float
):
    """A row is a candidate if both its scores reach their cuts, but for rounding."""
    vectors = units(7, ROWS, dimension, effective)
    segment = segment_of(vectors)
    vectors = probes_for(vectors, effective)
    probes = Probes.of(segment.coding, vectors, all_at(threshold, len(vectors)))
    coarse, added = exact_scores(segment, probes)
    off = rounding_of(probes, segment, threshold) + 1e-5
    above = np.minimum(
        coarse - probes.coarse[:, None], coarse + added - probes.fine[:, None]
    )
    found = np.zeros(above.shape, bool)
    for number, ids in enumerate(segment.search(probes)):
        found[number, segment.rows_of(ids)] = True
    assert found[above >= off].all()
    assert not found[above < -off].any()


def test_the_best_few_that_are_near_are_candidates_too():
    """Eight at most beside those of the cuts, and most of what is near among them."""
    mates, others = units(20, 400, 512, 180.0), units(21, 400, 512, 180.0)
    segment = segment_of(mates)
    near = at_cosine(mates, others, 0.48)  # below the threshold, above the low end
    both = all_at(0.5, 400), all_at(0.45, 400)
    plain = segment.search(Probes.of(segment.coding, near, both[0]))
    wider = segment.search(Probes.of(segment.coding, near, *both))
    seen = 0
    for row, (few, more) in enumerate(zip(plain, wider, strict=True)):
        assert np.isin(few, more).all()
        assert len(more) <= len(few) + NEAREST
        seen += segment.ids[row] in more
    assert seen > 390


def test_of_many_near_rows_the_best_are_taken():
    """Those of the greatest scores; what was removed is none of them."""
    base, noise = units(22, 1, 512), units(23, 60, 512)
    cosines = np.linspace(0.3, 0.45, 60)
    rows = np.concatenate(
        [at_cosine(base, noise[n : n + 1], c) for n, c in enumerate(cosines)]
    )
    segment = segment_of(rows).without(np.array([7 * 59 + 3]))
    (found,) = segment.search(
        Probes.of(segment.coding, base, all_at(0.6, 1), all_at(0.2, 1))
    )
    assert len(found) == NEAREST
    assert segment.ids[59] not in found
    assert np.mean(cosines[segment.rows_of(np.sort(found))]) > 0.42


def test_thresholds_in_a_batch_are_each_probes_own():
    """A probe finds the same beside others with far lower thresholds."""
    vectors = units(10, ROWS, 512, 40.0)
    segment = segment_of(vectors)
    thresholds = np.linspace(-1, 1, 21)
    probes = Probes.of(segment.coding, vectors[:21], thresholds)
    for number, ids in enumerate(segment.search(probes)):
        one = slice(number, number + 1)
        alone = Probes.of(segment.coding, vectors[one], thresholds[one])
        wanted = scores(vectors[one], vectors)[0] >= thresholds[number] + 1e-6
        assert np.isin(segment.ids[wanted], ids).all()
        assert len(np.setxor1d(segment.search(alone)[0], ids)) <= 0.02 * len(ids) + 1


def test_coarse_cuts_in_a_batch_are_each_probes_own():
    """A probe with a high cut has no more candidates beside one with a low cut."""
    vectors = units(10, ROWS, 512, 40.0)
    segment = segment_of(vectors)
    probes = Probes.of(segment.coding, vectors[:30], all_at(0.4, 30))
    off = rounding_of(probes, segment, 0.4)[:, 0] + 1e-5
    cuts = np.linspace(0.02, 0.6, 30)
    answers = segment.search(replace(probes, coarse=cuts, fine=np.full(30, -np.inf)))
    coarse, _ = exact_scores(segment, probes)
    for number, ids in enumerate(answers):
        found = segment.rows_of(ids)
        assert (coarse[number, found] >= cuts[number] - off[number]).all()
        sure = np.flatnonzero(coarse[number] >= cuts[number] + off[number])
        assert np.isin(sure, found).all()


@pytest.mark.parametrize("dimension", [64, 200, 1024])
@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 95])
def test_segments_of_every_size_are_searched_whole(dimension: int, size: int):
    """The last rows of a block that is not full are found, and nothing after them."""
    segment = segment_of(units(11, size, dimension))
    probes = Probes.of(segment.coding, units(11, 100, dimension), all_at(0.9, 100))
    answers = segment.search(probes)
    for number, ids in enumerate(answers):
        assert ids.tolist() == ([7 * number + 3] if number < size else [])
    everything = Probes.of(segment.coding, units(12, 3, dimension), all_at(-1, 3))
    for ids in segment.search(everything):
        assert sorted(ids.tolist()) == segment.ids.tolist()


def coded_rows(segment: Segment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return everything that a segment says of its rows."""
    return segment.ids, segment.coarse.rows(), segment.signs


@pytest.mark.parametrize("dimension", [64, 512])
@pytest.mark.parametrize("sizes", [(64, 96, 17), (64, 32), (31, 64, 33), (1, 1), (40,)])
def test_joining_keeps_every_row(dimension: int, sizes: tuple[int, ...]):
    """Joined, segments are as if coded at once."""
    vectors = units(13, sum(sizes), dimension)
    ends = np.cumsum(sizes)
    parts = [
        segment_of(vectors[end - size : end], int(end - size))
        for size, end in zip(sizes, ends, strict=True)
    ]
    (whole,) = joined(parts, 1000)
    for one, other in zip(
        coded_rows(whole), coded_rows(segment_of(vectors)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert whole.alive.all()


@pytest.mark.parametrize("removed", [[0], [63, 64], [*range(64)], [*range(160)], [159]])
def test_joining_leaves_out_what_was_removed(removed: list[int]):
    """The living rows keep their codes, in their order."""
    vectors = units(14, 160, 200)
    parts = [segment_of(vectors[:64]), segment_of(vectors[64:], 64)]
    gone = 7 * np.array(removed) + 3
    for part in parts:
        part.alive[part.rows_of(gone)] = False
    made = joined(parts, 48)
    assert all(len(each) == 48 for each in made[:-1])
    (whole,) = joined(made, 1000) if made else [Segment.empty(parts[0].coding)]
    kept = np.setdiff1d(np.arange(160), removed)
    np.testing.assert_array_equal(whole.ids, 7 * kept + 3)
    expected = coded_rows(segment_of(vectors))
    for one, other in zip(coded_rows(whole), expected, strict=True):
        np.testing.assert_array_equal(one, other[kept])
    assert all(len(part) for part in parts)


@pytest.mark.parametrize("size", [0, 1, 32, 33, 500])
@pytest.mark.parametrize("dimension", [2, 65, 200, 512])
def test_segments_come_back_from_their_bytes(dimension: int, size: int):
    """What is kept on disk is the segment, all of its rows alive."""
    segment = segment_of(units(15, size, dimension))
    content = bytearray().join(part.tobytes() for part in segment.arrays())
    again = Segment.of_bytes(segment.coding, size, content)
    for one, other in zip(coded_rows(again), coded_rows(segment), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.count == size
    probes = Probes.of(segment.coding, units(15, 5, dimension), all_at(0.9, 5))
    for one, other in zip(again.search(probes), segment.search(probes), strict=True):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))


def test_rows_are_found_by_id():
    """Ids that are not held are no row, whatever lies next to them."""
    segment = segment_of(units(16, 40, 64))
    asked = np.array([-1, 3, 4, 10, 276, 277, 1 << 40])
    assert segment.rows_of(asked).tolist() == [0, 1, 39]
    assert segment_of(units(16, 0, 64)).rows_of(asked).tolist() == []


def test_what_was_opened_from_disk_is_not_kept_beside_the_segment():
    """The opened file would be in memory as long as any view of it, and twice."""
    segment = segment_of(units(17, 50, 64))
    content = bytearray().join(part.tobytes() for part in segment.arrays())
    again = Segment.of_bytes(segment.coding, 50, content)
    content.clear()  # raises while anything looks into it
    assert again.count == 50
