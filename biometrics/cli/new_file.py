"""Files that commands leave behind, which only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write, cause_of, make_durable, write_new

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO


def check_new(path: Path, what: str, option: str) -> None:
    """Find out whether a file can be made at `path`; see `NewFile`."""
    NewFile(path, what, option)


def write_new_file(path: Path, data: bytes) -> None:
    """Write a file that was not there, durably.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        write_new(path, [data])
        make_durable(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


class NewFile:
    """A file that only its owner can read; a context manager.

    It is made when something is first written to it, so that nothing is left behind
    where there was nothing to write, and nothing is ever overwritten.
    """

    def __init__(self, path: Path, what: str, option: str) -> None:
        """Find out whether a file can be made at `path`.

        Args:
            path: where.
            what: it is for, for messages.
            option: that names it.

        Raises:
            ConfigurationError: it is there already, or its folder is not to be
                written to.
        """
        self._path = path
        self._what = what
        self._option = option
        self._file: IO[str] | None = None
        if os.path.lexists(path):
            raise self._error("FILE_EXISTS", "is there already; it is kept as it is")
        if not path.parent.is_dir():
            raise self._error("CANNOT_WRITE", "has no folder to be in; make that first")
        if not os.access(path.parent, os.W_OK):
            raise self._error(
                "CANNOT_WRITE", "lies in a folder that is not to be written to"
            )

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, if it was made."""
        if self._file is not None:
            with suppress(OSError):  # of a write that failed, and was told then
                self._file.close()

    @property
    def is_made(self) -> bool:
        """Whether something was written to it."""
        return self._file is not None

    def add(self, text: str) -> None:
        """Add a text, and make the file if it is the first.

        Raises:
            ConfigurationError: it cannot be made or written.
        """
        try:
            if self._file is None:
                opened = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
                )
                self._file = os.fdopen(opened, "w", encoding="utf-8")
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            told = f"cannot be written: {cause_of(error)}"
            raise self._error("CANNOT_WRITE", told) from error

    def _error(self, reason: str, told: str) -> ConfigurationError:
        """Return an error about the file."""
        return ConfigurationError(
            reason,
            f"`{self._path}`, for {self._what}, {told}; name a file that is not"
            f" there with `{self._option}`",
        )
