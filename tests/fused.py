"""Calibrations of the tiny spaces with weights, and an exhaustive fused decision."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from world import DIMENSION, SPACE, SPACES

from biometrics.calibration import FpirClass, Weights
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FINGERS = "tiny-finger"
STRANGERS = NormalDist(0, 1 / math.sqrt(DIMENSION))
MATES = NormalDist(0.6, 0.15)
SEARCHED = 10_000  # comparisons of the calibration


def weights(last: float = 6.0) -> Weights:
    """Return the weights of people who are drawn at random, by their densities."""
    decades = np.arange(0.0, last, 0.25).tolist()
    cosines = [-1.0] + [-STRANGERS.inv_cdf(10.0**-d) for d in decades[1:]]
    ends = [*cosines[1:], 1.0]
    rates = [10.0**-d for d in decades]
    strangers = [a - b for a, b in zip(rates, [*rates[1:], 0.0], strict=True)]
    mates = [
        0.99 * (MATES.cdf(end) - MATES.cdf(begin)) + 0.01 * rate
        for begin, end, rate in zip(cosines, ends, strangers, strict=True)
    ]
    told = [math.log10(m / s) for m, s in zip(mates, strangers, strict=True)]
    rising = np.maximum.accumulate(told)
    excess = sum(s * 10.0**w for s, w in zip(strangers, rising, strict=True))
    return Weights(
        mates=1000,
        cosines=tuple(cosines),
        decades=tuple(decades),
        weights=tuple((rising - max(math.log10(excess), 0.0)).tolist()),
    )


def calibration(space: str, *, searched: int = SEARCHED, fusion: bool = True) -> str:
    """Return the file of a measured calibration of a tiny space."""
    identity = parse_spaces(SPACES, "x").named(space).identity
    text = (
        f'version = 1\nspace = "{space}"\nbasis = "measured"\ndated = 2026-01-01\n'
        f'definition = "{identity}"\nmethod = "test"\n[evidence]\nsearches = 30000\n'
        f"subjects = 30000\ncomparisons = {searched}\ninterval = 0.95\n"
    )
    if fusion:
        told = weights()
        text += (
            f"[fusion]\nmates = {told.mates}\ndecades = {list(told.decades)}\n"
            f"cosine = {list(told.cosines)}\nweight = {list(told.weights)}\n"
        )
    for fpir in FpirClass:
        for power in range(1, 15):
            cosine = threshold(fpir, 1 << power)
            known = "established = true\n" if 1 << power <= 2 * searched else ""
            text += (
                f'[[threshold]]\nfpir = "{fpir}"\ncomparisons = {1 << power}\n'
                f"cosine = {cosine}\nestimate = {cosine}\n{known}"
            )
    return text


def threshold(fpir: FpirClass, comparisons: int) -> float:
    """Return where a search of so many matches by chance as often as promised."""
    return -STRANGERS.inv_cdf(fpir.rate / comparisons)


CALIBRATIONS = {SPACE: calibration(SPACE), FINGERS: calibration(FINGERS)}

Body = dict[str, list["NDArray[np.float32]"]]  # a record's templates, by position


def cosines(
    probe: Mapping[str, NDArray[np.float32]], body: Body
) -> dict[str, list[float]]:
    """Return every score of a probe with a record, by position."""
    return {
        position: [
            float(vector.astype(float) @ each.astype(float)) for each in body[position]
        ]
        for position, vector in probe.items()
        if position in body
    }


def fuses(
    scores: Mapping[str, Sequence[float]],
    alone: Mapping[str, float],
    least: float,
    told: Weights,
) -> bool:
    """Say whether scores together weigh enough: as it is written, and no faster."""
    product = 1.0
    stands_out = False
    for position, found in scores.items():
        ratios = [
            10 ** told.weights[sum(score >= c for c in told.cosines) - 1]
            for score in found
        ]
        product *= sum(ratios) / len(ratios)
        stands_out = stands_out or max(found) >= alone[position]
    return stands_out and product >= 10**least
