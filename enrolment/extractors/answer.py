"""What a process that makes templates says of a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from biometrics.errors import Fault
    from enrolment.extractors.extractor import Extracted


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one picture.

    Attributes:
        extracted: what was found, or None if the picture is refused.
        faults: why it is; none if it is not.
        preview: uint8 (height, width, 3), a small picture with what was found drawn
            in, if it was asked for and the picture could be decoded.
    """

    extracted: Extracted | None = None
    faults: tuple[Fault, ...] = ()
    preview: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
