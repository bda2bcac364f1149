"""Every probe against every template, exhaustively and in bounded memory.

What is kept of a search is its greatest score, not its scores: FPIR is a statement
about search maxima. A probe whose person is enrolled searches without that person's
templates, which makes it non-mated, and once more with those alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from enrolment.calibrate.captures import Capture, Captures

SHARES: Final = (1 / 16, 1 / 4, 1.0)  # of the people, in the sub-galleries
NO_SCORE: Final = -2.0  # below every cosine
BINS: Final = np.linspace(-1.0, 1.0, 401)
_PROBES_AT_ONCE: Final = 1024  # 16 MiB of scores with a block of 4,096 templates
_PAIRED: Final = 512  # probes whose every score is counted, for its density


@dataclass(frozen=True, slots=True)
class Searches:
    """What came of every search; q searches.

    Attributes:
        probes: (q,), who searched.
        subject: int64 (q,), numbers of the people who searched.
        maxima: float64 (shares, q), greatest score with anybody else, in galleries of
            `SHARES` of the people.
        sizes: templates of each of those.
        nearest: (q,), the other capture with the greatest score.
        mated: float64 (q,), greatest score with one's own; `NO_SCORE` if there is none.
        by_member: float64 (q,) by member, greatest score with anybody else there.
        pairs: counts of scores with others in `BINS`, of some probes.
    """

    probes: list[Capture]
    subject: NDArray[np.int64]
    maxima: NDArray[np.float64]
    sizes: tuple[int, ...]
    nearest: list[Capture]
    mated: NDArray[np.float64]
    by_member: Mapping[str, NDArray[np.float64]]
    pairs: NDArray[np.int64]

    @property
    def is_mated(self) -> NDArray[np.bool_]:
        """Whether a probe has a capture of its own person to find."""
        return self.mated > NO_SCORE


class Names:
    """Numbers of people; those whom somebody recognised as one have one number."""

    def __init__(self, same: Mapping[str, str]) -> None:
        """Take each of `same` for the other that it stands for."""
        self._same = same
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Return the number of a person."""
        name = self._same.get(name, name)
        return self._numbers.setdefault(name, len(self._numbers))


def search(
    gallery: Captures,
    probes: Captures | None,
    *,
    most: int,
    same: Mapping[str, str],
    seed: int,
    progress: Callable[[str, float], None],
) -> Searches:
    """Search every template of a gallery with every probe.

    Args:
        gallery: what is searched.
        probes: who searches; None lets one capture of each person of the gallery, by
            turns the first to the last, search all others.
        most: searches at most; people are chosen at random where there are more.
        same: people who are the same as others, by the name of these.
        seed: of what is drawn.
        progress: told what is done, and how far it is, 0 to 1.

    Raises:
        InvalidRequestError: nobody can be searched for, or among.
    """
    names = Names(same)
    chosen = _Probes.chosen(gallery if probes is None else probes, names, most, seed)
    arena = _Arena(chosen, seed)
    row = 0
    for block in gallery.blocks():
        numbers = np.array([names.number(c.subject) for c in block.captures], np.int64)
        own = np.arange(row, row + len(numbers)) if probes is None else None
        arena.take(block.vectors, block.captures, numbers, own)
        row += len(numbers)
        progress("search", block.share)
    if len(set(arena.people)) <= 1:
        raise InvalidRequestError(
            "TOO_FEW_SUBJECTS", "the gallery needs usable vectors of two people or more"
        )
    return arena.result()


@dataclass(frozen=True, slots=True)
class _Probes:
    """Who searches: `vectors` (q, d); `rows` (q,), where each stands in its files."""

    vectors: NDArray[np.float32]
    captures: list[Capture]
    subject: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def chosen(cls, captures: Captures, names: Names, most: int, seed: int) -> _Probes:
        """Return one capture of each person, and of at most so many people.

        People are what is independent; a second capture of one would add little.
        """
        wanted = _wanted(captures, names, most, seed)
        vectors = np.empty((len(wanted), captures.space.dimension), np.float32)
        found: list[tuple[Capture, int, int]] = []
        row = 0
        for block in captures.blocks():
            for vector, capture in zip(block.vectors, block.captures, strict=True):
                if row in wanted:
                    vectors[len(found)] = vector
                    found.append((capture, wanted[row], row))
                row += 1
        return cls(
            vectors,
            [capture for capture, _, _ in found],
            np.array([number for _, number, _ in found], np.int64),
            np.array([row for _, _, row in found], np.int64),
        )


