"""What holders took back after a backup is taken back again by its restore."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from world import World, agreement, face, permit, record, unit

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.memory import Memory
from biometrics.audit.verify import verify
from biometrics.cli.cosigning import Allowed, cosign, witness_of
from biometrics.cli.log_export import export_log
from biometrics.clock import ManualClock, SystemClock
from biometrics.errors import ConflictError, InvalidRequestError
from biometrics.server.backup import back_up_data, back_up_restrictions
from biometrics.server.examination import examine
from biometrics.server.restoration import restore_data
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from biometrics.clock import Clock
    from biometrics.server.restoration import Restored

CLOCK = SystemClock()
HOLDERS = ("XAA", "XBB", "XRA")
AGREEMENTS = {
    holder: agreement(holder, permit("XCC", "holder"), permit("XDD", "holder"))
    for holder in HOLDERS
}


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Callable[..., tuple[World, Restored]]]:
    """Return what runs an exchange from its restored backup."""
    running: list[World] = []

    def restored(
        before: Callable[[World], None],
        after: Callable[[World], None],
        clock: Clock | None = None,
    ) -> tuple[World, Restored]:
        """Back up between two things that are done, list after both, and restore."""
        with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
            before(world)
            settings = world.root / "exchange.toml"
            back_up_data(
                settings,
                tmp_path / "backup",
                clock=CLOCK,
                random_bytes=secrets.token_bytes,
            )
            after(world)
            back_up_restrictions(settings, tmp_path / "list", clock=CLOCK)
        assert examine(settings, show=lambda _step, _done, _of: None).faults == []
        shutil.rmtree(world.root / "data")
        (world.root / "data").mkdir()
        done = restore_data(settings, tmp_path / "backup", tmp_path / "list")
        found = examine(settings, show=lambda _step, _done, _of: None)
        assert found.faults == []
        (tmp_path / "again").mkdir()
        again = World(tmp_path / "again", clock=clock)
        again.root = world.root
        running.append(again)
        return again.__enter__(), done

    yield restored
    for world in running:
        world.__exit__(None, None, None)


def outcomes(world: World, number: int, requester: str = "XCC") -> dict[str, str]:
    """Return what a search for somebody answers, by holder."""
    answer = world.client(requester).match(face(unit(number)), purpose="border-check")
    return {each.holder: str(each.outcome) for each in answer.holders}


def test_a_protection_of_what_was_replaced_protects_what_it_replaced(
    restored: Callable[..., tuple[World, Restored]],
) -> None:
    """The backup has the older record, which the list's own tag was never made for."""

    def before(world: World) -> None:
        world.enroller("XAA").enrol(record("R0", unit(0)))
        world.enroller("XAA").enrol(record("R1", unit(1)))

    def after(world: World) -> None:
        world.enroller("XAA").replace("R0", face(unit(50)))
        world.enroller("XAA").protect("R0", excluded=["XCC"])

    world, done = restored(before, after)
    assert done.carried_out == {"protected": 1}
    assert outcomes(world, 0)["XAA"] == "no-match"
    assert outcomes(world, 0, "XDD")["XAA"] == "match"
    assert outcomes(world, 1)["XAA"] == "match"


def test_whoever_was_replaced_is_not_withdrawn(
    restored: Callable[..., tuple[World, Restored]],
) -> None:
    """The journal withdraws what a replacement took, and the list does not."""
    world, done = restored(
        lambda world: world.enroller("XAA").enrol(record("R0", unit(0))),
        lambda world: world.enroller("XAA").replace("R0", face(unit(50))),
    )
    assert done.carried_out == {}
    assert outcomes(world, 0)["XAA"] == "match"


def test_galleries_that_were_closed_are_closed_again(
    restored: Callable[..., tuple[World, Restored]],
) -> None:
    """One that was locked opens to its member, one that was destroyed to nobody."""

    def before(world: World) -> None:
        for holder in HOLDERS:
            world.enroller(holder).enrol(record("R0", unit(0)))

    def after(world: World) -> None:
        world.client("XAA", "administrator").lock()
        world.client("XBB", "administrator").destroy(confirm_holder="XBB")
        world.client("XRA", "administrator").destroy(confirm_holder="XRA")
        end = CLOCK.monotonic() + 30
        while world.client("XRA", "administrator").custody().is_busy:
            assert CLOCK.monotonic() < end
        world.client("XRA", "administrator").unlock()
        world.enroller("XRA").enrol(record("new", unit(7)))

    world, done = restored(before, after)
    assert done.carried_out == {"locked": 1, "destroyed": 2}
    assert outcomes(world, 0) == {
        "XAA": "unavailable",
        "XBB": "not-comparable",
        "XRA": "not-comparable",
    }
    for holder in HOLDERS:
        world.client(holder, "administrator").unlock()
    assert outcomes(world, 0) == {
        "XAA": "match",
        "XBB": "not-comparable",
        "XRA": "not-comparable",
    }


def test_whoever_was_protected_after_the_backup_is_not_loaded_without_it(
    restored: Callable[..., tuple[World, Restored]],
) -> None:
    """The file that it was enrolled from says nothing of the protection."""

    def after(world: World) -> None:
        world.enroller("XAA").enrol(record("R0", unit(0)))
        world.enroller("XAA").protect("R0", excluded=["XCC"])

    world, done = restored(
        lambda world: world.enroller("XAA").enrol(record("R1", unit(1))), after
    )
    assert done.carried_out == {"protected": 1}
    with pytest.raises(ConflictError):
        world.enroller("XAA").enrol(record("R0", unit(0)))
    assert outcomes(world, 0)["XAA"] == "no-match"


