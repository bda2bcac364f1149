"""The line of a client to the exchange, which follows the files of its certificate.

A certificate lives for days, a client for months. So before a call its files are looked
at, now and then; once they were changed, calls go over a new line, and the old one is
closed when no call can be on it any more. What cannot be used yet, such as a new
certificate whose key is still to come, is looked at again: the old line serves on.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from biometrics import limits
from biometrics.client.channel import prepare_channel
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from biometrics.client.channel import ChannelSettings
    from biometrics.client.profile import Profile

LineT = TypeVar("LineT")
_Stamp = tuple[int, int, int] | None


class Lines(Generic[LineT]):
    """The line that calls go over now, and those that earlier calls are still on."""

    def __init__(
        self,
        profile: Profile,
        connect: Callable[[ChannelSettings], LineT],
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the first line.

        Args:
            profile: names the files.
            connect: opens a line; it connects when it is first used.
            seconds: goes up, at any origin.

        Raises:
            ConfigurationError: a certificate or key cannot be read or does not fit.
        """
        self._profile = profile
        self._connect = connect
        self._seconds = seconds
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._line = connect(prepare_channel(profile))
        self._looked = seconds()
        self._retired: list[tuple[float, LineT]] = []

    def current(self) -> LineT:
        """Return the line for a call that begins now."""
        now = self._seconds()
        with self._lock:
            if now - self._looked >= limits.CERTIFICATE_LOOK_SECONDS:
                self._looked = now
                self._follow(now)
            return self._line

    def take_idle(self) -> list[LineT]:
        """Return, once, the lines that no call is on any more, to be closed."""
        oldest = self._seconds() - limits.MAX_DEADLINE_SECONDS
        with self._lock:
            idle = [line for retired, line in self._retired if retired < oldest]
            self._retired = [each for each in self._retired if each[0] >= oldest]
        return idle

    def take_all(self) -> list[LineT]:
        """Return every line, to be closed; none is to be used any more."""
        with self._lock:
            retired, self._retired = self._retired, []
            return [line for _, line in retired] + [self._line]

    def _follow(self, now: float) -> None:
        """Open a new line if the files were changed and can be used."""
        stamps = self._look()
        if stamps == self._stamps:
            return
        try:
            line = self._connect(prepare_channel(self._profile))
        except ConfigurationError:
            return  # not whole yet
        self._retired.append((now, self._line))
        self._line = line
        self._stamps = stamps

    def _look(self) -> tuple[_Stamp, ...]:
        """Return what tells the files from what they were."""
        profile = self._profile
        return tuple(
            _stamp(path)
            for path in (profile.authority, profile.certificate, profile.key)
        )


def _stamp(path: Path) -> _Stamp:
    """Return what tells a file from another under its name, or None."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_ino, told.st_size
