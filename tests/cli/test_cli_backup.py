"""`backup` and `restore`: what they print, and what they exit with."""

from __future__ import annotations

import shutil
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


def test_data_keys_and_restrictions_go_to_places_of_their_own(
    run: Callable[..., Told], settings: Path, tmp_path: Path
):
    """And back; what is not in a backup is told."""
    (settings.parent / "keys/XCC.key").unlink()
    told = run("backup", "data", "data", "--config", settings)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("written to data: the exchange at position 0\n")
    told = run("backup", "keys", "keys", "--config", settings)
    assert told.err == "not in it: the key of XCC, which is not at hand\n"
    assert "keep it apart" in told.out
    told = run("backup", "restrictions", "list", "--config", settings)
    assert told.out == "written to list: 0 restrictions\n"
    shutil.rmtree(tmp_path / "pilot/data")
    (tmp_path / "pilot/data").mkdir()
    told = run("restore", "keys", "keys", "--config", settings)
    assert told.out == "restored 0 keys; those there already stayed\n"
    command = ("restore", "data", "data", "--config", settings)
    told = run(*command)
    assert told.code == 2
    assert "`--without-restrictions`: then every record that was withdrawn" in told.err
    told = run(*command, "--restrictions", "list")
    assert told.code == 0, told.err
    assert "0 restrictions of later carried out\n" in told.out
    assert told.err.startswith("warning: what was withdrawn or protected after ")
    assert run("check", "--config", settings).code == 0
    assert run(*command, "--without-restrictions").code == 2  # it is there already


def test_programs_are_told_the_same(
    run: Callable[..., Told], settings: Path, tmp_path: Path
):
    """As one document each."""
    told = run("backup", "data", "data", "--config", settings, "--json")
    assert told.document["position"] == 0
    assert "database/exchange.sqlite" in told.document["files"]
    told = run("backup", "keys", "keys", "--config", settings, "--json")
    assert told.document["missing"] == []
    told = run("backup", "restrictions", "list", "--config", settings, "--json")
    assert told.document["restrictions"] == 0
    shutil.rmtree(tmp_path / "pilot/data")
    (tmp_path / "pilot/data").mkdir()
    shutil.rmtree(tmp_path / "pilot/keys")
    told = run("restore", "keys", "keys", "--config", settings, "--json")
    assert len(told.document["restored"]) == 9
    command = ("restore", "data", "data", "--config", settings, "--json")
    told = run(*command, "--without-restrictions")
    assert told.document["restricted_until"] is None
    assert told.document["carried_out"] == {}


def test_a_restore_without_a_list_says_who_may_be_back(
    run: Callable[..., Told], settings: Path, tmp_path: Path
):
    """On stderr, so that it is read."""
    run("backup", "data", "data", "--config", settings)
    shutil.rmtree(tmp_path / "pilot/data")
    (tmp_path / "pilot/data").mkdir()
    told = run(
        *("restore", "data", "data", "--config", settings, "--without-restrictions")
    )
    assert told.code == 0
    assert "are as they were before; ask the holders" in told.err