def test_a_protection_survives_a_destruction_that_came_before_it(
    restored: Callable[..., tuple[World, Restored]],
) -> None:
    """The backup has a record under that reference, which is not the protected one."""

    def before(world: World) -> None:
        world.enroller("XAA").enrol(record("R0", unit(0)))

    def after(world: World) -> None:
        administrator = world.client("XAA", "administrator")
        administrator.destroy(confirm_holder="XAA")
        end = CLOCK.monotonic() + 30
        while administrator.custody().is_busy:
            assert CLOCK.monotonic() < end
        administrator.unlock()
        before(world)
        world.enroller("XAA").protect("R0", excluded=["XCC"])

    world, _ = restored(before, after)
    world.client("XAA", "administrator").unlock()
    with pytest.raises(ConflictError):
        before(world)


def test_what_expired_is_told_to_have_expired(
    restored: Callable[..., tuple[World, Restored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to have been withdrawn by its holder."""
    monkeypatch.setattr(limits, "DISPOSE_SECONDS", 0.05)
    clock = ManualClock(CLOCK.now())
    day = dt.timedelta(days=1)

    def before(world: World) -> None:
        ends = clock.now() + day
        world.enroller("XAA").enrol(record("R0", unit(0), expires_at=ends))
        world.enroller("XAA").enrol(record("R1", unit(1)))

    def after(world: World) -> None:
        clock.advance(2 * day)
        end = CLOCK.monotonic() + 30
        while "R0" in {r.reference for r in world.enroller("XAA").records()}:
            assert CLOCK.monotonic() < end

    world, done = restored(before, after, clock)
    assert done.carried_out == {"withdrawn": 1}
    connection = sqlite3.connect(world.root / "data/exchange.sqlite")
    reasons = connection.execute("SELECT reason FROM tombstone").fetchall()
    connection.close()
    assert reasons == [("expired",)]
    assert outcomes(world, 1)["XAA"] == "match"


def test_the_log_of_a_restored_exchange_is_another_one(
    restored: Callable[..., tuple[World, Restored]], tmp_path: Path
) -> None:
    """It lacks what members saw after the backup, and is no fork of what they know."""

    def before(world: World) -> None:
        world.enroller("XAA").enrol(record("R0", unit(0)))
        outcomes(world, 0)

    def after(world: World) -> None:
        outcomes(world, 0)
        export_log(world.client("XCC", "auditor"), tmp_path / "seen", None)

    world, _ = restored(before, after)
    with pytest.raises(InvalidRequestError, match="are two logs"):
        export_log(world.client("XCC", "auditor"), tmp_path / "seen", None)
    assert (tmp_path / "seen/checkpoint.refused").is_file()
    outcomes(world, 0)
    fresh = tmp_path / "fresh"
    export_log(world.client("XCC", "auditor"), fresh, None)
    found = verify(
        fresh,
        VerifierKey.parse((fresh / "log.pub").read_text().strip()),
        secret=AuditorSecret.parse((world.root / "auditors/XCC.key").read_text()),
    )
    assert found.faults == []
    assert re.fullmatch(r"exchange\.test/log\.2-[0-9a-f]{16}", found.checkpoint.origin)
    kinds = [entry["kind"] for entry in found.entries]
    assert kinds == ["members", "search", "restoration", "search"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_witness_follows_a_restored_log_once_a_person_says_so(
    restored: Callable[..., tuple[World, Restored]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    is_lost: bool,
) -> None:
    """And is told whether what it has cosigned is in it; it forgets nothing of that."""

    def look(world: World, follow: str = "") -> None:
        secret = WitnessSecret.parse(
            (world.root / "witnesses/XCC.key").read_text()[:-1]
        )
        exchange = world.client("XCC", "auditor")
        with Memory.opened(tmp_path / "memory") as memory:
            witness = witness_of(exchange, tmp_path / "memory", None, secret)
            now = int(CLOCK.now().timestamp())
            cosign(exchange, memory, witness, Allowed(follow=follow), now)

    def before(world: World) -> None:
        outcomes(world, 0)
        if not is_lost:
            look(world)

    def after(world: World) -> None:
        outcomes(world, 0)
        if is_lost:
            look(world)

    world, _ = restored(before, after)
    origin = "exchange.test/log"
    with pytest.raises(InvalidRequestError, match=r"`--follow exchange.test/log.2-"):
        look(world)
    told = world.client("XCC", "auditor").checkpoint()
    assert told.cosigned == ()  # they were of the log before
    other = told.offered.decode().split("\n")[0]
    with pytest.raises(InvalidRequestError, match="are two logs"):
        look(world, f"{origin}.2")
    capsys.readouterr()
    look(world, other)
    assert ("some are lost, or replaced" in capsys.readouterr().err) == is_lost
    look(world)
    with Memory.opened(tmp_path / "memory") as memory:
        assert memory.origin == other
        assert memory.read(origin)
        assert memory.read(other)
    assert len(world.client("XCC", "auditor").checkpoint().cosigned) == 1
