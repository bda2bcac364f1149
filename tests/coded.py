"""Unit vectors of a known kind, pairs of a known cosine, and what is to be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from enrolment.synthetic import spectrum
from matcher.engine import Coding
from matcher.engine.code import Code
from matcher.engine.rotation import Rotation
from matcher.engine.shape import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED: Final = bytes(range(32))
# Every kind: less than a block of sub-vectors, odd, one too many, several components a
# sub-vector, some that do not divide evenly, and the largest.
DIMENSIONS: Final = (64, 65, 127, 128, 129, 200, 511, 512, 513, 1000, 1024, 4095, 4096)


def units(
    seed: int, count: int, dimension: int, effective_dimension: float | None = None
) -> NDArray[np.float32]:
    """Return unit vectors, isotropic unless an effective dimension is given.

    Those of a low effective dimension lie along the axes that they come with, which is
    the hardest for a code that relies on a rotation.
    """
    rows = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    if effective_dimension is not None:
        rows *= np.sqrt(spectrum(dimension, effective_dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def at_cosine(
    mates: NDArray[np.float32], others: NDArray[np.float32], cosine: float
) -> NDArray[np.float32]:
    """Return for each mate a probe of that cosine, in the plane of it and another."""
    mate, other = mates.astype(np.float64), others.astype(np.float64)
    other -= (other * mate).sum(axis=1, keepdims=True) * mate
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return (cosine * mate + np.sqrt(1 - cosine**2) * other).astype(np.float32)


def coding(dimension: int, seed: bytes = SEED) -> Coding:
    """Return how a gallery is coded."""
    return Coding(Code.of(dimension), Rotation(seed, Shape.of(dimension)))


def scores(
    probes: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return all inner products, (q, n), in float64."""
    return probes.astype(np.float64) @ rows.astype(np.float64).T


def all_at(threshold: float, count: int) -> NDArray[np.float64]:
    """Return one threshold for each of so many probes."""
    return np.full(count, threshold)
