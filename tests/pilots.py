"""`biometrics demo`, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]


def run_demo(folder: Path, *options: str, seconds: float = 60) -> dict[str, Any]:
    """Run the demo in a process of its own; it must succeed, within so long."""
    told = subprocess.run(
        [sys.executable, "-m", "biometrics.cli", "demo", "--json", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    document: dict[str, Any] = json.loads(told.stdout)
    return document


def matches(document: dict[str, Any]) -> int:
    """Return how many matches named their holder."""
    return sum(
        pair["matches"]
        for requester in document["requesters"]
        for pair in requester["holders"].values()
        if pair["level"] != "presence"
    )
