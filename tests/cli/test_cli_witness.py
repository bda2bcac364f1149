"""`biometrics audit witness`: cosigned by members, and asked for by a verifier."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, SPACE, World, record, unit

from biometrics.audit.cosignature import WitnessKey, WitnessSecret
from biometrics.audit.memory import Memory
from biometrics.cli.witness import repeat
from biometrics.client import AsyncExchangeClient, Profile, Template
from biometrics.clock import SystemClock
from biometrics.errors import (
    DeadlineError,
    InvalidRequestError,
    PreconditionError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Told

THREE = ("XAA", "XBB", "XCC")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange with one record."""
    with World(tmp_path_factory.mktemp("witness"), agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("a", unit(1)))
        yield world


@pytest.fixture(autouse=True)
def offered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer the newest checkpoint each time, and not for a minute."""
    monkeypatch.setattr("biometrics.limits.OFFER_SECONDS", 0.0)


@pytest.fixture
def policy(world: World, tmp_path: Path) -> Path:
    """Return the policy of two of three."""
    path = tmp_path / "policy"
    keys = {m: (world.root / f"witnesses/{m}.pub").read_text() for m in THREE}
    path.write_text(
        "".join(f"witness {m} {key}" for m, key in keys.items())
        + "group members 2 XAA XBB XCC\nquorum members\n"
    )
    return path


def search(world: World) -> None:
    """Have one more leaf."""
    world.client("XCC").match(
        Template(space=SPACE, position="face", vector=unit(1)), purpose="border-check"
    )


def memory(world: World, member: str) -> Path:
    """Return the folder of a member's witness."""
    return world.root / f"memory-{member}"


def cosign(world: World, run: Callable[..., Told], member: str, *more: object) -> Told:
    """Look once, as a member's witness."""
    return run(
        *("--profile", world.profile_file(member, "auditor"), "audit", "witness"),
        *(memory(world, member), "--secret", world.root / f"witnesses/{member}.key"),
        *("--every", 0, *more),
    )


def export(world: World, run: Callable[..., Told]) -> None:
    """Export XCC's log into `log`."""
    profile = world.profile_file("XCC", "auditor")
    assert run("--profile", profile, "audit", "export", "log").code == 0


def verify(world: World, run: Callable[..., Told], policy: Path, *more: object) -> Told:
    """Verify it."""
    secret = world.root / "auditors/XCC.key"
    return run("audit", "verify", "log", "--secret", secret, "--policy", policy, *more)


def test_a_witness_makes_a_key(run: Callable[..., Told], tmp_path: Path):
    """The secret one into a new file, the public one to be handed over."""
    made = run("audit", "witness-key", "a.test/w", "--to", tmp_path / "w.key")
    assert made.code == 0
    secret = WitnessSecret.parse((tmp_path / "w.key").read_text().strip())
    assert secret.public == WitnessKey.parse(made.out.strip())
    assert (tmp_path / "w.key").stat().st_mode & 0o777 == 0o600
    wrong = run("audit", "witness-key", "a+b", "--to", tmp_path / "x.key")
    assert "a name of a key has no space, no `+`" in wrong.err


def test_a_quorum_is_asked_for_and_reached(
    world: World, run: Callable[..., Told], policy: Path
):
    """One witness is too few; two of three are enough, up to where both cosigned."""
    assert cosign(world, run, "XAA").code == 0
    export(world, run)
    told = verify(world, run, policy)
    assert told.code == 1
    assert "cosigned: too few of your witnesses" in told.out
    assert "`XBB` has cosigned none" in told.out
    assert cosign(world, run, "XBB").code == 0
    export(world, run)
    told = verify(world, run, policy)
    assert told.code == 0, told.out
    assert "cosigned by XAA, XBB" in told.out
    search(world)
    cosign(world, run, "XAA")
    export(world, run)
    told = verify(world, run, policy, "--json")
    assert told.document["witnessed"]["witnesses"] == ["XAA", "XBB"]
    assert told.document["witnessed"]["leaves"] == told.document["leaves"] - 1


