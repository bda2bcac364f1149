"""Small secret files, which only their owner can use."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BYTES: Final = 1024


def read_owned(path: Path, what: str) -> bytes:
    """Return the first kilobyte of a file; of what is no file, nothing.

    Args:
        path: of the file.
        what: it is, for the error.

    Raises:
        ConfigurationError: it is not there, or others than its owner can use it.
    """
    with told(path, "read"):
        # Not blocking: were it a pipe, opening it would wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            mode = os.fstat(handle).st_mode
            text = os.read(handle, _MOST_BYTES) if stat.S_ISREG(mode) else b""
        finally:
            os.close(handle)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "KEY_FILE_EXPOSED",
            f"`{path}` can be used by others than its owner; give the {what} mode 0600,"
            " and find out who may have read it",
        )
    return text


@contextmanager
def told(path: Path, done: str) -> Iterator[None]:
    """Tell an error of the operating system as one of the operator's files.

    Raises:
        ConfigurationError: in place of it.
    """
    try:
        yield
    except FileExistsError as error:
        raise ConfigurationError(
            "KEY_FILE_EXISTS",
            f"`{path}` exists and is not overwritten: what its key wraps would be lost;"
            " name another file",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "KEY_FILE_UNREACHABLE",
            f"`{path}` cannot be {done}, {error.strerror}; name a file that can",
        ) from error
