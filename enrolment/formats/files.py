"""Opening regular files: none that hangs, and none outside a manifest's folder."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from biometrics.errors import Fault, InvalidRequestError
from biometrics.files import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

# A pipe would be waited for, and a terminal taken over.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_LINKS = {
    errno.ELOOP: "it is a symbolic link, which is never followed",
    errno.ENOTDIR: "it lies behind a symbolic link or behind what is no folder",
}


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open the file that an operator named.

    Raises:
        InvalidRequestError: it cannot be read, or is no regular file.
    """
    with _told(str(path)), _regular(os.open(path, _FLAGS), str(path)) as file:
        yield file


@contextmanager
def open_beneath(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Open the file that a manifest in `folder` names.

    Every part of the name is opened in turn, so that no symbolic link is ever
    followed, not even one that is put there meanwhile.

    Raises:
        InvalidRequestError: it is not beneath the folder, cannot be read, or is no
            regular file.
    """
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or name.startswith("/") or ".." in parts:
        raise _refusal(
            name,
            "OUTSIDE_FOLDER",
            "must be a path beneath the manifest's folder, without `..`",
        )
    with _told(name):
        at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                inner = os.open(
                    part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at
                )
                os.close(at)
                at = inner
            opened = os.open(parts[-1], _FLAGS | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
        with _regular(opened, name) as file:
            yield file


@contextmanager
def _regular(opened: int, name: str) -> Iterator[BinaryIO]:
    """Take over a descriptor if it is of a regular file."""
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise _refusal(name, "NOT_A_FILE", "is no regular file")
        yield file


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell what the system refuses in words."""
    try:
        yield
    except OSError as error:
        told = _LINKS.get(error.errno or 0) or cause_of(error)
        raise _refusal(name, "UNREADABLE_FILE", f"cannot be read: {told}") from error


def _refusal(name: str, reason: str, message: str) -> InvalidRequestError:
    """Return an error about a file."""
    shown = name if len(name) <= 256 else f"{name[:256]}..."  # noqa: PLR2004 - a line
    return InvalidRequestError.of([Fault(field=shown, reason=reason, message=message)])
