"""Rotations keep inner products, are secret, and make all vectors alike."""

import numpy as np
import pytest
from coded import DIMENSIONS, SEED, all_at, coding, units

from matcher.engine import Probes, Segment
from matcher.engine.rotation import Rotation
from matcher.engine.segment import layout
from matcher.engine.shape import Shape

OTHER_SEED = bytes(32)


def turned(vectors: np.ndarray, seed: bytes = SEED) -> np.ndarray:
    """Return vectors turned."""
    return Rotation(seed, Shape.of(vectors.shape[1])).turn(vectors)


@pytest.mark.parametrize("dimension", [2, 3, 4, 5, 31, *DIMENSIONS])
def test_rotations_keep_inner_products(dimension: int):
    """A rotation is orthogonal in every dimension, also where zeros are appended."""
    few = np.concatenate([units(1, 40, dimension), np.eye(40, dimension)])
    vectors = few[np.linalg.norm(few, axis=1) > 0].astype(np.float32)
    after = turned(vectors)
    assert after.shape == (len(vectors), Shape.of(dimension).padded)
    np.testing.assert_allclose(after @ after.T, vectors @ vectors.T, atol=4e-6)


@pytest.mark.parametrize("dimension", [64, 200, 512, 4096])
def test_another_seed_is_another_rotation(dimension: int):
    """Under two seeds a vector becomes two that have nothing to do with each other."""
    vectors = units(2, 100, dimension)
    alike = (turned(vectors) * turned(vectors, OTHER_SEED)).sum(axis=1)
    assert np.abs(alike).max() < 6 / np.sqrt(dimension)


# Some components of the last axis, turned: what layout 1 has always made of it.
TURNED = {
    128: [-0.06011, 0.026416, -0.040872, -0.077514, 0.097256],
    200: [-0.119643, -0.086958, 0.073136, -0.089811, -0.090816],
}


@pytest.mark.parametrize("dimension", TURNED)
def test_rotations_are_those_that_codes_on_disk_were_made_with(dimension: int):
    """Another algorithm finds nobody in them: it needs another `layout`."""
    axis = np.eye(1, dimension, dimension - 1, dtype=np.float32)
    (row,) = turned(axis, bytes(range(32)))
    np.testing.assert_allclose(row[[0, 1, 2, -2, -1]], TURNED[dimension], atol=2e-6)
    assert layout().startswith("1 ")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seeds_of_another_size_are_refused(size: int):
    """A seed that was cut short makes no rotation."""
    with pytest.raises(ValueError, match="a seed has 32 bytes"):
        Rotation(bytes(size), Shape.of(64))


@pytest.mark.parametrize("dimension", [128, 512, 1024])
def test_codes_of_one_gallery_find_nothing_in_another(dimension: int):
    """Who has the codes of a gallery needs its seed to search them."""
    vectors = units(4, 500, dimension)
    segment = Segment.empty(coding(dimension)).grown(np.arange(500), vectors)
    thresholds = all_at(0.7, 500)
    own = segment.search(Probes.of(segment.coding, vectors, thresholds))
    assert all(number in ids for number, ids in enumerate(own))
    stranger = coding(dimension, OTHER_SEED)
    assert not np.concatenate(
        segment.search(Probes.of(stranger, vectors, thresholds))
    ).size


def structured(dimension: int) -> np.ndarray:
    """Return unit vectors as far from random as any: axes, constants, waves."""
    flat = np.ones(dimension)
    steps = np.sign(np.arange(dimension) - dimension / 3)
    waves = np.cos(np.pi / dimension * np.outer([1, 2, 7], np.arange(dimension) + 0.5))
    alternating = flat - 2 * (np.arange(dimension) % 2)
    rows = np.vstack([np.eye(dimension)[:20], flat, -flat, steps, alternating, waves])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dimension", [64, 128, 256, 512, 1024, 4096])
def test_every_vector_has_near_normal_components_once_turned(dimension: int):
    """Axes and constants too are what the codebook was made for: no moment tells."""
    seeds = [bytes([number]) * 32 for number in range(20)]
    values = [turned(structured(dimension), seed).ravel() for seed in seeds]
    components = np.concatenate(values).astype(np.float64) * np.sqrt(dimension)
    assert abs(components.mean()) < 0.05
    assert np.mean(components**2) == pytest.approx(1, abs=1e-4)
    expected = 3 * dimension / (dimension + 2)  # on a sphere
    assert np.mean(components**4) == pytest.approx(expected, abs=0.25)
    assert np.abs(components).max() < 6.5
    inside = np.mean(np.abs(components) < 1)
    assert inside == pytest.approx(0.683, abs=0.015)
