"""`biometrics audit`: what an auditor types, against a real exchange."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, SPACE, World, record, unit

from biometrics.audit import AuditorKey
from biometrics.client import Template
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange with one record."""
    with World(tmp_path_factory.mktemp("audit"), agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("a", unit(1)))
        yield world


@pytest.fixture
def secret(world: World) -> Path:
    """Return the file of XCC's auditor."""
    return world.root / "auditors/XCC.key"


@pytest.fixture
def receipt(world: World, run: Callable[..., Told], tmp_path: Path) -> Path:
    """Search, and return the file of the receipt."""
    np.save(tmp_path / "probe.npy", unit(1))
    told = run(
        *("--profile", world.profile_file("XCC"), "match", tmp_path / "probe.npy"),
        *("--space", SPACE, "--purpose", "border-check"),
        *("--receipt", tmp_path / "receipt.json"),
    )
    assert told.code == 0, told.err
    return tmp_path / "receipt.json"


def export(world: World, run: Callable[..., Told], *more: object) -> Told:
    """Export XCC's log into `log`."""
    profile = world.profile_file("XCC", "auditor")
    return run("--profile", profile, "audit", "export", "log", *more)


def test_an_auditor_makes_a_key(run: Callable[..., Told], tmp_path: Path):
    """The secret one into a new file, the public one to be handed over."""
    told = run("audit", "key", "XCC", "--to", tmp_path / "XCC.key")
    assert told.code == 0
    assert AuditorKey.parse(told.out.strip()).member.code == "XCC"
    assert (tmp_path / "XCC.key").stat().st_mode & 0o777 == 0o600
    again = run("audit", "key", "XCC", "--to", tmp_path / "XCC.key")
    assert "exists and is not overwritten" in again.err


def test_the_log_is_exported_and_verified(
    world: World, run: Callable[..., Told], secret: Path, receipt: Path
):
    """Time and again, with receipts and entries; and watched."""
    told = export(world, run)
    assert told.code == 0, told.err
    assert "leaves of exchange.test/log\n" in told.out
    assert "compare `log/log.pub`" in told.err
    told = run(
        *("audit", "verify", "log", "--secret", secret),
        *("--receipt", receipt, "--entries"),
    )
    assert told.code == 0, told.out
    assert "1 receipt: all as it must be" in told.out
    assert "border-check" in told.out
    path = world.root / "agreements" / "XCC.toml"
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert re.search(rf" agreement .* {digits} *\n", told.out)
    assert export(world, run, "--json").document["origin"] == "exchange.test/log"
    told = run("audit", "verify", "log", "--secret", secret, "--json")
    assert told.document["faults"] == []
    assert told.document["own_entries"] >= 2
    profile = world.profile_file("XCC", "auditor")
    told = run(
        *("--profile", profile, "audit", "watch", "log"),
        *("--secret", secret, "--every", 0),
    )
    assert told.code == 0, told.err


def test_a_receipt_without_its_answer_can_be_shown(
    world: World, run: Callable[..., Told], receipt: Path, tmp_path: Path
):
    """As a bare text; it says that the search was made, and nothing else."""
    bare = tmp_path / "bare.txt"
    bare.write_text(json.loads(receipt.read_text())["receipt"])
    export(world, run)
    told = run("audit", "verify", "log", "--receipt", bare)
    assert told.code == 0, told.out
    bare.write_text("nothing")
    told = run("audit", "verify", "log", "--receipt", bare, "--json")
    assert told.code == 1
    assert [fault["reason"] for fault in told.document["faults"]] == ["NOT_A_NOTE"]


def test_whatever_is_wrong_ends_with_1_and_a_line_for_each(
    world: World, run: Callable[..., Told], secret: Path
):
    """An entry that was dropped, and a leaf that was changed."""
    export(world, run)
    (entries,) = Path("log").glob("own/entries.jsonl")
    lines = entries.read_text().splitlines(keepends=True)
    entries.write_text("".join(lines[1:]))
    told = run("audit", "verify", "log", "--secret", secret)
    assert told.code == 1
    assert "sequence: number 1 is missing\n" in told.out
    assert ": 1 fault\n" in told.out


def test_keys_that_do_not_belong_are_refused(
    world: World, run: Callable[..., Told], secret: Path
):
    """Another log's key, none, a secret that is none, and an empty folder."""
    other = SigningKey("exchange.test/log", bytes(32)).verifier.text
    told = export(world, run, "--key", other)
    assert "signs its log by another key" in told.err
    assert "is not a verifier key" in export(world, run, "--key", "x").err
    assert "has no `log.pub`" in run("audit", "verify", "log").err
    assert export(world, run).code == 0
    told = run("audit", "verify", "log", "--key", other)
    assert "is an export of a log with another key" in told.err
    wrong = Path("wrong.key")
    wrong.write_text("nothing\n")
    wrong.chmod(0o600)
    told = run("audit", "verify", "log", "--secret", wrong)
    assert "is no such key of an auditor" in told.err
    Path("log/checkpoint").unlink()
    told = run("audit", "verify", "log", "--secret", secret)
    assert "has no checkpoint; run `biometrics audit export`" in told.err


def test_a_log_that_was_rolled_back_is_not_taken(
    world: World, run: Callable[..., Told], secret: Path, tmp_path: Path
):
    """Whoever puts an old database in place, its numbering of commits with it."""
    world.stop()
    shutil.copytree(world.root / "data", tmp_path / "old")
    world.start()
    world.client("XCC").match(
        Template(space=SPACE, position="face", vector=unit(1)), purpose="border-check"
    )
    assert export(world, run).code == 0
    before = Path("log/checkpoint").read_bytes()
    world.stop()
    shutil.rmtree(world.root / "data")
    shutil.copytree(tmp_path / "old", world.root / "data")
    world.start()
    told = export(world, run)
    assert told.code != 0
    assert "the log was rolled back" in told.err
    assert Path("log/checkpoint").read_bytes() == before
    assert Path("log/checkpoint.refused").read_bytes() != before
    world.client("XCC").match(
        Template(space=SPACE, position="face", vector=unit(2)), purpose="border-check"
    )
    told = export(world, run)  # as many leaves as before, and others
    assert "different histories" in told.err
    assert run("audit", "verify", "log", "--secret", secret).code == 0
