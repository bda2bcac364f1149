"""Keys of galleries, sealed to shards."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from biometrics.errors import GalleryLockedError
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
            GalleryLockedError: the member is locked, or about to be.
        """
        position = self._position()  # read before the keys are
        with self._places.changed:
            if member in self._withheld:
                raise GalleryLockedError("GALLERY_LOCKED", f"{member} closes its own")
            place.lent[member] = self._vault.lendable(member)
        return Loan(self._vault.lend(member, place.public), position)

    def newer(self, place: Place, members: Iterable[Member]) -> dict[Member, Loan]:
        """Lend a shard the keys that it lacks, of members that are unlocked."""
        loans = {}
        for member in members:
            keys = self._vault.lendable(member)
            if keys and keys != place.lent.get(member):
                with suppress(GalleryLockedError):
                    loans[member] = self.loan(place, member)
        return loans

    def is_unlocked(self, member: Member) -> bool:
        """Say whether there is something to be lent of a member."""
        return bool(self._vault.lendable(member))

    def galleries(self) -> frozenset[GalleryName]:
        """Return every gallery that there is."""
        return self._galleries.known()

    def holders(self) -> set[Member]:
        """Return everybody who has a gallery."""
        return {gallery.holder for gallery in self.galleries()}

    def open_holders(self) -> set[Member]:
        """Return those whose galleries are to be searched."""
        return {
            holder
            for holder in self.holders() - self._withheld
            if self._galleries.closed(holder) is None and self.is_unlocked(holder)
        }

    def lacking(self, reached: Reached) -> set[Member]:
        """Return holders whose galleries are open, but for those of one shard."""
        return self.open_holders() - reached.open
