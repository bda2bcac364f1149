"""Which of several places has which templates of a gallery.

Templates that were enrolled one after another stay together in blocks, whose place
follows from a hash: so all of a small gallery are in one place, and a large one is in
all of them. Of n + 1 places each takes its part of what n had, and no two exchange
any (rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase
hit rates", IEEE/ACM Transactions on Networking 6, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from biometrics.store import StoredTemplate

_BLOCKS_REMEMBERED: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Sharing:
    """How galleries are shared out.

    Attributes:
        places: how many there are.
        together: templates with so many numbers in sequence are in one place.
        copies: of each place.
    """

    places: int
    together: int
    copies: int = 1

    def place_of(self, stored: StoredTemplate) -> int:
        """Return the number of the place that has a template, from 0."""
        gallery = GalleryName(stored.member, stored.space)
        return _place(gallery, stored.template_id // self.together, self.places)


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is about one copy of a place, to be shown."""

    number: int
    copy: int
    is_ready: bool
    templates: int


@lru_cache(_BLOCKS_REMEMBERED)
def _place(gallery: GalleryName, block: int, places: int) -> int:
    """Return the place whose hash of a block is the greatest."""
    name = f"{gallery.holder.code}/{gallery.space}/{block}/"

    def weight(place: int) -> bytes:
        return blake2b(f"{name}{place}".encode(), digest_size=16).digest()

    return max(range(places), key=weight)
