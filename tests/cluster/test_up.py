"""`biometrics cluster up` runs nodes until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

STOPPING_SECONDS = 60.0
MANY = 200  # so that one comes while another is being handled


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_nodes_end_however_often_they_are_told_to(tmp_path: Path) -> None:
    """Who stops a process group sends signals at once; the command ends in order."""
    token = tmp_path / "token"
    up = ("cluster", "up", "--nodes", "1", "--node-mb", "256", "--token", str(token))
    with subprocess.Popen(
        [sys.executable, "-m", "biometrics.cli", *up],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("export RAY_AUTH_MODE=token"):
                    break
            for number in (signal.SIGTERM, signal.SIGINT) * MANY:
                process.send_signal(number)
            process.stdout.read()
            assert process.wait(STOPPING_SECONDS) == 0
        finally:
            process.kill()
