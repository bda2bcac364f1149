"""Other front ends, which speak to the same shards.

Each has all that it knows of the shards by itself, and tells them where to go as if it
were alone: a shard goes no way back. So what this one hears may be of a later moment
than it has come to, and of another one for each shard.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from biometrics import limits
from matcher.calls import call
from matcher.fleet.moves import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from biometrics.members import Member
    from biometrics.store import JournalReader
    from matcher.fleet.place import Places


class Beside(Protocol):
    """What there is beside this front end."""

    def replaced(self, after: int, last: int) -> Collection[Member]:
        """Return holders of whom something was replaced between two positions."""

    def begin(self, places: Places) -> None:
        """Be there for the shards."""

    def stop(self) -> bool:
        """Be there no more; say whether nobody else is, so that they are to end."""


class Nobody:
    """Nobody: what is replaced is known here."""

    def replaced(self, _after: int, _last: int) -> Collection[Member]:
        """Return nobody."""
        return ()

    def begin(self, places: Places) -> None:
        """Do nothing: shards go with the exchange."""

    def stop(self) -> bool:
        """Say yes."""
        return True


class Others:
    """Some, as far as the database tells."""

    def __init__(self, journal: JournalReader, is_last: Callable[[], bool]) -> None:
        """Read `journal`; `is_last` says whether no other front end is there now."""
        self._journal = journal
        self._is_last = is_last
        self._stopping = threading.Event()
        self._places: Places | None = None
        self._thread = threading.Thread(target=self._live, name="pulse", daemon=True)

    def replaced(self, after: int, last: int) -> Collection[Member]:
        """Return holders of whom something was replaced between two positions.

        Raises:
            StorageError: the journal cannot be read now.
        """
        if after >= last:
            return ()
        return replacing(self._journal.entries(after, last))

    def begin(self, places: Places) -> None:
        """Have shards know that somebody is there, time and again."""
        self._places = places
        self._thread.start()

    def stop(self) -> bool:
        """Be there no more; say whether nobody else is, so that they are to end."""
        self._stopping.set()
        self._thread.join()
        return self._is_last()

    def _live(self) -> None:
        """Ask shards who they are: one that nobody asks anything ends by itself."""
        while not self._stopping.wait(limits.SHARD_PULSE_SECONDS):
            for place in self._places.ready() if self._places else ():
                place.remote.send(call("greet"))