def test_a_receipt_beyond_the_quorum_waits(
    world: World, run: Callable[..., Told], policy: Path, tmp_path: Path
):
    """Its leaf is there, and may be for this member alone."""
    cosign(world, run, "XAA")
    cosign(world, run, "XBB")
    probe = Template(space=SPACE, position="face", vector=unit(1))
    answer = world.client("XCC").match(probe, purpose="border-check")
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps({"answer": answer.text, "receipt": answer.receipt}))
    export(world, run)
    told = verify(world, run, policy, "--receipt", receipt, "--json")
    assert [f["reason"] for f in told.document["faults"]] == ["NOT_WITNESSED"]
    cosign(world, run, "XAA")
    cosign(world, run, "XBB")
    export(world, run)
    assert verify(world, run, policy, "--receipt", receipt).code == 0


def test_one_command_exports_verifies_and_cosigns(
    world: World, run: Callable[..., Told], policy: Path
):
    """`watch` under an auditor's certificate; too few witnesses do not end it."""
    told = run(
        *("--profile", world.profile_file("XCC", "auditor"), "audit", "watch", "log"),
        *("--secret", world.root / "auditors/XCC.key", "--every", 0),
        *("--cosign", world.root / "witnesses/XCC.key", "--policy", policy),
    )
    assert "cosigned\n" in told.out
    assert "all as it must be" in told.out or "too few" in told.out


def test_old_cosignatures_are_told(
    world: World, run: Callable[..., Told], policy: Path
):
    """An exchange that hides what is new has old ones to show."""
    cosign(world, run, "XAA")
    cosign(world, run, "XBB")
    export(world, run)
    time.sleep(1.1)
    told = verify(world, run, policy, "--max-age", 0)
    assert told.code == 1
    assert "enough witnesses cosigned" in told.out
    assert "but 0 h ago" in told.out


def test_a_witness_that_has_forgotten_says_so(
    world: World, run: Callable[..., Told], tmp_path: Path
):
    """Its folder is lost, or was put back from a backup, or is damaged."""
    own, old = memory(world, "XDD"), tmp_path / "old"
    cosign(world, run, "XDD")
    shutil.copytree(own, old)
    search(world)
    assert cosign(world, run, "XDD").code == 0
    shutil.rmtree(own)
    told = cosign(world, run, "XDD")
    assert told.code == 2
    assert "and remembers 0: its folder is lost" in told.err
    shutil.rmtree(own)
    shutil.copytree(old, own)
    told = cosign(world, run, "XDD")
    assert "its folder is lost or an old copy" in told.err
    assert cosign(world, run, "XDD", "--adopt").code == 0
    assert cosign(world, run, "XDD").code == 0
    (remembered,) = (own / "witness").glob("[0-9a-f]" * 16)
    remembered.write_bytes(remembered.read_bytes()[:-9])
    told = cosign(world, run, "XDD")
    assert told.code == 2
    assert "it is damaged, or another witness's" in told.err


def test_what_is_not_on_the_disk_is_shown_to_nobody(
    world: World, run: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
):
    """A witness whose disk is full has cosigned nothing, here or there."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        told = cosign(world, run, "XGG")
    assert told.code == 2
    assert "cannot be written: no space left on device" in told.err
    shown = world.client("XGG", "auditor").checkpoint().cosigned
    assert not any(b"/XGG/witness" in note for note in shown)
    assert cosign(world, run, "XGG").code == 0


def test_a_command_that_is_left_running_waits_for_the_exchange(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It tells that it cannot be reached, and looks again; what is wrong ends it."""
    waited: list[float] = []
    monkeypatch.setattr("biometrics.cli.witness.time.sleep", waited.append)
    comes = iter(
        [
            UnavailableError("SERVER_NOT_RUNNING", "nobody is there"),
            None,
            DeadlineError("DEADLINE_EXCEEDED", "no answer in time"),
            InvalidRequestError("ROLLED_BACK", "smaller than before"),
        ]
    )

    def look() -> None:
        if error := next(comes):
            raise error

    with pytest.raises(InvalidRequestError):
        repeat(7, look)
    assert waited == [7, 7, 7]
    assert "nobody is there" in capsys.readouterr().err
    comes = iter([UnavailableError("SERVER_NOT_RUNNING", "nobody is there")])
    with pytest.raises(UnavailableError):
        repeat(0, look)


