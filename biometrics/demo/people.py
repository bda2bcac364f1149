"""Who is enrolled where in the demo, and who is searched for.

The truth is known because the demo deals it: every record and every probe carries
the number of its subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How the records fall to the holders. XRA is the agency that registers refugees,
# XBB the state that they fled, XAA and XDD states that host many of them.
SHARES: Final = {
    "XAA": 0.24,
    "XBB": 0.14,
    "XRA": 0.22,
    "XCC": 0.12,
    "XDD": 0.10,
    "XEE": 0.08,
    "XFF": 0.06,
    "XGG": 0.04,
}
AGENCY: Final = "XRA"
FLED: Final = "XBB"
# Of the agency's subjects, so many are registered as refugees by others as well, and
# so many stand in an old register of the state that they fled.
ALSO_REFUGEES: Final = {"XAA": 0.4, "XDD": 0.2}
ALSO_AT_FLED: Final = 0.3
# Of all subjects, so many are enrolled nowhere: their searches are non-mated.
NOT_ENROLLED: Final = 0.2
# Of an enrolled subject's captures, so many and at least one are kept to search with.
KEPT: Final = 0.3


@dataclass(frozen=True, slots=True)
class Gallery:
    """One holder's records.

    Attributes:
        rows: (n,) rows of the embeddings.
        subject: (n,) who each record is of.
        protected: (n,) whether the record excludes the state that was fled.
    """

    rows: NDArray[np.int64]
    subject: NDArray[np.int32]
    protected: NDArray[np.bool_]

    def references(self, holder: str) -> list[str]:
        """Return an opaque reference for each record, as a holder would give."""
        return [f"{holder}-{row:08d}" for row in self.rows]


@dataclass(frozen=True, slots=True)
class People:
    """Everyone in the demo.

    Attributes:
        embedding: (n, d) float32, as an extractor gives them.
        galleries: by holder.
        mated: rows of samples whose subject is enrolled somewhere.
        non_mated: rows of samples whose subject is enrolled nowhere.
        subject: (n,) who each row is of.
    """

    embedding: NDArray[np.float32]
    subject: NDArray[np.int32]
    galleries: dict[str, Gallery]
    mated: NDArray[np.int64]
    non_mated: NDArray[np.int64]

    @property
    def holders(self) -> list[str]:
        """Whoever has a record."""
        return [h for h, gallery in self.galleries.items() if len(gallery.rows)]

    @property
    def enrolled(self) -> int:
        """Number of subjects who have a record."""
        return len({int(s) for g in self.galleries.values() for s in g.subject})

    @property
    def records(self) -> int:
        """Number of records over all holders."""
        return sum(len(gallery.rows) for gallery in self.galleries.values())


def deal(
    embedding: NDArray[np.float32],
    subject: NDArray[np.int32],
    random: np.random.Generator,
    *,
    records: int | None,
    records_each: int | None,
) -> People:
    """Deal subjects to holders.

    Args:
        embedding: (n, d), one row a sample.
        subject: (n,) who each row is of.
        random: where chance comes from.
        records: how many records to enrol at most; None for all that there are.
        records_each: how many of a subject's rows one holder enrols at most; None
            for all that are not kept to search with.
    """
    samples = _samples(subject, random)
    subjects = random.permutation(len(samples))
    outside = max(1, round(NOT_ENROLLED * len(subjects)))
    strangers, enrolled = subjects[:outside], subjects[outside:]
    dealt: list[tuple[str, int, int, bool]] = []
    for number in enrolled:
        holders = _holders(random)
        rows = samples[number]
        rows = rows[: len(rows) - max(1, round(KEPT * len(rows)))]
        if records_each is not None:
            rows = rows[: records_each * len(holders)]
        for row, (holder, protected) in zip(rows, cycle(holders), strict=False):
            dealt.append((holder, int(row), int(subject[row]), protected))
    dealt = dealt[:records]
    taken = {row for _, row, _, _ in dealt}
    present = {who for _, _, who, _ in dealt}
    mated = [
        int(row)
        for rows in samples
        if int(subject[rows[0]]) in present
        for row in rows
        if int(row) not in taken
    ]
    return People(
        embedding=embedding,
        subject=subject,
        galleries={holder: _gallery(holder, dealt) for holder in SHARES},
        mated=np.array(mated, np.int64),
        non_mated=np.concatenate([samples[n] for n in strangers]),
    )


def draw(
    people: People, searches: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return the rows of probes, half of them mated; none is searched with twice."""
    half = searches // 2
    mated = min(half, len(people.mated))
    non_mated = min(searches - half, len(people.non_mated))
    return np.concatenate(
        [
            random.choice(people.mated, mated, replace=False),
            random.choice(people.non_mated, non_mated, replace=False),
        ]
    )


def _samples(
    subject: NDArray[np.int32], random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return the rows of each subject, in random order."""
    order = np.argsort(subject, kind="stable")
    bounds = np.flatnonzero(np.diff(subject[order])) + 1
    return [random.permutation(rows) for rows in np.split(order, bounds)]


def _holders(random: np.random.Generator) -> list[tuple[str, bool]]:
    """Draw who enrols a subject, and whether the record is protected."""
    home = str(random.choice(list(SHARES), p=list(SHARES.values())))
    if home != AGENCY:
        return [(home, False)]
    holders = [(AGENCY, True)]
    holders += [(h, True) for h, p in ALSO_REFUGEES.items() if random.random() < p]
    if random.random() < ALSO_AT_FLED:
        holders.append((FLED, False))
    return holders


def _gallery(holder: str, dealt: list[tuple[str, int, int, bool]]) -> Gallery:
    """Return the records that fell to one holder."""
    own = [(row, who, protected) for of, row, who, protected in dealt if of == holder]
    rows, subjects, protected = zip(*own, strict=True) if own else ((), (), ())
    return Gallery(
        rows=np.array(rows, np.int64),
        subject=np.array(subjects, np.int32),
        protected=np.array(protected, np.bool_),
    )
