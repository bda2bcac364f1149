"""Makes `whitening.f32`: `python -m biometrics.minutiae.recipe`, a minute.

It is made anew only if the descriptor changes. Galleries' codes follow from it, and so
do scores: thresholds are to be calibrated again.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.minutiae.descriptor import DIMENSION, sums
from biometrics.minutiae.model import draw_finger, draw_impression

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FINGERS: Final = 600
_IMPRESSIONS: Final = 4
_FEWEST: Final = 6  # minutiae of an impression that counts
_SEED: Final = 1
# Of the mean variance within fingers, added to each: some components hardly vary in the
# model, and do in skin.
_RIDGE: Final = 0.1


def whitening() -> NDArray[np.float64]:
    """Return the matrix for `descriptor.whitened`."""
    random = np.random.default_rng(_SEED)
    everyone: list[NDArray[np.float64]] = []
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for _ in range(_FINGERS):
        finger = draw_finger(random)
        shown = [draw_impression(random, finger) for _ in range(_IMPRESSIONS)]
        kept = [each for each in shown if len(each.minutiae) >= _FEWEST]
        raw = [sums(each.minutiae) for each in kept]
        everyone += raw
        for one, other in combinations(range(len(kept)), 2):
            both, here, there = np.intersect1d(
                kept[one].numbers, kept[other].numbers, return_indices=True
            )
            real = both >= 0
            pairs.append((raw[one][here[real]], raw[other][there[real]]))
    centre = np.concatenate(everyone).mean(axis=0)

    def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        moved: NDArray[np.float64] = vectors - centre
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        return moved

    between = unit(np.concatenate(everyone))
    apart = np.concatenate([unit(one) - unit(other) for one, other in pairs])
    within = apart.T @ apart / (2 * len(apart))
    within += _RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    variances, axes = np.linalg.eigh(within)
    white = axes / np.sqrt(variances)
    ratios, axes = np.linalg.eigh(white.T @ np.cov(between.T) @ white)
    best = np.argsort(-ratios)[:DIMENSION]
    matrix: NDArray[np.float64] = np.vstack(
        [centre, between.mean(axis=0), (white @ axes[:, best]).T]
    )
    return matrix


def main() -> None:
    """Write the file beside this module."""
    path = Path(__file__).with_name("whitening.f32")
    path.write_bytes(whitening().astype("<f4").tobytes())


if __name__ == "__main__":
    main()
