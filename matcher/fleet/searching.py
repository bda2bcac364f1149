"""Probes that wait together, compared in one pass over all shards that have a part.

All shards are asked before the first is heard, so that a pass takes as long as the
slowest of them. Of each a copy is asked, by turns, and where it is lost the next one.
Whoever asks a shard of which no copy is left is told nothing, and not that there is
nobody.

No two shards follow the journal at the same moment, and what takes the place of a
template may be in another shard than it was: one may have dropped the old, while
another does not have the new yet; and none has what was replaced again before it was
read. So a pass may miss those who are replaced during it, and nobody else. Then there
is another: whoever one may have missed is found by the next, unless replaced during
that as well.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics import limits
from biometrics.members import Member
from biometrics.store import ChangeKind
from matcher.asking import ShelfProbes, receive_found, send
from matcher.calls import LostError, call, left_until
from matcher.galleries import GalleryName
from matcher.schedule import Comparing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from biometrics.store import Change
    from matcher.asking import SentFound, SentQuestion
    from matcher.calls import Call
    from matcher.fleet.mending import Mending
    from matcher.fleet.place import Place, Places, Share
    from matcher.galleries import Shelf
    from matcher.schedule import Scan, Turn

_NOTHING: Final = np.zeros(0, np.int64)
# From pass to pass: shards follow each other within milliseconds, where none is lost.
_FIRST_SECONDS: Final = 0.001
_MOST_SECONDS: Final = 0.25

Whose = tuple[Member, bytes]  # a record, by holder and number


@dataclass(frozen=True, slots=True)
class Part:
    """A whole shelf: those that the same shards have wait for one pass.

    Attributes:
        shares: that had some of it when the probe came.
        rows: how many.
    """

    shares: tuple[Share, ...]
    rows: int = field(compare=False)

    def __len__(self) -> int:
        """Return how many templates they had of the shelf when last asked."""
        return self.rows


class Searching:
    """Asks shards for candidates; for many threads."""

    def __init__(
        self,
        places: Places,
        mending: Mending,
        position: Callable[[], int],
        entries: Callable[[int, int], Sequence[Change]],
    ) -> None:
        """Ask `places`, which have to be as far as `position`; else they are lost.

        What the journal has between two positions is told by `entries`.
        """
        self._places = places
        self._mending = mending
        self._position = position
        self._entries = entries

    @property
    def comparing(self) -> Comparing:
        """How parts are compared."""
        return Comparing(self._compare, limits.MAX_TURNS_PER_CALL)

    def parts(self, shelf: Shelf) -> list[Part]:
        """Return what makes up a shelf now, in shards that are lost or not."""
        gallery, position = _gallery(shelf), self._position()
        searched = self._places.searched.shares
        shares = tuple([share for share in searched if share.may_have(gallery)])
        # What has replaced somebody may be in none yet, or in one looked at before.
        if max(self._places.gone_by, self._position()) > position:
            shares = tuple(searched)
        rows = sum(share.count(shelf) for share in shares)
        return [Part(shares, rows)] if shares else []

    def holds(self, shelf: Shelf, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the shelf can find now.

        Every copy is asked, as any may be the next that is searched. None of a shard
        that is lost: whoever searches it is told so.
        """
        held = np.zeros(len(ids), np.bool_)
        gallery, asked = _gallery(shelf), ("holds", shelf, ids)
        calls = [(p, asked) for p in self._places.ready() if gallery in p.has]
        for told in self._told(calls):
            if told is not None:
                held |= told
        return held

    def _compare(
        self, _: Part, turns: Sequence[Turn]
    ) -> Sequence[NDArray[np.int64] | None]:
        """Return the candidates of each turn, or None where they cannot be told."""
        found: dict[Turn, NDArray[np.int64] | None] = dict.fromkeys(turns, _NOTHING)
        missed: frozenset[Whose] | None = None  # by every pass so far; None for all
        left = list(turns)
        for number in range(limits.MAX_SHARD_PASSES):
            with self._places.asking() as shares:
                ids, low, high = self._pass(shares, left)
            for turn, more in zip(left, ids, strict=True):
                found[turn] = _with(found[turn], more)
            moved = self._replaced(low, high)
            missed = moved if missed is None else missed & moved
            holders = {holder for holder, _ in missed}
            left = [
                turn
                for turn in left
                if turn.shelf.holder in holders and found[turn] is not None
            ]
            if not left:
                break
            self._wait_for(high, min(_FIRST_SECONDS * 2**number, _MOST_SECONDS))
        # Somebody of these was replaced during every pass.
        found |= dict.fromkeys(left)
        return [found[turn] for turn in turns]

    def _replaced(self, low: int, high: int) -> frozenset[Whose]:
        """Return whose templates may have been replaced between two positions.

        A replacement is an enrolment, and with the next change the withdrawal of what
        was there. Where the first is in effect, nobody can miss both.

        Raises:
            StorageError: the journal cannot be read now.
        """
        if low >= high:
            return frozenset()
        return frozenset(
            (change.member, change.record_id)
            for before, change in pairwise(self._entries(low, high))
            if change.kind is ChangeKind.WITHDRAWN
            and before.record_id == change.record_id
        )

    def _wait_for(self, position: int, seconds: float) -> None:
        """Wait a while until shards have gone where some of them are.

        One that is lost may be waited for where they are told; others are there.
        """
        with self._places.changed:
            self._places.changed.wait_for(lambda: self._position() >= position, seconds)

    def _pass(
        self, shares: Sequence[Share], turns: Sequence[Turn]
    ) -> tuple[list[NDArray[np.int64] | None], int, int]:
        """Return what shards have for each turn; None where one of them is lost.

        Which shards have a part is asked now: something may have been replaced since
        the probes began to wait.

        Returns:
            Behind that two positions: all was in effect up to the first, and nothing
            after the second.
        """
        of_gallery: dict[GalleryName, list[int]] = defaultdict(list)
        for number, turn in enumerate(turns):
            of_gallery[_gallery(turn.shelf)].append(number)
        position = self._position()
        low = self._places.target  # up to where it is known which shares have a part
        own = {share: [g for g in of_gallery if share.may_have(g)] for share in shares}
        # Who was gone when changes were read may be in none of them; and who came to
        # another share while these were asked.
        high = max(self._position(), self._places.gone_by)
        questions = {
            tuple(galleries): _Question.of(
                turns, [n for gallery in galleries for n in of_gallery[gallery]]
            )
            for galleries in own.values()
        }
        asked = [(s, questions[tuple(g)]) for s, g in own.items() if g]
        found: list[list[NDArray[np.int64]] | None] = [[_NOTHING] for _ in turns]
        calls = [(s, ("search", position, q.sent)) for s, q in asked]
        for (_, question), told in zip(asked, self._ask(calls), strict=True):
            begun, ended, of_share = (low, high, None) if told is None else told
            question.take(found, of_share)
            low, high = min(low, begun), max(high, ended)
        ids = [None if each is None else np.concatenate(each) for each in found]
        return ids, low, high

    def _ask(self, calls: Sequence[tuple[Share, tuple[Any, ...]]]) -> list[Any]:
        """Ask a copy of each share at once, and the next of those that are lost.

        Returns:
            What each answers, None where no copy does.
        """
        answers: list[Any] = [None] * len(calls)
        tried: set[Place] = set()
        left: Sequence[int] = range(len(calls))
        while left:
            asked = [
                (number, place)
                for number in left
                if (place := calls[number][0].next(but=tried)) is not None
            ]
            tried.update(place for _, place in asked)
            told = self._told([(place, calls[number][1]) for number, place in asked])
            left = []
            for (number, _), answer in zip(asked, told, strict=True):
                answers[number] = answer
                if answer is None:
                    left.append(number)
        return answers

    def _told(self, calls: Sequence[tuple[Place, tuple[Any, ...]]]) -> list[Any]:
        """Ask copies at once; return what each answers, None where it is lost."""
        end = time.monotonic() + limits.SHARD_SEARCH_SECONDS
        sent = [place.remote.send(_call(place, *asked)) for place, asked in calls]
        return [
            self._heard(place, reply, end)
            for (place, _), reply in zip(calls, sent, strict=True)
        ]

    def _heard(self, place: Place, sent: Any, end: float) -> Any:  # noqa: ANN401
        """Return what a shard answers; None if it is lost."""
        try:
            told = place.remote.answer(sent, seconds=left_until(end))
        except LostError as error:
            self._mending.lose(place, error)
            return None
        if told is None:
            self._mending.lose(place, LostError("another process answers"))
        return told


