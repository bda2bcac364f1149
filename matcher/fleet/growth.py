"""Another number of shards, while those before are searched.

1. All shards of the new sharing are started beside those of the old, and are filled as
   one that was lost is. Once there they follow with the others.
2. At one moment, between two changes, they are searched instead: both have every
   change up to there, and a pass is over the one or the other.
3. The old ones go on to follow until the last pass over them has ended. Then they
   delete what they have on disk, and are ended. Until Ray has said that they are gone,
   whoever locks waits for them: they hold keys.

Until 2 the exchange can end at any time: a start has nothing but the settings to go by.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from biometrics import limits
from matcher.calls import LostError, call, left_until
from matcher.fleet.place import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matcher.calls import Remote
    from matcher.fleet.mending import Mending
    from matcher.fleet.place import Place, Places
    from matcher.shares import Sharing

log = logging.getLogger(__name__)


class Growth:
    """Shares galleries out anew, on a thread of its own."""

    def __init__(
        self,
        places: Places,
        mending: Mending,
        *,
        make: Callable[[Sharing], Sequence[Remote]],
        applying: threading.Lock,
    ) -> None:
        """Have shards that `make` makes.

        `applying` is held by whoever changes the position.
        """
        self._places = places
        self._mending = mending
        self._make = make
        self._applying = applying
        self._wanted = places.searched.sharing
        self._is_stopping = False
        self._thread = threading.Thread(target=self._grow, name="growth", daemon=True)

    def want(self, sharing: Sharing) -> None:
        """Have galleries shared out so; what is not wanted any more is given up."""
        with self._places.changed:
            self._wanted = sharing
            self._places.changed.notify_all()
            if not (self._thread.is_alive() or self._is_stopping):
                self._thread.start()

    def stop(self) -> None:
        """Leave it as it is."""
        with self._places.changed:
            self._is_stopping = True
            self._places.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _grow(self) -> None:
        """Share out what is wanted, time and again."""
        while not self._is_stopping:
            try:
                for layout in self._places.layouts:
                    if layout is not self._places.searched:
                        self._end(layout)
                if not self._is_as_wanted():
                    self._share_out(self._wanted)
            except Exception:
                log.exception("galleries cannot be shared out anew; it is tried again")
                self._wait(lambda: False, seconds=limits.SHARD_RETRY_SECONDS)
            else:
                self._wait(self._is_to_do)

    def _is_as_wanted(self) -> bool:
        return self._places.searched.sharing == self._wanted

    def _is_to_do(self) -> bool:
        return len(self._places.layouts) > 1 or not self._is_as_wanted()

    def _share_out(self, sharing: Sharing) -> None:
        """Fill other shards; then they are searched, if that is wanted still."""
        before = self._places.searched.sharing.places
        log.info("%d shards are filled; %d are searched", sharing.places, before)
        coming = Layout.of(self._make(sharing), sharing)
        self._places.add(coming)
        for place in coming.places:
            self._mending.begin(place)

        def is_filled() -> bool:
            """Say whether nobody is UNAVAILABLE by it whose keys are away now, say."""
            return coming.is_whole() and self._places.searched.open <= coming.open

        while self._wait(lambda: is_filled() or self._wanted != sharing):
            if self._wanted != sharing:
                return
            with self._applying:
                if is_filled():  # one may have been lost meanwhile
                    self._places.search(coming)
                    log.info("%d shards are searched", sharing.places)
                    return

    def _end(self, layout: Layout) -> None:
        """End shards that are not searched any more."""
        if not self._wait(lambda: not layout.asking):
            return
        with self._applying:
            there = [place for place in layout.places if place.is_ready]
            self._places.leave(layout)  # nobody has them save anything from here on
        self._discard(there)
        for place in layout.places:
            place.remote.end()
        for place in layout.places:
            while place.is_mended or not self._places.look(place):
                self._wait(lambda: False, seconds=limits.SHARD_RETRY_SECONDS)
                if self._is_stopping:
                    return
        for place in layout.places:
            place.remote.free()
        self._places.remove(layout)

    def _discard(self, places: Sequence[Place]) -> None:
        """Have shards delete what they have on disk, those that answer."""
        sent = [
            (place, place.remote.send(call("leave", place.incarnation, group="keep")))
            for place in places
        ]
        end = time.monotonic() + limits.SHARD_STOP_SECONDS
        for place, reply in sent:
            try:
                place.remote.answer(reply, seconds=left_until(end))
            except LostError as error:
                log.warning("%s, has left files on its node: %s", place.name, error)

    def _wait(self, is_so: Callable[[], bool], *, seconds: float | None = None) -> bool:
        """Wait until something is so; say whether it is, and nobody stops."""
        with self._places.changed:
            self._places.changed.wait_for(lambda: self._is_stopping or is_so(), seconds)
            return not self._is_stopping and is_so()
