"""Shards where they cannot be had."""

from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, "ray", None)


def test_a_cluster_needs_an_extra(run: Callable[..., Told], tmp_path: Path):
    """Which is named; nothing is done before that is known."""
    before = signal.getsignal(signal.SIGTERM)
    told = run("cluster", "up", "--token", tmp_path / "token")
    assert told.code == 2
    assert "regional-biometrics-exchange[cluster]" in told.err
    assert not (tmp_path / "token").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_settings_that_need_it_are_refused(run: Callable[..., Told], tmp_path: Path):
    """Before anything is started, and by the check as well."""
    assert run("init", tmp_path / "pilot").code == 0
    settings = tmp_path / "pilot/exchange.toml"
    assert run("serve", "--check", "--config", settings).code == 0
    text = settings.read_text("utf-8")
    settings.write_text(
        f'{text}\n[matcher]\nengine = "ray"\naddress = "127.0.0.1:6379"\n'
    )
    told = run("serve", "--check", "--config", settings)
    assert told.code == 2
    assert "regional-biometrics-exchange[cluster]" in told.err


def test_the_check_refuses_the_cluster_that_a_start_would(
    run: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It asks nobody for a token; or nobody is there."""
    monkeypatch.setattr("biometrics.server.check.refuse_without_ray", lambda: None)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert run("init", tmp_path / "pilot").code == 0
    settings = tmp_path / "pilot/exchange.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    text = settings.read_text("utf-8")
    settings.write_text(f'{text}\n[matcher]\nengine = "ray"\naddress = "{address}"\n')
    told = run("serve", "--check", "--config", settings)
    assert told.code == 2
    assert "RAY_AUTH_TOKEN_PATH" in told.err
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    told = run("serve", "--check", "--config", settings)
    assert told.code == 2
    assert f"nothing answers at `{address}`" in told.err
