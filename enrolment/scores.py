"""Mated and non-mated scores of captures whose subjects are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST: Final = 200_000  # of either kind: enough for a picture
_PAIRS_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True)
class Scores:
    """Cosines after centring: `mated` (m,), `non_mated` (n,)."""

    mated: NDArray[np.float32]
    non_mated: NDArray[np.float32]


def pair_scores(
    embedding: NDArray[np.floating],
    subject: NDArray[np.integer],
    random: np.random.Generator,
    most: int = _MOST,
) -> Scores:
    """Return scores of pairs, all or as many as are enough, drawn at random.

    Args:
        embedding: (n, d), as an extractor gave them.
        subject: (n,) who each row is of.
        random: what draws pairs where there are too many.
        most: of either kind.
    """
    centred = embedding - embedding.mean(axis=0, dtype=np.float64)
    norm = np.linalg.norm(centred, axis=1)
    usable = norm >= limits.MIN_NORM
    unit = (centred[usable] / norm[usable, None]).astype(np.float32)
    subject = subject[usable]
    first, second = _mated_pairs(subject)
    if len(first) > most:
        some = random.choice(len(first), most, replace=False)
        first, second = first[some], second[some]
    mated = _cosines(unit, first, second)
    first, second = random.integers(len(unit), size=(2, most))
    strangers = subject[first] != subject[second]
    return Scores(mated, _cosines(unit, first[strangers], second[strangers]))


def _mated_pairs(
    subject: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of every pair of captures of one subject."""
    order = np.argsort(subject, kind="stable")
    firsts, seconds = [], []
    step = 1
    while True:  # neighbours, then those with one between them, and so on
        same = subject[order[:-step]] == subject[order[step:]]
        if not same.any():
            break
        firsts.append(order[:-step][same])
        seconds.append(order[step:][same])
        step += 1
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *firsts]), np.concatenate([none, *seconds])


def _cosines(
    unit: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the inner product of each pair of rows, a few pairs at a time."""
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        found[some] = np.einsum("pd,pd->p", unit[first[some]], unit[second[some]])
    return found
