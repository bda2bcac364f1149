"""Files that are on the disk, not only in the system's memory.

Errors are the system's own: whoever writes tells whose file it was.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OWNER_ONLY: Final = 0o600
READABLE: Final = 0o644


def cause_of(error: OSError) -> str:
    """Return why the system could not do something, for the end of a sentence."""
    return (error.strerror or "unknown cause").lower()


def make_durable(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk.

    Raises:
        OSError: it could not be flushed; nothing may be said to be there.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_new(path: Path, pieces: Iterable[bytes], mode: int = OWNER_ONLY) -> None:
    """Write a file that was not there; its content is durable, and its name not yet.

    Raises:
        OSError: it is there already, or was not written whole; what there is stays.
    """
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(number, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(number)


def create_file(path: Path, data: bytes) -> None:
    """Write a new file for its owner alone, whole or not at all; durable on return.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    with _draft(path, data, OWNER_ONLY) as draft:
        os.link(draft, path)  # unlike a rename, it replaces nothing
    make_durable(path.parent)


def put_file(path: Path, data: bytes, mode: int) -> None:
    """Put `data` in the place of a file, whole or not at all; durable on return.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    with _draft(path, data, mode) as draft:
        draft.replace(path)
    make_durable(path.parent)


@contextmanager
def _draft(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Give a durable file beside `path`; nothing is left of it under its own name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_new(draft, [data], mode)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
