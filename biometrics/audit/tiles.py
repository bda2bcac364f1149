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
    from collections.abc import Iterator, Sequence

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


def levels(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield level, number and width of the last tile of each level, if not full."""
    level = 0
    while size:
        if size % WIDTH:
            yield level, size // WIDTH, size % WIDTH
        size //= WIDTH
        level += 1


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root above a full tile."""
    return Range.of(hashes).root


def span_hash(tiles: Tiles, span: Span) -> bytes:
    """Return the root of a complete subtree.

    Args:
        tiles: of a tree that has it.
        span: a power of two of leaves, at a multiple of that.
    """
    first, size = span
    level = (size.bit_length() - 1) // _BITS
    width = size >> (level * _BITS)
    start = first >> (level * _BITS)
    number, offset = divmod(start, WIDTH)
    return tile_root(tiles.tile(level, number, offset + width)[offset:])


def root_of(tiles: Tiles, size: int) -> bytes:
    """Return the root of the tree of so many leaves."""
    return above([span_hash(tiles, span) for span in spans(size)])


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
