"""What a print is all in all, as one vector: near in cosine if a print is varied.

The signs of a minutia's components are cut into words of 8 (locality-sensitive hashing;
Charikar, STOC 2002), and counted by place and value. A print that is varied a little
keeps most of its words; another impression of the finger keeps few, and another finger
hardly more than chance has it, which is taken off. It is to tell variations from honest
searches: not to find anybody by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.minutiae.descriptor import DIMENSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUES: Final = 256
_WORDS: Final = DIMENSION // 8
OUTLINE: Final = _WORDS * _VALUES  # components


def outline(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the outline of a print, float32 (OUTLINE,), of unit length.

    Args:
        vectors: of its minutiae, one at least; see `descriptor.describe`.
    """
    words = np.packbits(vectors > 0, axis=1) + _VALUES * np.arange(_WORDS)
    counts = np.bincount(words.ravel(), minlength=OUTLINE).astype(np.float32)
    counts -= len(vectors) / _VALUES
    outlined: NDArray[np.float32] = counts / np.float32(np.linalg.norm(counts))
    return outlined
