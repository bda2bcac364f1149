"""Keeps galleries compact and on disk, in the background."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import ExchangeError
from matcher.engine import MOST_REMOVED
from matcher.galleries import GalleryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member
    from matcher.engine import Engine
    from matcher.galleries import Galleries, GalleryName, Shelf
    from matcher.index import Index
    from matcher.segments import SegmentFiles

log = logging.getLogger(__name__)

_LIBC: Final = ctypes.CDLL(None)


class Keeper:
    """Joins segments and saves them, so that a start has little to do.

    A start after `stop` has nothing to do; one after a crash opens what was enrolled
    in the last `limits.KEPT_EVERY_CHANGES` changes.
    """

    def __init__(
        self,
        *,
        index: Index,
        engine: Engine[Shelf],
        galleries: Galleries,
        files: SegmentFiles,
    ) -> None:
        """Keep what `index` has put into `engine` in `files`."""
        self._index = index
        self._engine = engine
        self._galleries = galleries
        self._files = files
        self._working = threading.Lock()
        self._kept = -1
        self._trouble = ""
        # At once after a start, since nobody knows when it was done last.
        self._erase_at = self._retry_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin; everything that was durable must be in the index."""
        self._thread.start()

    def stop(self) -> None:
        """Save what was not saved yet, and wait until the thread has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def forget(self, holder: Member) -> None:
        """Hold nothing any more of a holder whose galleries were dropped."""
        with self._working:
            self._files.forget(holder)

    def discard(self, holder: Member) -> bool:
        """Delete what is kept of all galleries of a holder; say whether it is gone."""
        with self._working:
            return self._files.discard_of(holder)

    def keep(self, holder: Member) -> bool:
        """Save the galleries of a holder anew, now; say whether that was done.

        What was saved of them before is deleted.
        """
        return not any(
            self._keep_one(gallery, is_changed=True)
            for gallery in sorted(self._galleries.known())
            if gallery.holder == holder
        )

    def _keep(self) -> None:
        """Keep until stopped, and once more then."""
        while not self._stopping.wait(limits.COMPACT_SECONDS):
            self._go_on_after(self._look)
        self._go_on_after(self._save)

    def _go_on_after(self, work: Callable[[], object]) -> None:
        """Do some work; a defect in it must not end the thread without a word."""
        try:
            work()
        except Exception as error:
            if self._is_new_trouble(repr(error)):
                log.exception("codes are not compacted or kept on disk now")

    def _look(self) -> None:
        """Join what can be joined; save when enough has changed, or to erase."""
        now = time.monotonic()
        is_erasing = now >= self._erase_at
        most_removed = 0.0 if is_erasing else MOST_REMOVED
        for shelf in self._engine.names():
            with self._working:
                self._engine.compact(shelf, most_removed=most_removed)
        if is_erasing or (now >= self._retry_at and self._is_due()):
            is_saved = self._save(is_erasing=is_erasing)
            self._retry_at = now if is_saved else now + limits.KEEP_RETRY_SECONDS
            if is_erasing:
                self._erase_at = self._retry_at + limits.ERASE_SECONDS * is_saved

    def _is_due(self) -> bool:
        """Say whether enough has changed since everything was saved."""
        if self._kept < 0:
            return True
        return self._index.position - self._kept >= limits.KEPT_EVERY_CHANGES

    def _save(self, *, is_erasing: bool = False) -> bool:
        """Save every gallery that is whole; forget what was saved of damaged ones.

        Args:
            is_erasing: save anew though nothing was changed: removed rows have gone.

        Returns:
            Whether all of them are as they should be.
        """
        position = self._index.position
        is_changed = is_erasing or position != self._kept
        told = (
            self._keep_one(gallery, is_changed=is_changed)
            for gallery in sorted(self._galleries.known())
        )
        troubles = [trouble for trouble in told if trouble]
        if self._is_new_trouble("; ".join(troubles)):
            log.warning("codes cannot be kept on disk now: %s", self._trouble)
        if not troubles:
            self._kept = position
        _give_back_memory()
        return not troubles

    def _is_new_trouble(self, trouble: str) -> bool:
        """Note what is wrong, or that nothing is; say whether it is to be told."""
        is_new = bool(trouble) and trouble != self._trouble
        self._trouble = trouble
        return is_new

    def _keep_one(self, gallery: GalleryName, *, is_changed: bool) -> str:
        """Save one gallery, or forget what was saved of it; return what was wrong.

        One that cannot be saved keeps no other from it.
        """
        with self._working:
            return self._kept_one(gallery, is_changed=is_changed)

    def _kept_one(self, gallery: GalleryName, *, is_changed: bool) -> str:
        state = self._galleries.state(*gallery)
        try:
            if state is GalleryState.DAMAGED:
                # Once it is mended, it must be made anew from the database.
                self._files.discard(gallery)
            elif state is GalleryState.READY and is_changed:
                snapshot = self._index.snapshot(gallery)
                # Whatever was left out of it as damaged was told before.
                if self._galleries.state(*gallery) is GalleryState.READY:
                    self._files.save(gallery, snapshot)
        except OSError as error:
            return f"{gallery.holder} in {gallery.space}: {error.strerror}"
        except ExchangeError as error:
            return f"{gallery.holder} in {gallery.space}: {error.message}"
        return ""


def _give_back_memory() -> None:
    """Return to the system what was freed, where the C library can.

    Opening templates and joining segments leave holes all over the heap: more than the
    codes themselves after a million enrolments.
    """
    if (trim := getattr(_LIBC, "malloc_trim", None)) is not None:
        trim(0)
