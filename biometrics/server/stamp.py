"""Whether a file has changed, without reading it."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What changes when a file does; None where there is none that can be read.
Stamp = tuple[int, ...] | None


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a file does; None where there is no plain file."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for a writer
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
