"""Full and failing disks: nothing acknowledged is lost, and writing goes on."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from failing_disk import FailingDisk, library
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.client import Chunk
from biometrics.errors import ExchangeError, UnavailableError
from biometrics.server.examination import examine
from biometrics.store import sqlite
from tests.exchange.test_outages import is_serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1024 * 1024
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def hasty_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients try twice and no more: what they are told is the matter here."""
    monkeypatch.setattr(limits, "CLIENT_TRIES", 2)
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(limits, "CLIENT_MOST_WAIT_SECONDS", 0.02)


def outcome(world: World, number: int) -> str:
    """Return what a search for somebody answers at XAA."""
    answer = world.client("XCC").match(
        face(unit(number)), purpose="border-check", holders=["XAA"]
    )
    return str(answer.holders[0].outcome)


def refusal(act: Callable[[], object]) -> str:
    """Return the reason for which something cannot be done now."""
    with pytest.raises(UnavailableError) as caught:
        act()
    return caught.value.reason


def eventually(act: Callable[[], object]) -> None:
    """Do something that is UNAVAILABLE for a while."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            act()
        except UnavailableError:
            assert time.monotonic() < end
        else:
            return


def is_whole(world: World) -> bool:
    """Say whether everything that is stored is whole, once it is stopped."""
    world.stop()
    settings = world.root / "exchange.toml"
    found = examine(settings, show=lambda _step, _done, _of: None)
    assert found.faults == []
    return found.is_whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: run as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def enrol_until_refused(world: World) -> tuple[int, str]:
    """Enrol until it is refused; return how many were acknowledged, and why no more."""
    number = 0
    while True:
        people = range(number, number + 16)
        chunk = Chunk(records=tuple(record(f"R{n}", unit(n)) for n in people))
        try:
            list(world.enroller("XAA").enrol_many([chunk]))
        except UnavailableError as error:
            return number, error.reason
        number += 16


def test_a_disk_of_4_mib_fills_up_and_is_emptied(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enrolments end first; who is to be taken out is, and searches go on, in the rest.

    With no byte left all is UNAVAILABLE; with some again all goes on without a start.
    """
    monkeypatch.setattr(limits, "STORE_RESERVE_BYTES", MIB)
    small_log = [
        "PRAGMA wal_autocheckpoint = 16" if "autocheckpoint" in pragma else pragma
        for pragma in sqlite._WRITER_PRAGMAS
    ]
    monkeypatch.setattr(sqlite, "_WRITER_PRAGMAS", small_log)
    with World(small_disk, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        count, reason = enrol_until_refused(world)
        assert (count > 100, reason) == (True, "STORAGE_FULL")
        # 1. What is left is for these.
        for number in range(40):
            assert outcome(world, number) == "match"
        enroller.withdraw("R0")
        enroller.protect("R1", excluded=["XCC"])
        assert [outcome(world, n) for n in (0, 1, 2)] == [
            "no-match",
            "no-match",
            "match",
        ]
        # 2. Somebody else takes the rest.
        rest = small_disk / "rest"
        with rest.open("wb", buffering=0) as file:
            for piece in (bytes(MIB), bytes(4096), b"\0"):
                while True:
                    try:
                        if file.write(piece) < len(piece):
                            break
                    except OSError:
                        break
        told = set()
        for number in range(3, 400):
            try:
                outcome(world, number % 100 + 3)
                enroller.withdraw(f"R{number}")
            except UnavailableError as error:
                told.add(error.reason)
                break
        assert told <= {"STORAGE_FULL", "STORAGE_IO"}
        assert told
        gone = number
        # 3. There is room again.
        rest.unlink()
        monkeypatch.setattr(limits, "STORE_RESERVE_BYTES", MIB // 8)
        eventually(lambda: enroller.withdraw(f"R{gone}"))
        eventually(lambda: enroller.enrol(record("later", unit(9000))))
        assert outcome(world, 9000) == "match"
        world.restart()
        listed = {r.reference for r in world.enroller("XAA").records()}
        assert listed == {
            "later",
            "R1",
            "R2",
            *(f"R{n}" for n in range(gone + 1, count)),
        }
        assert outcome(world, count - 1) == "match"
        assert is_whole(world)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    """A disk that fails when it is told to."""
    if (found := library()) is None:
        pytest.skip("Python's SQLite is no library of the system's")
    failing = FailingDisk(found)
    yield failing
    failing.remove()


def test_after_a_failed_flush_writing_goes_on_once_the_disk_works(
    disk: FailingDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged meanwhile, health says so, and nothing before is lost."""
    monkeypatch.setattr(limits, "RECOVERY_SECONDS", 0.05)
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        for number in range(10):
            enroller.enrol(record(f"R{number}", unit(number)))
        enroller.withdraw("R0")
        with disk.failing_to("flush"):
            reason = refusal(lambda: enroller.enrol(record("R10", unit(10))))
            assert reason in {"STORAGE_SYNC_FAILED", "WRITING_STOPPED"}
            assert not is_serving(world)
            assert refusal(lambda: enroller.withdraw("R1")) == "WRITING_STOPPED"
            assert refusal(lambda: outcome(world, 2)) == "WRITING_STOPPED"
            end = time.monotonic() + WAIT_SECONDS
            while disk.failed < 4:  # the first, and tries to go on
                assert time.monotonic() < end
                time.sleep(0.01)
            assert refusal(lambda: enroller.withdraw("R1")) == "WRITING_STOPPED"
        eventually(lambda: enroller.withdraw("R1"))
        assert is_serving(world)
        enroller.enrol(record("R10", unit(10)))
        told = [outcome(world, n) for n in (0, 1, 2, 9, 10)]
        assert told == ["no-match", "no-match", "match", "match", "match"]
        world.restart()
        told = [outcome(world, n) for n in (0, 1, 2, 9, 10)]
        assert told == ["no-match", "no-match", "match", "match", "match"]
        assert is_whole(world)


@pytest.mark.parametrize("how", ["write", "write whole"])
def test_a_write_that_fails_or_is_cut_short_is_not_acknowledged(
    disk: FailingDisk, tmp_path: Path, how: str
) -> None:
    """An error of the disk, and half a page: each fails alone, and later ones go."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        acknowledged = []
        for number in range(30):
            try:
                if number % 3:
                    enroller.enrol(record(f"R{number}", unit(number)))
                else:
                    with disk.failing_to(how):
                        refused = record(f"R{number}", unit(number))
                        enroller.enrol(refused)
            except ExchangeError:
                continue
            acknowledged.append(number)
        assert disk.failed > 9
        assert acknowledged == [number for number in range(30) if number % 3]
        world.restart()
        listed = {r.reference for r in world.enroller("XAA").records()}
        assert listed == {f"R{n}" for n in acknowledged}
        assert is_whole(world)
