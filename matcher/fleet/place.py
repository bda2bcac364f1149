"""What is known of each shard, and which of them are searched.

There are those of one sharing; and while galleries are being shared out anew, those of
another beside them. These follow, are lent keys and are had back as the first are, and
are searched once all of them are there.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

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
        name: which it is, for people.
        incarnation: the process that is spoken to; empty where none is.
        public: what is sealed to for it.
        has_begun: whether it has said that it has.
        is_ready: whether it is searched.
        position: that it has reached.
        is_ahead: whether some of what it has is of a later one.
        counts: how many templates it had when last asked, by shelf.
        gone: position up to which what is replaced may be gone from what it told.
        open: members of whom it told all that it had.
        has: galleries of which it may have templates.
        lent: numbers of the keys that it may hold, by member.
        clear: position up to which no process that was there before it is there.
        is_silent: whether who is there has not answered a first greeting yet.
        is_mended: whether somebody is about to have it back.
        is_loading: whether it is doing what may take it an hour.
        is_leaving: whether it is needed no more, and not had back.
        is_counted: whether what it has was among what was counted since it is back.
    """

    remote: Remote
    name: str
    incarnation: bytes = b""
    public: bytes = b""
    has_begun: bool = False
    is_ready: bool = False
    position: int = 0
    is_ahead: bool = False
    counts: Mapping[Shelf, int] = field(default_factory=dict)
    gone: int = 0
    open: frozenset[Member] = frozenset()
    has: frozenset[GalleryName] = frozenset()
    lent: dict[Member, frozenset[int]] = field(default_factory=dict)
    clear: int = 0
    is_silent: bool = False
    is_mended: bool = False
    is_loading: bool = False
    is_leaving: bool = False
    is_counted: bool = False

    def held(self) -> Counter[GalleryName]:
        """Return how many templates it had of each gallery that it had some of."""
        held: Counter[GalleryName] = Counter()
        for shelf, templates in self.counts.items():
            held[GalleryName(shelf.holder, shelf.space)] += templates
        return +held


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


@dataclass(slots=True, eq=False)
class Layout:
    """All shards of one sharing; `Places` changes it.

    Attributes:
        sharing: which of them has what.
        shares: in their order.
        asking: how many passes over them are under way.
    """

    sharing: Sharing
    shares: Sequence[Share]
    asking: int = 0

    @classmethod
    def of(cls, remotes: Sequence[Remote], sharing: Sharing) -> Layout:
        """Return what is known of new ones: nothing."""
        copies: list[list[Place]] = [[] for _ in range(sharing.places)]
        for remote in remotes:
            name = f"shard {remote.number} of {sharing.places}, copy {remote.copy}"
            copies[remote.number].append(Place(remote, name))
        return cls(sharing, [Share(each) for each in copies])

    @property
    def places(self) -> list[Place]:
        """Every copy of each."""
        return [place for share in self.shares for place in share.copies]

    @property
    def open(self) -> frozenset[Member]:
        """Members of whom all that are searched have told all that they had."""
        return _open_in_all(place for place in self.places if place.is_ready)

    def is_whole(self, coming: Place | None = None) -> bool:
        """Say whether a copy of every share is searched, or would be with `coming`."""
        return all(share.is_ready or coming in share.copies for share in self.shares)


