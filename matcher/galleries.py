"""What the matcher holds of each member, and whether it may be asked.

The follower writes it, searches read it. A holder whose galleries are not whole
is not searched at all: an outage must never look like a no-match.
"""

from __future__ import annotations

import logging
import threading
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.members import Member
    from biometrics.templates import Position


log = logging.getLogger(__name__)


class GalleryState(Enum):
    """Whether a gallery can be searched."""

    READY = "ready"
    LOADING = "loading"
    LOCKED = "locked"
    DAMAGED = "damaged"
    DESTROYED = "destroyed"


class Shelf(NamedTuple):
    """The name by which the engine knows templates that may be compared.

    One holder's templates of one template space and one position.
    """

    holder: Member
    space: str
    position: Position


class GalleryName(NamedTuple):
    """One holder's templates of one template space, whatever their position."""

    holder: Member
    space: str


class Galleries:
    """State and contents of every holder's galleries; safe for many threads."""

    def __init__(self) -> None:
        """Start loading, with nothing known."""
        self._changing = threading.Lock()
        self._loading = True
        self._lost = False
        self._closed: Mapping[Member, GalleryState] = {}
        self._closings = 0
        self._last_closings: Mapping[Member, int] = {}
        self._damaged: frozenset[GalleryName] = frozenset()
        self._known: frozenset[GalleryName] = frozenset()
        self._parted: frozenset[GalleryName] = frozenset()
        self._suspended: frozenset[Member] = frozenset()
        self._comparisons: Mapping[str, int] = {}

    def state(self, holder: Member, space: str) -> GalleryState:
        """Return whether the holder's gallery in `space` can be searched."""
        if self._lost:
            return GalleryState.DAMAGED
        if (closed := self._closed.get(holder)) is not None:
            return closed
        if (holder, space) in self._damaged:
            return GalleryState.DAMAGED
        is_loading = self._loading or (holder, space) in self._parted
        return GalleryState.LOADING if is_loading else GalleryState.READY

    def state_name(self, holder: Member, space: str) -> str:
        """Return the name of the gallery's state."""
        return self.state(holder, space).name

    def has(self, holder: Member, space: str) -> bool:
        """Return whether the holder has ever enrolled in `space`."""
        return (holder, space) in self._known

    def know(self, holder: Member, space: str) -> None:
        """Note that the holder has a gallery in `space`."""
        if (holder, space) not in self._known:
            with self._changing:
                self._known |= {GalleryName(holder, space)}

    def known(self) -> frozenset[GalleryName]:
        """Return every gallery that there is or was."""
        return self._known

    def comparisons(self, space: str) -> int:
        """Return how many templates all holders together have in `space`.

        Those of locked and damaged galleries count too: what thresholds follow must
        not move with anybody's key.
        """
        return self._comparisons.get(space, 0)

    def count(self, comparisons: Mapping[str, int]) -> None:
        """Note how many templates all holders together have, by space."""
        self._comparisons = comparisons

    def loaded(self) -> None:
        """Note that everything that was durable at the start is searchable."""
        self._loading = False

    def part(self, galleries: frozenset[GalleryName]) -> None:
        """Note of which galleries some templates are in no place now; they return."""
        self._parted = galleries

    def lock(self, holder: Member) -> None:
        """Note that the holder's keys are not at hand."""
        self._close(holder, GalleryState.LOCKED)

    def load(self, holder: Member) -> None:
        """Note that the holder's keys are at hand again, its galleries not yet."""
        self._close(holder, GalleryState.LOADING)

    def destroy(self, holder: Member) -> None:
        """Note that the holder has no gallery any more; damage is no more either."""
        with self._changing:
            self._known = frozenset(g for g in self._known if g.holder != holder)
            self._damaged = frozenset(g for g in self._damaged if g.holder != holder)
        self._close(holder, GalleryState.DESTROYED)

    def open(self, holder: Member) -> None:
        """Note that the holder's galleries are there as those of others are."""
        with self._changing:
            self._closed = {m: s for m, s in self._closed.items() if m != holder}

    def closed(self, holder: Member) -> GalleryState | None:
        """Return why no gallery of the holder is there, or None if they are."""
        return self._closed.get(holder)

    def moment(self) -> int:
        """Return what `closed_since` is asked with, before `state` is."""
        return self._closings

    def closed_since(self, moment: int) -> frozenset[Member]:
        """Return whose galleries were closed since a moment, open again or not.

        A search finds nothing in what is dropped. So whoever was READY before it, and
        is so after it, need not have been searched.
        """
        last = self._last_closings
        return frozenset(holder for holder, n in last.items() if n > moment)

    def suspend(self, member: Member) -> None:
        """Note that a member asks nobody and is asked by nobody, whatever it has."""
        with self._changing:
            self._suspended |= {member}

    def resume(self, member: Member) -> None:
        """Note that a member takes part again."""
        with self._changing:
            self._suspended -= {member}

    def is_suspended(self, member: Member) -> bool:
        """Say whether a member takes no part at the moment."""
        return member in self._suspended

    def _close(self, holder: Member, state: GalleryState) -> None:
        with self._changing:
            self._closings += 1
            self._last_closings = {**self._last_closings, holder: self._closings}
            self._closed = {**self._closed, holder: state}

    def lose(self) -> None:
        """Note that nothing can be said of any gallery any more."""
        self._lost = True

    def damage(self, holder: Member, space: str, why: str) -> None:
        """Note that a gallery is not whole, and tell once."""
        gallery = GalleryName(holder, space)
        with self._changing:
            is_new = gallery not in self._damaged
            self._damaged |= {gallery}
        if is_new:
            log.error("gallery of %s in %s is UNAVAILABLE: %s", holder, space, why)
