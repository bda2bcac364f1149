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

import logging
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from biometrics import limits
from biometrics.errors import ExchangeError, GalleryLockedError, StorageError
from biometrics.store import ChangeKind
from matcher.galleries import GalleryName, GalleryState
from matcher.remote import LostError, answered, call
from matcher.schedule import Comparing
from matcher.shard import Asked, Loan
from matcher.shares import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import Change, JournalReader, RecordReader
    from matcher.galleries import Galleries, Shelf
    from matcher.remote import Call, Remote
    from matcher.schedule import Scan, Turn
    from matcher.segments import SegmentFiles
    from matcher.shard import Greeting, Reached
    from matcher.shares import Sharing

log = logging.getLogger(__name__)

_CLOSING: Final = (ChangeKind.LOCKED, ChangeKind.DESTROYED)
_MOST_COUNTS: Final = 8  # one that writes disturb is made again


@dataclass(slots=True, eq=False)
class _Place:
    """What is known of one shard.

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
    """

    remote: Remote
    incarnation: bytes = b""
    public: bytes = b""
    is_ready: bool = False
    position: int = 0
    counts: Mapping[Shelf, int] = field(default_factory=dict)
    has: set[GalleryName] = field(default_factory=set)
    lent: dict[Member, frozenset[int]] = field(default_factory=dict)
    is_mended: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What a shard has of a shelf; those of one shard wait for one pass over it."""

    place: _Place
    rows: int = field(compare=False)

    def __len__(self) -> int:
        """Return how many templates it has of the shelf."""
        return self.rows


class Fleet:
    """All shards of an exchange; one thread applies changes, any may search."""

    def __init__(
        self,
        remotes: Sequence[Remote],
        sharing: Sharing,
        *,
        vault: Vault,
        galleries: Galleries,
        register: RecordReader,
        is_trusted: bool,
    ) -> None:
        """Speak to shards, which have nothing yet.

        Args:
            remotes: in the order of their places.
            sharing: which of them has what.
            vault: whose keys are lent to them; what closes it is followed.
            galleries: to be told.
            register: how many templates each member has.
            is_trusted: whether what shards have on disk goes with the database.
        """
        self._places = [_Place(remote) for remote in remotes]
        self._sharing = sharing
        self._vault = vault
        self._galleries = galleries
        self._register = register
        self._is_trusted = is_trusted
        self._journal: JournalReader | None = None
        self._applying = threading.RLock()
        self._noted = threading.Condition()
        self._position = self._target = 0
        self._start = 0
        self._stopping = threading.Event()
        self._menders = ThreadPoolExecutor(len(remotes), "mend")

    # -- to whoever follows the journal ---------------------------------------

    @property
    def position(self) -> int:
        """Position of the journal up to which every change is in effect."""
        return self._position

    def restore(self, files: SegmentFiles, journal: JournalReader) -> None:
        """Have every shard load what it keeps on disk, and all that is durable.

        What was kept of whole galleries is deleted: shards keep their own.

        Raises:
            StorageError: the journal cannot be read now, or they have not done it yet:
                to be called again.
        """
        if self._journal is None:
            files.discard_all()
            self._start = self._position = self._target = journal.end()
            self._journal = journal
            for place in self._places:
                self._mend_later(place)
        with self._noted:
            if not self._noted.wait_for(self._is_whole, limits.SHARD_RETRY_SECONDS):
                raise StorageError("SHARDS_LOADING", "shards are being loaded")

    def apply(self, changes: Sequence[Change]) -> None:
        """Bring changes into effect on every shard that is searched."""
        with self._applying:
            due = [change for change in changes if change.position > self._position]
            if not due:
                return
            end = due[-1].position
            closing = {c.member for c in due if c.kind in _CLOSING}
            self._note(due)
            with self._noted:
                self._target = end
            self._follow(
                self._ready(),
                end,
                {change.member for change in due},
            )
            self._wait_for_lost(closing, end)
            self._obey(due)
            self._position = end

    def verify(self, counts: Mapping[GalleryName, int]) -> None:
        """Compare what was loaded with what was counted as it was written.

        See `Index.verify`.
        """
        held = self._held()
        for gallery in sorted({*self._galleries.known(), *counts}):
            if self._galleries.state(*gallery) is not GalleryState.READY:
                continue
            counted = counts.get(gallery, 0)
            if held[gallery] != counted:
                self._galleries.damage(
                    *gallery, f"{held[gallery]} templates are there of {counted}"
                )

    # -- to whoever searches --------------------------------------------------

    @property
    def threads(self) -> int:
        """How many threads keep every shard busy: each waits for an answer."""
        return len(self._places) * limits.SHARD_CALLS_AT_ONCE

    @property
    def comparing(self) -> Comparing:
        """How parts are compared: by a call, of every probe that waits for a shard."""
        return Comparing(self._compare, limits.MAX_TURNS_PER_CALL)

    def parts(self, shelf: Shelf, /) -> list[_Part]:
        """Return what makes up a shelf now, lost or not."""
        gallery = GalleryName(shelf.holder, shelf.space)
        return [
            _Part(place, place.counts.get(shelf, 0))
            for place in self._places
            if gallery in place.has
        ]

    def holds(self, shelf: Shelf, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the shelf can find now.

        None of a shard that is lost: whoever searches it is told so.
        """
        held = np.zeros(len(ids), np.bool_)
        for place in {part.place for part in self.parts(shelf)}:
            told = self._asked(
                place, call("holds", place.incarnation, shelf, ids, group="search")
            )
            if told is not None:
                held |= told
        return held

    def _compare(
        self, part: _Part, turns: Sequence[Turn]
    ) -> Sequence[NDArray[np.int64] | None]:
        """Return the candidates of each turn, or None where they cannot be told."""
        lost = [None] * len(turns)
        if not part.place.is_ready:
            return lost
        probes, asked, order = _asked_of(turns)
        vectors = np.stack([scan.probe.vector for scan in probes])
        to = part.place.incarnation, self._position
        told = self._asked(
            part.place, call("search", *to, vectors, asked, group="search")
        )
        if told is None:
            return lost
        found: list[NDArray[np.int64] | None] = [None] * len(turns)
        for of_shelf, ids in zip(order, told, strict=True):
            for place, turn in enumerate(of_shelf):
                found[turn] = None if ids is None else ids[place]
        return found

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
        self._each_with_loan("load", holder)
        self._recount([holder])
        with self._applying:
            if is_wanted():
                done()
                # One that came back meanwhile without them goes and gets them.
                self._follow(self._ready(), self._position, ())

    def remake(self, holder: Member, *, is_wanted: Callable[[], bool]) -> None:
        """Code the galleries of a holder by their newest keys, if they are not yet.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: a shard is lost.
        """
        self._each_with_loan("remake", holder)
        if is_wanted() and not self._is_whole():
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
        """Keep no more: shards save what they did not yet when they end."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have shards save what they did not yet, and end them."""
        self._stopping.set()
        with self._noted:
            self._noted.notify_all()
        self._menders.shutdown(cancel_futures=True)
        self._all_of("stop", seconds=limits.SHARD_STOP_SECONDS)
        for place in self._places:
            place.remote.end()

    def standings(self) -> list[Standing]:
        """Return how it is about each shard."""
        return [
            Standing(n, place.is_ready, sum(place.counts.values()))
            for n, place in enumerate(self._places)
        ]

    # -- following ------------------------------------------------------------

    def _note(self, changes: Sequence[Change]) -> None:
        """Note which galleries there are from now on, and where."""
        with self._noted:
            for change in changes:
                for stored in change.templates:
                    gallery = GalleryName(stored.member, stored.space)
                    self._galleries.know(*gallery)
                    self._places[self._sharing.place_of(stored)].has.add(gallery)
            self._tell()

    def _follow(
        self, places: Sequence[_Place], position: int, members: Iterable[Member]
    ) -> None:
        """Have some shards go to a position; those that do not are lost."""
        sent = []
        for place in places:
            loans = self._newer_loans(place, members)
            asked = call("follow", place.incarnation, position, loans, group="follow")
            sent.append((place, place.remote.send(asked)))
        for place, reply in sent:
            try:
                reached: Reached | None = answered(
                    reply, seconds=limits.SHARD_FOLLOW_SECONDS
                )
            except LostError as error:
                self._lose(place, error)
                continue
            if reached is None:
                self._lose(place, LostError("it cannot follow the journal now"))
            elif self._lacking(place, reached):
                self._lose(place, LostError("it lacks keys"))
            else:
                self._take(place, reached)

    def _take(self, place: _Place, reached: Reached) -> None:
        """Note how far a shard is, and what it has."""
        with self._noted:
            place.position = reached.position
            place.counts = reached.counts
            # Shelves that are empty are of galleries that are elsewhere.
            place.has |= {
                GalleryName(shelf.holder, shelf.space)
                for shelf, count in reached.counts.items()
                if count
            }
            self._noted.notify_all()
        for gallery in reached.damaged:
            self._galleries.damage(*gallery, "a shard of it is not whole")

    def _lacking(self, place: _Place, reached: Reached) -> set[Member]:
        """Return holders whose galleries are open, but for those of one shard."""
        return {
            gallery.holder
            for gallery in place.has
            if gallery.holder not in reached.open
            and self._galleries.closed(gallery.holder) is None
            and self._vault.is_unlocked(gallery.holder)
        }

    def _wait_for_lost(self, closing: set[Member], position: int) -> None:
        """Wait until no lost shard holds keys of members that close their galleries."""

        def is_gone(place: _Place) -> bool:
            return place.position >= position or not closing & place.lent.keys()

        with self._noted:
            self._noted.wait_for(
                lambda: self._stopping.is_set() or all(map(is_gone, self._places))
            )

    def _obey(self, changes: Sequence[Change]) -> None:
        """Drop what is closed here too, in the order of the journal."""
        for change in changes:
            if change.position <= self._start:
                continue
            if change.kind in _CLOSING:
                self._galleries.lock(change.member)
                self._vault.lock(change.member)
                self._drop(change.member)
            if change.kind is ChangeKind.ROTATED:
                self._vault.retire(change.member)
            if change.kind is ChangeKind.DESTROYED:
                self._galleries.destroy(change.member)
                for place in self._places:
                    place.has = {g for g in place.has if g.holder != change.member}

    def _drop(self, holder: Member) -> None:
        """Note that no shard has keys of a holder any more."""
        with self._noted:
            for place in self._places:
                place.lent.pop(holder, None)

    # -- keys -----------------------------------------------------------------

    def _loan(self, place: _Place, member: Member) -> Loan:
        """Lend a member's keys to a shard.

        Raises:
            GalleryLockedError: the member is locked.
        """
        position = self._position  # read before the keys are
        with self._noted:
            place.lent[member] = self._vault.lendable(member)
        return Loan(self._vault.lend(member, place.public), position)

    def _newer_loans(
        self, place: _Place, members: Iterable[Member]
    ) -> dict[Member, Loan]:
        """Lend a shard the keys that it lacks, of members that are unlocked."""
        loans = {}
        for member in members:
            keys = self._vault.lendable(member)
            if keys and keys != place.lent.get(member):
                with suppress(GalleryLockedError):
                    loans[member] = self._loan(place, member)
        return loans

    def _each_with_loan(self, method: str, holder: Member) -> None:
        """Have every shard do something with a holder's newest keys.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
        """
        sent = []
        for place in self._ready():
            loan = self._loan(place, holder)
            asked = call(method, place.incarnation, holder, loan, group="load")
            sent.append((place, place.remote.send(asked)))
        for place, reply in sent:
            try:
                is_done = answered(reply, seconds=limits.SHARD_LOAD_SECONDS)
            except LostError as error:
                self._lose(place, error)
                continue
            if not is_done and self._vault.is_unlocked(holder):
                self._lose(place, LostError(f"it did not {method} a holder"))

    # -- shards that are lost -------------------------------------------------

    def _lose(self, place: _Place, error: LostError) -> None:
        """Search a shard no more, until it is back."""
        with self._noted:
            if place.is_ready:
                log.warning("shard %d is lost: %s", place.remote.number, error)
            place.is_ready = False
            self._tell()
        if error.is_alive:
            place.remote.restart()
        self._mend_later(place)

    def _mend_later(self, place: _Place) -> None:
        """Have a shard back, unless somebody is about to."""
        with self._noted:
            if place.is_mended or self._stopping.is_set():
                return
            place.is_mended = True
        self._menders.submit(self._mend, place)

    def _mend(self, place: _Place) -> None:
        """Have a shard back, however often that fails."""
        began, trouble = time.monotonic(), ""
        while not self._stopping.is_set():
            try:
                self._bring_back(place)
            except (LostError, ExchangeError) as error:
                if trouble != (trouble := str(error)):
                    log.info("shard %d is not back: %s", place.remote.number, trouble)
                if isinstance(error, LostError) and error.is_alive:
                    place.remote.restart()
            except Exception:
                log.exception("shard %d cannot be had back", place.remote.number)
                place.remote.restart()
            with self._noted:
                if place.is_ready:
                    place.is_mended = False
                    break
            self._stopping.wait(limits.SHARD_RETRY_SECONDS)
        else:
            return
        log.info(
            "shard %d is there with %d templates, after %.1f s",
            *(place.remote.number, sum(place.counts.values())),
            time.monotonic() - began,
        )

    def _bring_back(self, place: _Place) -> None:
        """Have a shard load and catch up; then it is searched.

        Raises:
            LostError: it could not.
            StorageError: the database cannot be read now.
        """
        # 1. Which process is it?
        try:
            greeting: Greeting = place.remote.ask(
                call("greet"), seconds=limits.SHARD_GREET_SECONDS
            )
        except LostError as error:
            raise LostError(str(error)) from error  # Ray may still be starting it
        # 2. Another one has nothing: it is lent keys, and loads.
        if greeting.incarnation != place.incarnation:
            self._begin(place, greeting)
        # 3. It catches up while others go on.
        while True:
            target = self._target
            lacking = self._caught_up(place, target)
            for holder in lacking:
                self._hand_over(place, "load", holder)
            if not lacking and target == self._target:
                break
        # 4. From here on it follows with the others.
        with self._applying:
            if self._caught_up(place, self._position):
                raise LostError("galleries were opened meanwhile")
            with self._noted:
                place.is_ready = True
                self._tell()
                self._noted.notify_all()
        self._recount({gallery.holder for gallery in place.has})

    def _begin(self, place: _Place, greeting: Greeting) -> None:
        """Have a new process load what is kept on disk, and follow the journal."""
        with self._noted:
            place.incarnation, place.public = greeting.incarnation, greeting.public
            place.lent, place.position, place.counts = {}, 0, {}
            self._noted.notify_all()
        start = self._position  # read before anything is lent
        known = self._galleries.known()
        loans = self._newer_loans(place, {gallery.holder for gallery in known})
        asked = call(
            *("begin", place.incarnation, loans, known),
            start=start,
            is_trusted=self._is_trusted,
            group="load",
        )
        reached = place.remote.ask(asked, seconds=limits.SHARD_LOAD_SECONDS)
        if reached is None:
            raise LostError("it was started anew meanwhile")
        self._take(place, reached)

    def _caught_up(self, place: _Place, position: int) -> set[Member]:
        """Have a shard go to a position; return whose galleries it lacks then.

        Raises:
            LostError: it could not.
        """
        holders = {gallery.holder for gallery in place.has}
        loans = self._newer_loans(place, holders)
        asked = call("follow", place.incarnation, position, loans, group="follow")
        reached = place.remote.ask(asked, seconds=limits.SHARD_LOAD_SECONDS)
        if reached is None:
            raise LostError("it cannot follow the journal now")
        self._take(place, reached)
        lacking = self._lacking(place, reached)
        for holder in loans.keys() - lacking:  # keys were rotated meanwhile
            self._hand_over(place, "remake", holder)
        return lacking

    def _hand_over(self, place: _Place, method: str, holder: Member) -> None:
        """Have one shard load or code a holder's galleries.

        Raises:
            LostError: it could not.
        """
        try:
            loan = self._loan(place, holder)
        except GalleryLockedError:
            return
        asked = call(method, place.incarnation, holder, loan, group="load")
        place.remote.ask(asked, seconds=limits.SHARD_LOAD_SECONDS)

    def _tell(self) -> None:
        """Tell which galleries are not whole now."""
        lost = [place.has for place in self._places if not place.is_ready]
        self._galleries.part(frozenset(chain.from_iterable(lost)))

    # -- calls ----------------------------------------------------------------

    def _asked(self, place: _Place, asked: Call) -> Any:  # noqa: ANN401
        """Return what a shard answers a search; None where it is lost."""
        try:
            told = place.remote.ask(asked, seconds=limits.SHARD_SEARCH_SECONDS)
        except LostError as error:
            self._lose(place, error)
            return None
        if told is None:
            self._lose(place, LostError("another process answers"))
        return told

    def _all_of(
        self, method: str, *holder: Member, seconds: float = limits.SHARD_LOAD_SECONDS
    ) -> bool:
        """Have every shard do something; say whether all have."""
        ready = self._ready()
        sent = [
            (p, p.remote.send(call(method, p.incarnation, *holder, group="keep")))
            for p in ready
        ]
        is_done = len(ready) == len(self._places)
        for place, reply in sent:
            try:
                is_done &= answered(reply, seconds=seconds)
            except LostError as error:
                self._lose(place, error)
                is_done = False
        return is_done

    def _ready(self) -> list[_Place]:
        """Return the shards that are searched."""
        return [place for place in self._places if place.is_ready]

    def _is_whole(self) -> bool:
        return len(self._ready()) == len(self._places)

    def _held(self) -> Counter[GalleryName]:
        """Return how many templates of each gallery all shards have."""
        held: Counter[GalleryName] = Counter()
        for place in self._places:
            for shelf, count in place.counts.items():
                held[GalleryName(shelf.holder, shelf.space)] += count
        return held

    def _recount(self, holders: Iterable[Member]) -> None:
        """Compare what shards have of some holders with what was counted.

        Where others write all the time, no moment may be found to compare.

        Raises:
            StorageError: the counts cannot be read now.
        """
        for holder in holders:
            for left in reversed(range(_MOST_COUNTS)):
                end, counts = self._register.counted(holder)
                if self._is_of(holder, end, counts, is_last=not left):
                    break
                time.sleep(limits.LOADING_PAUSE_SECONDS)

    def _is_of(
        self, holder: Member, end: int, counts: Mapping[str, int], *, is_last: bool
    ) -> bool:
        """Say whether shards have what was counted; damage galleries that have not."""
        with self._applying:
            if self._position != end or not self._is_whole():
                return False
            held = self._held()
            wrong = {
                GalleryName(holder, space)
                for space in {*counts, *(g.space for g in held if g.holder == holder)}
                if held[GalleryName(holder, space)] != counts.get(space, 0)
            }
            if is_last and self._galleries.closed(holder) is None:
                for gallery in wrong:
                    self._galleries.damage(
                        *gallery,
                        f"{held[gallery]} templates are there of"
                        f" {counts.get(gallery.space, 0)}",
                    )
            return not wrong


def _asked_of(
    turns: Sequence[Turn],
) -> tuple[list[Scan], list[Asked], list[list[int]]]:
    """Return the probes of some turns, what they ask, and whose each answer is.

    Each probe is sent once, with however many shelves it is compared.
    """
    numbers = {scan: n for n, scan in enumerate({turn.scan: None for turn in turns})}
    of_shelf: dict[Shelf, list[int]] = defaultdict(list)
    for place, turn in enumerate(turns):
        of_shelf[turn.shelf].append(place)
    asked = []
    for shelf, places in of_shelf.items():
        scans = [turns[place].scan for place in places]
        bands = [scan.bands[shelf] for scan in scans]
        asked.append(
            Asked(
                shelf=shelf,
                probes=np.array([numbers[scan] for scan in scans], np.intp),
                thresholds=np.array([band.threshold for band in bands]),
                lows=np.array([band.low for band in bands]),
            )
        )
    return list(numbers), asked, list(of_shelf.values())
