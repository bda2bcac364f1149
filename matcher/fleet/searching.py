"""Probes that wait together, compared in one pass over all shards that have a part.

All shards are asked before the first is heard, so that a pass takes as long as the
slowest of them. Whoever asks a shard that is lost is told nothing, and not that there
is nobody.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from biometrics import limits
from matcher.asking import Asked, receive_found, send
from matcher.calls import LostError, call
from matcher.galleries import GalleryName
from matcher.schedule import Comparing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from matcher.calls import Call
    from matcher.fleet.mending import Mending
    from matcher.fleet.place import Place, Places
    from matcher.galleries import Shelf
    from matcher.schedule import Scan, Turn


@dataclass(frozen=True, slots=True)
class Part:
    """A whole shelf: those that the same shards have wait for one pass over them."""

    places: tuple[Place, ...]
    rows: int = field(compare=False)

    def __len__(self) -> int:
        """Return how many templates they had of the shelf when last asked."""
        return self.rows


class Searching:
    """Asks shards for candidates; for many threads."""

    def __init__(
        self, places: Places, mending: Mending, position: Callable[[], int]
    ) -> None:
        """Ask `places`, which have to be as far as `position`; else they are lost."""
        self._places = places
        self._mending = mending
        self._position = position

    @property
    def comparing(self) -> Comparing:
        """How parts are compared."""
        return Comparing(self._compare, limits.MAX_TURNS_PER_CALL)

    def parts(self, shelf: Shelf) -> list[Part]:
        """Return what makes up a shelf now, in shards that are lost or not."""
        places = self._having(shelf)
        rows = sum(place.counts.get(shelf, 0) for place in places)
        return [Part(places, rows)] if places else []

    def holds(self, shelf: Shelf, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the shelf can find now.

        None of a shard that is lost: whoever searches it is told so.
        """
        held = np.zeros(len(ids), np.bool_)
        for told in self._ask(self._having(shelf), "holds", shelf, ids):
            if told is not None:
                held |= told
        return held

    def _having(self, shelf: Shelf) -> tuple[Place, ...]:
        gallery = GalleryName(shelf.holder, shelf.space)
        return tuple([place for place in self._places.all if gallery in place.has])

    def _compare(
        self, part: Part, turns: Sequence[Turn]
    ) -> Sequence[NDArray[np.int64] | None]:
        """Return the candidates of each turn, or None where they cannot be told."""
        question, order = _question_of(turns)
        found: list[list[NDArray[np.int64]] | None] = [[] for _ in turns]
        for told in self._ask(part.places, "search", self._position(), *question):
            of_shelves = [None] * len(order) if told is None else receive_found(told)
            for of_shelf, ids in zip(order, of_shelves, strict=True):
                _add(found, of_shelf, ids)
        return [None if ids is None else np.concatenate(ids) for ids in found]

    def _ask(self, places: Sequence[Place], method: str, *arguments: Any) -> list[Any]:  # noqa: ANN401
        """Ask shards at once; return what each answers, None where it is lost."""
        end = time.monotonic() + limits.SHARD_SEARCH_SECONDS
        sent = [
            place.remote.send(_asked(place, method, *arguments))
            if place.is_ready
            else None
            for place in places
        ]
        return [
            None if reply is None else self._heard(place, reply, end)
            for place, reply in zip(places, sent, strict=True)
        ]

    def _heard(self, place: Place, sent: Any, end: float) -> Any:  # noqa: ANN401
        """Return what a shard answers; None if it is lost."""
        try:
            told = place.remote.answer(sent, seconds=max(end - time.monotonic(), 0.0))
        except LostError as error:
            self._mending.lose(place, error)
            return None
        if told is None:
            self._mending.lose(place, LostError("another process answers"))
        return told


def _asked(place: Place, method: str, *arguments: Any) -> Call:  # noqa: ANN401
    return call(method, place.incarnation, *arguments, group="search")


def _add(
    found: list[list[NDArray[np.int64]] | None],
    turns: Sequence[int],
    ids: Sequence[NDArray[np.int64]] | None,
) -> None:
    """Add what a shard has of a shelf; where it cannot tell, nobody can."""
    for number, turn in enumerate(turns):
        before = found[turn]
        if ids is None or before is None:
            found[turn] = None
        else:
            before.append(ids[number])


def _question_of(turns: Sequence[Turn]) -> tuple[tuple[Any, Any], list[list[int]]]:
    """Return what some turns ask, as it is sent, and whose each answer is.

    Each probe is sent once, with however many shelves it is compared. Those of another
    space are of another dimension.
    """
    numbers: dict[str, dict[Scan, int]] = defaultdict(dict)
    of_shelf: dict[Shelf, list[int]] = defaultdict(list)
    for place, turn in enumerate(turns):
        of_space = numbers[turn.shelf.space]
        of_space.setdefault(turn.scan, len(of_space))
        of_shelf[turn.shelf].append(place)
    asked = []
    for shelf, places in of_shelf.items():
        scans = [turns[place].scan for place in places]
        bands = [scan.bands[shelf] for scan in scans]
        asked.append(
            Asked(
                shelf=shelf,
                probes=np.array(
                    [numbers[shelf.space][scan] for scan in scans], np.int64
                ),
                thresholds=np.array([band.threshold for band in bands]),
                lows=np.array([band.low for band in bands]),
            )
        )
    vectors = {
        space: np.stack([scan.probe.vector for scan in scans])
        for space, scans in numbers.items()
    }
    return send(vectors, asked), list(of_shelf.values())
