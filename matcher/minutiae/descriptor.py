"""One vector a minutia, of the minutiae around it: near in cosine if those lie alike.

Each neighbour is a point in three coordinates that do not change when the print is
moved or turned: its distance, its bearing and its direction, the latter two relative to
the minutia's own direction. The vector is the sum, over the neighbours, of a few
harmonics of bearing and direction for each of a few rings of distance. An inner product
of two such vectors is then a sum over pairs of neighbours, one of each, that is large
where all three coordinates agree: a soft count of neighbours in common, without any
pairing, which is what lets one index search for it.

*Patents.* The vector is a truncated Fourier series of the neighbourhood, as kernel
methods have it, on what shape contexts of minutiae have used since 2006 (Kwan, Gao,
Guo: ICPR): distance, bearing and direction of all neighbours. No patent on that is
known to the authors. Minutia cylinder codes, which are close in aim, are patented
(University of Bologna, filed in 2009) and not used: there is no cylinder, no cell and
no validity of cells here. This is no legal opinion: have it checked where you use it.

Chosen by measurement, see `benchmarks/fingers.py`: sorted nearest neighbours and polar
histograms found fewer mates with as many numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RADIUS: Final = 70.0  # pixels at 500 an inch: seven ridges
RINGS: Final = 4
BEARINGS: Final = 4  # harmonics of the bearing
DIRECTIONS: Final = 2  # harmonics of the direction
_INNERMOST: Final = 0.15  # of the radius, where the first ring lies
_WIDTH: Final = 0.8  # of a ring, in distances between rings
_FADE: Final = 0.2  # of the radius, in which a neighbour comes to count
# High harmonics tell most between prints and suffer most from skin that is stretched.
_DAMPING: Final = 0.8

_COUNT: Final = 0.7  # weight of the harmonic of order zero: how many neighbours
# Harmonics of a real function: half of them say all.
_HARMONICS: Final = tuple(
    (bearing, direction)
    for bearing in range(BEARINGS + 1)
    for direction in range(-DIRECTIONS, DIRECTIONS + 1)
    if bearing or direction > 0
)
DIMENSION: Final = RINGS * (1 + 2 * len(_HARMONICS))


def describe(minutiae: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector of each minutia, not centred and not of unit length.

    Centre by the mean of many prints' vectors before a cosine is taken: ridges run in
    parallel, so that neighbours of all prints have directions alike.

    Args:
        minutiae: (n, 3), x to the right and y upwards in pixels at 500 an inch, and
            direction in radians, counter-clockwise.

    Returns:
        (n, DIMENSION); zeros for a minutia without neighbours.
    """
    apart = minutiae[None, :, :2] - minutiae[:, None, :2]
    distance = np.hypot(apart[..., 0], apart[..., 1])
    own = minutiae[:, None, 2]
    bearing = np.arctan2(apart[..., 1], apart[..., 0]) - own
    direction = minutiae[None, :, 2] - own
    weight = np.clip((RADIUS * (1 + _FADE) - distance) / (RADIUS * _FADE), 0, 1)
    np.fill_diagonal(weight, 0)
    at = np.linspace(_INNERMOST, 1, RINGS) * RADIUS
    spread = RADIUS / RINGS * _WIDTH
    rings = np.exp(-((distance[..., None] - at) ** 2) / (2 * spread**2))
    rings *= weight[..., None]
    parts = [_COUNT * rings.sum(axis=1)]
    for b, d in _HARMONICS:
        wave = np.exp(1j * (b * bearing + d * direction))
        damped = np.exp(
            -((b / (BEARINGS * _DAMPING)) ** 2 + (d / (DIRECTIONS * _DAMPING)) ** 2) / 2
        )
        summed = damped * np.einsum("ijr,ij->ir", rings, wave)
        parts += [summed.real, summed.imag]
    return np.concatenate(parts, axis=1)


def unit(
    vectors: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return vectors centred and of unit length; one that is the centre stays zero."""
    centred = vectors - centre
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(length > 0, length, 1)
    return centred
