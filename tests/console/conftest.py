"""One exchange and its console, for all tests of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from biometrics.callers import Role
from tests.console.console_world import ConsoleProcess, ConsoleWorld

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    """A running exchange, its console, and a certificate of every role of XAA."""
    made = ConsoleWorld(tmp_path_factory.mktemp("console"))
    with made:
        for role in (Role.WITNESS, Role.COORDINATOR):
            made.issue("XAA", role)
        made.fill()
        with ConsoleProcess(made.root / "console.toml") as console:
            made.port = console.port
            yield made
