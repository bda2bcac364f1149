"""Pictures of prints of fingers that nobody has.

Ridges grow out of noise along a field of directions with a loop's or a whorl's core and
deltas (Sherlock and Monro 1993), each step keeping what waves across the ridges: the
idea of SFinGe, in its plainest form. Where ridges of different places meet, minutiae
arise by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 384, 288
RIDGE: Final = 9.0  # pixels at 500 an inch
DIRECTIONS: Final = 16
STEPS: Final = 6


def synthetic_print(
    seed: int, impression: int = 0, *, shape: tuple[int, int] = (HEIGHT, WIDTH)
) -> NDArray[np.uint8]:
    """Return the grey values of a print, dark ridges on light skin.

    Args:
        seed: of the finger.
        impression: 0, or the seed of what makes one impression differ from another:
            where it lies, and noise.
        shape: of the picture.
    """
    random = np.random.default_rng(seed)
    side = 450
    ridges = _grown(random.standard_normal((side, side)), _field(random, side))
    own = np.random.default_rng((seed, impression))
    height, width = shape
    down, right = own.integers(-25, 26, 2) if impression else (0, 0)
    top, left = (side - height) // 2 + down, (side - width) // 2 + right
    cut = ridges[top : top + height, left : left + width]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    edge = 1 / (1 + np.exp(18 * (np.hypot(x / 0.92, y / 0.95) - 1)))
    grey = 215 - edge * 150 * (cut + 1) / 2
    return np.clip(grey + own.normal(0, 12, shape), 0, 255).astype(np.uint8)


def _field(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Return the direction of the ridges at each pixel, modulo pi."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    at = x + 1j * (side - y)
    middle = side / 2
    core = complex(*random.normal(middle, 12, 2))
    cores, deltas = [core], []
    if random.random() < 0.5:  # a whorl
        cores.append(core - complex(random.normal(0, 8), random.uniform(25, 45)))
        deltas.append(complex(middle - random.uniform(90, 130), middle - 130))
    deltas.append(complex(middle + random.uniform(90, 130), middle - 130))
    field = sum((np.angle(at - c) for c in cores), np.zeros((side, side)))
    return (field - sum(np.angle(at - d) for d in deltas)) / 2


def _grown(
    ridges: NDArray[np.float64], field: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ridges of -1 to 1 that follow a field, grown out of noise."""
    side = len(ridges)
    v, u = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    radial = np.exp(-((np.hypot(u, v) - 1 / RIDGE) ** 2) / (2 * 0.018**2))
    across = np.arctan2(-v, u)
    nearest = np.rint(field / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    for _ in range(STEPS):
        spectrum = np.fft.fft2(ridges)
        grown = np.zeros_like(ridges)
        for number in range(DIRECTIONS):
            turned = across - number * np.pi / DIRECTIONS - np.pi / 2
            kept = np.fft.ifft2(
                spectrum * radial * np.exp((np.cos(2 * turned) - 1) * 4)
            )
            grown = np.where(nearest == number, kept.real, grown)
        ridges = np.tanh(1.6 * grown / grown.std())
    return ridges
