"""`init`, `serve` and `demo`: the commands that bring the server with them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture
def settings(run: Callable[..., Told], tmp_path: Path):
    """A new exchange's settings."""
    told = run("init", tmp_path / "pilot", "--listen", "127.0.0.1:0")
    assert told.code == 0, told.err
    return tmp_path / "pilot" / "exchange.toml"


def test_init_writes_an_exchange_and_says_how_to_go_on(
    run: Callable[..., Told], tmp_path: Path
):
    """The next command can be copied from the output."""
    told = run("init", tmp_path / "pilot")
    assert told.code == 0, told.err
    path = tmp_path / "pilot" / "exchange.toml"
    assert path.is_file()
    assert f"biometrics serve --config {path}" in told.out
    assert "certificates last 30 days" in told.out


def test_init_overwrites_nothing(run: Callable[..., Told], settings: Path):
    """Exit code 2, and the files are as they were."""
    before = settings.read_bytes()
    told = run("init", settings.parent)
    assert told.code == 2
    assert told.err.startswith("error: ")
    assert settings.read_bytes() == before


def test_check_says_that_a_configuration_is_in_order(
    run: Callable[..., Told], settings: Path
):
    """It starts nothing and writes no database."""
    told = run("serve", "--config", settings, "--check")
    assert (told.code, told.out) == (0, f"{settings} is in order\n")
    assert not list(settings.parent.glob("data/*.sqlite"))


def test_check_counts_what_a_start_would_go_on_without(
    run: Callable[..., Told], settings: Path
):
    """Exit code 0, as of the start; the last line does not hide the warnings."""
    (settings.parent / "keys/XCC.key").unlink()
    told = run("serve", "--config", settings, "--check")
    assert (told.code, told.out) == (0, f"{settings} is in order, with 1 warning\n")
    assert told.err.startswith("warning: galleries of XCC would stay locked: ")


def test_check_tells_whose_log_nobody_could_open(
    run: Callable[..., Told], settings: Path
):
    """A member that has named no auditor, in a note of its own."""
    text = settings.read_text()
    settings.write_text(text.replace('auditor = "auditors/XCC.pub"\n', ""))
    told = run("serve", "--check", "--config", settings)
    assert told.code == 0
    assert "XCC has named no `auditor`" in told.out + told.err
    assert "XDD has named no" not in told.out + told.err


def test_check_tells_what_is_wrong(run: Callable[..., Told], settings: Path):
    """Exit code 2 and no traceback."""
    settings.write_text(settings.read_text() + "\n[colour]\n")
    told = run("serve", "--config", settings, "--check")
    assert told.code == 2
    assert told.err.startswith("error: ")
    assert "colour" in told.err


def test_help_says_what_counts_at_once_and_what_after_a_restart(
    run: Callable[..., Told],
):
    """Agreements, certificates, signers and members at once; everything else after."""
    told = " ".join(run("serve", "--help").out.split())
    assert "signers and members count within seconds" in told
    assert "setting counts from the next start on" in told


@pytest.mark.parametrize("ready", [False, True])
def test_a_server_can_end_with_its_parent(settings: Path, *, ready: bool):
    """When the writer of its stdin ends, it drains, ready or still starting."""
    command = [sys.executable, "-m", "biometrics.cli", "serve", "--until-stdin-ends"]
    server = subprocess.Popen(
        [*command, "--config", settings],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        while ready and "ready on" not in server.stderr.readline():
            assert server.poll() is None, "the server ended before it was ready"
        _, said = server.communicate(timeout=30)  # closes stdin
    finally:
        server.kill()
        server.communicate()
    assert not ready or (server.returncode, said[-8:]) == (0, "stopped\n")


def test_clients_do_not_load_the_server():
    """The command line starts without engine and database."""
    heavy = "{'faiss', 'sqlalchemy', 'biometrics.server.exchange'}"
    code = f"import sys, biometrics.cli; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_module_runs_as_the_command():
    """`python -m biometrics.cli` is `biometrics`."""
    command = [sys.executable, "-m", "biometrics.cli", "spaces", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "list" in told.stdout


def test_the_demo_has_options_of_its_own(run: Callable[..., Told]):
    """They are the demo's, though it is loaded late."""
    told = run("demo", "--help")
    assert told.code == 0
    assert "Usage: biometrics demo" in told.out
    assert "--embeddings" in told.out
    assert run("demo", "--records", "1").code == 2
