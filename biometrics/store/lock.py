"""One exchange per database: a second one would search a stale index."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


_COMMITS: Final = re.compile(rb"([0-9]{20})\n")


class ProcessLock:
    """A lock on a file beside the database, held while the store is open.

    The system drops it with the process, however that ends. It keeps other stores
    out, not other readers of the database. In the file stands how many commits the
    database has acknowledged: it is written after each of them, and need not be on the
    disk, since whoever finds an earlier number there misses nothing.
    """

    def __init__(self, database: Path) -> None:
        """Take the lock.

        Raises:
            ConfigurationError: another store has it.
        """
        path = database.with_name(f"{database.name}.lock")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise ConfigurationError(
                "DATABASE_IN_USE",
                f"`{database}` is open already: an exchange serves it, or a command"
                " checks or restores it; stop that one first. Two exchanges need a"
                " database each",
            ) from error

    def commits(self) -> int | None:
        """Return how many commits were acknowledged; None if that is not known."""
        found = _COMMITS.fullmatch(os.pread(self._descriptor, 64, 0))
        return int(found[1]) if found else None

    def note(self, commits: int) -> None:
        """Note how many commits were acknowledged, as far as it can be written."""
        with suppress(OSError):
            os.pwrite(self._descriptor, b"%020d\n" % commits, 0)

    def forget(self) -> None:
        """Know nothing of commits: another database takes the place of this one."""
        os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        """Let the next store in. The file stays: removing it would race."""
        os.close(self._descriptor)
