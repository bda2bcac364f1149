"""Small secret files, which only their owner can use."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

# Its member's galleries are closed until somebody brings it: no other file is so.
KEY_FILE_UNREACHABLE: Final = "KEY_FILE_UNREACHABLE"
_MOST_BYTES: Final = 1024


def read_owned(path: Path, what: str) -> bytes:
    """Return the first kilobyte of a file; of what is no file, nothing.

    Args:
        path: of the file.
        what: it is, for the error.

    Raises:
        ConfigurationError: it is not there, or others than its owner can use it.
    """
    try:
        # Not blocking: were it a pipe, opening it would wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            mode = os.fstat(handle).st_mode
            text = os.read(handle, _MOST_BYTES) if stat.S_ISREG(mode) else b""
        finally:
            os.close(handle)
    except OSError as error:
        raise ConfigurationError(
            KEY_FILE_UNREACHABLE,
            f"`{path}` cannot be read, {error.strerror}; name a file that can",
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "KEY_FILE_EXPOSED",
            f"`{path}` can be used by others than its owner; give the {what} mode 0600,"
            " and find out who may have read it",
        )
    return text
