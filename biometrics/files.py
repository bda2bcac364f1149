"""Files that are on the disk, not only in the system's memory.

Errors are the system's own: `cannot_write` and `cannot_read` tell them of a file that a
person has named, under one reason each wherever it was.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

OWNER_ONLY: Final = 0o600
READABLE: Final = 0o644
# How a file system says that it has no files without a name: NFS and FUSE, old kernels.
_NAMELESS_NOT: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def cause_of(error: OSError) -> str:
    """Return why the system could not do something, for the end of a sentence."""
    return (error.strerror or "unknown cause").lower()


def cannot_write(path: Path, error: OSError, more: str = "") -> ConfigurationError:
    """Return why a file or folder that a person has named cannot be written.

    Args:
        path: that was named.
        error: of the system.
        more: what else there is to say, from its colon or semicolon on.
    """
    if isinstance(error, FileExistsError):
        told = f"`{path}` exists and is not overwritten{more}; name another"
        return ConfigurationError("FILE_EXISTS", told)
    told = f"`{path}` cannot be written: {cause_of(error)}{more}"
    return ConfigurationError("CANNOT_WRITE", told)


def cannot_read(path: Path, error: OSError) -> ConfigurationError:
    """Return why a file that a person has named cannot be read."""
    told = f"`{path}` cannot be read: {cause_of(error)}"
    return ConfigurationError("UNREADABLE_FILE", told)


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
    with _draft(path, data, OWNER_ONLY) as give_name:
        give_name(path)  # unlike a rename, it replaces nothing
    make_durable(path.parent)


def put_file(path: Path, data: bytes, mode: int) -> None:
    """Put `data` in the place of a file, whole or not at all; durable on return.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    draft = _draft_of(path)
    with _draft(path, data, mode) as give_name:
        try:
            give_name(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    make_durable(path.parent)


@contextmanager
def _draft(path: Path, data: bytes, mode: int) -> Iterator[Callable[[Path], None]]:
    """Give what names a durable file that lies where `path` does.

    Until then it has no name, so that a process which is killed leaves none of it
    behind: it may be a key. Where the file system knows no such files, it has one of
    its own, which a kill leaves.
    """
    folder = path.parent.absolute()
    try:
        number = os.open(folder, os.O_WRONLY | os.O_TMPFILE, mode)
    except OSError as error:
        if error.errno not in _NAMELESS_NOT:
            raise
        draft = _draft_of(folder / path.name)
        try:
            write_new(draft, [data], mode)
            yield lambda name: os.link(draft, name)
        finally:
            draft.unlink(missing_ok=True)
        return
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(number)
        # To follow that link, which names the open file, the system call has to be
        # asked to; Python does so only where it is also given a folder to start from.
        opened = f"/proc/self/fd/{number}"
        yield lambda name: os.link(opened, name, src_dir_fd=number)


def _draft_of(path: Path) -> Path:
    """Return a name beside `path` that nothing has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")
