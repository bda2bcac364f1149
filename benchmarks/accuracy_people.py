"""Whom `benchmarks.accuracy` enrols and searches for, and pairs of them compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from enrolment.synthetic import Kind, Population, synthesise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAIRS_AT_ONCE: Final = 16_384


@dataclass(frozen=True, slots=True)
class People:
    """Everyone's vectors, centred and of unit length.

    Attributes:
        enrolled: float32 (n, d); a gallery has some of these rows.
        probes: float32 (q, d); the first `mated` are of the people of the same rows.
        mated: how many probes are.
        has_enrolled: bool (n,), whether the capture is one.
        has_probe: bool (q,), likewise.
        look_alike: int64 (q,), the row of the probe's look-alike; -1 if there is none.
    """

    enrolled: NDArray[np.float32]
    probes: NDArray[np.float32]
    mated: int
    has_enrolled: NDArray[np.bool_]
    has_probe: NDArray[np.bool_]
    look_alike: NDArray[np.int64]

    @classmethod
    def made(
        cls, population: Population, enrolled: int, mated: int, *, noticed: bool
    ) -> People:
        """Make a population, and deal its people to the galleries and to none.

        Args:
            population: of everyone, with two captures of each.
            enrolled: people whose first capture can be enrolled.
            mated: of them, those whose second is searched for, as is that of all who
                are not enrolled.
            noticed: whether captures that failed are left out, or used like any other.
        """
        subjects = population.subjects
        made = synthesise(population)
        both = made.embedding.reshape(subjects, 2, -1)
        failed = made.failed.reshape(subjects, 2) & noticed
        dealt = np.random.default_rng(population.seed).permutation(subjects)
        first, asked = dealt[:enrolled], np.r_[dealt[:mated], dealt[enrolled:]]
        # Look-alikes are neighbours; a row is where someone was dealt to.
        rows = np.full(subjects, -1)
        rows[first] = np.arange(enrolled)
        is_like = made.kind[asked] == Kind.LOOK_ALIKE
        centre = both[first[~failed[first, 0]], 0].mean(axis=0, dtype=np.float64)
        return cls(
            enrolled=_unit(both[first, 0], centre),
            probes=_unit(both[asked, 1], centre),
            mated=mated,
            has_enrolled=~failed[first, 0],
            has_probe=~failed[asked, 1],
            look_alike=np.where(is_like, rows[(asked ^ 1) % subjects], -1),
        )

    def valid(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which probes are mated searches, and which are non-mated ones."""
        is_mated = self.has_probe.copy()
        is_mated[: self.mated] &= self.has_enrolled[: self.mated]
        is_mated[self.mated :] = False
        is_non_mated = self.has_probe.copy()
        is_non_mated[: self.mated] = False
        return is_mated, is_non_mated


@dataclass(frozen=True, slots=True)
class Pairs:
    """Probes and rows that were compared exactly: numbers, and scores in float64."""

    probes: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def scored(
        cls, people: People, probes: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Pairs:
        """Compare pairs exactly."""
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            probe = people.probes[probes[some]].astype(np.float64)
            mate = people.enrolled[rows[some]].astype(np.float64)
            scores[some] = np.einsum("ij,ij->i", probe, mate)
        return cls(probes, rows, scores)

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Pairs:
        """Return the pairs of several."""
        return cls(
            np.concatenate([part.probes for part in parts]),
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )

    def reaching(self, threshold: float) -> Pairs:
        """Return those at or above a threshold."""
        passed = self.scores >= threshold
        return Pairs(self.probes[passed], self.rows[passed], self.scores[passed])

    def differing(self, other: Pairs) -> int:
        """Return how many probes have not the same rows here and there."""
        mine, theirs = (
            np.stack([each.probes, each.rows], axis=1) for each in (self, other)
        )
        both, seen = np.unique(np.r_[mine, theirs], axis=0, return_counts=True)
        return len(np.unique(both[seen == 1, 0]))


def _unit(
    rows: NDArray[np.float32], centre: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return rows centred and scaled to unit length, in place."""
    rows -= centre.astype(np.float32)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows
