"""What one score weighs beside others of the same person: calibrated likelihood ratios.

The weight of a cosine is the decimal logarithm of how much rather it is that of one
person's two captures than that of two people's. Weights of parts of a body that err
independently add up (Neyman and Pearson 1933); Good, "Weighing Evidence", 1950.

A ratio whose mean over two people's captures is at most one exceeds any number c in at
most one of c searches (Markov's inequality), and so does a product of such ratios that
are independent, whatever the captures of one person are like. That is why a sum of
weights keeps a promise, and why `expected` is checked where a file is read: mated
searches decide how many people are found, and never how many are found falsely.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A weight for every cosine, in steps that never fall.

    Attributes:
        mates: mated searches that it was measured by.
        cosines: where each step begins, ascending; the first at -1.
        decades: of the false match rate there, at the safe end: 0, and ascending.
        weights: of each step; decimal logarithms of likelihood ratios.
    """

    mates: int
    cosines: tuple[float, ...]
    decades: tuple[float, ...]
    weights: tuple[float, ...]

    def ratio(self, cosine: float) -> float:
        """Return the likelihood ratio of a cosine."""
        step = max(bisect_right(self.cosines, cosine) - 1, 0)
        return math.pow(10.0, self.weights[step])

    def standing_out(self, comparisons: int) -> float | None:
        """Return the cosine that one stranger of so many reaches, on average.

        Returns:
            The beginning of a step, at the safe end; None where nothing so rare was
            measured.
        """
        step = bisect_left(self.decades, math.log10(comparisons))
        return self.cosines[step] if step < len(self.cosines) else None

    @property
    def expected(self) -> float:
        """The mean likelihood ratio of two people's captures: 1, or less."""
        rates = [math.pow(10.0, -decade) for decade in self.decades]
        return math.fsum(
            math.pow(10.0, weight) * (rate - rarer)
            for weight, (rate, rarer) in zip(
                self.weights, pairwise([*rates, 0.0]), strict=True
            )
        )
