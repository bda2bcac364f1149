"""Into how many pieces a vector is cut before it is coded.

Every vector is coded as at most 128 sub-vectors of 4 bits: 64 bytes, whatever its
dimension, and one bit a component beside them. Shorter codes save memory bandwidth and
let so many strangers pass the cut that confirming them costs more; longer ones cost
the scan what the confirmation does not need. FAISS sums in 16 bits and wraps beyond
256 sub-vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

SUBVECTORS: Final = 128
CENTROIDS: Final = 16  # what 4 bits can say


@dataclass(frozen=True, slots=True)
class Shape:
    """How vectors of one dimension are laid out.

    Attributes:
        dimension: of the vectors as they come.
        padded: after zeros were appended, which change no inner product.
        subvectors: how many there are.
        length: components of each.
    """

    dimension: int
    padded: int
    subvectors: int
    length: int

    @classmethod
    def of(cls, dimension: int) -> Self:
        """Return the shape for a dimension of 1 or more."""
        if dimension <= SUBVECTORS:
            padded = dimension + dimension % 2  # fast scan takes pairs
            return cls(dimension, padded, padded, 1)
        length = -(-dimension // SUBVECTORS)
        return cls(dimension, SUBVECTORS * length, SUBVECTORS, length)
