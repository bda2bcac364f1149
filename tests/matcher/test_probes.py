"""The bounds on FAISS's rounding hold for every probe, also for hostile ones."""

import numpy as np
import pytest
from coded import all_at, coding, scores, units

from matcher.engine import Coding, Probes, Segment

PADDED = [64, 128, 256, 512, 1024, 4096]


def spiky(code: Coding) -> np.ndarray:
    """Return probes that once turned are all in one or in a few sub-vectors."""
    padded, length = code.code.shape.padded, code.code.shape.length
    turned = np.zeros((6, padded), np.float32)
    turned[0, 0] = turned[1, -1] = -1
    turned[2, :length] = 1
    turned[3, -length:] = -1
    turned[4, : 3 * length] = units(1, 1, 3 * length)
    turned[5] = 0.2 * units(2, 1, padded)
    turned[5, 7] = 1
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    return turned @ code.rotation.turn(np.eye(padded, dtype=np.float32)).T


LEAST = 1e-6  # the lowest cut that a search takes


def probes_of(code: Coding, threshold: float = 0.4) -> Probes:
    """Return random and hostile probes of one gallery."""
    vectors = np.concatenate([units(3, 30, code.code.shape.padded), spiky(code)])
    return Probes.of(code, vectors, all_at(threshold, len(vectors)))


@pytest.mark.parametrize("dimension", PADDED)
def test_rounded_scores_are_within_the_bound(dimension: int):
    """FAISS's scores differ from those of the codes by no more than the cuts allow."""
    code = coding(dimension)
    probes = probes_of(code)
    at = np.array([0.4])
    rounding = code.code.coarse.cut(at, dimension) - probes.coarse
    of_fine = code.code.fine.cut(at, dimension) - probes.fine
    np.testing.assert_allclose(of_fine, rounding)
    segment = Segment.empty(code).grown(np.arange(700), units(4, 700, dimension))
    exact = scores(probes.turned, segment.coarse.vectors())
    for number, allowed in enumerate(rounding):
        alone = probes.turned[number : number + 1]
        _, found, rows = segment.coarse.search(alone, LEAST)
        off = np.abs(found - exact[number, rows])
        assert len(rows) > 100
        assert off.max() <= allowed + 1e-6
        assert off.max() > 0.001 * allowed  # neither is it far too wide


@pytest.mark.parametrize("dimension", PADDED)
def test_rows_are_returned_at_the_very_cut(dimension: int):
    """A row whose score is the cut is returned, however FAISS rounds it."""
    code = coding(dimension)
    few = probes_of(code)
    segment = Segment.empty(code).grown(np.arange(300), units(5, 300, dimension))
    exact = scores(few.turned, segment.coarse.vectors())
    rounding = code.code.coarse.cut(np.array([0.4]), dimension) - few.coarse
    for number in range(len(exact)):
        high = np.argsort(exact[number])[-40:]
        for row in high:
            cut = exact[number, row] - rounding[number] - 1e-6
            if cut > LEAST:
                _, _, rows = segment.coarse.search(few.turned[[number]], float(cut))
                assert row in rows


@pytest.mark.parametrize("dimension", [64, 512, 4096])
def test_some_row_can_have_a_score_below_0(dimension: int):
    """FAISS loses everything at a cut below its lowest sum; none above 0 is."""
    code = coding(dimension)
    probes = probes_of(code)
    pieces = probes.turned.reshape(len(probes.turned), -1, code.code.shape.length)
    assert ((pieces @ code.code.centroids.T).min(axis=2) <= 0).all()


def test_probes_made_one_by_one_are_those_made_together():
    """A batch is searched as each of its probes would be alone."""
    code = coding(200)
    vectors, thresholds = units(6, 9, 200), np.linspace(0.2, 0.9, 9)
    together = Probes.of(code, vectors, thresholds)
    alone = [
        Probes.of(code, vectors[n : n + 1], thresholds[n : n + 1]) for n in range(9)
    ]
    joined = Probes.joined(alone)
    for name in ("turned", "coarse", "fine"):
        one, other = getattr(joined, name), getattr(together, name)
        np.testing.assert_allclose(one, other, atol=1e-6)
