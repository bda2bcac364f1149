"""The demo's server: `biometrics serve` in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Self

from biometrics.client import ExchangeClient
from biometrics.errors import DeadlineError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.client import Profile

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1
_PROGRAM: Final = "biometrics.cli"


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A running server; a context manager that stops it as an operator would."""

    def __init__(self, config: Path, log: Path, program: str = _PROGRAM) -> None:
        """Start to serve `config`; what the server says goes to `log`.

        `program` is the module that is run; benchmarks have others.
        """
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [
                    *(sys.executable, "-m", program),
                    *("serve", "--until-stdin-ends", "--config", config),
                ],
                # Ends when this process does, however it does.
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which then stops the server in order.
                start_new_session=True,
            )

    @property
    def number(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop with SIGTERM; kill only what does not drain."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait_until_ready(
        self, profile: Profile, seconds: float = START_SECONDS
    ) -> None:
        """Return once the server answers `profile`, within some seconds.

        Raises:
            UnavailableError: it ended, or does not answer.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                with ExchangeClient(profile) as client:
                    client.spaces()
                    return
            except (UnavailableError, DeadlineError) as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    said = self._log.read_text("utf-8", "replace").splitlines()
                    raise UnavailableError(
                        "SERVER_DID_NOT_START",
                        f"the server did not start: {said[-1] if said else 'no word'}",
                    ) from error
            time.sleep(_PAUSE_SECONDS)
