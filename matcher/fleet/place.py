"""What is known of each shard, and which of them are searched."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from biometrics.members import Member
    from biometrics.store import Change
    from matcher.calls import Remote
    from matcher.galleries import Galleries, Shelf
    from matcher.shard import Greeting, Reached
    from matcher.shares import Sharing


@dataclass(slots=True, eq=False)
class Place:
    """What is known of one copy of a shard; `Places` changes it.

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

    @property
    def name(self) -> str:
        """Which it is, for people."""
        return f"shard {self.remote.number}, copy {self.remote.copy}"

    def held(self) -> Counter[GalleryName]:
        """Return how many templates it had of each gallery when last asked."""
        held: Counter[GalleryName] = Counter()
        for shelf, templates in self.counts.items():
            held[GalleryName(shelf.holder, shelf.space)] += templates
        return held


@dataclass(slots=True, eq=False)
class Share:
    """One share of the galleries, which each of its copies has whole.

    Attributes:
        copies: in their order.
    """

    copies: Sequence[Place]
    _turns: Iterator[int] = field(default_factory=count)

    @property
    def is_ready(self) -> bool:
        """Whether a copy of it is searched."""
        return any(place.is_ready for place in self.copies)

    def ready(self) -> list[Place]:
        """Return the copies that are searched."""
        return [place for place in self.copies if place.is_ready]

    def may_have(self, gallery: GalleryName) -> bool:
        """Say whether it may have templates of a gallery.

        What a copy had that is lost counts where there is no other.
        """
        return any(gallery in place.has for place in self.ready() or self.copies)

    def count(self, shelf: Shelf) -> int:
        """Return how many templates of a shelf it had when last asked."""
        return max(place.counts.get(shelf, 0) for place in self.copies)

    def next(self, but: Collection[Place]) -> Place | None:
        """Return a copy to be asked, by turns; None where all are lost, or excepted."""
        ready = [place for place in self.ready() if place not in but]
        return ready[next(self._turns) % len(ready)] if ready else None


class Places:
    """All shards; safe for many threads.

    Attributes:
        all: every copy of each.
        shares: in their order.
        changed: is told of everything.
        target: position of the journal that shards are told to go to.
    """

    def __init__(
        self, remotes: Sequence[Remote], sharing: Sharing, galleries: Galleries
    ) -> None:
        """Know nothing of them; tell `galleries` which are not whole."""
        self.all = [Place(remote) for remote in remotes]
        self.shares = [
            Share([place for place in self.all if place.remote.number == number])
            for number in range(sharing.places)
        ]
        self.changed = threading.Condition()
        self.target = 0
        self._sharing = sharing
        self._galleries = galleries

    def ready(self) -> list[Place]:
        """Return the copies that are searched."""
        return [place for place in self.all if place.is_ready]

    def is_whole(self) -> bool:
        """Say whether a copy of every share is."""
        return all(share.is_ready for share in self.shares)

    def note(self, changes: Sequence[Change]) -> None:
        """Note which galleries there are from some changes on, and where."""
        with self.changed:
            for change in changes:
                for stored in change.templates:
                    gallery = GalleryName(stored.member, stored.space)
                    self._galleries.know(*gallery)
                    for place in self.shares[self._sharing.place_of(stored)].copies:
                        place.has |= {gallery}
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

    def counted(self, coming: Place) -> None:
        """Note that what all have, and `coming`, was compared with what was counted."""
        with self.changed:
            for place in (*self.ready(), coming):
                place.is_counted = True

    def uncounted(self) -> None:
        """Note that it was not, of some of it."""
        with self.changed:
            for place in self.all:
                place.is_counted = False

    def counts(self, coming: Place | None = None) -> dict[GalleryName, set[int]]:
        """Return how many templates of each gallery all shares have together.

        Where copies of a share differ there are two numbers: with those that have the
        fewest, and the most.

        Args:
            coming: counts with those that are searched.
        """
        least: Counter[GalleryName] = Counter()
        most: Counter[GalleryName] = Counter()
        with self.changed:
            copies = [
                [p.held() for p in share.copies if p.is_ready or p is coming]
                for share in self.shares
            ]
        for held in copies:
            for gallery in set(chain.from_iterable(held)):
                numbers = [each[gallery] for each in held]
                least[gallery] += min(numbers)
                most[gallery] += max(numbers)
        return {gallery: {least[gallery], most[gallery]} for gallery in most}

    def _tell(self) -> None:
        """Tell which galleries are not whole now."""
        lost = [
            place.has
            for share in self.shares
            if not share.is_ready
            for place in share.copies
        ]
        self._galleries.part(frozenset(chain.from_iterable(lost)))
