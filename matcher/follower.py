"""Tails the store's journal and keeps the index equal to it.

One thread reads changes in their order and brings them into the index, a page at a
time. Whoever has written waits here until the position of its write is searchable.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from biometrics import limits
from biometrics.delivery import delivered, together
from biometrics.errors import DefectError, StorageError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from biometrics.members import Member
    from biometrics.store import Change, JournalReader
    from matcher.galleries import Galleries
    from matcher.segments import SegmentFiles

log = logging.getLogger(__name__)


class Followed(Protocol):
    """What is kept equal to the journal: an index, or shards that have one each."""

    @property
    def position(self) -> int:
        """Position of the journal up to which every change is in effect."""

    def restore(
        self, files: SegmentFiles, journal: JournalReader, /, *, start: int
    ) -> None:
        """Load what is kept; may be called again after a StorageError.

        Args:
            files: what is kept.
            journal: that it was made from.
            start: position up to which it is known who is locked.
        """

    @property
    def add(self) -> Callable[[Sequence[Change]], None] | None:
        """Has found what later changes enrol, before they are applied.

        None where whoever searches finds out who is not there to be found.
        """

    def learn(self, changes: Sequence[Change], /) -> bool:
        """Have keys at hand that changes ask for; say whether all are there.

        Raises:
            StorageError: they cannot be read now.
        """

    def apply(self, changes: Sequence[Change], /) -> None:
        """Bring changes into effect, which follow on the position."""


class Follower:
    """Keeps an index equal to the journal."""

    def __init__(  # noqa: PLR0913 - what it follows, what it fills, whom it tells
        self,
        *,
        journal: JournalReader,
        index: Followed,
        files: SegmentFiles,
        galleries: Galleries,
        start: int,
        on_failure: Callable[[], None],
        followed: Callable[[Sequence[Change]], None] = lambda _: None,
    ) -> None:
        """Follow `journal` into `index`, from where `files` reach.

        What the follower cannot go on from leaves every gallery unavailable, and
        ends it; `on_failure` is called from its thread, and `wait_until_loaded`
        raises.

        Args:
            journal: to be followed.
            index: to be kept equal to it.
            files: what is kept of that.
            galleries: to be told.
            start: the journal's end when it was found out who is locked.
            on_failure: called when it can follow no more.
            followed: called with changes that are in effect, from its thread.
        """
        self._journal = journal
        self._index = index
        self._files = files
        self._galleries = galleries
        self._on_failure = on_failure
        self._followed = followed
        self._began = start
        # Where all is there that was durable as following began, or has replaced it.
        self._start: int | None = None
        self._ahead = 0  # up to where the index has what replaced those who are gone
        self._is_loaded = False
        self._moved = threading.Condition()
        self._waiting: list[tuple[int, Future[None]]] = []
        self._catching_up = 0  # threads
        self._failed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="journal-follower", daemon=True
        )

    @property
    def position(self) -> int:
        """Position of the journal up to which every change is in effect."""
        return self._index.position

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following and wait until the thread has ended."""
        self._stopping.set()
        with self._moved:
            self._moved.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def wait_until_loaded(self) -> None:
        """Block until all that was durable at the start is searchable, or it stops.

        Raises:
            DefectError: the journal cannot be followed.
        """
        with self._moved:
            self._moved.wait_for(
                lambda: self._is_loaded or self._failed or self._stopping.is_set()
            )
        if self._failed:
            raise DefectError(
                "JOURNAL_NOT_FOLLOWED",
                "the records in the database cannot be loaded; the log says why:"
                " restore the database from a backup",
            )

    def catch_up(self) -> bool:
        """Block until all that is durable now is searchable; say whether it is.

        It takes milliseconds or does not come to an end: `limits.CATCH_UP_SECONDS`.
        """
        end = self._journal.look()
        with self._moved:
            self._catching_up += 1
            self._moved.notify_all()
            self._moved.wait_for(
                lambda: self._is_at(end) or self._failed or self._stopping.is_set(),
                limits.CATCH_UP_SECONDS,
            )
            self._catching_up -= 1
            return self._is_at(end)

    async def searchable(self, position: int) -> None:
        """Return once every change up to `position` is in the engine.

        Raises:
            UnavailableError: it took longer than `limits.SEARCHABLE_WAIT_SECONDS`.
                The change is durable all the same.
        """
        future: Future[None] = Future()
        with self._moved:
            if self._is_at(position):
                return
            if self._failed:
                raise _not_searchable()
            self._waiting.append((position, future))
            self._moved.notify_all()
        try:
            async with asyncio.timeout(limits.SEARCHABLE_WAIT_SECONDS):
                await delivered(future)
        except TimeoutError as error:
            raise _not_searchable() from error

    def _is_at(self, position: int) -> bool:
        """Say whether every change up to a position is in the index."""
        return self._index.position >= position

    def _follow(self) -> None:
        """Follow until stopped."""
        trouble = ""
        try:
            while not self._stopping.is_set():
                try:
                    self._follow_on()
                    trouble = ""
                except StorageError as error:
                    if trouble != error.reason:
                        trouble = error.reason
                        log.warning("journal cannot be read now: %s", trouble)
                    self._stopping.wait(limits.JOURNAL_POLL_SECONDS)
        except Exception:
            # Half a page may be applied: nothing can be said of anybody any more.
            log.exception("the journal cannot be followed: all is UNAVAILABLE")
            self._give_up()

    def _follow_on(self) -> None:
        """Apply one page of changes, or wait for some."""
        if self._start is None:
            self._index.restore(self._files, self._journal, start=self._began)
            self._galleries.count(self._journal.templates_by_space())
            self._start = self._journal.end()
        position = self._index.position
        changes = self._learnt(
            self._journal.following(position, limits.JOURNAL_PAGE_CHANGES)
        )
        if changes:
            self._look_ahead(changes)
            # Read before anything is applied: whoever waits for these changes is
            # searched for at the threshold of a database that has them.
            comparisons = self._journal.templates_by_space()
            for gallery in self._passed_by(changes):
                self._galleries.know(*gallery)
            self._index.apply(changes)
            self._galleries.count(comparisons)
            self._followed(changes)
            self._advance(changes[-1].position)
        if not self._is_loaded and self._is_at(self._start):
            self._galleries.loaded()
            with self._moved:
                self._is_loaded = True
                self._moved.notify_all()
        if not changes:
            self._journal.wait(position, limits.JOURNAL_POLL_SECONDS)
        elif len(changes) < limits.JOURNAL_PAGE_CHANGES:
            self._let_gather()

    def _learnt(self, changes: list[Change]) -> list[Change]:
        """Return a page of changes, of which all keys are at hand that there are."""
        if not changes or self._index.learn(changes):
            return changes
        # Under a key that went since they were read, they are under another now.
        again = self._journal.changes(changes[0].position - 1, len(changes))
        self._index.learn(again)
        return again

    def _look_ahead(self, changes: Sequence[Change]) -> None:
        """Have those found who are gone of a page, by what has come since.

        Of whom something was replaced twice, neither the first nor the second is there
        to be read. So the third is there before the first is removed: a page at a time,
        which is read again when it is applied.
        """
        end = self._gone_by(changes)
        if not self._is_loaded:  # nobody is searched for yet
            self._start = max(self._start or 0, end)
        elif end and self._index.add is not None:
            if changes[-1].position < end:  # numbers ascend: what comes first is first
                self._index.add(changes)
            while (at := changes[-1].position) < end:
                most = limits.JOURNAL_PAGE_CHANGES
                changes = self._learnt(self._journal.changes(at, most))
                self._index.add(changes)
                end = max(end, self._gone_by(changes))
            self._ahead = at

    def _gone_by(self, changes: Sequence[Change]) -> int:
        """Return up to where there is whatever took the place of who is gone; or 0."""
        is_gone = any(c.is_gone and c.position > self._ahead for c in changes)
        return self._journal.end() if is_gone else 0

    def _passed_by(self, changes: Sequence[Change]) -> list[tuple[Member, str]]:
        """Return galleries of those of whom something was gone before it was followed.

        Who enrolled it knows of its gallery, and so does whoever starts later.
        """
        members = {change.member for change in changes if change.is_gone}
        return self._journal.galleries(members) if members else []

    def _let_gather(self) -> None:
        """Let changes gather, until somebody waits for one; a bulk load does not.

        Each page takes the interpreter's lock from searches, however short it is.
        """
        with self._moved:
            self._moved.wait_for(
                lambda: self._waiting or self._catching_up or self._stopping.is_set(),
                limits.CHANGES_GATHER_SECONDS,
            )

    def _give_up(self) -> None:
        """Tell that nothing can be answered, and whoever waits that it is in vain."""
        self._galleries.lose()
        with self._moved:
            self._failed = True
            lost, self._waiting = self._waiting, []
            self._moved.notify_all()
        with together():
            for _, future in lost:
                if future.set_running_or_notify_cancel():
                    future.set_exception(_not_searchable())
        self._on_failure()

    def _advance(self, position: int) -> None:
        """Move on and wake whoever waited for it."""
        with self._moved:
            due = [f for p, f in self._waiting if p <= position]
            self._waiting = [(p, f) for p, f in self._waiting if p > position]
            self._moved.notify_all()
        with together():
            for future in due:
                if future.set_running_or_notify_cancel():  # somebody still waits
                    future.set_result(None)


def _not_searchable() -> UnavailableError:
    """Return the error of a change that is durable and no more than that."""
    return UnavailableError(
        "NOT_YET_SEARCHABLE",
        "the change is durable but not searchable yet; repeat the call with the same"
        " request_id",
        retry_after=limits.JOURNAL_POLL_SECONDS,
    )
