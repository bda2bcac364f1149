"""Fingers that nobody has, and impressions of them, as sets of minutiae.

Minutiae lie no nearer to one another than ridges let them, and point along a field of
directions with the cores and deltas of a loop or a whorl (Sherlock and Monro 1993). An
impression shows a part of them, moved as skin stretches, with some missed, some that
are none, and a few that are seen to point the other way.

It is a model of what minutiae do around one another, no more: error rates measured on
such prints say nothing of those of people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF: Final = np.array([180.0, 230.0])  # of the skin, pixels at 500 an inch
_COUNT: Final = (55, 95)  # minutiae of a whole finger
_APART: Final = (8.0, 22.0)  # pixels between two of them, at least
_WHORLS: Final = 0.35
_LEFT: Final = 0.67  # beyond it, of all fingers, the loop opens to the other side
_WAVES: Final = 6  # of which a stretch is summed
_LONGEST: Final = 300.0  # pixels, the shortest of them


@dataclass(frozen=True, slots=True)
class Finger:
    """A finger.

    Attributes:
        places: complex (n,), x to the right and y upwards in pixels at 500 an inch.
        directions: (n,), radians.
    """

    places: NDArray[np.complex128] = field(repr=False)
    directions: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Impression:
    """What one capture shows of a finger.

    Attributes:
        minutiae: (n, 3), see `descriptor.describe`.
        numbers: (n,), which minutia of the finger each is; negative for none.
    """

    minutiae: NDArray[np.float64] = field(repr=False)
    numbers: NDArray[np.int64] = field(repr=False)


def draw_finger(random: np.random.Generator) -> Finger:
    """Return a finger."""
    core = complex(*random.normal(0, 15, 2))
    cores, deltas = [core], []
    kind = random.random()
    if kind < _WHORLS:
        below = complex(random.normal(0, 8), -random.uniform(25, 60))
        cores.append(core + below)
        deltas.append(complex(-random.uniform(90, 150), -random.uniform(100, 160)))
    deltas.append(complex(random.uniform(90, 150), -random.uniform(100, 160)))
    if kind > _LEFT:
        deltas = [complex(-delta.real, delta.imag) for delta in deltas]
    places = _places(random, int(random.integers(*_COUNT)))
    field_ = sum((np.angle(places - each) for each in cores), np.zeros(len(places)))
    field_ = field_ - sum(np.angle(places - each) for each in deltas)
    directions = field_ / 2 + np.pi * random.integers(0, 2, len(places))
    return Finger(places, directions + random.normal(0, 0.12, len(places)))


def _places(random: np.random.Generator, count: int) -> NDArray[np.complex128]:
    """Return places that are not too near to one another."""
    places = np.empty(count, np.complex128)
    there = 0
    while there < count:
        place = complex(*random.uniform(-_HALF, _HALF))
        if (np.abs(places[:there] - place) > random.uniform(*_APART, there)).all():
            places[there] = place
            there += 1
    return places


def draw_impression(random: np.random.Generator, finger: Finger) -> Impression:
    """Return one impression of a finger."""
    count = len(finger.places)
    jitter = random.normal(0, 1.5, (count, 2)) @ (1, 1j)
    places = finger.places + _stretch(random, finger.places) + jitter
    directions = finger.directions + random.normal(0, 0.1, count)
    directions += np.pi * (random.random(count) < 0.03)  # noqa: PLR2004 - in the open
    middle = complex(random.normal(0, 25), random.normal(0, 35))
    width, height = random.uniform((105, 130), (150, 190))
    around = places - middle
    shown = (around.real / width) ** 2 + (around.imag / height) ** 2 < 1
    shown &= random.random(count) < random.uniform(0.75, 0.95)
    false = random.poisson(random.uniform(1, 6))
    added = middle + random.uniform((-120, -150), (120, 150), (false, 2)) @ (1, 1j)
    numbers = np.concatenate([np.flatnonzero(shown), -1 - np.arange(false)])
    places = np.concatenate([places[shown], added])
    directions = np.concatenate(
        [directions[shown], random.uniform(0, 2 * np.pi, false)]
    )
    turn = random.normal(0, 0.2)
    places = places * np.exp(1j * turn)
    minutiae = np.column_stack([places.real, places.imag, directions + turn])
    return Impression(minutiae, numbers)


def draw_print(random: np.random.Generator) -> NDArray[np.float64]:
    """Return the minutiae of an impression that a template takes, of nobody's finger.

    Returns:
        (n, 3), see `descriptor.describe`.
    """
    while True:
        shown = draw_impression(random, draw_finger(random)).minutiae
        if limits.MIN_MINUTIAE <= len(shown) <= limits.MAX_MINUTIAE:
            return shown


def _stretch(
    random: np.random.Generator, places: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    """Return how far skin is moved at some places: a sum of long waves."""
    along = random.uniform(-1, 1, (_WAVES, 2)) * 2 * np.pi / _LONGEST
    phase = random.uniform(0, 2 * np.pi, _WAVES)
    waves = np.cos(
        np.outer(places.real, along[:, 0]) + np.outer(places.imag, along[:, 1]) + phase
    )
    moved: NDArray[np.complex128] = waves @ (random.normal(0, 1, (_WAVES, 2)) @ (1, 1j))
    return moved * random.uniform(1, 3.5)
