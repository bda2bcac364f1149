"""Asks `footer`, a process of its own, about files that could end the process."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM: Final = Path(__file__).with_name("footer.py")


class EndedError(Exception):
    """The process that looked at a file ended, or was ended because it took long."""


class Guard:
    """One process that looks at footers, started when it is needed; for many threads.

    It is kept, since to start it takes longer than to look at hundreds of files.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start `command` when it is first needed."""
        self._command = list(command)
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def most_values(self, path: Path) -> list[int] | None:
        """Return the most values that a column has, by row group.

        Returns:
            None if the file cannot be read, which is told by whoever reads it.

        Raises:
            EndedError: of this file.
        """
        question = json.dumps(str(path.absolute())).encode() + b"\n"
        with self._asking:
            process = self._running()
            assert process.stdin is not None  # noqa: S101 - made with pipes
            try:
                process.stdin.write(question)
                process.stdin.flush()
                return _answer(process)
            except (EndedError, OSError) as error:
                self._end()
                raise EndedError from error

    def close(self) -> None:
        """End the process, if there is one."""
        with self._asking:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; start it if there is none any more."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the last words of a library
            )
        return self._process

    def _end(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _answer(process: subprocess.Popen[bytes]) -> list[int] | None:
    """Return the line that a process answers.

    Raises:
        EndedError: it ends instead, or takes longer than it may.
    """
    assert process.stdout is not None  # noqa: S101 - made with pipes
    descriptor, line = process.stdout.fileno(), b""
    until = time.monotonic() + limits.FOOTER_SECONDS
    while not line.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise EndedError
        if not (more := os.read(descriptor, 65536)):
            raise EndedError
        line += more
    found: list[int] | None = json.loads(line)
    return found


GUARD: Final = Guard([sys.executable, "-P", str(_PROGRAM)])
atexit.register(GUARD.close)
