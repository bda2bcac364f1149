"""Tails the store's journal and keeps the engine equal to it.

One thread reads changes in their order, opens what was enrolled, adds it to the
engine, and removes what was withdrawn. Whoever has written waits here until the
position of its write is searchable.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import (
    DefectError,
    GalleryLockedError,
    SealError,
    StorageError,
    UnavailableError,
)
from biometrics.sealed import Binding
from biometrics.store import ChangeKind
from biometrics.templates import Position
from matcher.galleries import GalleryState, Shelf, Whereabouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import Change, JournalReader, StoredTemplate
    from biometrics.templates import TemplateSpaces
    from matcher.engine import Engine
    from matcher.galleries import Galleries

log = logging.getLogger(__name__)

_POSITIONS: Final[frozenset[str]] = frozenset(Position)


def binding_of(stored: StoredTemplate, spaces: TemplateSpaces) -> Binding:
    """Return what a stored template must be bound to under today's spaces."""
    return Binding(
        member=stored.member,
        gallery=stored.space,
        record=stored.record_id,
        modality=stored.modality,
        space=spaces.named(stored.space).identity,
        position=stored.position,
        sample=stored.sample,
        generation=stored.generation,
    )


class Follower:
    """Keeps an engine equal to the journal."""

    def __init__(
        self,
        *,
        journal: JournalReader,
        vault: Vault,
        spaces: TemplateSpaces,
        engine: Engine,
        galleries: Galleries,
        on_failure: Callable[[], None],
    ) -> None:
        """Follow `journal` into `engine` and `galleries`, opening with `vault`.

        What the follower cannot go on from leaves every gallery unavailable, and
        ends it; `on_failure` is called from its thread, and `wait_until_loaded`
        raises.
        """
        self._journal = journal
        self._vault = vault
        self._spaces = spaces
        self._engine = engine
        self._galleries = galleries
        self._on_failure = on_failure
        self._position = 0
        self._start: int | None = None  # the journal's end when following began
        self._is_loaded = False
        self._moved = threading.Condition()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="journal-follower", daemon=True
        )

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
        end = self._journal.end()
        with self._moved:
            self._moved.wait_for(
                lambda: (
                    self._position >= end or self._failed or self._stopping.is_set()
                ),
                limits.CATCH_UP_SECONDS,
            )
            return self._position >= end

    def verify(self, holder: Member, space: str, templates: int) -> None:
        """Compare what was loaded with what was counted as it was written.

        A row that is missing leaves no trace but this: without it the person would
        be NO_MATCH. To be called after loading and before the first change.
        """
        shelves = [Shelf(holder, space, position) for position in Position]
        held = sum(self._engine.count(shelf) for shelf in shelves)
        is_locked = self._galleries.state(holder, space) is GalleryState.LOCKED
        if not is_locked and held != templates:
            self._damage(holder, space, f"{held} templates are there of {templates}")

    async def searchable(self, position: int) -> None:
        """Return once every change up to `position` is in the engine.

        Raises:
            UnavailableError: it took longer than `limits.SEARCHABLE_WAIT_SECONDS`.
                The change is durable all the same.
        """
        future = asyncio.get_running_loop().create_future()
        with self._moved:
            if self._position >= position:
                return
            if self._failed:
                raise _not_searchable()
            self._waiting.append((position, future))
        try:
            await asyncio.wait_for(future, limits.SEARCHABLE_WAIT_SECONDS)
        except TimeoutError as error:
            raise _not_searchable() from error

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
            self._start = self._journal.end()
        changes = self._journal.changes(self._position, limits.JOURNAL_PAGE_CHANGES)
        if changes:
            self._apply(changes)
            self._advance(changes[-1].position)
        if not self._is_loaded and self._position >= self._start:
            self._galleries.loaded()
            with self._moved:
                self._is_loaded = True
                self._moved.notify_all()
        if not changes:
            self._journal.wait(self._position, limits.JOURNAL_POLL_SECONDS)

    def _give_up(self) -> None:
        """Tell that nothing can be answered, and whoever waits that it is in vain."""
        self._galleries.lose()
        with self._moved:
            self._failed = True
            lost, self._waiting = self._waiting, []
            self._moved.notify_all()
        for _, future in lost:
            future.get_loop().call_soon_threadsafe(_finish, future, _not_searchable())
        self._on_failure()

    def _advance(self, position: int) -> None:
        """Move on and wake whoever waited for it."""
        with self._moved:
            self._position = position
            due = [f for p, f in self._waiting if p <= position]
            self._waiting = [(p, f) for p, f in self._waiting if p > position]
            self._moved.notify_all()
        for future in due:
            future.get_loop().call_soon_threadsafe(_finish, future)

    def _apply(self, changes: list[Change]) -> None:
        """Bring one page of changes into the engine."""
        gone: set[bytes] = set()
        for change in changes:
            if change.kind is ChangeKind.WITHDRAWN:
                gone.add(change.record_id)
        fresh = [c for c in changes if c.record_id not in gone]
        self._add([t for change in fresh for t in change.templates])
        removals: dict[Shelf, list[int]] = defaultdict(list)
        for record in gone:
            for where in self._galleries.forget(record):
                removals[where.shelf].append(where.template_id)
        for shelf, ids in removals.items():
            self._engine.remove(shelf, np.array(ids, np.int64))

    def _add(self, templates: list[StoredTemplate]) -> None:
        """Open templates and add them to the engine, a shelf at a time."""
        shelves: dict[Shelf, list[StoredTemplate]] = defaultdict(list)
        records: dict[bytes, list[Whereabouts]] = defaultdict(list)
        for stored in templates:
            self._galleries.know(stored.member, stored.space)
            if stored.space not in self._spaces:
                self._damage(stored.member, stored.space, "its space is not defined")
                continue
            if not self._vault.is_unlocked(stored.member):
                self._galleries.lock(stored.member)
                continue
            if stored.position not in _POSITIONS:
                self._damage(stored.member, stored.space, "a position is unknown")
                continue
            shelf = Shelf(stored.member, stored.space, Position(stored.position))
            shelves[shelf].append(stored)
            records[stored.record_id].append(Whereabouts(shelf, stored.template_id))
        for shelf, held in shelves.items():
            self._add_to(shelf, held)
        for record, where in records.items():
            self._galleries.keep(record, tuple(where))

    def _add_to(self, shelf: Shelf, held: list[StoredTemplate]) -> None:
        """Open the templates of one shelf and add those that do."""
        dimension = self._spaces.named(shelf.space).dimension
        vectors = np.empty((len(held), dimension), np.float32)
        ids: list[int] = []
        for stored in held:
            try:
                binding = binding_of(stored, self._spaces)
                self._vault.open_into(binding, stored.sealed, vectors[len(ids)])
            except SealError:
                self._damage(
                    shelf.holder,
                    shelf.space,
                    f"template {stored.template_id} does not open: it is damaged, or"
                    " the definition of the space was changed",
                )
                continue
            except GalleryLockedError:
                self._galleries.lock(shelf.holder)
                return
            ids.append(stored.template_id)
        if ids:
            self._engine.add(shelf, np.array(ids, np.int64), vectors[: len(ids)])

    def _damage(self, holder: Member, space: str, why: str) -> None:
        """Make a gallery unavailable, and tell once."""
        if self._galleries.damage(holder, space):
            log.error("gallery of %s in %s is UNAVAILABLE: %s", holder, space, why)


def _not_searchable() -> UnavailableError:
    """Return the error of a change that is durable and no more than that."""
    return UnavailableError(
        "NOT_YET_SEARCHABLE",
        "the change is durable but not searchable yet; repeat the call with the same"
        " request_id",
        retry_after=limits.JOURNAL_POLL_SECONDS,
    )


def _finish(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Resolve a future whose waiter may have gone away."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
