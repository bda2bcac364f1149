"""Tiles: 256 hashes of one level of a log's tree, which never change once full. Pure.

Level 0 has the leaves' hashes, level 1 the roots of level 0's tiles, and so on. From
the tiles of a tree all its proofs follow.

Source: C2SP, "tlog-tiles".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from biometrics.audit.tree import HASH_BYTES, Range, above, spans
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.audit.tree import Span

WIDTH: Final = 256
_BITS: Final = 8


class Tiles(Protocol):
    """Where tiles come from."""

    def tile(self, level: int, number: int, width: int) -> Sequence[bytes]:
        """Return the first `width` hashes of a tile.

        Raises:
            InvalidRequestError: it does not have so many.
        """


class LeafTiles:
    """Tiles that are made of the leaves' hashes, each anew."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        """Have all leaves of a tree, by their hashes."""
        self._hashes = hashes

    def tile(self, level: int, number: int, width: int) -> Sequence[bytes]:
        """Return the first `width` hashes of a tile."""
        each = 1 << (_BITS * level)
        first = number * WIDTH * each
        if not level:
            return self._hashes[first : first + width]
        starts = range(first, first + width * each, each)
        return [Range.of(self._hashes[start : start + each]).root for start in starts]


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root above a full tile."""
    return Range.of(hashes).root


def span_hash(tiles: Tiles, size: int, span: Span) -> bytes:
    """Return the root of a complete subtree.

    Args:
        tiles: of a tree that has it.
        size: how many leaves the tree has: a tile that is not full is asked for in the
            width that it has there.
        span: a power of two of leaves, at a multiple of that.
    """
    first, leaves = span
    shift = (leaves.bit_length() - 1) // _BITS * _BITS
    number, offset = divmod(first >> shift, WIDTH)
    width = min(WIDTH, (size >> shift) - number * WIDTH)
    hashes = tiles.tile(shift // _BITS, number, width)
    return tile_root(hashes[offset : offset + (leaves >> shift)])


def root_of(tiles: Tiles, size: int) -> bytes:
    """Return the root of the tree of so many leaves."""
    return above([span_hash(tiles, size, span) for span in spans(size)])


def split(data: bytes) -> list[bytes]:
    """Return the hashes that stand one behind another.

    Raises:
        InvalidRequestError: the last one is not whole.
    """
    if len(data) % HASH_BYTES:
        raise InvalidRequestError("NOT_A_TILE", "is no tile of a log: it is cut off")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def path_of(kind: str, number: int, width: int = WIDTH) -> str:
    """Return where a tile lies: `tile/0/x001/067`, with `.p/5` where it is not full.

    Args:
        kind: the level, or `entries`.
        number: of the tile.
        width: how many hashes it has.
    """
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    rest = "" if width == WIDTH else f".p/{width}"
    return f"tile/{kind}/{'/'.join(groups)}{rest}"
