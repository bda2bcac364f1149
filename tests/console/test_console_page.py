"""The console's page does what it says, run as an operator would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.demo.process import free_port
from tests.cli.test_readme import ROOT, commands, run_script, write_commands

if TYPE_CHECKING:
    from pathlib import Path


def test_every_command_of_the_page_succeeds(tmp_path: Path):
    """In order, from `init` to the end of both processes."""
    write_commands(tmp_path / "bin")
    (tmp_path / "work").mkdir()
    page = (ROOT / "biometrics/console/README.md").read_text("utf-8")
    script = "".join(commands(page))
    console, exchange = free_port(), free_port()
    assert script.count("biometrics init pilot") == 1
    script = script.replace(
        "biometrics init pilot",
        f"biometrics init pilot --listen 127.0.0.1:{exchange}",
    ).replace("7445", str(console))
    code = run_script(f"set -euo pipefail\n{script}", tmp_path)
    assert code == 0, (tmp_path / "err").read_text("utf-8")
    said = (tmp_path / "out").read_text("utf-8")
    assert "<title>pilot · console of XAA auditor</title>" in said
    assert said.count(", password ") == 2
    for name in ("serve.log", "console.log"):
        log = (tmp_path / "work/pilot" / name).read_text("utf-8")
        assert log.endswith("stopped\n"), log
