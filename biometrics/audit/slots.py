"""The entries below one leaf: a small tree that tells whoever has one of the others.

An entry stands in a random slot of 128. Every slot and branch without one has a random
hash, so that a path from an entry to the leaf's root looks the same whatever else is
there: nobody learns from it how many entries there are, or whose.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from biometrics.audit.tree import HASH_BYTES, node_hash
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPTH: Final = 7  # 64 holders and a requester, and as many slots to spare
SEED_BYTES: Final = 32


def depth_for(entries: int) -> int:
    """Return how deep the tree of a leaf with so many entries is."""
    return max(DEPTH, (2 * entries - 1).bit_length())


def draw_slots(entries: int, randomness: bytes) -> list[int]:
    """Return a slot for each entry, none twice.

    Args:
        entries: how many.
        randomness: 4 bytes for each.
    """
    size = 1 << depth_for(entries)
    free = list(range(size))
    drawn = []
    for number in range(entries):
        some = int.from_bytes(randomness[4 * number : 4 * number + 4], "big")
        chosen = number + some % (size - number)
        free[number], free[chosen] = free[chosen], free[number]
        drawn.append(free[number])
    return drawn


class SlotTree:
    """The tree of one leaf."""

    __slots__ = ("_depth", "_filling", "_levels")

    def __init__(self, hashes: Mapping[int, bytes], seed: bytes) -> None:
        """Build it.

        Args:
            hashes: of the entries, by slot; at least one.
            seed: what the rest is filled with follows from these 32 bytes.
        """
        self._depth = depth_for(len(hashes))
        # All at once: one call takes less time than a hash for each place.
        self._filling = hashlib.shake_128(seed).digest(HASH_BYTES << self._depth + 1)
        self._levels: list[dict[int, bytes]] = [dict(hashes)]
        for level in range(self._depth):
            self._levels.append(
                {
                    place: node_hash(
                        self._at(level, 2 * place), self._at(level, 2 * place + 1)
                    )
                    for place in {below >> 1 for below in self._levels[level]}
                }
            )

    @property
    def root(self) -> bytes:
        """Its root."""
        return self._levels[-1][0]

    def path(self, slot: int) -> list[bytes]:
        """Return what leads from a slot to the root, upwards."""
        return [self._at(level, (slot >> level) ^ 1) for level in range(self._depth)]

    def _at(self, level: int, place: int) -> bytes:
        """Return the hash at a place, of an entry or random."""
        found = self._levels[level].get(place)
        if found is not None:
            return found
        start = HASH_BYTES * ((1 << self._depth - level) + place)
        return self._filling[start : start + HASH_BYTES]


def root_by_path(entry: bytes, slot: int, path: Sequence[bytes]) -> bytes:
    """Return the root of the tree that a path leads to.

    Args:
        entry: its hash.
        slot: where it stands.
        path: as `SlotTree.path` returns it.

    Raises:
        InvalidRequestError: there is no such slot in a tree of that depth.
    """
    if not 0 <= slot < 1 << len(path):
        raise InvalidRequestError("NOT_PROVED", f"there is no slot {slot}")
    found = entry
    for each in path:
        found = node_hash(each, found) if slot & 1 else node_hash(found, each)
        slot >>= 1
    return found