def _call(place: Place, method: str, *arguments: Any) -> Call:  # noqa: ANN401
    return call(method, place.incarnation, *arguments, group="search")


def _with(
    found: NDArray[np.int64] | None, more: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """Return what two passes have found, each number once; None if either cannot."""
    if found is None or more is None:
        return None
    return np.union1d(found, more) if len(found) else more


def _gallery(shelf: Shelf) -> GalleryName:
    return GalleryName(shelf.holder, shelf.space)


@dataclass(frozen=True, slots=True)
class _Question:
    """What some turns ask.

    Attributes:
        sent: it, as it goes over.
        whose: turns that each shelf is asked for.
    """

    sent: SentQuestion
    whose: Sequence[Sequence[int]]

    @classmethod
    def of(cls, turns: Sequence[Turn], chosen: Sequence[int]) -> _Question:
        """Return what some of the turns ask, by their numbers.

        Each probe is sent once, with however many shelves it is compared. Those of
        another space are of another dimension.
        """
        numbers: dict[str, dict[Scan, int]] = defaultdict(dict)
        of_shelf: dict[Shelf, list[int]] = defaultdict(list)
        for each in chosen:
            turn = turns[each]
            of_space = numbers[turn.shelf.space]
            of_space.setdefault(turn.scan, len(of_space))
            of_shelf[turn.shelf].append(each)
        asked = []
        for shelf, whose in of_shelf.items():
            scans = [turns[each].scan for each in whose]
            places = [numbers[shelf.space][scan] for scan in scans]
            bands = [scan.bands[shelf] for scan in scans]
            asked.append(
                ShelfProbes(
                    shelf=shelf,
                    probes=np.array(places, np.int64),
                    thresholds=np.array([band.threshold for band in bands]),
                    lows=np.array([band.low for band in bands]),
                )
            )
        vectors = {
            space: np.stack([scan.probe.values for scan in scans])
            for space, scans in numbers.items()
        }
        return cls(send(vectors, asked), list(of_shelf.values()))

    def take(
        self,
        found: list[list[NDArray[np.int64]] | None],
        told: SentFound | None,
    ) -> None:
        """Add what a shard has for each turn; where it cannot tell, nobody can."""
        of_shelves = [None] * len(self.whose) if told is None else receive_found(told)
        for turns, ids in zip(self.whose, of_shelves, strict=True):
            for number, turn in enumerate(turns):
                before = found[turn]
                if ids is None or before is None:
                    found[turn] = None
                else:
                    before.append(ids[number])
