"""Galleries of unit vectors of a known hardness, and probes with a known mate.

Cheap where `enrolment.synthetic` is lifelike: a vector is

    unit(turn(spectrum * normal))

with one random orthogonal `turn` a gallery, so that cosines of unrelated vectors have
the standard deviation `1 / sqrt(effective_dimension)`. There are no people behind the
vectors, so a probe is made from its mate, at exactly the cosine that is asked for.

A gallery comes in blocks, each drawn from a seed of its own: a large one begins as a
small one does, and takes the memory of what is kept of it. One seed gives the same
normal numbers everywhere; the turn is a matrix product, whose last bits differ between
processors and numbers of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from enrolment.synthetic import spectrum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["EFFECTIVE_DIMENSION", "THRESHOLD", "Gallery"]

# Of the gallery on which the exchange's bars are set, as faces are; and its threshold
# for FPIR 1e-3 at a million, by search maxima: `benchmarks.scan` finds 0.4208.
EFFECTIVE_DIMENSION: Final = 180.0
THRESHOLD: Final = 0.421
BLOCK: Final = 16_384  # 32 MiB at 512-d
_TURN, _ROWS, _NON_MATED, _NOISE = range(4)  # streams of random numbers, by seed


@dataclass(frozen=True)
class Gallery:
    """Unit vectors of one distribution, and probes against them.

    Attributes:
        seed: of everything that is drawn.
        dimension: components of a vector.
        effective_dimension: participation ratio; none is isotropic, all components
            alike. Scaling to unit length adds to it a little where it is low.
    """

    seed: int
    dimension: int = 512
    effective_dimension: float | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        if self.effective_dimension is None:
            return "isotropic"
        return f"effective {self.effective_dimension:g}"

    def blocks(self, records: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the rows of each block, and its vectors, float32 (n, dimension)."""
        for number in range(-(-records // BLOCK)):
            yield self.block(records, number)

    def block(self, records: int, number: int) -> tuple[slice, NDArray[np.float32]]:
        """Return one block of `blocks`, by its number from 0."""
        start = number * BLOCK
        rows = slice(start, min(start + BLOCK, records))
        return rows, self._draw(rows.stop - start, _ROWS, number)

    def vectors(self, records: int) -> NDArray[np.float32]:
        """Return a whole gallery, float32 (records, dimension)."""
        whole = np.empty((records, self.dimension), np.float32)
        for rows, block in self.blocks(records):
            whole[rows] = block
        return whole

    def non_mated(self, count: int, number: int = 0) -> NDArray[np.float32]:
        """Return probes of people who are not in the gallery, float32 (count, d).

        Args:
            count: of probes.
            number: of the set; every number has other probes.
        """
        return self._draw(count, _NON_MATED, number)

    def mated(
        self, mates: NDArray[np.float32], cosines: NDArray[np.float64], number: int = 0
    ) -> NDArray[np.float32]:
        """Return probes at these cosines to these mates, float32 (n, dimension).

        A probe is `t * mate + sqrt(1 - t^2) * other`, where `other` is of the
        gallery's distribution, made orthogonal to the mate. Computed in float64, so
        that a probe is within float32's rounding, about 1e-7, of its cosine.

        Args:
            mates: float32 (n, dimension), of unit length.
            cosines: float64 (n,), from -1 to 1.
            number: of the set; every number has other noise.
        """
        mate = mates.astype(np.float64)
        other = self._draw(len(mates), _NOISE, number).astype(np.float64)
        other -= (other * mate).sum(1, keepdims=True) * mate
        share = cosines[:, None]
        probes = share * mate + np.sqrt(1 - share**2) * _unit(other)
        return probes.astype(np.float32)

    @cached_property
    def turned(self) -> NDArray[np.float32]:
        """The matrix (d, d) that normal rows are multiplied by; None has none."""
        random = np.random.default_rng((self.seed, _TURN))
        square = random.standard_normal((self.dimension, self.dimension))
        turn, triangle = np.linalg.qr(square)
        turn *= np.sign(np.diag(triangle))  # of all turns, each as likely
        variances = spectrum(self.dimension, self.effective_dimension or self.dimension)
        return (np.sqrt(variances)[:, None] * turn).astype(np.float32)

    def _draw(self, count: int, stream: int, number: int) -> NDArray[np.float32]:
        """Return vectors of the gallery's distribution."""
        random = np.random.default_rng((self.seed, stream, number))
        rows = random.standard_normal((count, self.dimension), np.float32)
        if self.effective_dimension is not None:
            rows = rows @ self.turned
        return _unit(rows)


def _unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Scale rows to unit length, in place."""
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows
