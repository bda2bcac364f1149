"""An outage is never a no-match, whenever it comes and goes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import sqlalchemy as sa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.client import ExchangeClient, Record, Template
from biometrics.custody import Vault
from biometrics.errors import (
    ConflictError,
    DefectError,
    ExchangeError,
    GalleryLockedError,
)
from matcher.confirm import Confirmation
from matcher.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from victim import Victim

    from biometrics.client import MatchAnswer
    from matcher.galleries import Galleries


def search(world: World, number: int) -> MatchAnswer:
    """Search for subject `number` at XAA."""
    probe = face(unit(number))
    return world.client("XCC").match(probe, purpose="border-check", holders=["XAA"])


def before_confirmation(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> None:
    """Let something happen between the scan and the confirmation of a search."""
    confirm = Confirmation.confirm

    def acting(*arguments: object) -> object:
        act()
        return confirm(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Confirmation, "confirm", acting)


@pytest.fixture
def galleries(world: World, monkeypatch: pytest.MonkeyPatch) -> Galleries:
    """The states of the exchange's galleries; as they were when the test ends."""
    assert world.exchange is not None
    states = world.exchange._follower._galleries
    monkeypatch.setattr(states, "_loading", False)
    monkeypatch.setattr(states, "_closed", {})
    return states