def _wanted(captures: Captures, names: Names, most: int, seed: int) -> dict[int, int]:
    """Return, by row, the people who search, each by one row at random.

    Raises:
        InvalidRequestError: there is nobody.
    """
    random = np.random.default_rng((seed, 1))
    held: dict[int, tuple[float, int]] = {}
    row = 0
    for block in captures.blocks():
        for capture in block.captures:
            number, lot = names.number(capture.subject), float(random.random())
            held[number] = max(held.get(number, (-1.0, 0)), (lot, row))
            row += 1
    if not held:
        raise InvalidRequestError(
            "NO_PROBES", "no file has a usable vector to search with"
        )
    kept = random.permutation(sorted(held))[:most].tolist()
    return {held[number][1]: number for number in kept}


class _Arena:
    """Takes a gallery block by block, and keeps what `Searches` needs."""

    def __init__(self, probes: _Probes, seed: int) -> None:
        """Let these probes search."""
        count = len(probes.captures)
        self._probes = probes
        self._seed = seed
        self._strata = np.full((len(SHARES), count), NO_SCORE)
        self._counts = np.zeros(len(SHARES), np.int64)
        self._mated = np.full(count, NO_SCORE)
        self._nearest = list(probes.captures)
        self._by_member: dict[str, NDArray[np.float64]] = {}
        self._pairs = np.zeros(len(BINS) - 1, np.int64)
        self.people: set[int] = set()

    def take(
        self,
        vectors: NDArray[np.float32],
        captures: list[Capture],
        numbers: NDArray[np.int64],
        own_rows: NDArray[np.int64] | None,
    ) -> None:
        """Search one block with every probe; rows of `own_rows` are probes' own."""
        if not captures:
            return
        self.people |= set(numbers.tolist())
        stratum = self._stratum(numbers)
        self._counts += np.bincount(stratum, minlength=len(SHARES))
        member = np.array([capture.member for capture in captures])
        for part in self._parts():
            scores = (self._probes.vectors[part] @ vectors.T).astype(np.float64)
            is_own = self._probes.subject[part, None] == numbers
            own = np.where(is_own, scores, NO_SCORE)
            if own_rows is not None:
                own[self._probes.rows[part, None] == own_rows] = NO_SCORE
            np.maximum(
                self._mated[part],
                own.max(axis=1, initial=NO_SCORE),
                out=self._mated[part],
            )
            scores[is_own] = NO_SCORE
            before = self._strata[:, part].max(axis=0)
            best = scores.argmax(axis=1)
            for place in np.flatnonzero(scores.max(axis=1) > before):
                self._nearest[part.start + place] = captures[best[place]]
            self._note(part, scores, stratum, member)

    def _note(
        self,
        part: slice,
        scores: NDArray[np.float64],
        stratum: NDArray[np.intp],
        member: NDArray[np.str_],
    ) -> None:
        """Keep the greatest scores of some probes with others."""
        for number in range(len(SHARES)):
            there = scores[:, stratum == number].max(axis=1, initial=NO_SCORE)
            kept = self._strata[number, part]
            np.maximum(kept, there, out=kept)
        for name in np.unique(member):
            held = self._by_member.setdefault(
                str(name), np.full(len(self._nearest), NO_SCORE)
            )
            there = scores[:, member == name].max(axis=1)
            np.maximum(held[part], there, out=held[part])
        if part.start == 0:
            some = scores[:_PAIRED]
            self._pairs += _counts(some[some > NO_SCORE])

    def _parts(self) -> Iterator[slice]:
        """Yield the probes in parts."""
        count = len(self._nearest)
        for start in range(0, count, _PROBES_AT_ONCE):
            yield slice(start, min(start + _PROBES_AT_ONCE, count))

    def _stratum(self, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the smallest sub-gallery that each person is in, by chance."""
        return np.searchsorted(
            np.array(SHARES), _lots(numbers, self._seed), side="right"
        )

    def result(self) -> Searches:
        """Return what came of it."""
        return Searches(
            probes=self._probes.captures,
            subject=self._probes.subject,
            maxima=np.maximum.accumulate(self._strata, axis=0),
            sizes=tuple(int(count) for count in self._counts.cumsum()),
            nearest=self._nearest,
            mated=self._mated,
            by_member=self._by_member,
            pairs=self._pairs,
        )


def _counts(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many scores are in each of `BINS`; rounding may take one beyond."""
    last = len(BINS) - 2
    places = ((scores + 1.0) * (last + 1) / 2).astype(np.intp).clip(0, last)
    return np.bincount(places.ravel(), minlength=last + 1)


def _lots(numbers: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each person, the same in whichever block.

    Source: the finaliser of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators" (OOPSLA 2014).
    """
    state = (numbers + np.int64(seed + 1)).astype(np.uint64)
    state *= np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    lots: NDArray[np.float64] = state.astype(np.float64) / 2.0**64
    return lots
