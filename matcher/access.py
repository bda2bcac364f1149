"""Closes and opens the galleries of one holder, while those of others are searched.

What is durable decides: the follower drops what the journal says is closed. Here is
what comes before and after it: the door, and whoever still has something of a gallery.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from biometrics import limits
from biometrics.errors import GalleryLockedError, StorageError, UnavailableError
from biometrics.sealed import GALLERY_LOCKED
from matcher.galleries import GalleryState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from biometrics.members import Member
    from matcher.follower import Follower
    from matcher.galleries import Galleries
    from matcher.schedule import Scanner

log = logging.getLogger(__name__)


class Loader(Protocol):
    """Makes the galleries of one holder anew; see `matcher.loading`."""

    def load(
        self, holder: Member, *, is_wanted: Callable[[], bool], done: Callable[[], None]
    ) -> object:
        """Load them from what is kept on disk."""

    def remake(self, holder: Member, *, is_wanted: Callable[[], bool]) -> object:
        """Code them by their newest keys."""


class Keeping(Protocol):
    """Keeps codes on disk; see `matcher.keeper`."""

    def forget(self, holder: Member) -> None:
        """Hold nothing any more of a holder whose galleries were dropped."""

    def discard(self, holder: Member) -> bool:
        """Delete what is kept of a holder; say whether it is gone."""

    def keep(self, holder: Member) -> bool:
        """Save the galleries of a holder anew; say whether that was done."""


class Access:
    """Who may search a holder's galleries, and what is held of them; of one loop."""

    def __init__(  # noqa: PLR0913 - whoever has something of a gallery
        self,
        *,
        galleries: Galleries,
        follower: Follower,
        loading: Loader,
        scanner: Scanner,
        keeper: Keeping,
        others: Callable[[int], Awaitable[None]],
        settled: Callable[[int], Awaitable[None]],
    ) -> None:
        """Tell `galleries`; the others have something of them, or make it.

        `others` returns once every other front end has obeyed the journal up to a
        position; `settled`, once none has codes of keys either that went before it.
        """
        self._others = others
        self._settled = settled
        self._galleries = galleries
        self._follower = follower
        self._loading = loading
        self._scanner = scanner
        self._keeper = keeper
        self._door = threading.Lock()
        self._loads: dict[Member, asyncio.Task[None]] = {}
        self._is_stopping = False
        # Of its own: what takes minutes must not keep all threads from others.
        self._makers = ThreadPoolExecutor(limits.LOADING_THREADS, "loading")
        self._made: dict[Member, set[Future[object]]] = defaultdict(set)

    def close(self, holder: Member) -> GalleryState | None:
        """Let no search begin on a holder's galleries; return how they were before."""
        with self._door:
            before = self._galleries.closed(holder)
            self._loads.pop(holder, None)  # it is in vain
            if before is not GalleryState.DESTROYED:
                self._galleries.lock(holder)
        return before

    def undo(self, holder: Member, before: GalleryState | None) -> None:
        """Have a holder's galleries as they were before `close`.

        What was enrolled meanwhile was passed over: they are loaded, also if open.
        """
        if before in {None, GalleryState.LOADING}:
            self.load(holder)

    async def followed(self, position: int) -> None:
        """Return once the follower has dropped what is closed up to a position.

        Raises:
            UnavailableError: that takes longer than it should.
        """
        await self._follower.searchable(position)

    async def obeyed(self, position: int) -> None:
        """Return once that is so, here and at every other front end.

        Raises:
            StorageError: it cannot be read how far those are.
            UnavailableError: that takes longer than it should.
        """
        await self.followed(position)
        await self._others(position)

    async def settled(self, position: int) -> None:
        """Return once no other front end has codes of keys that are gone, on disk too.

        Raises:
            StorageError: it cannot be read how far those are.
            UnavailableError: that takes longer than it should.
        """
        await self._settled(position)

    async def gone(self, holder: Member) -> None:
        """Return once nobody has anything of a holder that the follower dropped."""
        for making in list(self._made[holder]):
            if not making.cancel():  # it is in vain, and notices within a page
                await asyncio.wait([asyncio.wrap_future(making)])
        await asyncio.to_thread(self._scanner.settle)
        await asyncio.to_thread(self._keeper.forget, holder)

    def load(self, holder: Member) -> None:
        """Begin to load a holder's galleries, whose keys are at hand."""
        self._galleries.load(holder)
        self._loads[holder] = asyncio.ensure_future(self._load(holder))

    async def recode(self, holder: Member) -> None:
        """Code a holder's galleries by their newest keys; slowly.

        They are searched meanwhile.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the database cannot be read now.
        """

        def is_wanted() -> bool:
            return self.is_open(holder) and not self._is_stopping

        await self._make(
            holder,
            partial(self._loading.remake, holder, is_wanted=is_wanted),
        )

    async def kept(self, holder: Member) -> bool:
        """Save a holder's galleries by the keys of their codes; say whether it is done.

        No file of theirs is left then that is sealed by another key.
        """
        return await asyncio.to_thread(self._keeper.keep, holder)

    async def discarded(self, holder: Member) -> bool:
        """Delete what is on disk of a holder's galleries; say whether it is gone."""
        return await asyncio.to_thread(self._keeper.discard, holder)

    def is_locked(self, holder: Member) -> bool:
        """Say whether a holder's galleries are closed, and not being loaded."""
        return self._galleries.closed(holder) not in (None, GalleryState.LOADING)

    def is_open(self, holder: Member) -> bool:
        """Say whether nothing keeps a holder's galleries from being searched."""
        return self._galleries.closed(holder) is None

    async def loaded(self, holder: Member) -> None:
        """Return once a holder's galleries are loaded.

        Raises:
            UnavailableError: it takes longer than `limits.SEARCHABLE_WAIT_SECONDS`, or
                they were closed meanwhile.
        """
        if (load := self._loads.get(holder)) is not None:
            await asyncio.wait((load,), timeout=limits.SEARCHABLE_WAIT_SECONDS)
        if not self.is_open(holder):
            raise UnavailableError(
                "GALLERY_LOADING",
                f"the galleries of `{holder}` are unlocked but not searchable yet;"
                " repeat the call with the same request_id, or see how they are by"
                " `biometrics galleries list`",
                retry_after=limits.BUSY_RETRY_SECONDS,
            )

    async def stop(self) -> None:
        """Give up what is being made."""
        self._is_stopping = True
        loads = list(self._loads.values())
        self._loads.clear()
        await asyncio.gather(*loads, return_exceptions=True)
        await asyncio.to_thread(self._makers.shutdown, cancel_futures=True)

    async def _make(self, holder: Member, make: Callable[[], object]) -> None:
        """Make galleries of a holder on a thread, which `gone` waits for."""
        making = self._makers.submit(make)
        self._made[holder].add(making)
        making.add_done_callback(self._made[holder].discard)
        await asyncio.shield(asyncio.wrap_future(making))

    async def _load(self, holder: Member) -> None:
        """Load a holder's galleries, however often the database cannot be read."""
        own = asyncio.current_task()

        def is_wanted() -> bool:
            return self._loads.get(holder) is own

        def done() -> None:
            with self._door:
                if is_wanted():
                    self._galleries.open(holder)

        load = partial(self._loading.load, holder, is_wanted=is_wanted, done=done)
        while is_wanted():
            if await self._try_to_load(holder, load):
                return
            await asyncio.sleep(limits.JOURNAL_POLL_SECONDS)

    async def _try_to_load(self, holder: Member, load: Callable[[], object]) -> bool:
        """Load a holder's galleries; say whether there is nothing to be tried again."""
        try:
            await self._make(holder, load)
        except (StorageError, GalleryLockedError) as error:
            log.warning("galleries of %s are not loaded: %s", holder, error.reason)
            return error.reason == GALLERY_LOCKED
        except Exception:
            log.exception("galleries of %s cannot be loaded", holder)
        return True
