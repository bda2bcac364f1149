"""What a witness has cosigned, in a folder of its own: of each log the last checkpoint.

    log.pub         the key that signs the logs
    witness/origin  the log that is followed
    witness/...     of each log what was cosigned last, under the hash of its origin

Whoever forgets what it has cosigned can be shown another history. So what is written is
on the disk, under its name, before `write` returns; and one process has the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from biometrics.audit.pages import Pages
from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write
from biometrics.signing.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER: Final = "witness"
_ORIGIN: Final = "witness/origin"
_PRIVATE: Final = 0o700


class Memory:
    """A witness's memory; `opened` gives it to one at a time."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that is there."""
        self._pages = Pages(folder)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Self]:
        """Give the memory in a folder, which is made where it is missing.

        Raises:
            ConfigurationError: another process has it, or it cannot be written.
        """
        try:
            (folder / _FOLDER).mkdir(_PRIVATE, parents=True, exist_ok=True)
            lock = os.open(folder / _FOLDER / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise cannot_write(folder, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield cls(folder)
        except BlockingIOError as error:
            raise ConfigurationError(
                "WITNESS_RUNNING",
                f"another witness has `{folder}` open; each has a folder of its own",
            ) from error
        finally:
            os.close(lock)

    @property
    def origin(self) -> str:
        """The log that is followed; empty at first."""
        return (self._pages.read(_ORIGIN) or b"").decode(errors="replace").strip()

    def where(self, origin: str) -> Path:
        """Return where it is kept what was cosigned last of a log."""
        name = hashlib.sha256(origin.encode()).hexdigest()[:16]
        return self._pages.folder / _FOLDER / name

    def read(self, origin: str) -> bytes | None:
        """Return what was cosigned last of a log; None if nothing was.

        Raises:
            ConfigurationError: it cannot be read.
        """
        return self._pages.read(f"{_FOLDER}/{self.where(origin).name}")

    def write(self, origin: str, note: bytes) -> None:
        """Remember what is cosigned of a log, durably, and follow it from now on.

        Raises:
            ConfigurationError: it cannot be written; nobody may be shown the note.
        """
        replace_file(self.where(origin), note)
        if self.origin != origin:
            replace_file(self._pages.folder / _ORIGIN, f"{origin}\n".encode())

    def keep(self, name: str, data: bytes) -> Path:
        """Keep a file that is not forgotten either, and return where.

        Raises:
            ConfigurationError: it cannot be written.
        """
        path = self._pages.folder / name
        replace_file(path, data)
        return path
