"""Fields that both editions of ISO/IEC 19794-2 write alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from enrolment.formats.finger import Minutia, MinutiaType

if TYPE_CHECKING:
    from collections.abc import Callable

    from enrolment.formats.octets import Octets

FINGERS: Final = frozenset(range(11))  # 0 if unknown
_MOST_VIEWS: Final = 176  # eleven positions, sixteen views each
_MOST_PIXELS: Final = 0x3FFF  # 14 bits
_LEAST_PER_CM: Final = 99  # 250 pixels an inch


def read_minutia_list(
    octets: Octets,
    where: str,
    size: tuple[int, int],
    read_quality: Callable[[Octets, str], int | None],
) -> tuple[Minutia, ...]:
    """Read a count, and as many minutiae."""
    count = octets.uint(1, f"{where}minutiae")
    found = []
    for number in range(count):
        name = f"{where}minutiae[{number}]"
        first, second = octets.uint(2, f"{name}.x"), octets.uint(2, f"{name}.y")
        kind, x, y = first >> 14, first & _MOST_PIXELS, second & _MOST_PIXELS
        octets.check(f"{name}.type", kind in set(MinutiaType), f"`{kind}` is reserved")
        octets.check(f"{name}.y", second >> 14 == 0, "has reserved bits that are set")
        width, height = size
        octets.check(f"{name}.x", x < width, f"`{x}` is outside {width} pixels")
        octets.check(f"{name}.y", y < height, f"`{y}` is outside {height} pixels")
        angle = octets.uint(1, f"{name}.angle")
        found.append(
            Minutia(
                x=x,
                y=y,
                type=MinutiaType(kind),
                angle=angle,
                quality=read_quality(octets, f"{name}.quality"),
            )
        )
    return tuple(found)


def pass_extended(octets: Octets, where: str) -> int:
    """Pass over extended data; return how many bytes."""
    count = octets.uint(2, f"{where}extended_bytes")
    octets.take(count, f"{where}extended")
    return count


def read_view_count(octets: Octets, size: int) -> int:
    """Read how many views follow."""
    count = octets.uint(size, "view_count")
    octets.check(
        "view_count",
        1 <= count <= _MOST_VIEWS,
        f"`{count}` views; there are 1 to {_MOST_VIEWS}",
    )
    return count


def read_size(octets: Octets, where: str, name: str = "width") -> int:
    """Read a side of an image."""
    size = octets.uint(2, f"{where}{name}")
    octets.check(
        f"{where}{name}",
        0 < size <= _MOST_PIXELS,
        f"`{size}` pixels; there are 1 to {_MOST_PIXELS}",
    )
    return size


def read_rate(octets: Octets, where: str, name: str = "horizontal") -> int:
    """Read a sampling rate."""
    rate = octets.uint(2, f"{where}{name}")
    octets.check(
        f"{where}{name}",
        rate >= _LEAST_PER_CM,
        f"`{rate}` pixels per centimetre; there are {_LEAST_PER_CM} or more",
    )
    return rate


def read_code(octets: Octets, where: str, codes: frozenset[int]) -> int:
    """Read a code that is one of several."""
    code = octets.uint(1, where)
    octets.check(where, code in codes, f"`{code}` is no code of the standard")
    return code
