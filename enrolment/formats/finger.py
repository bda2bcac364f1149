"""What a record of finger minutiae holds, whichever edition it is written by."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_CM_AT_500: Final = 500 / 2.54
_WORDS: Final = {
    1: "right-thumb",
    2: "right-index",
    3: "right-middle",
    4: "right-ring",
    5: "right-little",
    6: "left-thumb",
    7: "left-index",
    8: "left-middle",
    9: "left-ring",
    10: "left-little",
}


def word_of(code: int) -> str | None:
    """Return the word of a single, known finger, such as `right-thumb`; else None."""
    return _WORDS.get(code)


def code_of(word: str) -> int:
    """Return the code of a word of `word_of`."""
    return next(code for code, each in _WORDS.items() if each == word)


class MinutiaType(IntEnum):
    """What a ridge does there."""

    OTHER = 0
    ENDING = 1
    BIFURCATION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutia:
    """One minutia.

    Attributes:
        x: pixels from the left edge.
        y: pixels from the upper edge.
        type: what the ridge does.
        angle: counter-clockwise from the right, in 256ths of a circle.
        quality: 0 to 100, or None if it was not reported.
    """

    x: int
    y: int
    type: MinutiaType
    angle: int
    quality: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerView:
    """The minutiae of one impression.

    Attributes:
        position_code: of the standard; 0 if unknown.
        view: which view of that position, from 0.
        impression: code of the standard.
        width: of the image, in pixels.
        height: likewise.
        horizontal: pixels per centimetre.
        vertical: likewise.
        quality: 0 to 100, or None if it was not reported.
        minutiae: none up to 255.
        extended_bytes: bytes of extended data, which are not read.
    """

    position_code: int
    view: int
    impression: int
    width: int
    height: int
    horizontal: int
    vertical: int
    quality: int | None
    minutiae: tuple[Minutia, ...] = field(repr=False)
    extended_bytes: int

    @property
    def position(self) -> str | None:
        """The word of a single, known finger, such as `right-thumb`; else None."""
        return word_of(self.position_code)

    def placed(self) -> NDArray[np.float64]:
        """Return the minutiae as a template of the exchange has them, (n, 3).

        Pixels at 500 an inch from the left and from the upper edge, and degrees.
        """
        rows = [(each.x, each.y, each.angle) for each in self.minutiae]
        scale = _PER_CM_AT_500 / self.horizontal, _PER_CM_AT_500 / self.vertical
        return np.array(rows, np.float64).reshape(-1, 3) * (*scale, 360 / 256)

    def laid(self) -> NDArray[np.float64]:
        """Return the minutiae as `biometrics.minutiae` compares them, (n, 3)."""
        return self.placed() * (1, -1, np.pi / 180)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinutiaeRecord:
    """What one record holds.

    Attributes:
        edition: 2005 or 2011.
        views: one or more.
    """

    edition: int
    views: tuple[FingerView, ...]
