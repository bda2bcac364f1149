"""Fingers that nobody has, for an exchange with a space of minutiae."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from world import DIMENSION, SPACES, agreement, calibration, permit, space_files

from biometrics.client import Record, Template
from biometrics.minutiae.model import draw_finger
from biometrics.minutiae.score import Print, score

PRINTS = "tiny-prints"
THRESHOLD = 0.4
Minutiae = NDArray[np.float64]
_SPACE = f"""
[[space]]
name = "{PRINTS}"
kind = "minutiae"
modality = "fingerprint"
extractor = "tiny"
extractor_version = "1"
positions = ["right-index", "left-index"]
"""
FILES = {
    **space_files(),
    "spaces.toml": SPACES + _SPACE,
    f"calibrations/{PRINTS}.toml": calibration(PRINTS, THRESHOLD),
}
PERMITTED = {
    "XAA": agreement("XAA", permit("XBB", "holder"), permit("XCC", "reference")),
}
assert DIMENSION  # of the spaces of vectors beside it


def finger(seed: int) -> Minutiae:
    """Return the minutiae of a whole finger, (n, 3); see `descriptor.describe`."""
    drawn = draw_finger(np.random.default_rng(seed))
    return np.column_stack([drawn.places.real, drawn.places.imag, drawn.directions])


def pressed(given: Minutiae, seed: int, moved: float = 2.0) -> Minutiae:
    """Return an impression: a quarter missing, and all of it a little elsewhere."""
    random = np.random.default_rng(seed)
    kept = given[random.permutation(len(given))[: 3 * len(given) // 4]]
    return kept + random.normal(0, (moved, moved, moved / 40), kept.shape)


def turned(given: Minutiae, angle: float) -> Minutiae:
    """Return a print turned by an angle."""
    places = (given[:, 0] + 1j * given[:, 1]) * np.exp(1j * angle)
    return np.column_stack([places.real, places.imag, given[:, 2] + angle])


def like(one: Minutiae, other: Minutiae) -> float:
    """Return the score of two prints."""
    return score(Print.of(one), Print.of(other))


def sent(given: Minutiae, position: str = "right-index") -> Template:
    """Return a print as a client sends it: y downwards, in degrees."""
    rows = given * (1, -1, 180 / np.pi)
    rows[:, :2] -= rows[:, :2].min(axis=0)
    return Template(space=PRINTS, position=position, minutiae=rows)


def held(reference: str, *templates: Template, **more: object) -> Record:
    """Return a record with prints."""
    return Record(reference=reference, templates=templates, **more)  # type: ignore[arg-type]
