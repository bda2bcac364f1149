"""How `codebook.json` was made; run it to make it again.

    python -m matcher.engine.recipe > matcher/engine/codebook.json

A unit vector turned by a random rotation is a random point of the sphere, whatever it
was before. So the best centroids are those of the normal distribution, and the error
of a code can be measured once, here, for every gallery that will ever be.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from matcher.engine.shape import CENTROIDS, SUBVECTORS, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED: Final = 20_261_124
LARGEST_DIMENSION: Final = 4096
_TRAINING_VECTORS: Final = 1 << 18
_ITERATIONS: Final = 120
_MEASURED_VECTORS: Final = 20_000
_BLOCK_VECTORS: Final = 1_000
_DIGITS: Final = 6


def main() -> None:
    """Write the codebook to standard output."""
    random = np.random.default_rng(SEED)
    lengths = range(1, LARGEST_DIMENSION // SUBVECTORS + 1)
    centroids = {length: train(length, random) for length in lengths}
    amplitudes = {
        length: amplitude(centres, random) for length, centres in centroids.items()
    }
    smaller = range(2, SUBVECTORS, 2)
    larger = (SUBVECTORS * length for length in lengths)
    errors = {}
    for dimension in (*smaller, *larger):
        length = Shape.of(dimension).length
        errors[dimension] = measure(
            dimension, centroids[length], amplitudes[length], random
        )
    json.dump(
        {
            "centroids": {n: _rounded(c) for n, c in centroids.items()},
            "amplitudes": {n: round(a, _DIGITS) for n, a in amplitudes.items()},
            "errors": {d: [_rounded(e) for e in pair] for d, pair in errors.items()},
        },
        sys.stdout,
    )
    sys.stdout.write("\n")


def train(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the centroids (16, length) of standard normal vectors, by Lloyd."""
    vectors = random.standard_normal((_TRAINING_VECTORS, length))
    centres = vectors[:CENTROIDS].copy()
    for _ in range(_ITERATIONS):
        nearest = assign(vectors, centres)
        counts = np.bincount(nearest, minlength=CENTROIDS)
        for axis in range(length):
            sums = np.bincount(nearest, vectors[:, axis], CENTROIDS)
            centres[:, axis] = sums / counts
    return centres[np.lexsort(centres.T[::-1])]


def assign(
    vectors: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return which centroid is nearest to each vector: (..., length) to (...)."""
    nearness = vectors @ centres.T - (centres**2).sum(axis=1) / 2
    nearest: NDArray[np.intp] = nearness.argmax(axis=-1)
    return nearest


def amplitude(centres: NDArray[np.float64], random: np.random.Generator) -> float:
    """Return by how much the sign of what a centroid leaves is to be weighted.

    The mean of its absolute value: what one bit a component says best (Max 1960).
    """
    vectors = random.standard_normal((_TRAINING_VECTORS, centres.shape[1]))
    return float(np.abs(vectors - centres[assign(vectors, centres)]).mean())


def measure(
    dimension: int,
    centres: NDArray[np.float64],
    weight: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what both codes keep of random unit vectors; see `code.Error`."""
    coarse: list[NDArray[np.float64]] = []
    fine: list[NDArray[np.float64]] = []
    for _ in range(_MEASURED_VECTORS // _BLOCK_VECTORS):
        vectors = random.standard_normal((_BLOCK_VECTORS, dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        pieces = vectors.reshape(_BLOCK_VECTORS, -1, centres.shape[1])
        pieces = pieces * np.sqrt(dimension)
        codes = centres[assign(pieces, centres)]
        signed = codes + weight * np.sign(pieces - codes)
        for kept, code in ((coarse, codes), (fine, signed)):
            flat = code.reshape(_BLOCK_VECTORS, dimension) / np.sqrt(dimension)
            along = (flat * vectors).sum(axis=1)
            kept.append(np.stack([along, (flat**2).sum(axis=1) - along**2]))
    return _summed_up(coarse), _summed_up(fine)


def _summed_up(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return mean and deviation along the vector, and mean length across it."""
    along, across = np.concatenate(parts, axis=1)
    return np.array([along.mean(), along.std(), np.sqrt(across.mean())])


def _rounded(values: NDArray[np.float64]) -> object:
    """Return numbers as JSON takes them."""
    return values.round(_DIGITS).tolist()


if __name__ == "__main__":
    main()
