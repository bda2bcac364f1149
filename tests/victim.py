"""An exchange in a process of its own, to be stopped in every way there is."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from world import AGREEMENTS, write_spaces

from biometrics.client import ExchangeClient, Profile
from biometrics.clock import SystemClock
from biometrics.demo.process import free_port
from biometrics.errors import DeadlineError, UnavailableError
from biometrics.server.blueprint import write_exchange
from biometrics.server.development import write_agreement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 30


def _listens(config: Path) -> list[str]:
    """Return where settings say to listen."""
    return re.findall(r'(?m)^listen = "(.*)"$', config.read_text())


class Victim:
    """An exchange in a process of its own, to be killed."""

    def __init__(
        self,
        root: Path,
        program: Sequence[str] = ("-m", "biometrics.cli"),
        *,
        agreement: str = AGREEMENTS["XAA"],
    ) -> None:
        """Write its files; `program` is what Python runs it by.

        `agreement` is XAA's.
        """
        self.program = program
        self.root = root / "exchange"
        self.config = write_exchange(
            self.root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen=f"127.0.0.1:{free_port()}",
        )
        write_spaces(self.root)
        write_agreement(self.root, agreement)
        self.process: subprocess.Popen[bytes] | None = None

    def beside(self, folder: Path) -> Victim:
        """Return another front end of the same exchange, with a copy of its files."""
        other = Victim(folder, self.program)
        (here,) = _listens(self.config)
        (there,) = _listens(other.config)
        shutil.rmtree(other.root)
        shutil.copytree(
            self.root, other.root, ignore=shutil.ignore_patterns("data", "*.log")
        )
        for path in (other.config, *(other.root / "clients").glob("*.toml")):
            path.write_text(path.read_text().replace(here, there))
        return other

    def profile(self, member: str, role: str) -> Profile:
        """Return the profile of one of a member's systems."""
        return Profile.load(self.root / "clients" / f"{member}-{role}.toml")

    def launch(self) -> None:
        """Begin to serve, and return at once."""
        with (self.root / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, *self.program, "serve"),
                    *("--config", str(self.config)),
                ],
                stderr=log,
                stdout=log,
                start_new_session=True,  # and so without a terminal
            )

    def start(self) -> None:
        """Serve, and return when it answers."""
        self.launch()
        assert self.process is not None
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with ExchangeClient(self.profile("XAA", "enroller")) as client:
                    client.spaces()
            except (UnavailableError, DeadlineError):
                assert self.process.poll() is None, "it did not start"
                assert time.monotonic() < end, "it does not answer"
            else:
                return

    def stop(self) -> None:
        """Have it drain, and end: what it shares with others ends with the last."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def end(self) -> None:
        """Leave nothing behind, whatever became of it."""
        if self.process is not None:
            self.kill()

    def kill(self) -> None:
        """Stop it at once, wherever it is."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
