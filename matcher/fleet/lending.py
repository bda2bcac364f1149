"""Keys of galleries, sealed to shards."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.errors import GalleryLockedError, SealError, StorageError
from matcher.shard import Loan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from biometrics.custody import Vault
    from biometrics.members import Member
    from matcher.fleet.place import Place, Places
    from matcher.galleries import Galleries, GalleryName
    from matcher.shard import Reached


class Lending:
    """Lends keys to shards, of members whose galleries are unlocked."""

    def __init__(
        self,
        vault: Vault,
        galleries: Galleries,
        places: Places,
        position: Callable[[], int],
    ) -> None:
        """Lend what `vault` has; `position` is up to where locks were obeyed."""
        self._vault = vault
        self._galleries = galleries
        self._places = places
        self._position = position
        self._withheld: frozenset[Member] = frozenset()
        self._damaged: dict[Member, frozenset[int]] = {}  # by the numbers of all keys
        self._away: dict[Member, float] = {}  # until when they are not asked for again

    @contextmanager
    def withheld(self, members: Collection[Member]) -> Iterator[None]:
        """Lend nobody keys of members while the block runs: they close galleries.

        For one thread at a time.
        """
        with self._places.changed:
            self._withheld = frozenset(members)
        try:
            yield
        finally:
            self._withheld = frozenset()

    def loan(self, place: Place, member: Member) -> Loan:
        """Lend a member's keys to a shard.

        Raises:
            GalleryLockedError: the member is locked, or about to be; or what opens its
                keys is not at hand: it is locked for shards then, and tried again.
            SealError: a key of the member is damaged; its galleries are.
            StorageError: they cannot be read now.
        """
        position = self._position()  # read before the keys are
        with self._places.changed:
            if member in self._withheld:
                raise GalleryLockedError("GALLERY_LOCKED", f"{member} closes its own")
            place.lent[member] = numbers = self._vault.lendable(member)
        try:
            sealed = self._vault.lend(member, place.public)
        except SealError:
            self.take_back(place, [member])
            self._damaged[member] = numbers
            for gallery in self.galleries():
                if gallery.holder == member:
                    self._galleries.damage(*gallery, "a key of it is damaged")
            raise
        except GalleryLockedError:
            self.take_back(place, [member])
            self._away[member] = time.monotonic() + limits.SHARD_PULSE_SECONDS
            raise
        except StorageError:
            self.take_back(place, [member])
            raise
        return Loan(sealed, position)

    def newer(self, place: Place, members: Iterable[Member]) -> dict[Member, Loan]:
        """Lend a shard the keys that it lacks, of members that are unlocked.

        Raises:
            StorageError: they cannot be read now; nothing is lent.
        """
        return self._loans(place, self._lacked(place, members))

    def newer_for_all(
        self, places: Iterable[Place], members: Collection[Member]
    ) -> dict[Place, dict[Member, Loan]]:
        """Lend each of some shards the keys that it lacks; see `newer`.

        Raises:
            StorageError: they cannot be read now; nothing is lent to anybody.
        """
        loans: dict[Place, dict[Member, Loan]] = {}
        try:
            for place in places:
                loans[place] = self.newer(place, members)
        except StorageError:
            for place, lent in loans.items():
                self.take_back(place, lent)
            raise
        return loans

    def every(self, place: Place) -> dict[Member, Loan]:
        """Lend a shard all keys, whatever was sent to it before.

        Raises:
            StorageError: they cannot be read now; nothing is lent.
        """
        return self._loans(place, filter(self.is_unlocked, self.holders()))

    def is_lacking(self, place: Place) -> bool:
        """Say whether `newer` would lend something, of anybody."""
        return any(self._lacked(place, self.holders()))

    def take_back(self, place: Place, members: Iterable[Member]) -> None:
        """Note that what was lent last was not sent; what was before may be there."""
        with self._places.changed:
            for member in members:
                place.lent[member] = frozenset()

    def _lacked(self, place: Place, members: Iterable[Member]) -> Iterator[Member]:
        for member in filter(self._is_at_hand, members):
            keys = self._lendable(member)
            if keys and keys != place.lent.get(member):
                yield member

    def _loans(self, place: Place, members: Iterable[Member]) -> dict[Member, Loan]:
        loans: dict[Member, Loan] = {}
        try:
            for member in members:
                with suppress(GalleryLockedError, SealError):
                    loans[member] = self.loan(place, member)
        except StorageError:
            self.take_back(place, loans)
            raise
        return loans

    def _lendable(self, member: Member) -> frozenset[int]:
        """Return the numbers of keys that can be lent: none where one is damaged."""
        numbers = self._vault.lendable(member)
        return frozenset() if self._damaged.get(member) == numbers else numbers

    def _is_at_hand(self, member: Member) -> bool:
        """Say whether what opens a member's keys may be, for all that is known."""
        return time.monotonic() >= self._away.get(member, 0.0)

    def try_again(self, member: Member) -> None:
        """Look anew whether keys of a member are damaged, or away: it was unlocked."""
        self._damaged.pop(member, None)
        self._away.pop(member, None)

    def is_unlocked(self, member: Member) -> bool:
        """Say whether there is something to be lent of a member."""
        return bool(self._lendable(member))

    def galleries(self) -> frozenset[GalleryName]:
        """Return every gallery that there is."""
        return self._galleries.known()

    def holders(self) -> set[Member]:
        """Return everybody who has a gallery."""
        return {gallery.holder for gallery in self.galleries()}

    def open_holders(self) -> set[Member]:
        """Return those whose galleries are to be searched, as far as can be."""
        return {
            holder
            for holder in filter(self._is_at_hand, self.holders() - self._withheld)
            if self._galleries.closed(holder) is None and self.is_unlocked(holder)
        }

    def lacking(self, reached: Reached) -> set[Member]:
        """Return holders whose galleries are open, but for those of one shard."""
        return self.open_holders() - reached.open
