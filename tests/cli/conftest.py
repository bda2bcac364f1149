"""A pocket exchange, and the command line run against it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.cli import main
from tests.pocket import Authority, RunningExchange, Script, write_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@pytest.fixture(scope="session")
def authority():
    """The authority that the exchange and its clients trust."""
    return Authority("test authority")


@pytest.fixture(scope="module")
def running(authority: Authority):
    """An exchange that listens."""
    exchange = RunningExchange(authority)
    yield exchange
    exchange.stop()


@pytest.fixture
def script(running: RunningExchange):
    """What the exchange is sent and how it is to behave, in this test."""
    return running.reset()


@pytest.fixture
def profile(
    tmp_path: Path,
    authority: Authority,
    running: RunningExchange,
    monkeypatch: pytest.MonkeyPatch,
):
    """A client's profile; no other is named in the environment."""
    monkeypatch.delenv("BIOMETRICS_PROFILE", raising=False)
    folder = tmp_path / "client"
    folder.mkdir()
    return write_profile(folder, authority, running.port)


@dataclass
class Told:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Run a command to its end."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Told:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = ended.value.code
        return Told(code=int(code or 0), out=captured.out, err=captured.err)

    return run


@pytest.fixture
def ask(run: Callable[..., Told], profile: Path, script: Script):  # noqa: ARG001
    """Run a command that talks to the exchange."""
    return lambda *arguments: run("--profile", profile, *arguments)


@pytest.fixture
def gallery(tmp_path: Path):
    """A maker of array files: as many rows, all different."""

    def make(rows: int, name: str = "gallery.npz", zero: Sequence[int] = ()) -> Path:
        vectors = np.random.default_rng(rows).standard_normal((rows, 16))
        vectors[list(zero)] = 0.0
        references = np.array([f"ref-{row:05d}" for row in range(rows)])
        path = tmp_path / name
        np.savez(path, embedding=vectors.astype(np.float32), reference=references)
        return path

    return make