def test_a_gallery_that_gets_ready_during_a_search_was_not_searched(
    world: World, galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was loading at the scan is UNAVAILABLE, though it is ready at the answer."""
    world.enroller("XAA").enrol(record("late", unit(900)))
    galleries._loading = True
    before_confirmation(monkeypatch, galleries.loaded)
    assert search(world, 900).holders[0].outcome == "unavailable"
    assert search(world, 900).holders[0].outcome == "match"


def test_a_gallery_that_is_locked_during_a_search_is_unavailable(
    world: World, galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock between scan and answer leaves neither a match nor a no-match."""
    world.enroller("XAA").enrol(record("locked", unit(901)))
    holder = next(m for m in [*_members(galleries)] if m.code == "XAA")
    before_confirmation(monkeypatch, lambda: galleries.lock(holder))
    assert search(world, 901).holders[0].outcome == "unavailable"


def _members(galleries: Galleries) -> set[object]:
    """Return whoever has a gallery."""
    return {holder for holder, _ in galleries._known}


def test_a_follower_that_cannot_go_on_makes_everything_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine may lack is not answered, and nothing more is acknowledged."""

    def fail(*_: object) -> None:
        raise MemoryError

    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("before", unit(1)))
        monkeypatch.setattr(Engine, "add", fail)
        for reference in ("while", "after"):
            with pytest.raises(ExchangeError) as caught:
                world.enroller("XAA").enrol(record(reference, unit(2)))
            assert caught.value.reason == "NOT_YET_SEARCHABLE"
        for number in (1, 2, 3):
            assert search(world, number).holders[0].outcome == "unavailable"
        assert not is_serving(world)


def is_serving(world: World) -> bool:
    """Ask the health service, as an orchestrator does, whether searches are served."""
    profile = world.profile("XCC")
    credentials = grpc.ssl_channel_credentials(
        profile.authority.read_bytes(),
        profile.key.read_bytes(),
        profile.certificate.read_bytes(),
    )
    asked = health_pb2.HealthCheckRequest(service="biometrics.v1.MatchService")
    with grpc.secure_channel(profile.target, credentials) as channel:
        told = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=10)
    return bool(told.status == health_pb2.HealthCheckResponse.SERVING)


def test_an_exchange_that_stopped_writing_is_not_healthy(tmp_path: Path) -> None:
    """After a failed flush nothing is acknowledged or answered, and health says so."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        assert is_serving(world)
        assert world.exchange is not None

        def fail(_: object) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

        sa.event.listen(world.exchange.store._database.writing, "commit", fail)
        with pytest.raises(ExchangeError) as caught:
            world.enroller("XAA").enrol(record("r", unit(1)))
        assert caught.value.reason == "WRITING_STOPPED"  # of the client's last try
        assert not is_serving(world)


def test_a_withdrawal_between_scan_and_confirmation_is_a_no_match(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that was withdrawn meanwhile is no damage, and matches nobody."""
    world.enroller("XAA").enrol(record("going", unit(903)))
    before_confirmation(monkeypatch, lambda: world.enroller("XAA").withdraw("going"))
    assert search(world, 903).holders[0].outcome == "no-match"


def held_removal(
    monkeypatch: pytest.MonkeyPatch, until: threading.Event
) -> threading.Event:
    """Let the index forget nothing before `until`; return an event of the first try."""
    begun = threading.Event()
    remove = Engine.remove

    def held(*arguments: object) -> None:
        begun.set()
        until.wait(20)
        remove(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "remove", held)
    return begun


def test_a_withdrawal_that_the_index_has_not_seen_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate without its row is waited for, and the gallery stays whole."""
    with World(tmp_path, agreements=AGREEMENTS) as world, ThreadPoolExecutor(2) as pool:
        world.enroller("XAA").enrol(record("going", unit(1)))
        go_on = threading.Event()
        begun = held_removal(monkeypatch, go_on)
        withdrawing = pool.submit(world.enroller("XAA").withdraw, "going")
        assert begun.wait(10)
        searching = pool.submit(search, world, 1)
        with pytest.raises(TimeoutError):
            searching.result(0.3)
        go_on.set()
        assert searching.result(20).holders[0].outcome == "no-match"
        withdrawing.result(20)
        assert [g.state for g in world.enroller("XAA").galleries()] == []
        world.enroller("XAA").enrol(record("new", unit(2)))
        assert search(world, 2).holders[0].outcome == "match"


def test_an_index_that_does_not_catch_up_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the row was withdrawn or lost cannot be said, so nothing is."""
    monkeypatch.setattr(limits, "CATCH_UP_SECONDS", 0.1)
    with World(tmp_path, agreements=AGREEMENTS) as world, ThreadPoolExecutor(1) as pool:
        world.enroller("XAA").enrol(record("going", unit(1)))
        go_on = threading.Event()
        begun = held_removal(monkeypatch, go_on)
        withdrawing = pool.submit(world.enroller("XAA").withdraw, "going")
        assert begun.wait(10)
        assert search(world, 1).holders[0].outcome == "unavailable"
        go_on.set()
        withdrawing.result(20)
        assert search(world, 1).holders[0].outcome == "no-match"


def test_a_refused_enrolment_leaves_nothing_to_compare_with(tmp_path: Path) -> None:
    """A space in which every record was refused stays not comparable, restarts too."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        finger = Template(space="tiny-finger", position="left-index", vector=unit(2))
        with pytest.raises(ConflictError):
            world.enroller("XAA").enrol(Record(reference="r", templates=(finger,)))
        for _ in range(2):
            answer = world.client("XCC").match(
                finger, purpose="border-check", holders=["XAA"]
            )
            assert answer.holders[0].outcome == "not-comparable"
            world.restart()


def test_an_exchange_whose_records_cannot_be_loaded_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that cannot load ends with an error and does not hang."""

    def fail(*_: object) -> None:
        raise MemoryError

    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.stop()
        world.forget_codes()
        with monkeypatch.context() as broken:
            broken.setattr(Engine, "add", fail)
            with pytest.raises(DefectError) as caught:
                world.start()
        assert caught.value.reason == "JOURNAL_NOT_FOLLOWED"
        world.start()
        assert search(world, 1).holders[0].outcome == "match"


def test_a_failure_that_passes_is_not_stored_as_an_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that met an outage answers anew under the same request id."""
    world.enroller("XAA").enrol(record("again", unit(902)))
    request = {
        "purpose": "border-check",
        "request_id": "0b9ff1f5-4b1b-4a52-9d80-0c1f5f6b8a11",
    }

    def fail(*_: object) -> None:
        raise DefectError("TEST", "the database is damaged")

    with monkeypatch.context() as broken:
        broken.setattr(Confirmation, "confirm", fail)
        with pytest.raises(ExchangeError) as caught:
            world.client("XBB").match_many([face(unit(902))], **request)
        assert "damaged" not in caught.value.message
    (answer,) = world.client("XBB").match_many([face(unit(902))], **request)
    assert answer.holders[0].outcome == "match"


# Runs Python in a terminal of its own, which is closed once it is ready.
IN_A_TERMINAL = """
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
log = b""
while b"ready on" not in log:
    log += os.read(terminal, 4096)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_server_says_once_that_it_is_ready_looks_again_and_drains(
    victim: Victim,
) -> None:
    """One line names where it listens; it ends in order, and never dumps its memory.

    Without a terminal, as under a service manager, SIGHUP asks to look again.
    """
    victim.start()
    assert victim.process is not None
    bounds = Path(f"/proc/{victim.process.pid}/limits").read_text()
    (core,) = [line for line in bounds.splitlines() if line.startswith("Max core")]
    assert core.split()[4:6] == ["0", "0"]
    (victim.root / "spaces.toml").touch()
    for _ in range(2):
        victim.process.send_signal(signal.SIGHUP)
        time.sleep(1.5)
    victim.process.send_signal(signal.SIGTERM)
    assert victim.process.wait(30) == 0
    log = (victim.root / "serve.log").read_text()
    assert log.count("ready on 127.0.0.1:") == 1
    assert log.count("spaces.toml` was edited: that counts from the next start") == 2
    assert log.rstrip().endswith("stopped")


def test_a_server_ends_with_its_terminal(victim: Victim) -> None:
    """Whoever started it there closes the window: it drains as on SIGTERM."""
    serve = ("-m", "biometrics.cli", "serve", "--config", str(victim.config))
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, *serve],
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


def test_a_server_outlives_its_terminal_under_nohup(
    victim: Victim, request: pytest.FixtureRequest
) -> None:
    """What was ignored when it started stays ignored; SIGTERM stops it all the same."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    victim.start()
    assert victim.process is not None
    victim.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        victim.process.wait(1)
    victim.process.terminate()
    assert victim.process.wait(30) == 0


def test_a_server_that_is_not_ready_yet_stops_on_sigterm(victim: Victim) -> None:
    """Nobody has to wait until a load is over to stop it."""
    slow = (
        "import sys, time, matcher.follower as f\n"
        "f.Follower.wait_until_loaded = lambda self: (\n"
        "    print('loading', flush=True), self._stopping.wait(60))\n"
        "from biometrics.cli import main\n"
        "main(['serve', '--config', sys.argv[1]])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, str(victim.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"loading\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()


def test_a_candidate_of_a_member_that_locks_meanwhile_is_no_no_match(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template whose key is gone at the comparison leaves its holder without one."""
    world.enroller("XAA").enrol(record("locking", unit(904)))

    def locked(*_: object) -> None:
        raise GalleryLockedError("GALLERY_LOCKED", "test")

    monkeypatch.setattr(Vault, "open_into", locked)
    assert search(world, 904).holders[0].outcome == "unavailable"


def test_a_withdrawal_is_acknowledged_only_when_no_search_finds_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the index, though a search would not confirm it any more."""
    world.enroller("XAA").enrol(record("waiting", unit(905)))
    go_on = threading.Event()
    held_removal(monkeypatch, go_on)
    with ThreadPoolExecutor(1) as pool:
        withdrawing = pool.submit(world.enroller("XAA").withdraw, "waiting")
        with pytest.raises(TimeoutError):
            withdrawing.result(0.4)
        go_on.set()
        withdrawing.result(20)


def test_a_search_that_runs_when_the_stop_comes_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain takes no new call and lets those that run end."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        begun = threading.Event()

        def slow() -> None:
            begun.set()
            time.sleep(0.5)

        before_confirmation(monkeypatch, slow)
        with ThreadPoolExecutor(1) as pool, ExchangeClient(world.profile("XCC")) as own:
            answer = pool.submit(own.match, face(unit(1)), purpose="border-check")
            assert begun.wait(10)
            world.stop()
            assert answer.result(10).holders[0].outcome == "match"


def test_what_was_withdrawn_leaves_the_files_while_they_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time and again the write-ahead log is cut to nothing, without a stop."""
    monkeypatch.setattr(limits, "ERASE_SECONDS", 0.05)
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            (sealed,) = database.execute("SELECT ciphertext FROM template").fetchone()
        database.close()
        world.enroller("XAA").withdraw("r")
        files = [path, path.with_name(path.name + "-wal")]
        end = time.monotonic() + 10
        while any(sealed in file.read_bytes() for file in files):
            assert time.monotonic() < end
            time.sleep(0.02)
