"""Descriptors that were weighed against `biometrics.minutiae.descriptor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.minutiae import descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["OTHERS", "unit"]

NEIGHBOURS: Final = 6
RADIUS: Final = 70.0
RINGS, BEARINGS, DIRECTIONS = 4, 8, 6


def _around(
    minutiae: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return distance, bearing and direction of each minutia as each other sees it."""
    apart = minutiae[None, :, :2] - minutiae[:, None, :2]
    own = minutiae[:, None, 2]
    distance = np.hypot(apart[..., 0], apart[..., 1])
    bearing = np.arctan2(apart[..., 1], apart[..., 0]) - own
    return distance, bearing, minutiae[None, :, 2] - own


def nearest(minutiae: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return place and direction of the nearest neighbours, the nearest first."""
    distance, bearing, direction = _around(minutiae)
    np.fill_diagonal(distance, np.inf)
    first = np.argsort(distance, axis=1)[:, :NEIGHBOURS]
    if first.shape[1] < NEIGHBOURS:
        return np.zeros((len(minutiae), 4 * NEIGHBOURS))
    r, b, d = (
        np.take_along_axis(each, first, axis=1)
        for each in (distance, bearing, direction)
    )
    r = np.where(np.isfinite(r), r / 30, 0)
    parts = [r * np.cos(b), r * np.sin(b), np.cos(d), np.sin(d)]
    return np.concatenate(parts, axis=1)


def histogram(minutiae: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a soft histogram over distance, bearing and direction."""
    distance, bearing, direction = _around(minutiae)
    np.fill_diagonal(distance, np.inf)
    rings = (np.arange(RINGS) + 0.5) / RINGS * RADIUS
    width = RADIUS / RINGS * 0.7
    r = np.exp(-((distance[..., None] - rings) ** 2) / (2 * width**2))
    r *= (distance <= RADIUS)[..., None]
    b = _soft(bearing, BEARINGS, 4.0)
    d = _soft(direction, DIRECTIONS, 3.0)
    return np.einsum("ijr,ijb,ijd->irbd", r, b, d).reshape(len(minutiae), -1)


def _soft(
    angle: NDArray[np.float64], bins: int, sharpness: float
) -> NDArray[np.float64]:
    """Return how much of an angle falls to each bin of a circle."""
    centres = np.arange(bins) * 2 * np.pi / bins
    return np.exp((np.cos(angle[..., None] - centres) - 1) * sharpness)


def unit(
    vectors: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return vectors centred and of unit length; one that is the centre stays zero."""
    centred = vectors - centre
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(length > 0, length, 1)
    return centred


# To be centred by the mean of others' prints, as ours need not be.
OTHERS: Final[dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "harmonic sums": descriptor.sums,
    "histogram": histogram,
    f"{NEIGHBOURS} nearest": nearest,
}
