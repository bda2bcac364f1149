"""What is known of each shard, and which of them are searched."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from biometrics.members import Member
    from biometrics.store import Change
    from matcher.calls import Remote
    from matcher.galleries import Galleries, Shelf
    from matcher.shard import Greeting, Reached
    from matcher.shares import Sharing


@dataclass(slots=True, eq=False)
class Place:
    """What is known of one shard; `Places` changes it.

    Attributes:
        remote: it.
        incarnation: the process that is spoken to; empty where none is.
        public: what is sealed to for it.
        is_ready: whether it is searched.
        position: that it has reached.
        counts: how many templates it had when last asked, by shelf.
        has: galleries of which it may have templates.
        lent: numbers of the keys that it may hold, by member.
        is_mended: whether somebody is about to have it back.
        is_counted: whether what it has was among what was counted since it is back.
    """

    remote: Remote
    incarnation: bytes = b""
    public: bytes = b""
    is_ready: bool = False
    position: int = 0
    counts: Mapping[Shelf, int] = field(default_factory=dict)
    has: frozenset[GalleryName] = frozenset()
    lent: dict[Member, frozenset[int]] = field(default_factory=dict)
    is_mended: bool = False
    is_counted: bool = False


class Places:
    """All shards; safe for many threads.

    Attributes:
        all: in their order.
        changed: is told of everything.
        target: position of the journal that shards are told to go to.
    """

    def __init__(
        self, remotes: Sequence[Remote], sharing: Sharing, galleries: Galleries
    ) -> None:
        """Know nothing of them; tell `galleries` which are not whole."""
        self.all = [Place(remote) for remote in remotes]
        self.changed = threading.Condition()
        self.target = 0
        self._sharing = sharing
        self._galleries = galleries

    def ready(self) -> list[Place]:
        """Return the shards that are searched."""
        return [place for place in self.all if place.is_ready]

    def is_whole(self) -> bool:
        """Say whether all of them are."""
        return all(place.is_ready for place in self.all)

    def note(self, changes: Sequence[Change]) -> None:
        """Note which galleries there are from some changes on, and where."""
        with self.changed:
            for change in changes:
                for stored in change.templates:
                    gallery = GalleryName(stored.member, stored.space)
                    self._galleries.know(*gallery)
                    self.all[self._sharing.place_of(stored)].has |= {gallery}
            self.target = changes[-1].position
            self._tell()

    def assume(self, holder: Member) -> None:
        """Note that any shard may have any gallery of a holder, until it says so."""
        known = {g for g in self._galleries.known() if g.holder == holder}
        with self.changed:
            for place in self.all:
                place.has |= known
            self._tell()

    def greeted(self, place: Place, greeting: Greeting) -> None:
        """Note that another process is in a place, which has nothing."""
        with self.changed:
            place.incarnation, place.public = greeting.incarnation, greeting.public
            self.gone(place)

    def gone(self, place: Place) -> None:
        """Note that the process in a place is no more, and whatever it held."""
        with self.changed:
            place.lent, place.position, place.counts = {}, 0, {}
            self.changed.notify_all()

    def reached(self, place: Place, reached: Reached) -> None:
        """Note how far a shard is, and what it has."""
        has = {
            GalleryName(shelf.holder, shelf.space)
            for shelf, count in reached.counts.items()
            if count
        }
        with self.changed:
            place.position, place.counts = reached.position, reached.counts
            # What it says of open galleries is all, unless more is on its way there.
            is_all = reached.position >= self.target
            kept = {g for g in place.has if not is_all or g.holder not in reached.open}
            place.has = frozenset(kept | has)
            self._tell()
            self.changed.notify_all()
        for gallery in reached.damaged:
            self._galleries.damage(*gallery, "a shard of it is not whole")

    def set_ready(self, place: Place, *, is_ready: bool) -> bool:
        """Have a shard searched or not; say whether that is new."""
        with self.changed:
            is_new = place.is_ready != is_ready
            place.is_ready = is_ready
            place.is_counted &= is_ready
            self._tell()
            self.changed.notify_all()
        return is_new

    def close(self, holder: Member, *, is_destroyed: bool) -> None:
        """Note that no shard has keys of a holder any more, or anything of it."""
        with self.changed:
            for place in self.all:
                place.lent.pop(holder, None)
                if is_destroyed:
                    own = {g for g in place.has if g.holder == holder}
                    place.has -= own
            self._tell()

    def counted(self) -> None:
        """Note that what all shards have was compared with what was counted."""
        with self.changed:
            for place in self.all:
                place.is_counted = True

    def uncounted(self) -> None:
        """Note that it was not, of some of it."""
        with self.changed:
            for place in self.all:
                place.is_counted = False

    def counts(self) -> Counter[GalleryName]:
        """Return how many templates of each gallery all shards have together."""
        counts: Counter[GalleryName] = Counter()
        for place in self.all:
            for shelf, count in place.counts.items():
                counts[GalleryName(shelf.holder, shelf.space)] += count
        return counts

    def _tell(self) -> None:
        """Tell which galleries are not whole now."""
        lost = [place.has for place in self.all if not place.is_ready]
        self._galleries.part(frozenset(chain.from_iterable(lost)))
