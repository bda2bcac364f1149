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
    """The tree of one leaf: node 1 is its root, 2 n and 2 n + 1 are below n."""

    __slots__ = ("_first", "_nodes", "_seed")

    def __init__(self, hashes: Mapping[int, bytes], seed: bytes) -> None:
        """Build it.

        Args:
            hashes: of the entries, by slot; at least one.
            seed: what the rest is filled with follows from these 32 bytes.
        """
        depth = depth_for(len(hashes))
        self._seed = seed
        self._first = 1 << depth
        self._nodes = nodes = {self._first + s: each for s, each in hashes.items()}
        layer = set(nodes)
        for _ in range(depth):
            layer = {node >> 1 for node in layer}
            for node in layer:
                nodes[node] = node_hash(self._at(2 * node), self._at(2 * node + 1))

    @property
    def root(self) -> bytes:
        """Its root."""
        return self._nodes[1]

    def path(self, slot: int) -> list[bytes]:
        """Return what leads from a slot to the root, upwards."""
        node, found = self._first + slot, []
        while node > 1:
            found.append(self._at(node ^ 1))
            node >>= 1
        return found

    def _at(self, node: int) -> bytes:
        """Return the hash at a place, of an entry or random."""
        found = self._nodes.get(node)
        if found is None:
            found = hashlib.sha256(self._seed + node.to_bytes(4, "big")).digest()
            self._nodes[node] = found  # a path asks again
        return found


def root_by_path(entry: bytes, slot: int, path: Sequence[bytes]) -> bytes:
    """Return the root of the tree that a path leads to.

    Args:
        entry: its hash.
        slot: where it stands.
        path: as `SlotTree.path` returns it.

    Raises:
        InvalidRequestError: there is no such slot in a tree of that depth, or what
            leads there are no hashes.
    """
    if not 0 <= slot < 1 << len(path) or any(len(e) != HASH_BYTES for e in path):
        raise InvalidRequestError("NOT_PROVED", f"there is no slot {slot}")
    found = entry
    for each in path:
        found = node_hash(each, found) if slot & 1 else node_hash(found, each)
        slot >>= 1
    return found
