"""The galleries on a cluster: in every place where one process has its own index.

To whoever follows the journal it is an index, to whoever searches an engine, and it
loads and keeps galleries. What it tells of is in shards, each of which follows the
journal to where it is told. The position is that which every shard has reached that is
searched: a change is acknowledged when it is in effect on all of them.

A shard that is lost is searched no more, and its holders are LOADING, until there is
another that has caught up. One that may hold keys of a holder that closes its
galleries is waited for: until it has dropped them, or Ray has said that it is gone.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.errors import StorageError
from biometrics.sealed import locked
from biometrics.store import ChangeKind
from matcher.calls import LostError, answer_of, call, left_until
from matcher.fleet.beside import Nobody
from matcher.fleet.growth import Growth
from matcher.fleet.lending import Lending
from matcher.fleet.mending import Mending
from matcher.fleet.place import Places
from matcher.fleet.searching import Searching
from matcher.galleries import GalleryName, GalleryState
from matcher.learning import learn
from matcher.shares import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import Change, JournalReader, RecordReader
    from matcher.calls import Remote
    from matcher.fleet.beside import Beside
    from matcher.fleet.place import Place
    from matcher.fleet.searching import Part
    from matcher.galleries import Galleries, Shelf
    from matcher.schedule import Comparing
    from matcher.segments import SegmentFiles
    from matcher.shard import Reached
    from matcher.shares import Sharing

_CLOSING: Final = (ChangeKind.LOCKED, ChangeKind.DESTROYED)
_LOSING: Final = (ChangeKind.WITHDRAWN, ChangeKind.DESTROYED)  # rows
_MOST_COUNTS: Final = 8  # one that writes disturb is made again


class Fleet:
    """All shards of an exchange; one thread applies changes, any may search."""

    def __init__(  # noqa: PLR0913 - shards, and all that they are told or lent
        self,
        make: Callable[[Sharing], Sequence[Remote]],
        sharing: Sharing,
        *,
        vault: Vault,
        galleries: Galleries,
        register: RecordReader,
        is_trusted: bool,
        beside: Beside | None = None,
    ) -> None:
        """Speak to shards, which have nothing yet.

        Args:
            make: makes them, every copy of every place of a sharing.
            sharing: which of them has what.
            vault: whose keys are lent to them; what closes it is followed.
            galleries: to be told.
            register: how many templates each member has.
            is_trusted: whether what shards have on disk goes with the database.
            beside: who else speaks to them; None for nobody.
        """
        self._is_shared = beside is not None
        self._beside = beside or Nobody()
        self._vault = vault
        self._galleries = galleries
        self._register = register
        self._applying = threading.Lock()
        self._start = 0
        self._is_begun = False
        self._journal: JournalReader | None = None
        self._places = Places(make(sharing), sharing, galleries)
        self._lending = Lending(vault, galleries, self._places, lambda: self.position)
        self._mending = Mending(
            self._places,
            self._lending,
            applying=self._applying,
            position=lambda: self.position,
            count=self._count,
            beside=self._beside.sharings,
            is_shared=self._is_shared,
            is_trusted=is_trusted,
        )
        self._growth = Growth(
            self._places, self._mending, make=make, applying=self._applying
        )
        self._searching = Searching(
            self._places, self._mending, lambda: self.position, self._entries
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have shards save what they did not yet, and end them, unless others have."""
        self._mending.stop()
        self._growth.stop()
        if not self._beside.is_last():
            return
        self._all_of("stop", seconds=limits.SHARD_STOP_SECONDS)
        for place in self._places.all:
            place.remote.free()

    def standings(self) -> list[Standing]:
        """Return how it is about each shard that is searched."""
        return [
            Standing(
                number=place.remote.number,
                copy=place.remote.copy,
                is_ready=place.is_ready,
                templates=sum(place.counts.values()),
            )
            for place in self._places.searched.places
        ]

    def share_out(self, places: int) -> None:
        """Have so many shards; those before are searched until these are filled."""
        self._growth.want(replace(self._places.searched.sharing, places=places))

    # -- to whoever follows the journal: an index ------------------------------

    @property
    def position(self) -> int:
        """Position of the journal up to which every change is in effect."""
        return self._places.position

    def restore(
        self, files: SegmentFiles, journal: JournalReader, *, start: int
    ) -> None:
        """Have every shard load what it keeps on disk, and all up to `start`.

        What was kept of whole galleries is deleted: shards keep their own.

        Raises:
            StorageError: the journal cannot be read now, or they have not done it yet:
                to be called again.
        """
        if not self._is_begun:
            self._journal = journal
            self._start = self._places.target = start
            self._places.in_effect(start)
            self._is_begun = True
            files.discard_all()
            for place in self._places.all:
                self._mending.begin(place)
            self._mending.watch()
        with self._places.changed:
            if not self._places.changed.wait_for(
                self._places.is_whole, limits.SHARD_RETRY_SECONDS
            ):
                raise StorageError("SHARDS_LOADING", "shards are being loaded")

    # Whoever searches them finds out whom they miss: see `Searching`.
    add: Final = None

    def learn(self, changes: Sequence[Change]) -> bool:
        """Have keys at hand that shards will have to be lent.

        Raises:
            StorageError: they cannot be read now.
        """
        return learn(self._vault, changes)

    def apply(self, changes: Sequence[Change]) -> None:
        """Bring changes into effect on every shard that is searched."""
        with self._applying:
            end = changes[-1].position
            is_gone = any(change.is_gone for change in changes)
            self._places.note(changes, gone_by=self._end() if is_gone else 0)
            closing = {c.member for c in changes if c.kind in _CLOSING}
            with self._lending.withheld(closing):
                members = {change.member for change in changes}
                self._follow(end, members, closing=closing)
                self._wait_for_lost(closing, end)
                retiring = {c.member for c in changes if c.kind is ChangeKind.ROTATED}
                if closing or retiring:
                    self._beside.close(end, closing | retiring, retired=bool(retiring))
                self._obey(changes)
                self._places.in_effect(end)

    def verify(self, counts: Mapping[GalleryName, int]) -> None:
        """Compare what was loaded with what was counted; see `Index.verify`."""
        if not self._places.is_whole():  # one was lost since
            self._mending.count_again()
            return
        held, open_holders = self._places.counts(), self._places.open()
        for gallery in sorted({*self._galleries.known(), *counts}):
            told, counted = held.get(gallery, {0}), counts.get(gallery, 0)
            is_ready = self._galleries.state(*gallery) is GalleryState.READY
            is_there = is_ready and gallery.holder in open_holders
            if is_there and told != {counted}:
                self._damage(gallery, told, counted)

    # -- to whoever searches: an engine ---------------------------------------

    @property
    def threads(self) -> int:
        """How many threads keep every shard busy: each waits for a pass."""
        return limits.SHARD_PASSES_AT_ONCE

    @property
    def comparing(self) -> Comparing:
        """How parts are compared: in one pass, of every probe that waits for it."""
        return self._searching.comparing

    def parts(self, shelf: Shelf, /) -> list[Part]:
        """Return what makes up a shelf now, lost or not."""
        return self._searching.parts(shelf)

    def holds(self, shelf: Shelf, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the shelf can find now."""
        return self._searching.holds(shelf, ids)

    # -- to whoever opens and closes galleries --------------------------------

    def load(
        self, holder: Member, *, is_wanted: Callable[[], bool], done: Callable[[], None]
    ) -> None:
        """Load the galleries of a holder on every shard; see `Loading.load`.

        A shard that is lost loads them when it is back.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the database cannot be read now.
        """
        self._lending.try_again(holder)
        for space in self._register.spaces(holder):
            self._galleries.know(holder, space)
        self._places.assume(holder)
        asked: set[bytes] = set()
        left = _MOST_COUNTS
        while True:
            self._each_with_loan("load", holder, asked=asked, is_wanted=is_wanted)
            end, counts = self._register.counted(holder)
            with self._applying:
                if not is_wanted():
                    return
                if not self._vault.is_unlocked(holder):
                    raise locked(holder)
                self._follow(self.position)
                # Those that came back meanwhile may not have known that it is open.
                if all(p.incarnation in asked for p in self._places.ready()):
                    left -= 1
                    if self._is_loaded(holder, counts, end, is_last=not left):
                        done()
                        # One that came back without them goes and gets them.
                        self._follow(self.position)
                        return
            time.sleep(limits.LOADING_PAUSE_SECONDS)

    def _is_loaded(
        self, holder: Member, counts: Mapping[str, int], end: int, *, is_last: bool
    ) -> bool:
        """Say whether shards have what was counted of a holder at a position.

        If it is asked for the last time they are as loaded as can be; what is missing
        then is damage. Where others write all the time, no moment may be found to
        compare: then it is looked for on.
        """
        wrong = self._wrong(holder, counts, self._places.counts())
        is_told = self._is_at(end) and self._places.is_whole()
        if is_told and not wrong:
            return True
        if not is_last:
            return False
        if is_told:
            for gallery, (held, counted) in wrong.items():
                self._damage(gallery, held, counted)
        else:
            self._mending.count_again()
        return True

    def remake(self, holder: Member, *, is_wanted: Callable[[], bool]) -> None:
        """Code the galleries of a holder by their newest keys, if they are not yet.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: a shard is lost.
        """
        asked: set[bytes] = set()
        self._each_with_loan("remake", holder, asked=asked, is_wanted=is_wanted)
        ready = self._places.ready()
        is_done = asked.issuperset(place.incarnation for place in ready)
        if is_wanted() and not (is_done and len(ready) == len(self._places.all)):
            raise StorageError("SHARD_LOST", "a shard is lost, and will be back")

    def forget(self, holder: Member) -> None:
        """Have shards hold nothing of a holder whose galleries were dropped."""
        self._all_of("forget", holder)

    def discard(self, holder: Member) -> bool:
        """Delete what is on disk of a holder; say whether it is gone everywhere."""
        return self._all_of("discard", holder)

    def keep(self, holder: Member) -> bool:
        """Save a holder's galleries anew; say whether that was done everywhere."""
        return self._all_of("keep", holder)

    def start(self) -> None:
        """Begin to keep: shards do by themselves."""

    def stop(self) -> None:
        """Keep no more: shards save what they did not yet when they end.

        None that is lost is had back, or waited for, from here on.
        """
        self._mending.stop()

    # -- all shards at once ---------------------------------------------------

    def _follow(
        self,
        position: int,
        members: Collection[Member] = (),
        *,
        closing: Collection[Member] = (),
    ) -> None:
        """Have shards go to a position; those that do not are lost.

        Args:
            position: which.
            members: whose keys may be newer than those that are lent.
            closing: who closes its galleries on the way.
        """
        # All are lent before the first is told: that may fail, and then none goes.
        loans = self._lending.newer_for_all(self._places.ready(), members)
        sent = []
        for place, lent in loans.items():
            asked = call("follow", place.incarnation, position, lent, group="follow")
            sent.append((place, place.remote.send(asked)))
        end = time.monotonic() + limits.SHARD_FOLLOW_SECONDS
        for place, reply in sent:
            try:
                reached: Reached | None = place.remote.answer(
                    reply, seconds=left_until(end)
                )
            except LostError as error:
                self._mending.lose(place, error)
                continue
            if reached is None:
                told = LostError("it cannot read the journal now")
                self._mending.lose(place, told)
                continue
            # What it lacks it may have dropped for a change that comes later here.
            is_as_told = reached.position == position
            if is_as_told and self._lending.lacking(reached) - set(closing):
                self._mending.lose(place, LostError("it lacks keys"))
            self._places.reached(place, reached)

    def _each_with_loan(
        self,
        method: str,
        holder: Member,
        *,
        asked: set[bytes],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Have every shard do something with a holder's newest keys, if there are any.

        Args:
            method: what.
            holder: whose.
            asked: processes that have done it or need not, which are added to.
            is_wanted: nothing is waited for where it says no.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            SealError: a key of the holder is damaged.
            StorageError: the keys cannot be read now.
        """
        sent = []
        for place in self._places.ready():
            if place.incarnation in asked:
                continue
            who = place.incarnation
            asked.add(who)
            if not self._lending.is_unlocked(holder):
                continue
            loan = self._lending.loan(place, holder)
            to_do = call(method, who, holder, loan, group="load")
            sent.append((place, who, place.remote.send(to_do)))
        for place, who, reply in sent:
            try:
                is_done = answer_of(
                    *(place.remote, reply),
                    seconds=limits.SHARD_LOAD_SECONDS,
                    is_over=lambda: self._mending.is_stopping or not is_wanted(),
                )
            except LostError as error:
                asked.discard(who)
                if is_wanted() and not self._mending.is_stopping:
                    self._mending.lose(place, error)
                continue
            if not is_done and self._lending.is_unlocked(holder):
                asked.discard(who)  # the same may be back, without having done it
                self._mending.lose(place, LostError(f"it did not {method} a holder"))

    def _all_of(
        self, method: str, *holder: Member, seconds: float = limits.SHARD_LOAD_SECONDS
    ) -> bool:
        """Have every shard do something; say whether all have."""
        ready = self._places.ready()
        sent = [
            (p, p.remote.send(call(method, p.incarnation, *holder, group="keep")))
            for p in ready
        ]
        end = time.monotonic() + seconds
        is_done = len(ready) == len(self._places.all)
        for place, reply in sent:
            try:
                is_done &= place.remote.answer(reply, seconds=left_until(end))
            except LostError as error:
                self._mending.lose(place, error)
                is_done = False
        return is_done

    def _wait_for_lost(self, closing: set[Member], position: int) -> None:
        """Wait until no lost shard holds keys of members that close their galleries.

        Of one that others may have lent to nothing is known but how far it is, or that
        it was gone by then. One that is being filled, and that nobody needs yet, is not
        waited for so long.
        """

        def is_held(place: Place) -> bool:
            is_behind = max(place.position, place.clear) < position
            return is_behind and (self._is_shared or bool(closing & place.lent.keys()))

        def is_done() -> bool:
            return self._mending.is_stopping or not any(map(is_held, self._places.all))

        while True:
            for place in filter(is_held, self._places.all):
                self._places.look(place)
                if not self._places.is_needed(place):
                    self._mending.interrupt(place)
            with self._places.changed:
                if self._places.changed.wait_for(is_done, limits.SHARD_RETRY_SECONDS):
                    return

    def _obey(self, changes: Sequence[Change]) -> None:
        """Drop what is closed here too, in the order of the journal."""
        for change in changes:
            if change.position <= self._start:
                continue
            if change.kind in _CLOSING:
                self._galleries.lock(change.member)
                self._vault.lock(change.member)
                is_destroyed = change.kind is ChangeKind.DESTROYED
                self._places.close(change.member, is_destroyed=is_destroyed)
            if change.kind is ChangeKind.ROTATED:
                self._vault.retire(change.member)
            if change.kind is ChangeKind.DESTROYED:
                self._galleries.destroy(change.member)

    def _count(self, coming: Place) -> None:
        """Compare what all have: copies, and sharings, and what was counted.

        The latter not while others write; nor anything while another shard is lost:
        then nobody is counted. To be called while nothing is applied.

        Args:
            coming: is as far as those that are searched.

        Raises:
            StorageError: the database cannot be read now.
        """
        if not self._is_at(self.position, coming):
            return  # others write
        held = self._places.counts(coming)
        open_holders = self._lending.open_holders() & self._places.open(coming)
        comparable = open_holders - self._losing()
        for gallery, told in held.items():
            if len(told) > 1 and gallery.holder in comparable:
                self._damage(gallery, told, max(told))
        if not self._places.of(coming).is_whole(coming):
            return
        wrong: dict[GalleryName, tuple[set[int], int]] = {}
        for holder in open_holders:
            end, counts = self._register.counted(holder)
            if end != self.position:
                return
            wrong |= self._wrong(holder, counts, held)
        for gallery, (told, counted) in wrong.items():
            self._damage(gallery, told, counted)
        self._places.counted(coming)

    def _losing(self) -> set[Member]:
        """Return holders of whom rows may be gone by what is not applied yet.

        Who has read them since then has fewer than who has followed.

        Raises:
            StorageError: the journal cannot be read now.
        """
        entries = self._entries(self.position, self._end())
        return {change.member for change in entries if change.kind in _LOSING}

    def _is_at(self, end: int, *coming: Place) -> bool:
        """Say whether what shards have told is of one position, and that is the end."""
        told = (*self._places.ready(), *coming)
        return self.position == end and all(
            place.position == end and not place.is_ahead for place in told
        )

    def _end(self) -> int:
        """Return the journal's end; there is nothing of it before `restore`.

        Raises:
            StorageError: it cannot be read now.
        """
        return 0 if self._journal is None else self._journal.end()

    def _entries(self, after: int, last: int) -> Sequence[Change]:
        """Return what the journal has between two positions; see its own.

        Raises:
            StorageError: the journal cannot be read now.
        """
        return [] if self._journal is None else self._journal.entries(after, last)

    @staticmethod
    def _wrong(
        holder: Member, counts: Mapping[str, int], held: Mapping[GalleryName, set[int]]
    ) -> dict[GalleryName, tuple[set[int], int]]:
        """Return of which galleries shards have not what was counted, and both."""
        spaces = {*counts, *(g.space for g in held if g.holder == holder)}
        both = {
            gallery: (held.get(gallery, {0}), counts.get(gallery.space, 0))
            for gallery in (GalleryName(holder, space) for space in spaces)
        }
        return {
            g: (told, counted)
            for g, (told, counted) in both.items()
            if told != {counted}
        }

    def _damage(self, gallery: GalleryName, told: set[int], counted: int) -> None:
        """Note that a gallery lacks templates, in every copy or in one."""
        held = " or ".join(map(str, sorted(told)))
        self._galleries.damage(*gallery, f"{held} templates are there of {counted}")
