"""What the exchange must answer, worked out a second time and in another way.

An exhaustive float64 comparison with every record of every holder, and a plain
reading of the agreements' files that shares no code with the decision it checks.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics.demo.people import FLED

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.demo.people import People

# Scores this near the threshold depend on rounding; they are counted apart.
UNDECIDED_WITHIN: Final = 1e-6
LEAST_PRESENCE_HOLDERS: Final = 5
_LEVELS: Final = ("presence", "holder", "reference")


@dataclass(frozen=True, slots=True)
class Expected:
    """What one search must answer.

    Attributes:
        regional: the outcome over all holders.
        holders: the outcome and whether a reference comes with it, by holder.
        undecided: holders with a score within `UNDECIDED_WITHIN` of the threshold.
        mates: holders that hold a record of the subject this requester may learn of.
        kept_back: holders whose only records that reach the threshold are protected
            from this requester.
    """

    regional: str
    holders: dict[str, tuple[str, bool]]
    undecided: frozenset[str]
    mates: frozenset[str]
    kept_back: frozenset[str]


class Agreements:
    """The agreements' files, read as a signer would read them."""

    def __init__(self, directory: Path, today: dt.date) -> None:
        """Read every file in `directory`; only clauses valid on `today` count."""
        self._files = [
            tomllib.loads(path.read_text("utf-8"))
            for path in sorted(directory.glob("*.toml"))
        ]
        self._today = today

    def level(self, holder: str, requester: str, purpose: str) -> str | None:
        """Return what `holder` lets `requester` learn about faces, or None."""
        (file,) = [f for f in self._files if f["holder"] == holder] or [{}]
        if any(self._covers(c, requester, purpose) for c in file.get("forbid", ())):
            return None
        levels = [
            c["level"]
            for c in file.get("permit", ())
            if self._covers(c, requester, purpose)
        ]
        return max(levels, key=_LEVELS.index, default=None)

    def _covers(self, clause: dict[str, Any], requester: str, purpose: str) -> bool:
        """Say whether a clause is about this question today."""
        return (
            clause["requester"] in (requester, "*")
            and purpose in clause.get("purposes", [purpose])
            and "face" in clause.get("modalities", ["face"])
            and clause.get("valid_from", self._today)
            <= self._today
            <= clause.get("valid_until", self._today)
        )


class Truth:
    """Every probe against every record, decided in float64, and then told or not."""

    def __init__(
        self,
        people: People,
        agreements: Agreements,
        centre: NDArray[np.float64],
        threshold: float,
    ) -> None:
        """Know who is enrolled where, and what may be told of it."""
        self._people = people
        self._agreements = agreements
        self._centre = centre
        self._threshold = threshold
        self._records = {
            holder: self._unit(gallery.rows)
            for holder, gallery in people.galleries.items()
        }

    def levels(self, requester: str, purpose: str) -> dict[str, str]:
        """Return what each other holder that permits the search lets be learnt."""
        return {
            holder: level
            for holder in self._people.galleries
            if holder != requester
            and (level := self._agreements.level(holder, requester, purpose))
        }

    def answers(
        self, requester: str, purpose: str, probes: NDArray[np.int64]
    ) -> list[Expected]:
        """Return what the searches for rows `probes` must answer."""
        levels = self.levels(requester, purpose)
        wanted = self._unit(probes)
        scores = {holder: wanted @ self._records[holder].T for holder in levels}
        return [
            self._answer(
                requester,
                levels,
                {holder: scores[holder][number] for holder in levels},
                int(self._people.subject[row]),
            )
            for number, row in enumerate(probes)
        ]

    def _unit(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return centred rows of unit length."""
        centred = self._people.embedding[rows].astype(np.float64) - self._centre
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        unit: NDArray[np.float64] = centred / norms
        return unit

    def _answer(
        self,
        requester: str,
        levels: dict[str, str],
        scores: dict[str, NDArray[np.float64]],
        subject: int,
    ) -> Expected:
        """Return what one search must answer."""
        outcomes, mates, undecided, kept_back = {}, set(), set(), set()
        for holder in levels:
            gallery = self._people.galleries[holder]
            shown = ~(gallery.protected & (requester == FLED))
            near = np.abs(scores[holder] - self._threshold) < UNDECIDED_WITHIN
            reached = scores[holder] >= self._threshold
            found = bool((reached & shown).any())
            outcomes[holder] = "match" if found else "no-match"
            if bool(reached.any()) and not found:
                kept_back.add(holder)
            if not len(gallery.rows):
                outcomes[holder] = "not-comparable"
            if bool((near & shown).any()):
                undecided.add(holder)
            if bool(((gallery.subject == subject) & shown).any()):
                mates.add(holder)
        return Expected(
            regional=_regional(outcomes, levels),
            holders={
                holder: (outcome, outcome == "match" and levels[holder] == "reference")
                for holder, outcome in outcomes.items()
                if levels[holder] != "presence"
            },
            undecided=frozenset(undecided),
            mates=frozenset(mates),
            kept_back=frozenset(kept_back),
        )


def _regional(outcomes: dict[str, str], levels: dict[str, str]) -> str:
    """Return the outcome over all holders; too small a group of unnamed is none."""
    said = [o for h, o in outcomes.items() if levels[h] != "presence"]
    unnamed = [o for h, o in outcomes.items() if levels[h] == "presence"]
    if len([o for o in unnamed if o != "not-comparable"]) >= LEAST_PRESENCE_HOLDERS:
        said += unnamed
    return next((o for o in ("match", "no-match") if o in said), "not-comparable")