class Places:
    """All shards; safe for many threads.

    Attributes:
        layouts: what there is of shards, of one sharing or of several.
        searched: that which is.
        changed: is told of everything.
        position: of the journal, up to which every change is in effect.
        target: position of the journal that shards are told to go to.
        gone_by: up to where somebody was replaced who was gone when changes were read.
    """

    def __init__(
        self, remotes: Sequence[Remote], sharing: Sharing, galleries: Galleries
    ) -> None:
        """Know nothing of them; tell `galleries` which are not whole."""
        self.searched = Layout.of(remotes, sharing)
        self.layouts: tuple[Layout, ...] = (self.searched,)
        self.changed = threading.Condition()
        self.position = self.target = self.gone_by = 0
        self._galleries = galleries

    @property
    def all(self) -> list[Place]:
        """Every copy of every share, searched or not."""
        return [place for layout in self.layouts for place in layout.places]

    def ready(self) -> list[Place]:
        """Return the copies that are where the others are."""
        return [place for place in self.all if place.is_ready]

    def is_whole(self) -> bool:
        """Say whether a copy of every share is there that is searched."""
        return self.searched.is_whole()

    def of(self, place: Place) -> Layout:
        """Return what a place is of."""
        return next(each for each in self.layouts if place in each.places)

    def is_needed(self, place: Place) -> bool:
        """Say whether somebody is UNAVAILABLE while a copy is not there."""
        return any(
            place in share.copies and not share.is_ready
            for share in self.searched.shares
        )

    def sharings(self) -> frozenset[Sharing]:
        """Return how galleries are shared out, and are about to be."""
        return frozenset(layout.sharing for layout in self.layouts)

    @contextmanager
    def asking(self) -> Iterator[Sequence[Share]]:
        """Give the shares that are searched, which stay until the block ends."""
        with self.changed:
            layout = self.searched
            layout.asking += 1
        try:
            yield layout.shares
        finally:
            with self.changed:
                layout.asking -= 1
                if layout is not self.searched:
                    self.changed.notify_all()

    def add(self, layout: Layout) -> None:
        """Have shards beside those that are searched."""
        with self.changed:
            self.layouts = (*self.layouts, layout)

    def search(self, layout: Layout) -> None:
        """Have these searched from now on."""
        with self.changed:
            self.searched = layout
            self._tell()
            self.changed.notify_all()

    def leave(self, layout: Layout) -> None:
        """Have none of these back any more."""
        with self.changed:
            for place in layout.places:
                place.is_leaving, place.is_ready = True, False

    def remove(self, layout: Layout) -> None:
        """Know nothing of these any more, which are gone."""
        with self.changed:
            self.layouts = tuple(each for each in self.layouts if each is not layout)
            self.changed.notify_all()

    def note(self, changes: Sequence[Change], *, gone_by: int) -> None:
        """Note which galleries there are from some changes on, and where.

        Whoever is gone from them was replaced up to a position.
        """
        with self.changed:
            self.gone_by = max(self.gone_by, gone_by)
            for change in changes:
                for stored in change.templates:
                    gallery = GalleryName(stored.member, stored.space)
                    self._galleries.know(*gallery)
                    for layout in self.layouts:
                        share = layout.shares[layout.sharing.place_of(stored)]
                        for place in share.copies:
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

    def greeted(self, place: Place, greeting: Greeting, *, is_shared: bool) -> None:
        """Note that another process is in a place.

        It has nothing, but keys that it says were lent; and where others may lend to
        it, any.
        """
        with self.changed:
            place.incarnation, place.public = greeting.incarnation, greeting.public
            place.has_begun = False
            self._empty(place)
            known = self._galleries.known() if is_shared else ()
            may_have = greeting.lent.union(gallery.holder for gallery in known)
            place.lent = dict.fromkeys(may_have, frozenset())

    def look(self, place: Place) -> bool:
        """Say and note whether the process in a place is no more, and all it held.

        One that has taken its place since looks up by itself who was locked.
        """
        who, target = place.incarnation, self.target
        if not place.remote.is_gone():
            return False
        with self.changed:
            if place.incarnation == who:
                self._empty(place)
                place.clear = target
                self.changed.notify_all()
        return True

    @staticmethod
    def _empty(place: Place) -> None:
        """Note that a place holds nothing, for all that is known."""
        place.lent, place.position, place.counts = {}, 0, {}

    def reached(self, place: Place, reached: Reached) -> None:
        """Note how far a shard is, and what it has.

        What comes later than what it has said of a later moment is passed over.
        """
        with self.changed:
            if reached.position < place.position:
                return
            place.position, place.counts = reached.position, reached.counts
            place.gone, place.open = reached.gone, reached.open
            place.is_ahead = reached.is_ahead
            # Of others it may have what it cannot tell of, for want of keys.
            closed = {g for g in self._galleries.known() if g.holder not in place.open}
            place.has |= place.held().keys() | closed
            self._forget(place)
            self._tell()
            self.changed.notify_all()
        for gallery in reached.damaged:
            self._galleries.damage(*gallery, "a shard of it is not whole")

    def in_effect(self, position: int) -> None:
        """Note that every change up to a position is."""
        with self.changed:
            self.position = position
            for place in self.all:
                self._forget(place)
            self._tell()
            self.changed.notify_all()

    def _forget(self, place: Place) -> None:
        """Note of which open galleries a place has told that it has nothing.

        Not while it may have told of a later moment than is in effect: who is missing
        there, as it was replaced, is searched for again where it is asked. Nor while
        more is on its way there.
        """
        if place.gone <= self.position and self.target <= place.position:
            kept = {g for g in place.has if g.holder not in place.open}
            place.has = frozenset(kept | place.held().keys())

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
        """Note that what `counts` told was compared with what was counted."""
        with self.changed:
            for layout in self.layouts:
                if layout.is_whole(coming):
                    for place in layout.places:
                        place.is_counted |= place.is_ready or place is coming

    def uncounted(self) -> None:
        """Note that it was not, of some of it."""
        with self.changed:
            for place in self.all:
                place.is_counted = False

    def open(self, coming: Place | None = None) -> frozenset[Member]:
        """Return of whom all shards that are searched have told all that they had."""
        with self.changed:
            return _open_in_all(p for p in self.all if p.is_ready or p is coming)

    def counts(self, coming: Place | None = None) -> dict[GalleryName, set[int]]:
        """Return how many templates of each gallery all shares have together.

        There is more than one number where copies of a share differ, with those that
        have the fewest and the most, or one sharing and another. Those of which a share
        is lost say nothing.

        Args:
            coming: counts with those that are ready.
        """
        with self.changed:
            whole = [
                [
                    [p.held() for p in share.copies if p.is_ready or p is coming]
                    for share in layout.shares
                ]
                for layout in self.layouts
                if layout.is_whole(coming)
            ]
        told = [each for shares in whole for each in _least_and_most(shares)]
        return {g: {each[g] for each in told} for g in set(chain.from_iterable(told))}

    def _tell(self) -> None:
        """Tell which galleries are not whole now."""
        lost = [
            place.has
            for share in self.searched.shares
            if not share.is_ready
            for place in share.copies
        ]
        self._galleries.part(frozenset(chain.from_iterable(lost)))


def _open_in_all(places: Iterable[Place]) -> frozenset[Member]:
    """Return members of whom each of some has told all that it had."""
    told = [place.open for place in places]
    return frozenset.intersection(*told) if told else frozenset()


def _least_and_most(
    shares: Sequence[Sequence[Counter[GalleryName]]],
) -> tuple[Counter[GalleryName], Counter[GalleryName]]:
    """Return how many templates of each gallery copies of shares have together."""
    least: Counter[GalleryName] = Counter()
    most: Counter[GalleryName] = Counter()
    for copies in shares:
        for gallery in set(chain.from_iterable(copies)):
            numbers = [each[gallery] for each in copies]
            least[gallery] += min(numbers)
            most[gallery] += max(numbers)
    return least, most
