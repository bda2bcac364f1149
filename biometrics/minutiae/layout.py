"""A set of minutiae in the size that all have: as a template carries it, and is sealed.

Rows of three little-endian 16-bit numbers without a sign: first the count and two
zeros, then for each minutia its place, its height and its direction, then zeros. Places
are in tenths of a pixel at 500 an inch from the left and upper edges, as pictures are
read; directions in 65,536ths of a circle, counter-clockwise from the right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS: Final = 1 + limits.MAX_MINUTIAE
_TENTHS: Final = 10
FARTHEST: Final = limits.MAX_MINUTIA_PIXELS * _TENTHS  # of a place
_CIRCLE: Final = 1 << 16


def pack(minutiae: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return minutiae as a template has them.

    Args:
        minutiae: (n, 3), at most `limits.MAX_MINUTIAE`; see `descriptor.describe`.
    """
    packed = np.zeros((ROWS, 3), "<u2")
    packed[0, 0] = len(minutiae)
    there = packed[1 : 1 + len(minutiae)]
    corner = minutiae[:, 0].min(initial=0.0), minutiae[:, 1].max(initial=0.0)
    there[:, 0] = np.rint((minutiae[:, 0] - corner[0]) * _TENTHS)
    there[:, 1] = np.rint((corner[1] - minutiae[:, 1]) * _TENTHS)
    turns = minutiae[:, 2] / (2 * np.pi) % 1
    there[:, 2] = np.rint(turns * _CIRCLE).astype(np.int64) % _CIRCLE
    return packed


def unpack(packed: NDArray[Any]) -> NDArray[np.float64]:
    """Return the minutiae of a template, (n, 3); see `descriptor.describe`."""
    there = packed[1 : 1 + int(packed[0, 0])].astype(np.float64)
    there[:, :2] /= (_TENTHS, -_TENTHS)
    there[:, 2] *= 2 * np.pi / _CIRCLE
    return there
