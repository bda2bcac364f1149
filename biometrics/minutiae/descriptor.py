"""One vector a minutia, of the minutiae around it: near in cosine if those lie alike.

Each neighbour is a point in three coordinates that do not change when the print is
moved or turned: its distance, its bearing and its direction, the latter two relative to
the minutia's own direction. Over the neighbours are summed a few harmonics of bearing
and direction for each of a few rings of distance. An inner product of two such sums is
one over pairs of neighbours, one of each, that is large where all three coordinates
agree: a soft count of neighbours in common, without any pairing, which is what lets one
index search for it.

Ridges run in parallel, so that all prints' sums have much in common, and skin that is
stretched changes some of their components more than others. So they are centred, and
*whitened*: components in which impressions of one finger differ count for less, those
in which fingers differ for more (linear discriminant analysis; Fisher 1936). The matrix
for that is made by `recipe`, out of fingers that nobody has: no person's print is in
it. It leaves `DIMENSION` numbers of the `HARMONIC` ones.

*Patents.* The sum is a truncated Fourier series of the neighbourhood, as kernel
methods have it, on what shape contexts of minutiae have used since 2006 (Kwan, Gao,
Guo: ICPR): distance, bearing and direction of all neighbours. No patent on that is
known to the authors. Minutia cylinder codes, which are close in aim, are patented
(University of Bologna, filed in 2009) and not used: there is no cylinder, no cell and
no validity of cells here. This is no legal opinion: have it checked where you use it.

Chosen by measurement, see `benchmarks/fingers.py`: sorted nearest neighbours and polar
histograms found fewer mates with as many numbers, and so did the sums themselves.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION: Final = 128  # of a minutia's vector

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
_DAMPED: Final = np.exp(
    [
        -((b / (BEARINGS * _DAMPING)) ** 2 + (d / (DIRECTIONS * _DAMPING)) ** 2) / 2
        for b, d in _HARMONICS
    ]
)
HARMONIC: Final = RINGS * (1 + 2 * len(_HARMONICS))
_SHORTEST: Final = 1e-9
_FARTHEST: Final = RADIUS * (1 + _FADE)
_AT: Final = np.linspace(_INNERMOST, 1, RINGS) * RADIUS  # where rings lie
_SPREAD: Final = RADIUS / RINGS * _WIDTH
# At most, the nearest: more do not fit between ridges, and would only take time.
_NEIGHBOURS: Final = 40
_FILE: Final = "whitening.f32"


def describe(minutiae: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the vector of each minutia; under half a millisecond for forty.

    Args:
        minutiae: (n, 3), x to the right and y upwards in pixels at 500 an inch, and
            direction in radians, counter-clockwise.

    Returns:
        (n, DIMENSION), of unit length. That of a minutia without neighbours is as that
        of any other such.
    """
    return whitened(sums(minutiae), whitening())


def sums(minutiae: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the harmonic sums of each minutia, (n, HARMONIC)."""
    place = minutiae[:, 0] + 1j * minutiae[:, 1]
    turned = np.exp(1j * minutiae[:, 2])
    apart = place[None, :] - place[:, None]
    nearest = _nearest(np.abs(apart))
    away = np.take_along_axis(apart, nearest, axis=1)
    distance = np.abs(away)
    weight = np.clip((_FARTHEST - distance) / (RADIUS * _FADE), 0, 1)
    rings = np.exp(-((distance[:, None, :] - _AT[:, None]) ** 2) / (2 * _SPREAD**2))
    rings *= weight[:, None, :]
    # Of phases rather than angles: powers are their multiples.
    back = np.conj(turned)[:, None]
    bearing = away / np.maximum(distance, _SHORTEST) * back
    direction = turned[nearest] * back
    bearings = [np.ones_like(bearing), bearing]
    while len(bearings) <= BEARINGS:
        bearings.append(bearings[-1] * bearing)
    directions = {0: bearings[0], 1: direction, 2: direction * direction}
    directions |= {-d: np.conj(wave) for d, wave in directions.items() if d}
    waves = np.stack([bearings[b] * directions[d] for b, d in _HARMONICS], axis=2)
    waves *= _DAMPED
    counts = _COUNT * rings.sum(axis=2)
    summed = (rings @ waves.view(np.float64)).reshape(-1, HARMONIC - RINGS)
    return np.concatenate([counts, summed], axis=1)


def _nearest(distance: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return as many neighbours of each minutia as any has, (n, k), and all it has."""
    np.fill_diagonal(distance, np.inf)
    most = int((distance < _FARTHEST).sum(axis=1).max(initial=0))
    count = min(most, _NEIGHBOURS)
    order = np.argpartition(distance, max(count - 1, 0), axis=1) if count else distance
    nearest: NDArray[np.intp] = order[:, :count].astype(np.intp)
    return nearest


def whitened(
    raw: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return sums as vectors of unit length.

    Args:
        raw: (n, HARMONIC).
        matrix: (d + 2, HARMONIC): mean of sums, mean of them centred and of unit
            length, and what these are multiplied by; see `recipe`.
    """
    centre, mean, across = matrix[0], matrix[1], matrix[2:]
    white = (_unit(raw - centre) - mean) @ across.T
    return _unit(white).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors of unit length; zeros stay so."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(length, _SHORTEST)
    return unit


@cache
def whitening() -> NDArray[np.float64]:
    """Return the matrix that `recipe` made: (DIMENSION + 2, HARMONIC)."""
    numbers = np.frombuffer(_file(), "<f4").astype(np.float64)
    return numbers.reshape(DIMENSION + 2, HARMONIC)


def descriptor_digest() -> str:
    """Return what tells these vectors from those of another version."""
    return hashlib.sha256(_file()).hexdigest()


def _file() -> bytes:
    return resources.files("biometrics.minutiae").joinpath(_FILE).read_bytes()
