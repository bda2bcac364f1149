"""One share of all galleries, in a process of its own: an index, and what feeds it.

It has of every gallery the codes of some templates and the rotation that they are made
by, while the gallery's keys are lent to it. It reads the journal by itself, up to where
it is told, and opens what is its own; what it keeps on disk is sealed as that of a
whole gallery is. It knows no agreement, and confirms nothing.

It never says that there is no candidate where it cannot know: it answers None.

Several front ends may speak to it. Each tells it up to where to go, and it goes no way
back; each lends it keys, which it takes unless the journal has overtaken them.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from biometrics import limits
from biometrics.custody import LentKeys
from biometrics.errors import DefectError, GalleryLockedError, StorageError
from biometrics.store import ChangeKind, inspect_store
from biometrics.templates import TemplateSpaces
from matcher.asking import receive, send_found
from matcher.engine import Engine, Probes
from matcher.galleries import Galleries, GalleryName, GalleryState
from matcher.index import Index
from matcher.keeper import Keeper
from matcher.loading import Loading
from matcher.segments import SHARDS, SegmentFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.members import Member
    from biometrics.store import Change, StoredTemplate
    from biometrics.templates import TemplateSpace
    from matcher.asking import SentQuestion, SentSearched, ShelfProbes
    from matcher.engine import Segment
    from matcher.galleries import Shelf
    from matcher.shares import Sharing

log = logging.getLogger(__name__)
T = TypeVar("T")

_OVERTAKING = (ChangeKind.LOCKED, ChangeKind.ROTATED, ChangeKind.DESTROYED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What one shard is made from.

    Attributes:
        number: of its place, from 0.
        copy: which of this place, from 0.
        sharing: how galleries are shared out.
        database: of the exchange; reached from wherever the shard runs.
        segments: folder of sealed codes, which may be another machine's of that name.
        spaces: of the exchange.
        threads: that compare.
    """

    number: int
    copy: int = 0
    sharing: Sharing
    database: Path | str
    segments: Path
    spaces: tuple[TemplateSpace, ...]
    threads: int

    @property
    def folder(self) -> Path:
        """Where it keeps its codes; that of another sharing is another."""
        own = f"{self.number}-{self.copy}" if self.copy else str(self.number)
        return self.folder_of(self.sharing) / own

    def folder_of(self, sharing: Sharing) -> Path:
        """Return where all shards of a sharing keep theirs: they may share a volume."""
        return self.segments / SHARDS / f"{sharing.places}-{sharing.together}"

    def all(self) -> Iterator[ShardPlan]:
        """Yield the plans of all shards of this sharing."""
        for number in range(self.sharing.places):
            for copy in range(self.sharing.copies):
                yield replace(self, number=number, copy=copy)


@dataclass(frozen=True, slots=True)
class Greeting:
    """Which process a shard is, and what is to be sealed to for it.

    Attributes:
        incarnation: the process.
        public: what is to be sealed to.
        lent: of whom it was ever lent keys, or is about to be.
        sharing: how galleries are shared out where it is one of several.
    """

    incarnation: bytes
    public: bytes
    lent: frozenset[Member]
    sharing: Sharing


