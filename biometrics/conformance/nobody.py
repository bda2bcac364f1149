"""Templates of nobody, in a space of whatever kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.client import Template
from biometrics.minutiae.model import draw_print

if TYPE_CHECKING:
    from biometrics.client import SpaceInfo

_MINUTIAE: Final = "minutiae"


def draw(space: SpaceInfo, random: np.random.Generator) -> Template:
    """Return a template of nobody."""
    position = space.positions[0]
    if space.kind != _MINUTIAE:
        vector = random.standard_normal(space.dimension).astype(np.float32)
        return Template(space=space.name, position=position, vector=vector)
    rows = draw_print(random) * (1, -1, 180 / np.pi)
    rows[:, :2] -= rows[:, :2].min(axis=0)
    return Template(space=space.name, position=position, minutiae=rows)


def wrong(space: SpaceInfo) -> list[tuple[dict[str, object], str]]:
    """Return what makes such a template wrong, and with which reason it is refused."""
    if space.kind == _MINUTIAE:
        return [({"minutiae": np.ones((1, 3))}, "TOO_FEW_MINUTIAE")]
    return [
        ({"vector": np.ones(space.dimension + 1)}, "WRONG_DIMENSION"),
        ({"vector": np.zeros(space.dimension)}, "ZERO_VECTOR"),
    ]
