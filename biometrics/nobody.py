"""Templates that are as those of people are spread, and nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.minutiae.layout import pack
from biometrics.minutiae.model import draw_print
from biometrics.templates import Kind, Template

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from biometrics.templates import Position, TemplateSpace

_SEED_BYTES: Final = 32


def draw_nobody(
    space: TemplateSpace, position: Position, random_bytes: Callable[[int], bytes]
) -> Template:
    """Return a template of nobody, as an extractor would have given it."""
    seed = np.frombuffer(random_bytes(_SEED_BYTES), np.uint32)
    draw = _print if space.kind is Kind.MINUTIAE else _drawn
    drawn = draw(space, np.random.default_rng(seed))
    return Template.parse(space, position, drawn.tobytes(), None)


def _print(_space: TemplateSpace, random: np.random.Generator) -> NDArray[np.uint16]:
    """Return the minutiae of an impression, of a finger that nobody has."""
    return pack(draw_print(random))


def _drawn(space: TemplateSpace, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a raw vector, as an extractor would give it, float32 (dimension,)."""
    if space.spread is None:
        across = random.standard_normal(space.dimension)
    else:
        across = random.standard_normal(len(space.spread)) @ space.spread
    # As far from the centre as it is from zero, or float32 would round it coarsely.
    length = max(float(np.linalg.norm(space.centre)), 1.0)
    raw = space.centre + across * length / np.linalg.norm(across)
    return raw.astype("<f4")
