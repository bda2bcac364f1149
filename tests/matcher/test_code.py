"""The committed codebook is what its recipe makes, and its errors are measured."""

import numpy as np
import pytest
from coded import DIMENSIONS

from matcher.engine import recipe
from matcher.engine.code import DEVIATIONS, Code, Error, codebook_digest
from matcher.engine.shape import CENTROIDS, SUBVECTORS, Shape

LLOYD_MAX_4_BIT = 0.009497  # Max 1960, table I, N = 16
LENGTHS = range(1, 33)


def centroids_of(length: int) -> np.ndarray:
    """Return the committed centroids of a length, for standard normal components."""
    dimension = 2 if length == 1 else SUBVECTORS * length
    return Code.of(dimension).centroids * np.sqrt(dimension)


def distortion(centres: np.ndarray, count: int = 1 << 17) -> float:
    """Return the mean squared error a component of standard normal vectors."""
    vectors = np.random.default_rng(9).standard_normal((count, centres.shape[1]))
    left = vectors - centres[recipe.assign(vectors, centres)]
    return float(np.mean(left**2))


def test_shapes_hold_every_vector():
    """At most 128 sub-vectors, an even number, and less than one of zeros for each."""
    for dimension in range(1, 4097):
        shape = Shape.of(dimension)
        assert shape.subvectors * shape.length == shape.padded >= dimension
        assert shape.subvectors <= 128
        assert shape.subvectors % 2 == 0
        assert shape.padded - dimension < max(shape.subvectors, 2)


@pytest.mark.parametrize("dimension", [2, 3, 4, 63, *DIMENSIONS])
def test_codes_are_made_for_their_dimension(dimension: int):
    """Every dimension has its centroids and its two errors, the fine one the less."""
    code = Code.of(dimension)
    assert code.centroids.shape == (CENTROIDS, code.shape.length)
    coarse, fine = code.coarse, code.fine
    assert fine.stray / fine.kept < coarse.stray / coarse.kept
    assert code is Code.of(dimension)


def test_codebooks_are_told_apart():
    """Files of codes name the codebook by its digest."""
    assert len(codebook_digest()) == 64


def test_scalar_centroids_are_those_of_lloyd_and_max():
    """4 bits a component lose 0.009497 of the variance at best, and here 2 % more."""
    found = distortion(centroids_of(1), 1 << 20)
    assert 0.995 * LLOYD_MAX_4_BIT < found < 1.025 * LLOYD_MAX_4_BIT


@pytest.mark.parametrize("length", LENGTHS)
def test_no_centroids_are_better_than_possible_or_poor(length: int):
    """Between Shannon's bound for their rate and a quarter of the variance above it."""
    bound = 2 ** (-2 * 4 / length)
    found = distortion(centroids_of(length), 1 << 14)
    assert 0.98 * bound < found < bound + min(0.25, bound * 1.5)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_recipe_makes_the_committed_centroids(
    length: int, monkeypatch: pytest.MonkeyPatch
):
    """Trained anew on fewer vectors, centroids lose as much as the committed ones."""
    monkeypatch.setattr(recipe, "_TRAINING_VECTORS", 1 << 15)
    made = recipe.train(length, np.random.default_rng(5))
    committed = centroids_of(length)
    assert distortion(made) == pytest.approx(distortion(committed), rel=0.03)
    weight = recipe.amplitude(committed, np.random.default_rng(6))
    dimension = 2 if length == 1 else SUBVECTORS * length
    expected = Code.of(dimension).amplitude * np.sqrt(dimension)
    assert weight == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("dimension", [2, 4, 16, 64, 126, 128, 256, 512, 1024, 4096])
def test_errors_are_as_measured_anew(dimension: int, monkeypatch: pytest.MonkeyPatch):
    """What codes keep, its spread, and what strays are those of the codebook."""
    count = 4_000
    monkeypatch.setattr(recipe, "_MEASURED_VECTORS", count)
    code = Code.of(dimension)
    unit = np.sqrt(dimension)
    centres, weight = code.centroids.astype(np.float64) * unit, code.amplitude * unit
    found = recipe.measure(dimension, centres, weight, np.random.default_rng(7))
    for committed, measured in zip((code.coarse, code.fine), found, strict=True):
        again = Error(*measured)
        tolerance = 5 * committed.spread / np.sqrt(count)
        assert again.kept == pytest.approx(committed.kept, abs=tolerance)
        assert again.spread == pytest.approx(committed.spread, rel=0.1)
        assert again.stray == pytest.approx(committed.stray, rel=0.03)


def test_cuts_lie_so_many_deviations_below_the_mean():
    """The cut is for a mate exactly at the threshold, and rises with it."""
    error = Error(kept=0.8, spread=0.02, stray=0.4)
    thresholds = np.array([-1.0, 0.0, 0.6, 1.0])
    deviations = np.hypot(
        thresholds * 0.02, np.sqrt(1 - thresholds**2) * 0.4 / np.sqrt(99)
    )
    expected = 0.8 * thresholds - DEVIATIONS * deviations
    np.testing.assert_allclose(error.cut(thresholds, 100), expected)
