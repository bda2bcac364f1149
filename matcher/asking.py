"""What a shard is asked and answers, as plain values that go over as they are.

Lists, dictionaries, words and bytes alone, and few of them: Ray has them written and
read at once, and spends longer on objects and tuples than a small shard takes to be
searched. Numbers are little-endian, those of an array in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics.members import Member
from biometrics.templates import Position
from matcher.galleries import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_VECTOR: Final = np.dtype("<f4")
_COSINE: Final = np.dtype("<f8")
_NUMBER: Final = np.dtype("<i8")

# Vectors, by space: dimension and values; and what is asked with them: holder, space,
# position on the body, and the arrays of `ShelfProbes`.
SentQuestion = list[Any]
# For each that was asked, numbers of the candidates of each probe; None where it is
# not whole.
SentFound = list[list[bytes] | None]
SentSearched = list[Any]  # two positions of the shard, and what it found


@dataclass(frozen=True, slots=True)
class ShelfProbes:
    """Probes of a call that are compared with one shelf.

    Attributes:
        shelf: which.
        probes: (n,), int64: their numbers among those of its space in the call.
        thresholds: (n,), inner products from which a row must be returned.
        lows: (n,), those from which one of the best few should be.
    """

    shelf: Shelf
    probes: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    lows: NDArray[np.float64]


def send(
    vectors: Mapping[str, NDArray[np.float32]], asked: Sequence[ShelfProbes]
) -> SentQuestion:
    """Return the vectors of probes, (q, dimension) by space, and what they ask."""
    return [
        {
            space: [each.shape[1], each.astype(_VECTOR, copy=False).tobytes()]
            for space, each in vectors.items()
        },
        [
            [
                *(each.shelf.holder.code, each.shelf.space, each.shelf.position.value),
                each.probes.astype(_NUMBER, copy=False).tobytes(),
                each.thresholds.astype(_COSINE, copy=False).tobytes(),
                each.lows.astype(_COSINE, copy=False).tobytes(),
            ]
            for each in asked
        ],
    ]


def receive(
    question: SentQuestion,
) -> tuple[dict[str, NDArray[np.float32]], list[ShelfProbes]]:
    """Return what `send` was given."""
    vectors, asked = question
    return (
        {
            space: np.frombuffer(values, _VECTOR).reshape(-1, dimension)
            for space, (dimension, values) in vectors.items()
        },
        [
            ShelfProbes(
                Shelf(Member(holder), space, Position(position)),
                np.frombuffer(probes, _NUMBER),
                np.frombuffer(thresholds, _COSINE),
                np.frombuffer(lows, _COSINE),
            )
            for holder, space, position, probes, thresholds, lows in asked
        ],
    )


def send_found(found: Sequence[Sequence[NDArray[np.int64]] | None]) -> SentFound:
    """Return the candidates of each probe on each shelf that was asked."""
    return [
        None
        if each is None
        else [ids.astype(_NUMBER, copy=False).tobytes() for ids in each]
        for each in found
    ]


def receive_found(found: SentFound) -> list[list[NDArray[np.int64]] | None]:
    """Return what `send_found` was given."""
    return [
        None if each is None else [np.frombuffer(ids, _NUMBER) for ids in each]
        for each in found
    ]
