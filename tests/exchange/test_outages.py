"""An outage is never a no-match, whenever it comes and goes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from victim import Victim
from world import AGREEMENTS, World, face, record, unit

from biometrics.errors import DefectError, ExchangeError
from matcher.confirm import Confirmation
from matcher.engine import ExhaustiveEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    monkeypatch.setattr(states, "_locked", frozenset())
    return states


def test_a_gallery_that_gets_ready_during_a_search_was_not_searched(
    world: World, galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was loading at the scan is UNAVAILABLE, though it is ready at the answer."""
    world.enroller("XAA").enrol(record("late", unit(900)))
    galleries.lose()
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
        monkeypatch.setattr(ExhaustiveEngine, "add", fail)
        for reference in ("while", "after"):
            with pytest.raises(ExchangeError) as caught:
                world.enroller("XAA").enrol(record(reference, unit(2)))
            assert caught.value.reason == "NOT_YET_SEARCHABLE"
        for number in (1, 2, 3):
            assert search(world, number).holders[0].outcome == "unavailable"


def test_an_exchange_whose_records_cannot_be_loaded_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that cannot load ends with an error and does not hang."""

    def fail(*_: object) -> None:
        raise MemoryError

    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.stop()
        with monkeypatch.context() as broken:
            broken.setattr(ExhaustiveEngine, "add", fail)
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


def test_a_server_says_once_that_it_is_ready_and_drains_on_sigterm(
    tmp_path: Path,
) -> None:
    """One line names where it listens; SIGTERM ends it in order, with exit code 0."""
    victim = Victim(tmp_path)
    victim.start()
    assert victim.process is not None
    victim.process.send_signal(signal.SIGTERM)
    assert victim.process.wait(30) == 0
    log = (victim.root / "serve.log").read_text()
    assert log.count("ready on 127.0.0.1:") == 1
    assert log.rstrip().endswith("stopped")


def test_a_server_that_is_not_ready_yet_stops_on_sigterm(tmp_path: Path) -> None:
    """Nobody has to wait until a load is over to stop it."""
    victim = Victim(tmp_path)
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