def test_one_process_has_a_memory(world: World, run: Callable[..., Told]):
    """Two would forget what the other has cosigned."""
    with Memory.opened(memory(world, "XEE")):
        told = cosign(world, run, "XEE")
    assert told.code == 2
    assert "memory-XEE` open" in told.err


def test_what_is_not_of_the_members_witness_is_not_kept(world: World):
    """Of another member's, of nobody's, and of one that has gone back."""
    client = world.client("XBB", "auditor")
    now = int(SystemClock().now().timestamp())
    offered = client.checkpoint().offered
    text = offered.rpartition(b"\n\n")[0].decode() + "\n"

    def by(member: str, at: int = now, note: bytes = offered) -> bytes:
        path = world.root / f"witnesses/{member}.key"
        secret = WitnessSecret.parse(path.read_text().strip())
        return note + secret.cosign(text, at).line.encode()

    def refused(data: bytes) -> str:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever
            client.add_cosignature(data)
        return str(getattr(caught.value, "reason", caught.value))

    assert refused(by("XAA")) == "FOREIGN_COSIGNATURE"
    assert refused(offered) == "FOREIGN_COSIGNATURE"
    assert refused(by("XBB", now - 3600)) == "WRONG_TIME"
    assert refused(by("XBB", now + 3600)) == "WRONG_TIME"
    assert refused(by("XBB") + by("XBB")[len(offered) :]) == "REPEATED_COSIGNATURE"
    broken = by("XBB").replace(by("XBB")[-20:-4], b"A" * 16)
    assert refused(broken) == "FORGED_COSIGNATURE"
    client.add_cosignature(by("XBB", now + 1))

    async def again() -> None:
        profile = Profile.load(world.profile_file("XBB", "auditor"))
        async with AsyncExchangeClient(profile) as exchange:
            await exchange.add_cosignature(by("XBB", now + 1))

    asyncio.run(again())
    with pytest.raises(PreconditionError, match="has gone back"):
        client.add_cosignature(by("XBB"))


def compared(world: World, run: Callable[..., Told]) -> set[str]:
    """Return what XAA's auditor finds wrong with what XCC's was shown."""
    profile = world.profile_file("XAA", "auditor")
    run("--profile", profile, "audit", "export", "of-xaa")
    told = run("audit", "verify", "of-xaa", "--other", "of-xcc", "--json")
    return {fault["reason"] for fault in told.document["faults"]}


def test_two_histories_are_proved_and_kept(
    world: World, run: Callable[..., Told], tmp_path: Path
):
    """Whoever puts an old database in place is found out by witnesses and verifiers.

    The last test here: what it does to the exchange is not undone.
    """
    search(world)
    world.stop()
    shutil.copytree(world.root / "data", tmp_path / "old")
    world.start()
    search(world)
    assert cosign(world, run, "XFF").code == 0
    export(world, run)
    shutil.copy("log/checkpoint", "of-xcc")
    world.stop()
    shutil.rmtree(world.root / "data")
    shutil.copytree(tmp_path / "old", world.root / "data")
    world.start()
    told = cosign(world, run, "XFF")
    assert told.code == 2
    assert "the log was rolled back" in told.err
    assert compared(world, run) == {"CHECKPOINT_BEHIND"}
    search(world)
    search(world)
    told = cosign(world, run, "XFF")
    assert told.code == 2
    assert "is the proof that the log has signed two histories" in told.err
    (proof,) = memory(world, "XFF").glob("two-histories-*.json")
    key = (memory(world, "XFF") / "log.pub").read_text().strip()
    told = run("audit", "misbehaviour", proof, "--key", key)
    assert told.code == 0
    assert "exchange.test/log has signed two histories" in told.out
    told = run("audit", "misbehaviour", "of-xcc", "--key", key)
    assert "it is no file that" in told.err
    # Two members who compare find it as well, and so does whoever exports again.
    assert compared(world, run) == {"FORKED", "TWO_HISTORIES"}
    profile = world.profile_file("XCC", "auditor")
    assert run("--profile", profile, "audit", "export", "log").code == 2
    for folder in ("of-xaa", "log"):
        (proof,) = (tmp_path / folder).glob("two-histories-*.json")
        assert run("audit", "misbehaviour", proof, "--key", key).code == 0
