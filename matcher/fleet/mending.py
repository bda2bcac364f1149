"""Shards that are lost, until they are back.

1. Ray starts the process anew, where there is room.
2. It is lent keys, loads what it kept on disk, and reads the rest out of the database.
3. It follows the journal until it is where the others are, and is searched again.
4. All of them together have to have what was counted: a row that is missing leaves no
   other trace.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from biometrics import limits
from biometrics.errors import ExchangeError, GalleryLockedError, SealError
from matcher.calls import (
    LostError,
    SlowError,
    UnplacedError,
    answer_of,
    call,
    left_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from biometrics.members import Member
    from matcher.calls import Call
    from matcher.fleet.lending import Lending
    from matcher.fleet.place import Place, Places
    from matcher.shard import Greeting, Loan, Reached
    from matcher.shares import Sharing

log = logging.getLogger(__name__)


class Mending:
    """Has lost shards back, each on a thread of its own."""

    def __init__(  # noqa: PLR0913 - what is asked of others, and told to them
        self,
        places: Places,
        lending: Lending,
        *,
        applying: threading.Lock,
        position: Callable[[], int],
        count: Callable[[Place], None],
        beside: Callable[[], Collection[Sharing]],
        is_shared: bool,
        is_trusted: bool,
    ) -> None:
        """Have shards of `places` back.

        Args:
            places: to be told.
            lending: lends them keys.
            applying: held by whoever changes the position.
            position: up to which every change is in effect.
            count: compares what all have, and one that is about to be searched, with
                what was counted, if it can; `applying` is held.
            beside: how galleries are shared out elsewhere.
            is_shared: whether other front ends may speak to them.
            is_trusted: whether what they have on disk goes with the database.
        """
        self._places = places
        self._lending = lending
        self._applying = applying
        self._position = position
        self._count = count
        self._beside = beside
        self._is_shared = is_shared
        self._is_trusted = is_trusted
        self._stopping = threading.Event()
        # For those that are searched, and as many that are to be.
        most = 2 * limits.MAX_SHARDS * limits.MAX_SHARD_COPIES
        self._menders = ThreadPoolExecutor(most, "mend")
        self._watching = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def watch(self) -> None:
        """Have it noticed when a shard is gone of which nobody asks anything."""
        self._watching.start()

    def _watch(self) -> None:
        """Ask shards who they are, time and again.

        One of which nobody asks anything for longer ends by itself, also while it is
        filled.
        """
        while not self._stopping.wait(limits.SHARD_PULSE_SECONDS):
            try:
                self._look()
            except Exception:
                log.exception("shards cannot be asked who they are; it is tried again")

    def _look(self) -> None:
        """Ask all shards who they are, at once; lose those that are not who they were.

        However many do not answer, the next look is not late. Those that lack keys,
        which were not at hand, are lent them.
        """
        for place in self._places.ready():
            if self._lending.is_lacking(place):
                self.begin(place)
        end = time.monotonic() + limits.SHARD_GREET_SECONDS
        asked = [
            (
                place,
                place.incarnation if place.is_ready else b"",
                place.remote.send(call("greet")),
            )
            for place in self._places.all
        ]
        for place, was, sent in asked:
            if was:
                self._look_at(place, was, sent, end)

    def _look_at(self, place: Place, was: bytes, sent: Any, end: float) -> None:  # noqa: ANN401
        """Lose a shard that does not say that it is who it was when it was asked."""
        try:
            greeting: Greeting = self._answer(place, sent, seconds=left_until(end))
        except LostError as error:
            why = LostError(str(error))  # it may be slow, and is asked again
        else:
            if greeting.incarnation == was:
                return
            why = LostError("it was started anew")
        if place.incarnation == was and not self.is_stopping:
            self.lose(place, why)

    def stop(self) -> None:
        """Have none back any more."""
        self._stopping.set()
        with self._places.changed:
            self._places.changed.notify_all()
        self._menders.shutdown(cancel_futures=True)
        if self._watching.is_alive():
            self._watching.join()

    @property
    def is_stopping(self) -> bool:
        """Whether nobody comes back any more."""
        return self._stopping.is_set()

    def lose(self, place: Place, error: LostError) -> None:
        """Search a shard no more, until it is back."""
        if self._places.set_ready(place, is_ready=False):
            log.warning("%s, is lost: %s", place.name, error)
            if error.is_alive:
                self._restart(place)
        self.begin(place)

    def interrupt(self, place: Place) -> None:
        """End a shard that is doing what may take it long; it begins anew."""
        if place.is_loading:
            log.info("%s, begins anew: a member closes its galleries", place.name)
            self._restart(place)

    def count_again(self) -> None:
        """Have shards counted once that can be."""
        self._places.uncounted()
        self.begin((self._places.ready() or self._places.all)[0])

    def begin(self, place: Place) -> None:
        """Have a shard back, and counted, unless somebody is about to."""
        with self._places.changed:
            if place.is_mended or place.is_leaving or self.is_stopping:
                return
            place.is_mended = True
        self._menders.submit(self._mend, place)

    def _mend(self, place: Place) -> None:
        """Have a shard back, however often that fails, and all shards counted."""
        began, trouble = time.monotonic(), ""
        while True:
            try:
                self._mend_once(place, began)
            except (LostError, ExchangeError) as error:
                if trouble != (trouble := str(error)):
                    is_unplaced = isinstance(error, UnplacedError)
                    level = logging.WARNING if is_unplaced else logging.INFO
                    log.log(level, "%s, is not there yet: %s", place.name, trouble)
                if isinstance(error, LostError):
                    self._give_up(place, error)
            except Exception:
                log.exception("%s, cannot be had back", place.name)
                self._give_up(place, LostError("it failed", is_alive=True))
            if self._is_done(place):
                return
            self._stopping.wait(limits.SHARD_RETRY_SECONDS)

    def _give_up(self, place: Place, error: LostError) -> None:
        """Begin anew with a shard that was not had back, or that lacked keys."""
        if place.is_ready:
            self.lose(place, error)
        elif error.is_alive:
            self._restart(place)

    def _is_done(self, place: Place) -> bool:
        """Say whether nothing is to be done for a shard, and note that nobody does."""
        with self._places.changed:
            is_back = place.is_ready and place.is_counted
            is_done = is_back or place.is_leaving or self.is_stopping
            if is_done:
                place.is_mended = False
                self._places.changed.notify_all()
            return is_done

    def _mend_once(self, place: Place, began: float) -> None:
        """Have a shard back, and counted if it can be.

        Raises:
            LostError: it is not back.
            StorageError: the database cannot be read now.
        """
        if not place.is_ready:
            self._bring_back(place)
            log.info(
                "%s, is there with %d templates, after %.1f s",
                *(place.name, sum(place.counts.values())),
                time.monotonic() - began,
            )
        elif self._lending.is_lacking(place):
            self._catch_up(place, self._position)
            place.is_counted = False  # of whom keys were away
        # Whoever applies may wait for this one, lost again, to drop keys.
        if self._applying.acquire(timeout=limits.SHARD_RETRY_SECONDS):
            try:
                if place.is_ready and not place.is_counted:
                    self._count(place)
            finally:
                self._applying.release()

    def _bring_back(self, place: Place) -> None:
        """Have a shard load and catch up; then it is searched.

        Raises:
            LostError: it could not.
            StorageError: the database cannot be read now.
        """
        # 1. Which process is it? Another one has nothing.
        greeting = self._greeting(place)
        if greeting.incarnation != place.incarnation:
            self._places.greeted(place, greeting, is_shared=self._is_shared)
        if not place.has_begun:
            self._load(place)
        while True:
            # 2. It catches up while others go on.
            self._catch_up(place, lambda: self._places.target)
            # 3. From here on it follows with the others. Who changes the position may
            #    wait for this one to drop keys.
            while not self._applying.acquire(timeout=limits.SHARD_RETRY_SECONDS):
                self._follow(place, self._places.target)
            try:
                if self._has_joined(place):
                    return
            finally:
                self._applying.release()

    def _catch_up(self, place: Place, where: Callable[[], int]) -> None:
        """Have a shard go where the others go, or are, with all galleries they have.

        Raises:
            LostError: it could not.
            StorageError: the database cannot be read now.
        """
        while True:
            target = where()
            lacking = self._follow(place, target)
            is_done = [self._have(place, "load", holder) for holder in lacking]
            if not lacking and target == where():
                return
            if self.is_stopping:
                raise LostError("it is not had back any more")
            if not all(is_done):
                self._stopping.wait(limits.SHARD_RETRY_SECONDS)

    def _has_joined(self, place: Place) -> bool:
        """Have a shard searched, if it is where the others are; `applying` is held.

        What may take long is for when it is not.

        Raises:
            LostError: it could not follow.
            StorageError: the database cannot be read now.
        """
        if self._lending.is_lacking(place):
            return False
        if self._lending.lacking(self._go(place, self._position(), {})):
            return False
        self._count(place)
        self._places.set_ready(place, is_ready=True)
        return True

    def _greeting(self, place: Place) -> Greeting:
        """Return which process is in a place.

        Raises:
            LostError: none is, or not yet; or that which was there hangs.
        """
        try:
            greeting: Greeting = self._ask(
                place, call("greet"), seconds=limits.SHARD_GREET_SECONDS
            )
        except LostError as error:
            self._places.look(place)
            if why := place.remote.waits_for():
                place.is_silent = False
                raise UnplacedError(why) from error
            # Ray may have started it just now; but one that was there has been lost,
            # and does not answer now either, nor does one that had time twice.
            is_slow = isinstance(error, SlowError)
            is_hung = is_slow and (bool(place.incarnation) or place.is_silent)
            place.is_silent = is_slow and not is_hung
            raise LostError(str(error), is_alive=is_hung) from error
        place.is_silent = False
        return greeting

    def _load(self, place: Place) -> None:
        """Have a new process load what is kept on disk, and follow the journal."""
        start = self._position()  # read before anything is lent
        known = self._lending.galleries()
        loans = self._lending.every(place)
        asked = call(
            *("begin", place.incarnation, loans, known),
            beside=self._places.sharings().union(self._beside()),
            start=start,
            is_trusted=self._is_trusted,
            group="load",
        )
        self._take(place, self._ask_long(place, asked))
        place.has_begun = True
        for holder in loans:  # what it kept may be by older keys
            self._have(place, "remake", holder)

    def _follow(self, place: Place, position: int) -> set[Member]:
        """Have a shard go to a position; return whose galleries it lacks then.

        A page of changes at once, which takes no shard long.

        Raises:
            LostError: it could not.
            StorageError: the database cannot be read now.
        """
        renewed: set[Member] = set()
        while True:
            loans = self._lending.newer(place, self._lending.holders())
            renewed |= loans.keys()
            page = min(position, place.position + limits.JOURNAL_PAGE_CHANGES)
            reached = self._go(place, page, loans)
            if reached.position >= position:
                break
        lacking = self._lending.lacking(reached)
        for holder in renewed - lacking:  # keys were rotated meanwhile
            self._have(place, "remake", holder)
        return lacking

    def _go(self, place: Place, position: int, loans: Mapping[Member, Loan]) -> Reached:
        """Have a shard go to a position that is not far; return how it is then.

        Raises:
            LostError: it could not.
        """
        asked = call("follow", place.incarnation, position, loans, group="follow")
        told = self._ask(place, asked, seconds=limits.SHARD_FOLLOW_SECONDS)
        return self._take(place, told)

    def _take(self, place: Place, reached: Reached | None) -> Reached:
        """Note how far a shard is.

        Raises:
            LostError: it is another, or cannot read the journal now.
        """
        if reached is None:
            raise LostError("it was started anew, or cannot read the journal now")
        self._places.reached(place, reached)
        return reached

    def _have(self, place: Place, method: str, holder: Member) -> bool:
        """Have one shard load or code a holder's galleries; say whether it has.

        Raises:
            LostError: it could not.
            StorageError: the database cannot be read now.
        """
        try:
            loan = self._lending.loan(place, holder)
        except (GalleryLockedError, SealError):
            return True  # there is nothing to be done
        asked = call(method, place.incarnation, holder, loan, group="load")
        return bool(self._ask_long(place, asked))

    def _ask_long(self, place: Place, asked: Call) -> Any:  # noqa: ANN401
        """Ask what may take long, and may be interrupted; see `_ask`."""
        place.is_loading = True
        try:
            return self._ask(place, asked, seconds=limits.SHARD_LOAD_SECONDS)
        finally:
            place.is_loading = False

    def _restart(self, place: Place) -> None:
        """Have another process in a place, unless nobody needs it."""
        if place.is_leaving:
            return
        try:
            place.remote.restart()
        except Exception:
            log.exception("%s, cannot be ended now", place.name)
        else:
            place.incarnation = b""  # once: what is there from here on may be starting

    def _ask(self, place: Place, asked: Call, *, seconds: float) -> Any:  # noqa: ANN401
        """Return what a method of a shard returns.

        Raises:
            LostError: it did not answer, or nobody comes back any more.
        """
        return self._answer(place, place.remote.send(asked), seconds=seconds)

    def _answer(self, place: Place, sent: Any, *, seconds: float) -> Any:  # noqa: ANN401
        """Return what a call returns that was sent; see `_ask`."""
        return answer_of(
            *(place.remote, sent), seconds=seconds, is_over=self._stopping.is_set
        )
