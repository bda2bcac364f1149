"""`biometrics console` where it cannot run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.mark.parametrize("package", ["aiohttp", "jinja2"])
def test_a_missing_extra_is_named(
    run: Callable[..., Told],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
):
    """With what installs it."""
    for name in [n for n in sys.modules if n.startswith("biometrics.console")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    told = run("console", "--config", tmp_path / "console.toml")
    assert told.code == 2
    assert f"the console needs `{package}`" in told.err
    assert "[console]" in told.err


def test_settings_that_are_missing_are_told(run: Callable[..., Told], tmp_path: Path):
    """By the path that was given."""
    told = run("console", "--config", tmp_path / "console.toml")
    assert told.code == 2
    assert "console.toml" in told.err
