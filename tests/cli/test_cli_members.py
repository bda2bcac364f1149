"""The commands of members and of conformance, against a real exchange."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from world import World, agreement, permit

from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.members import Member
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange in which XAA permits XBB, and whoever joins as XHH."""
    permitted = (permit("XBB", "holder"), permit("XHH", "holder"))
    root = tmp_path_factory.mktemp("members")
    with World(root, agreements={"XAA": agreement("XAA", *permitted)}) as world:
        yield world


def profiles(world: World, member: str, *roles: str) -> Path:
    """Return a folder of profiles for where the exchange listens now."""
    folder = world.root / f"profiles-{member}"
    folder.mkdir(exist_ok=True)
    for role in roles or ("client", "enroller", "administrator", "auditor"):
        text = world.profile_file(member, role).read_text()
        (folder / f"{member}-{role}.toml").write_text(text)
    return folder


def test_a_member_joins_passes_is_suspended_and_is_listed(
    world: World, run: Callable[..., Told]
) -> None:
    """From its name to a member that searches, by two commands."""
    config = ("--config", world.root / "exchange.toml")
    joined = run("members", "join", "XHH", *config, "--name", "new", "--development")
    assert joined.code == 0, joined.err
    passed = run("conformance", "--as", "XHH", "--profiles", profiles(world, "XHH"))
    assert passed.code == 0, passed.out
    assert "XHH: fit: 41 passed" in passed.out
    told = run("members", "suspend", "XHH", *config)
    assert (told.code, told.out) == (0, "XHH is suspended\n")
    rows = run("members", "list", *config, "--json").document["members"]
    assert {
        "code": "XHH",
        "name": "new",
        "standing": "suspended",
        "in_effect": True,
        "auditor": True,
        "witness": True,
        "signers": 2,
    } in rows
    assert "sample state C" in run("members", "list", *config).out
    failed = run("conformance", "--as", "XHH", "--profiles", profiles(world, "XHH"))
    assert failed.code == 1
    assert "MEMBER_SUSPENDED" in failed.out
    assert run("members", "resume", "XHH", *config).code == 0
    left = run("members", "leave", "XHH", *config, "--yes", "XHH")
    assert left.code == 1
    assert "its administrator has to destroy its galleries" in left.err
    assert run("members", "leave", "XHH", *config, "--yes", "XBB").code == 2
    assert run("members", "resume", "XHH", *config).code == 0


def test_a_member_that_keeps_its_keys_is_told_what_to_do_next(
    world: World, run: Callable[..., Told], tmp_path: Path
) -> None:
    """Nothing secret is made for it; keys of others, or of nobody, are refused."""
    config = ("--config", world.root / "exchange.toml")
    member = Member("XKK")
    path = tmp_path / "XKK.pub"
    path.write_text(AuditorSecret.generate(member, os.urandom).public.text + "\n")
    keys = [
        SigningKey.generate(f"exchange.test/XKK/{n}", os.urandom).verifier.text
        for n in "ab"
    ]
    own = ("members", "join", "XKK", *config, "--name", "own", "--key", "handed-over")
    signers = [
        part
        for k, n in zip(keys, "ab", strict=True)
        for part in ("--signer", f"{n}={k}")
    ]
    for wrong, said in (
        (["--signer", "a"], "takes `NAME=KEY`"),
        (["--signer", f"a={keys[0]}"], "list 2 to"),
        (["--development", *signers], "`--development` makes"),
        (["--auditor", world.root / "auditors/XBB.pub"], "not of XKK"),
        (["--auditor", world.root / "exchange.toml"], "exchange.toml"),
        (["--witness", world.root / "exchange.toml"], "exchange.toml"),
        (["--witness", world.root / "witnesses/XBB.pub"], "witness of XBB"),
    ):
        refused = run(*own, *wrong)
        assert refused.code == 2
        assert said in refused.err
    witness = tmp_path / "witness.pub"
    made = WitnessSecret.generate("exchange.test/XKK/witness", os.urandom)
    witness.write_text(made.public.text + "\n")
    own = (*own, "--witness", witness)
    joined = run(*own, "--auditor", path, *signers)
    assert joined.code == 0, joined.err
    assert "URI:spiffe://exchange.test/member/XKK/client/client-1" in joined.out
    assert not (world.root / "keys/XKK.key").exists()
    assert run(*own, "--auditor", path, *signers).code == 0
    others = ("--signer", f"c={keys[0]}", "--signer", f"d={keys[1]}")
    assert "lists other signers" in run(*own, "--auditor", path, *others).err
    other = [*own[:-3], "keys/K.key", *own[-2:]]
    assert "another name, key, auditor or witness" in run(*other).err
    assert "another name, key, auditor or witness" in run(*own[:-2]).err
    assert "no member code" in run("members", "join", "ZZZ", *config, "--name", "z").err


def test_a_join_at_an_exchange_that_is_not_served_says_so(
    world: World, run: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the settings only is not taken for done."""
    monkeypatch.setattr("biometrics.limits.TAKEN_UP_SECONDS", 0.2)
    config = ("--config", world.root / "exchange.toml")
    world.stop()
    try:
        told = run("members", "suspend", "XCC", *config)
        assert told.code == 4
        assert "NOT IN EFFECT" in told.err
        assert run("members", "resume", "XCC", *config, "--no-wait").code == 0
        assert "no `[[member]]` of XJJ" in run("members", "suspend", "XJJ", *config).err
    finally:
        world.start()


def test_a_system_that_is_not_fit_is_told_what_to_do(
    world: World, run: Callable[..., Told], tmp_path: Path
) -> None:
    """Each of its faults by itself; what could not be tried is not passed."""
    folder = profiles(world, "XBB", "client", "enroller", "auditor")
    text = (folder / "XBB-enroller.toml").read_text()
    # The enroller has the client's certificate, whose key everybody can read.
    (folder / "XBB-enroller.toml").write_text(text.replace("enroller.", "client."))
    key = world.root / "pki/XBB-client.key"
    key.chmod(0o644)
    report = tmp_path / "report.json"
    try:
        told = run(
            "conformance",
            "--as",
            "XBB",
            "--profiles",
            folder,
            "--json",
            "--report",
            report,
        )
    finally:
        key.chmod(0o600)
    assert told.code == 1
    assert json.loads(report.read_text()) == told.document
    found = {
        (each["about"], each["check"]): (each["state"], each["told"])
        for each in told.document["checks"]
    }

    def state(about: str, word: str) -> str:
        (one,) = [s for (a, c), s in found.items() if a == about and word in c]
        return one[0]

    assert state("client", "key file") == "failed"
    assert state("enroller", "names the member and this role") == "failed"
    assert state("enroller", "it may call") == "failed"
    assert state("own system", "a key of its own") == "failed"
    assert state("administrator", "its profile") == "not made"
    assert state("searches", "is answered") == "passed"
    assert state("proof", "offline") == "passed"
    told = run(
        "conformance",
        "--as",
        "XBB",
        "--profiles",
        folder,
        "--without",
        "administrator",
        "--without",
        "enroller",
        "--key",
        "exchange.test/x+1+A",
    )
    assert told.code == 1
    assert "is no verifier key" in told.out or "key" in told.out
