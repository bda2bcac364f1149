"""Memory that values are sealed from and opened into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    Values: TypeAlias = Buffer | NDArray[Any]


def as_bytes(values: Values) -> memoryview:
    """Return contiguous values as they lie in memory, without a copy."""
    # Arrays are buffers; their type says so from Python 3.12 only.
    return memoryview(cast("Buffer", values)).cast("B")


def wipe(clear: bytearray | memoryview) -> None:
    """Overwrite bytes with zeros, where they lie."""
    clear[:] = bytes(len(clear))
