"""Shards where they cannot be had."""

from __future__ import annotations

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
    """Which is named; nothing is written before that is known."""
    told = run("cluster", "up", "--token", tmp_path / "token")
    assert told.code == 2
    assert "regional-biometrics-exchange[cluster]" in told.err
    assert not (tmp_path / "token").exists()


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
