"""The secret rotation of a gallery, from a seed of 32 bytes.

Three rounds of random signs, each followed by a fixed orthogonal mixing: O(d sqrt d)
and nothing to store but the seed, where a random orthogonal matrix takes O(d^2) of
both. Every component of every unit vector is then close to normal with variance 1/d,
which the codebook relies on; after two rounds it is not yet, for pairs of structured
vectors (Ailon and Chazelle 2009; Yu et al. 2016, "Orthogonal random features", use
three as well).

Codes on disk depend on every step here: see `segment.layout`.

It makes codes of one gallery useless with those of another, and renewable. It is no
encryption: whoever has the seed, or some hundreds of vectors before and after, undoes
it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matcher.engine.shape import Shape

SEED_BYTES: Final = 32
_ROUNDS: Final = 3
_WIDTH: Final = 128  # the mixing is a product of one this wide and one of the rest


class Rotation:
    """An orthogonal map from vectors as they come to padded ones."""

    __slots__ = ("_across", "_along", "_shape", "_signs")

    def __init__(self, seed: bytes, shape: Shape) -> None:
        """Make the rotation that belongs to a secret seed of 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self._shape = shape
        wide = min(shape.padded, _WIDTH)
        self._along = _mixing(wide)
        self._across = _mixing(shape.padded // wide)
        stream = hashlib.shake_256(seed).digest(-(-_ROUNDS * shape.padded // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8))
        signs = 1 - 2 * bits[: _ROUNDS * shape.padded].astype(np.float32)
        self._signs = signs.reshape(_ROUNDS, len(self._across), wide)

    def turn(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors (n, dimension) turned, (n, padded), a new array."""
        padded = np.zeros((len(vectors), self._shape.padded), np.float32)
        padded[:, : self._shape.dimension] = vectors
        turned: NDArray[np.float32]
        turned = padded.reshape(len(vectors), *self._signs.shape[1:])
        for signs in self._signs:
            turned = np.matmul(turned * signs, self._along)
            if len(self._across) > 1:
                turned = np.matmul(self._across, turned)
        return turned.reshape(padded.shape)


@lru_cache(maxsize=256)
def _mixing(size: int) -> NDArray[np.float32]:
    """Return an orthogonal matrix whose every entry is at most sqrt(2 / size).

    The discrete cosine transform, of any size; Hadamard's exists for few.
    """
    numbers = np.arange(size)
    matrix = np.cos(np.pi / size * np.outer(numbers, numbers + 0.5))
    matrix *= np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)
