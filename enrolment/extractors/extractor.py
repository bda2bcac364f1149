"""What every extractor takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from enrolment.formats.finger import FingerView
    from enrolment.formats.source import VectorSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture, decoded and upright.

    Attributes:
        pixels: uint8 (height, width, 3), red, green and blue.
        per_inch: pixels an inch, if the file says so credibly.
    """

    pixels: NDArray[np.uint8] = field(repr=False, compare=False)
    per_inch: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What an extractor found in a picture.

    Attributes:
        sample: the template, without space and position.
        box: left, upper, right and lower edge of the face that it is of, in pixels.
    """

    sample: VectorSample | FingerView
    box: tuple[int, int, int, int] | None = None


class Extractor(Protocol):
    """Makes one template of one picture; MUST be used by one thread at a time."""

    def extract(self, picture: Picture) -> Extracted:
        """Return the template.

        Raises:
            InvalidRequestError: the picture does not show just one of what the
                extractor is made for.
        """
        ...
