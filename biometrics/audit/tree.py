"""A Merkle tree over the leaves of a log: hashes, and proofs about them. Pure.

Sources: RFC 6962, section 2.1, for hashes and proofs; RFC 9162, section 2.1, for how
proofs are verified.
"""

from __future__ import annotations

import hashlib
from functools import reduce
from typing import TYPE_CHECKING, Final

from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HASH_BYTES: Final = 32
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
EMPTY: Final = hashlib.sha256(b"").digest()

# A subtree of so many leaves, all of them there: its first leaf, and their number.
Span = tuple[int, int]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of what stands above two subtrees."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a tree whose leaves have these hashes."""
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        # One that is left over is the last of the level above.
        last = level[-1:] if len(level) & 1 else []
        level = [node_hash(left, right) for left, right in pairs] + last
    return level[0] if level else EMPTY


def above(hashes: Sequence[bytes]) -> bytes:
    """Return the root above complete subtrees, which grow smaller from left to right.

    Args:
        hashes: their roots; the sizes are the powers of two of the tree's.
    """
    if not hashes:
        return EMPTY
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes))


class Range:
    """What is left of a tree when only more leaves are to come: a root for each bit.

    Attributes:
        size: how many leaves there are.
        hashes: of the complete subtrees, from left to right, the largest first.
    """

    __slots__ = ("hashes", "size")

    def __init__(self) -> None:
        """Have no leaf."""
        self.size = 0
        self.hashes: list[bytes] = []

    @classmethod
    def of(cls, hashes: Sequence[bytes]) -> Range:
        """Return the range of leaves with these hashes."""
        found = cls()
        for each in hashes:
            found.append(each)
        return found

    def append(self, added: bytes) -> None:
        """Add a leaf by its hash."""
        full = self.size
        while full & 1:
            added = node_hash(self.hashes.pop(), added)
            full >>= 1
        self.hashes.append(added)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return above(self.hashes)


def spans(size: int, first: int = 0) -> Iterator[Span]:
    """Yield the complete subtrees of a tree, from left to right.

    Args:
        size: how many leaves.
        first: number of the first leaf.
    """
    while size:
        most = 1 << (size.bit_length() - 1)
        yield first, most
        first, size = first + most, size - most


def inclusion(index: int, size: int) -> list[list[Span]]:
    """Return of which subtrees an inclusion proof has the roots, from the leaf upwards.

    Each is given as the complete subtrees that it consists of.

    Args:
        index: number of the leaf, from 0.
        size: how many leaves the tree has.
    """
    found: list[list[Span]] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            found.append(list(spans(end - middle, middle)))
            end = middle
        else:
            found.append(list(spans(middle - first, first)))
            first = middle
    return found[::-1]


def consistency(before: int, size: int) -> list[list[Span]]:
    """Return of which leaves a consistency proof has the roots, in its order.

    Args:
        before: size of the smaller tree, at least 1.
        size: of the larger.
    """
    found: list[list[Span]] = []
    first, end, is_whole = 0, size, True
    while before != end:
        middle = first + _split(end - first)
        if before <= middle:
            found.append(list(spans(end - middle, middle)))
            end = middle
        else:
            found.append(list(spans(middle - first, first)))
            first, is_whole = middle, False
    if not is_whole:
        found.append(list(spans(end - first, first)))
    return found[::-1]


def prove(
    wanted: Sequence[Sequence[Span]], hash_of: Callable[[Span], bytes]
) -> list[bytes]:
    """Return a proof, from the roots of complete subtrees."""
    return [above([hash_of(span) for span in each]) for each in wanted]


def root_by_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes]
) -> bytes:
    """Return the root of a tree in which a leaf is, by the proof that it is.

    Args:
        leaf: its hash.
        index: its number, from 0.
        size: how many leaves the tree has.
        proof: as `inclusion` describes it.

    Raises:
        InvalidRequestError: no leaf of that tree has a proof like it.
    """
    if not 0 <= index < size:
        raise _no_proof(f"leaf {index} is not in a tree of {size}")
    _refuse_other_sizes([leaf, *proof])
    node, last, found = index, size - 1, leaf
    for each in proof:
        if not last:
            raise _no_proof("it is too long")
        if node & 1 or node == last:
            found = node_hash(each, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, each)
        node, last = node >> 1, last >> 1
    if last:
        raise _no_proof("it is too short")
    return found


def check_consistency(
    before: tuple[int, bytes], after: tuple[int, bytes], proof: Sequence[bytes]
) -> None:
    """Refuse two trees of which the second is not the first with more leaves.

    Args:
        before: size and root of the smaller tree, of one leaf at least: of an empty one
            there is nothing to prove.
        after: size and root of the larger.
        proof: as `consistency` describes it; empty where they have one size.

    Raises:
        InvalidRequestError: it is not, or the proof does not show it.
    """
    (size, smaller), (larger_size, larger) = before, after
    if not 0 < size <= larger_size:
        raise _no_proof(f"a tree of {larger_size} cannot follow one of {size}")
    if size == larger_size:
        if proof or smaller != larger:
            raise _no_proof("the roots differ")
        return
    _refuse_other_sizes(proof)
    # A smaller tree that is complete stands in the larger one as it is.
    hashes = list(proof) if size & (size - 1) else [smaller, *proof]
    if not hashes:
        raise _no_proof("it is too short")
    if _roots_by_consistency(size, larger_size, hashes) != (smaller, larger):
        raise _no_proof("it leads to other roots")


def _roots_by_consistency(
    size: int, larger_size: int, hashes: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the roots that a proof leads to: of the smaller tree, and the larger."""
    node, last = size - 1, larger_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for each in hashes[1:]:
        if not last:
            raise _no_proof("it is too long")
        if node & 1 or node == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, each)
        node, last = node >> 1, last >> 1
    if last:
        raise _no_proof("it is too short")
    return old, new


def _refuse_other_sizes(hashes: Sequence[bytes]) -> None:
    """Refuse what is no hash: two of them must not be read as two others."""
    if any(len(each) != HASH_BYTES for each in hashes):
        raise _no_proof(f"a hash in it has not {HASH_BYTES} bytes")


def _split(size: int) -> int:
    """Return the greatest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _no_proof(told: str) -> InvalidRequestError:
    """Return the error of a proof that shows nothing."""
    return InvalidRequestError("NOT_PROVED", f"the log's proof does not hold: {told}")
