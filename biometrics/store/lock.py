"""One exchange per database: a second one would search a stale index."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


class ProcessLock:
    """A lock on a file beside the database, held while the store is open.

    The system drops it with the process, however that ends. It keeps other stores
    out, not other readers of the database.
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
                f"`{database}` is open in another exchange; stop that one first, or"
                " give this one its own database",
            ) from error

    def release(self) -> None:
        """Let the next store in. The file stays: removing it would race."""
        os.close(self._descriptor)