@dataclass(frozen=True, slots=True)
class Loan:
    """Keys of a member, sealed to one process, and the journal's position then.

    Whoever has obeyed a later change by which the member closed its galleries, or
    retired keys, does not take them; nor does whoever cannot know of such a change.
    """

    sealed: bytes
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How it is about a shard.

    Attributes:
        position: every change up to here is in it.
        gone: up to which later one what is replaced may be gone from it.
        is_ahead: whether some later one is in it as well, of what was on disk.
        counts: how many templates can be found, by shelf.
        open: members whose galleries are not closed, and whose keys are lent.
        damaged: galleries that are not whole.
    """

    position: int
    gone: int
    is_ahead: bool
    counts: Mapping[Shelf, int]
    open: frozenset[Member]
    damaged: frozenset[GalleryName]


class Shard:
    """One share of all galleries; for several threads at once.

    Each call names the process that it is meant for. To one that has taken its place
    it means nothing: None.
    """

    def __init__(self, plan: ShardPlan) -> None:
        """Begin with nothing; `begin` fills it.

        Raises:
            DefectError: the database is not there, or of another version.
            StorageError: it cannot be read now.
        """
        self._incarnation = secrets.token_bytes(16)
        self._plan = plan
        self._parts = ExitStack()
        store = self._parts.enter_context(inspect_store(plan.database))
        if store is None:
            raise DefectError(
                "NO_DATABASE", "the database of the exchange is not there, or is older"
            )
        self._journal = store.journal
        self._register = store.register
        self._keys = LentKeys(store.keys.gallery_of)
        self._galleries = Galleries()
        self._engine: Engine[Shelf] = Engine()
        self._index = Index(
            vault=self._keys,
            spaces=TemplateSpaces({space.name: space for space in plan.spaces}),
            engine=self._engine,
            galleries=self._galleries,
            is_own=self._is_own,
        )
        self._files = SegmentFiles(plan.folder, secrets.token_bytes)
        self._loading = Loading(
            index=self._index,
            journal=self._journal,
            register=self._register,
            files=self._files,
            is_whole=False,
            has_read=self._note_gone,
        )
        self._keeper = Keeper(
            index=self._index,
            engine=self._engine,
            galleries=self._galleries,
            files=self._files,
        )
        self._following = threading.Lock()
        self._lending = threading.Lock()
        self._overtaken: dict[Member, int] = {}
        self._start = self._gone = 0
        self._reading = threading.Lock()
        self._has_begun = False
        self._lent: frozenset[Member] = frozenset()
        self._made = threading.Condition()
        self._made_for: set[Member] = set()
        self.asked_at = time.monotonic()  # by anybody, last
        self._workers = ThreadPoolExecutor(plan.threads, "scan")

    def greet(self) -> Greeting:
        """Return who it is."""
        self.asked_at = time.monotonic()
        return Greeting(
            incarnation=self._incarnation,
            public=self._keys.public,
            lent=self._lent,
            sharing=self._plan.sharing,
        )

    def begin(
        self,
        incarnation: bytes,
        loans: Mapping[Member, Loan],
        galleries: frozenset[GalleryName],
        *,
        beside: Collection[Sharing],
        start: int,
        is_trusted: bool,
    ) -> Reached | None:
        """Load what is kept on disk, of members whose keys are lent, and all since.

        Where another front end has had it begin, it goes on from there.

        Args:
            incarnation: whom it is told.
            loans: by member.
            galleries: every gallery that there is.
            beside: how galleries are shared out: what other sharings kept is deleted.
            start: position up to which it is known who is locked; it goes there.
            is_trusted: whether what is kept on disk is to be believed.

        Returns:
            How it is then; None to another process, or where it has begun and the
            journal cannot be read now: others go on to search it.

        Raises:
            DefectError: the journal is not that which it has followed: it is of no use.
            StorageError: it cannot be read now, and the shard has not begun.
        """
        if incarnation != self._incarnation:
            return None
        self._note_lent(loans)
        with self._following:
            if self._has_begun:
                return self._go_on(start, loans, galleries)
            self._start = start
            self._sweep(beside)
            if not is_trusted:
                self._files.discard_all()
            self._look_out(start)
            self._borrow(loans)
            for gallery in galleries:
                self._galleries.know(*gallery)
            self._index.restore(self._files, self._journal, start=start)
            self._note_gone()  # what is on disk may lack what was gone by then
            self._follow(start)
            self._look_out(start)  # once more: nobody has told it of locks meanwhile
            self._galleries.loaded()
            self._keeper.start()
            self._has_begun = True
            return self._reached()

    def follow(
        self, incarnation: bytes, position: int, loans: Mapping[Member, Loan]
    ) -> Reached | None:
        """Go to a position of the journal, and no further.

        Returns:
            How it is then; None also where the journal cannot be read now.
        """
        if not self._is(incarnation):
            return None
        with self._following:
            return self._go(position, loans)

    def load(self, incarnation: bytes, holder: Member, loan: Loan) -> bool:
        """Load the galleries of a member that was unlocked; say whether they are."""
        if not self._is(incarnation):
            return False

        def is_wanted() -> bool:
            return self._keys.is_unlocked(holder)

        def done() -> None:
            self._galleries.open(holder)

        with self._made_of(holder):
            if not self._borrow({holder: loan}):
                return False
            if self._galleries.closed(holder) is None:
                return True  # another front end has had it loaded
            self._galleries.load(holder)
            return self._as_far_as_can_be(
                lambda: self._loading.load(holder, is_wanted=is_wanted, done=done)
            )

    def remake(self, incarnation: bytes, holder: Member, loan: Loan) -> bool:
        """Code a holder's galleries by their newest keys; say whether that is done."""
        if not self._is(incarnation):
            return False
        with self._made_of(holder):
            return self._borrow({holder: loan}) and self._as_far_as_can_be(
                lambda: self._loading.remake(
                    holder, is_wanted=lambda: self._keys.is_unlocked(holder)
                )
            )

    def search(
        self,
        incarnation: bytes,
        position: int,
        question: SentQuestion,
    ) -> SentSearched | None:
        """Return the candidates of some probes on some shelves, in one pass.

        Args:
            incarnation: whom it asks.
            position: up to which every change has to be in it.
            question: see `asking.send`; its vectors are of unit length.

        Returns:
            Two positions of the journal: up to the first every change is in it, and up
            to the second what is replaced may be gone. And for each that was asked the
            numbers of the candidates of each probe, None for what is not whole here.
        """
        begun = self._index.position
        if not self._is(incarnation) or begun < position:
            return None
        vectors, asked = receive(question)
        parts = self._whole([each.shelf for each in asked])
        work = [
            (part, probes)
            for each, found in zip(asked, parts, strict=True)
            if found
            for probes in [_probes(found, vectors[each.shelf.space], each)]
            for part in found
        ]
        # One here: to wake another thread takes as long as to scan 100,000 rows.
        others = self._workers.map(_scanned, work[1:])
        scanned = iter([*map(_scanned, work[:1]), *others])
        found = send_found(
            [
                None
                if found is None
                else _together(len(each.probes), [next(scanned) for _ in found])
                for each, found in zip(asked, parts, strict=True)
            ]
        )
        return [begun, max(self._index.position, self._gone), found]

    def holds(
        self, incarnation: bytes, shelf: Shelf, ids: NDArray[np.int64]
    ) -> NDArray[np.bool_] | None:
        """Return which of the ids a search of the shelf can find here now."""
        return self._engine.holds(shelf, ids) if self._is(incarnation) else None

    def forget(self, incarnation: bytes, holder: Member) -> bool:
        """Hold nothing any more of a holder whose galleries were dropped."""
        if is_meant := self._is(incarnation):
            with self._made:  # what is made of them has keys, and ends without
                self._made.wait_for(lambda: holder not in self._made_for)
            self._keeper.forget(holder)
        return is_meant

    def discard(self, incarnation: bytes, holder: Member) -> bool:
        """Delete what is kept on disk of a holder here; say whether it is gone."""
        return self._is(incarnation) and self._keeper.discard(holder)

    def keep(self, incarnation: bytes, holder: Member) -> bool:
        """Save the galleries of a holder anew, now; say whether that was done."""
        return self._is(incarnation) and self._keeper.keep(holder)

    def leave(self, incarnation: bytes) -> bool:
        """Keep no more on disk, nor what is there: it is about to be ended."""
        if is_meant := self._is(incarnation):
            self._keeper.stop()
            self._files.discard_all()
        return is_meant

    def stop(self, incarnation: bytes) -> bool:
        """Save what was not saved yet."""
        if is_meant := self._is(incarnation):
            self._keeper.stop()
            self._workers.shutdown()
            self._parts.close()
        return is_meant

    def _is(self, incarnation: bytes) -> bool:
        """Say whether a call is meant for this process, which has begun."""
        self.asked_at = time.monotonic()
        return incarnation == self._incarnation and self._has_begun

    def _is_own(self, stored: StoredTemplate) -> bool:
        return self._plan.sharing.place_of(stored) == self._plan.number

    def _whole(self, shelves: Sequence[Shelf]) -> list[Sequence[Segment] | None]:
        """Return what makes up some shelves here now, None for what is not whole."""
        # Asked before they are taken and after: what is loaded or dropped in between is
        # not whole either, also if it is open again.
        moment = self._galleries.moment()
        were_ready = [self._is_ready(shelf) for shelf in shelves]
        parts = [self._engine.parts(shelf) for shelf in shelves]
        closed = self._galleries.closed_since(moment)
        return [
            found
            if before and shelf.holder not in closed and self._is_ready(shelf)
            else None
            for shelf, before, found in zip(shelves, were_ready, parts, strict=True)
        ]

    def _is_ready(self, shelf: Shelf) -> bool:
        state = self._galleries.state(shelf.holder, shelf.space)
        return state is GalleryState.READY and self._keys.is_unlocked(shelf.holder)

    def _go_on(
        self,
        position: int,
        loans: Mapping[Member, Loan],
        galleries: frozenset[GalleryName],
    ) -> Reached | None:
        """Go to a position for another front end than has had it begin; see `begin`."""
        try:
            self._refuse_other_journal()
        except StorageError:
            return None
        for gallery in galleries:
            self._galleries.know(*gallery)
        return self._go(position, loans)

    def _go(self, position: int, loans: Mapping[Member, Loan]) -> Reached | None:
        """Go to a position with some keys more; see `follow`."""
        self._borrow(loans)
        try:
            self._follow(position)
        except StorageError:
            return None
        return self._reached()

    def _follow(self, position: int) -> None:
        """Bring every change up to a position into the index."""
        while (at := self._index.position) < position:
            most = min(limits.JOURNAL_PAGE_CHANGES, position - at)
            changes = self._journal.changes(at, most)
            self._note_overtaking(changes)
            if any(change.is_gone for change in changes):
                self._note_gone()  # by a change that comes later
            else:
                self._note_gone(changes[-1].position)
            self._index.apply(changes)

    def _note_gone(self, position: int | None = None) -> None:
        """Note that what is replaced up to a position may be gone here, or up to now.

        What has taken its place comes with that position. To be called once rows were
        read, and before what was read is searched.
        """
        if position is None:
            position = self._journal.end()
        with self._reading:
            self._gone = max(self._gone, position)

    @contextmanager
    def _made_of(self, holder: Member) -> Iterator[None]:
        """Have galleries of a holder made in the block, and by nobody else."""
        with self._made:
            self._made.wait_for(lambda: holder not in self._made_for)
            self._made_for.add(holder)
        try:
            yield
        finally:
            with self._made:
                self._made_for.remove(holder)
                self._made.notify_all()

    def _refuse_other_journal(self) -> None:
        """Refuse a journal that is not the one that was followed.

        After a restore it is another, while shards of before may be there still.

        Raises:
            DefectError: it is another.
            StorageError: it cannot be read now.
        """
        known = self._journal.entry(self._index.position) or b""
        if known != self._index.change:
            raise DefectError("OTHER_JOURNAL", "it has followed another journal")

    def _look_out(self, start: int) -> None:
        """Find out who was locked since, before keys are taken.

        Who lends them may have been cut off, and nobody have waited for it.
        """
        end = self._journal.end()
        while start < end:
            last = min(end, start + limits.JOURNAL_PAGE_CHANGES)
            self._note_overtaking(self._journal.entries(start, last))
            start = last

    def _note_overtaking(self, changes: Sequence[Change]) -> None:
        with self._lending:
            for change in changes:
                if change.kind in _OVERTAKING:
                    self._overtaken[change.member] = change.position

    def _borrow(self, loans: Mapping[Member, Loan]) -> bool:
        """Take keys, but those that the journal may have overtaken; say if all."""
        self._note_lent(loans)
        with self._lending:
            still = {
                member: loan
                for member, loan in loans.items()
                if self._overtaken.get(member, self._start) <= loan.position
            }
            for member, loan in still.items():
                self._keys.take(member, loan.sealed)
        return still.keys() == loans.keys()

    def _note_lent(self, loans: Mapping[Member, Loan]) -> None:
        """Note of whom it is about to take keys."""
        with self._lending:
            self._lent |= loans.keys()

    def _reached(self) -> Reached:
        known = self._galleries.known()
        # Before they are counted: what is opened in between is whole then.
        is_open = frozenset(
            member
            for member in self._keys.members
            if self._galleries.closed(member) is None
        )
        return Reached(
            position=self._index.position,
            gone=max(self._index.position, self._gone),
            is_ahead=self._index.reaching > self._index.position,
            counts=self._index.counts(),
            open=is_open,
            damaged=frozenset(
                gallery
                for gallery in known
                if self._galleries.state(*gallery) is GalleryState.DAMAGED
            ),
        )

    def _sweep(self, beside: Collection[Sharing]) -> None:
        """Delete codes of other sharings, which nobody would erase any more."""
        own = self._plan.folder.parent
        kept = {own, *(self._plan.folder_of(sharing) for sharing in beside)}
        kept.update(plan.folder for plan in self._plan.all())
        for folder in (*own.parent.glob("*"), *own.glob("*")):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _as_far_as_can_be(work: Callable[[], bool]) -> bool:
        """Do some work; say whether it is done, and no lock came in between."""
        try:
            return work()
        except (GalleryLockedError, StorageError):
            return False


def _probes(
    parts: Sequence[Segment], vectors: NDArray[np.float32], asked: ShelfProbes
) -> Probes:
    """Return probes as the segments of a shelf take them."""
    return Probes.of(
        parts[0].coding, vectors[asked.probes], asked.thresholds, asked.lows
    )


def _scanned(work: tuple[Segment, Probes]) -> list[NDArray[np.int64]]:
    """Return what a segment has for each probe."""
    segment, probes = work
    return segment.search(probes)


def _together(
    probes: int, parts: Sequence[Sequence[NDArray[np.int64]]]
) -> list[NDArray[np.int64]]:
    """Return what all parts of a shelf have for each probe."""
    nothing = np.zeros(0, np.int64)
    return [
        np.concatenate([nothing, *(part[number] for part in parts)])
        for number in range(probes)
    ]
