"""`check`: what it prints, and what it exits with."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from biometrics.clock import SystemClock
from biometrics.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture
def settings(run: Callable[..., Told], tmp_path: Path):
    """Settings of an exchange that has been started once, and is stopped."""
    assert run("init", tmp_path / "pilot").code == 0
    open_store(tmp_path / "pilot/data/exchange.sqlite", SystemClock()).close()
    return tmp_path / "pilot" / "exchange.toml"


def test_what_is_whole_exits_with_0(run: Callable[..., Told], settings: Path):
    """The last line says so, and what was not looked into."""
    told = run("check", "--config", settings)
    assert (told.code, told.err) == (0, "")
    assert told.out.endswith("\neverything is whole\n")
    told = run("check", "--config", settings, "--quick")
    assert told.out.endswith("without opening values: everything is whole\n")


def test_a_fault_exits_with_1_and_says_where_and_what_to_do(
    run: Callable[..., Told], settings: Path
):
    """A line each; a program is told all of it in one document."""
    database = sqlite3.connect(settings.parent / "data/exchange.sqlite")
    database.execute("UPDATE counter SET journal_position = 3")
    database.commit()
    database.close()
    told = run("check", "--config", settings)
    assert told.code == 1
    assert told.out.startswith("journal, 0 changes up to position 3: ")
    assert "restore it from a backup\n" in told.out
    assert told.out.endswith("\n1 fault\n")
    told = run("check", "--config", settings, "--json")
    assert told.code == 1
    assert told.document["whole"] is False
    assert told.document["faults"][0]["reason"] == "JOURNAL_GAP"


def test_galleries_without_a_key_are_told_and_are_no_fault(
    run: Callable[..., Told], settings: Path
):
    """On stderr, with exit code 0."""
    (settings.parent / "keys/XCC.key").unlink()
    told = run("check", "--config", settings)
    assert told.code == 0
    assert told.err.startswith("not opened: galleries of XCC are locked: ")


def test_nothing_is_checked_before_there_is_a_database(
    run: Callable[..., Told], tmp_path: Path
):
    """Wrong usage, and no database is made by it."""
    assert run("init", tmp_path / "new").code == 0
    told = run("check", "--config", tmp_path / "new/exchange.toml")
    assert told.code == 2
    assert "start the exchange once" in told.err
    assert not list((tmp_path / "new/data").iterdir())
