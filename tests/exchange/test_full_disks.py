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
    try:
        _run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: run as root")
    yield folder
    _run("umount", "--lazy", folder)


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

    With no byte left nothing grows; with some again all goes on without a start.
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
        for number in range(10):
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
        monkeypatch.setattr(limits, "STORE_RESERVE_BYTES", 0)
        more = tuple(record(f"M{n}", unit(5000 + n)) for n in range(200))
        reason = refusal(lambda: list(enroller.enrol_many([Chunk(records=more)])))
        assert reason in {"STORAGE_FULL", "STORAGE_IO"}
        # 3. There is room again.
        rest.unlink()
        eventually(lambda: enroller.enrol(record("later", unit(9000))))
        assert outcome(world, 9000) == "match"
        world.restart()
        listed = {r.reference for r in world.enroller("XAA").records()}
        assert {"later", *(f"R{n}" for n in range(1, count))} <= listed
        assert "R0" not in listed
        assert outcome(world, count - 1) == "match"
        assert is_whole(world)


class Device:
    """A disk whose blocks can no longer be written, and then can be.

    A file system in a file that its own file system has no room for: what the kernel
    cannot write fails as on a broken disk, at the flush.
    """

    def __init__(self, folder: Path) -> None:
        """Make it and mount it."""
        self._below, self.root = folder / "below", folder / "disk"
        self._image = self._below / "image"
        for made in (self._below, self.root):
            made.mkdir()
        _run("mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", self._below)
        try:
            _run("truncate", "-s", "64M", self._image)
            _run("mkfs.ext2", "-q", "-b", "4096", "-N", "512", self._image)
            self.mount()
        except BaseException:
            _run("umount", self._below)
            raise

    def mount(self) -> None:
        """Read it from what was written."""
        _run("mount", "-o", "loop", self._image, self.root)

    def mend(self) -> None:
        """Let blocks be written again."""
        _run("mount", "-o", "remount,size=80m", self._below)

    def unmount(self) -> None:
        """Forget everything that was not written."""
        _run("umount", self.root)

    def remove(self) -> None:
        """Leave nothing behind."""
        for folder in (self.root, self._below):
            if folder.is_mount():
                _run("umount", "--lazy", folder)


def _run(*command: str | Path) -> None:
    """Run a command of the system's."""
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


@pytest.fixture
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A disk that can fail and be mended."""
    try:
        made = Device(tmp_path_factory.mktemp("device"))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no loop device can be mounted here: run as root, with e2fsprogs")
    yield made
    made.remove()


def test_what_was_acknowledged_is_on_a_disk_that_failed_and_was_mended(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own failed flush; read back after everything unwritten is forgotten.

    What was acknowledged before it and after it is there, and nothing in between was.
    """
    monkeypatch.setattr(limits, "RECOVERY_SECONDS", 0.05)
    monkeypatch.setattr(limits, "STORE_RESERVE_BYTES", 0)
    acknowledged, told = set(), ""
    with World(device.root, agreements=AGREEMENTS) as world:
        for number in range(2000):
            try:
                world.enroller("XAA").enrol(record(f"R{number}", unit(number)))
            except UnavailableError as error:
                told = error.reason
                break
            acknowledged.add(f"R{number}")
        assert told in {"STORAGE_SYNC_FAILED", "WRITING_STOPPED"}
        assert acknowledged
        refused = refusal(lambda: world.enroller("XAA").enrol(record("no", unit(3000))))
        assert refused == "WRITING_STOPPED"
        device.mend()
        eventually(lambda: world.enroller("XAA").enrol(record("yes", unit(4000))))
        assert outcome(world, 4000) == "match"
        acknowledged.add("yes")
        world.stop()
        device.unmount()
        device.mount()
        world.start()
        listed = {r.reference for r in world.enroller("XAA").records()}
        assert acknowledged <= listed
        assert listed - acknowledged <= {f"R{number}"}  # whose outcome was not known
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
