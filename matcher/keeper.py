"""Keeps galleries compact and on disk, in the background."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.errors import ExchangeError
from matcher.engine import MOST_REMOVED
from matcher.galleries import GalleryState

if TYPE_CHECKING:
    from matcher.engine import Engine
    from matcher.galleries import Galleries, GalleryName, Shelf
    from matcher.index import Index
    from matcher.segments import SegmentFiles

log = logging.getLogger(__name__)


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
        self._kept = -1
        self._trouble = ""
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

    def _keep(self) -> None:
        """Keep until stopped, and once more then."""
        erased = time.monotonic()
        while not self._stopping.wait(limits.COMPACT_SECONDS):
            most_removed = MOST_REMOVED
            if time.monotonic() - erased >= limits.ERASE_SECONDS:
                erased, most_removed = time.monotonic(), 0.0
            for shelf in self._engine.names():
                self._engine.compact(shelf, most_removed=most_removed)
            if self._is_due() or not most_removed:
                self._save()
        self._save()

    def _is_due(self) -> bool:
        """Say whether enough has changed since everything was saved."""
        if self._kept < 0:
            return True
        return self._index.position - self._kept >= limits.KEPT_EVERY_CHANGES

    def _save(self) -> None:
        """Save every gallery that is whole; forget what was saved of others."""
        position = self._index.position
        if position == self._kept:
            return
        try:
            for gallery in sorted(self._galleries.known()):
                self._save_one(gallery)
        except (OSError, ExchangeError) as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                log.warning("codes cannot be kept on disk now: %s", error)
            return
        self._kept, self._trouble = position, ""

    def _save_one(self, gallery: GalleryName) -> None:
        """Save one gallery, or forget what was saved of it."""
        state = self._galleries.state(*gallery)
        if state is GalleryState.READY:
            self._files.save(gallery, self._index.snapshot(gallery))
        elif state is GalleryState.DAMAGED:
            # Once it is mended, it must be made anew from the database.
            self._files.discard(gallery)
