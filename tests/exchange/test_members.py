"""A member joins, is suspended and leaves while the exchange is served."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from world import World, agreement, face, permit, record, unit

from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.entry import read_entry
from biometrics.audit.scribe import open_entry
from biometrics.client import Chunk
from biometrics.clock import SystemClock
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    PreconditionError,
    RefusedError,
)
from biometrics.members import Member, Membership
from biometrics.server.development import write_agreement
from biometrics.server.joining import Joining, Newcomer
from biometrics.signing import Note
from biometrics.signing.files import read_secret_file
from biometrics.store import inspect_store
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from biometrics.client import ExchangeClient

MOST_SECONDS = 20
XAA, XHH = Member("XAA"), Member("XHH")
NEW = Newcomer(
    member=XHH, name="new", key="keys/XHH.key", auditor=None, is_development=True
)
# Runs commands one after another, each in a child that is killed at some call.
KILLED = """
import os, signal, sys
import biometrics.cli.members as members
import biometrics.server.joining, biometrics.server.development_pki
from biometrics.cli import main

def killed_at(n):
    left = [n]
    for place, name in {places}:
        def instead(*given, _before=getattr(place, name), **more):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return _before(*given, **more)
        setattr(place, name, instead)

for n in {numbers}:
    child = os.fork()
    if child == 0:
        killed_at(n)
        try:
            main(sys.argv[1:])
        except SystemExit as ended:
            os._exit(ended.code or 0)
    _, status = os.waitpid(child, 0)
    told = "killed" if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    print(told, flush=True)  # or each child has it to print as well
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An exchange in which XAA lets XCC and XHH search, and has one record."""
    permitted = (permit("XCC", "holder"), permit("XHH", "holder"))
    with World(tmp_path, agreements={"XAA": agreement("XAA", *permitted)}) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        yield world


def joining(world: World) -> Joining:
    """Return what edits the settings."""
    return Joining(
        world.root / "exchange.toml", clock=SystemClock(), random_bytes=os.urandom
    )


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something that the exchange does by itself."""
    end = time.monotonic() + MOST_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def last(world: World) -> dict[Member, Membership]:
    """Return what the exchange goes by."""
    assert world.exchange is not None
    return world.exchange.store.membership.last()


def set_to(world: World, member: Member, membership: Membership) -> None:
    """Say how it is about a member, and return once the exchange goes by it."""
    joining(world).set(member, membership)
    wait_until(lambda: last(world).get(member) is membership)


def outcome(client: ExchangeClient) -> str:
    """Return what a search for the person that XAA has enrolled is answered."""
    return client.match(face(unit(1)), purpose="border-check").holders[0].outcome


def reason(call: Callable[[], object]) -> str:
    """Return the reason with which a call is refused."""
    with pytest.raises(ExchangeError) as caught:
        call()
    return caught.value.reason


def told(world: World, member: str) -> list[str]:
    """Return the kinds of what the log tells a member, opened by its auditor."""
    path = world.root / "auditors" / f"{member}.key"
    secret = AuditorSecret.parse(read_secret_file(path))
    with_log = world.client(member, "auditor")
    keys = {k.key_id: secret.open(k.handed, k.key_id) for k in with_log.log_keys()}
    entries = with_log.log_entries(0, 1000)
    return [
        read_entry(open_entry(secret.member, keys[e.key_id], e.sealed))[0]["kind"]
        for e in entries
    ]


def test_a_member_joins_with_no_call_dropped_and_searches(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Another's searches go on; its own auditor opens what it is told."""
    caplog.set_level("INFO", "biometrics.server")
    ended = threading.Event()

    def go_on() -> int:
        asked = 0
        while not ended.is_set():
            assert outcome(world.client("XCC")) == "match"
            asked += 1
        return asked

    with ThreadPoolExecutor(1) as pool:
        searches = pool.submit(go_on)
        joining(world).join(NEW)
        try:
            wait_until(lambda: "XHH is a member from now on" in caplog.text)
        finally:
            ended.set()
        assert searches.result(MOST_SECONDS) > 5
    assert outcome(world.client("XHH")) == "match"
    assert told(world, "XHH")[:1] == ["members"]
    # It enrols, permits by its own agreement, and is there after a restart.
    world.enroller("XHH").enrol(record("h", unit(2)))
    write_agreement(world.root, agreement("XHH", permit("XCC", "holder"), revision=2))
    wait_until(lambda: any(c.holder == "XHH" for c in world.client("XCC").agreements()))
    world.restart()
    answer = world.client("XCC").match(face(unit(2)), purpose="border-check")
    assert {h.holder: h.outcome for h in answer.holders} == {
        "XAA": "no-match",
        "XHH": "match",
    }
    # Given again, it changes nothing; with other things it is refused.
    text = (world.root / "exchange.toml").read_text()
    joining(world).join(NEW)
    assert (world.root / "exchange.toml").read_text() == text
    with pytest.raises(ConfigurationError, match="member already"):
        joining(world).join(Newcomer(member=XHH, name="x", key=NEW.key, auditor=None))


def test_a_suspended_member_asks_nobody_and_is_asked_by_nobody(world: World) -> None:
    """At once, over a restart, and never NO_MATCH; its log tells it."""
    client, enroller = world.client("XCC"), world.enroller("XAA")
    set_to(world, XAA, Membership.SUSPENDED)
    assert outcome(client) == "unavailable"
    for ask in (world.client("XAA").spaces, enroller.galleries):
        assert reason(ask) == "MEMBER_SUSPENDED"
    assert [g.records for g in world.client("XAA", "administrator").galleries()] == [1]
    world.restart()
    assert outcome(world.client("XCC")) == "unavailable"
    assert reason(world.client("XAA").spaces) == "MEMBER_SUSPENDED"
    set_to(world, XAA, Membership.ACTIVE)
    assert outcome(world.client("XCC")) == "match"
    world.client("XAA").spaces()
    kinds = [k for k in told(world, "XAA") if k in ("suspension", "resumption")]
    assert kinds == ["suspension", "resumption"]


@pytest.mark.parametrize("who", ["XAA", "XCC"])
def test_nothing_that_was_under_way_is_answered_after_a_suspension(
    world: World, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """A search that had matched already is decided anew, by holder and by requester."""
    begun, go_on = threading.Event(), threading.Event()
    scan = Scanner.search

    async def slow(self: Scanner, *asked: Any) -> Any:  # noqa: ANN401 - handed on
        found = await scan(self, *asked)
        begun.set()
        await asyncio.to_thread(go_on.wait, MOST_SECONDS)
        return found

    client = world.client("XCC")
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(Scanner, "search", slow)
        answer = pool.submit(outcome, client)
        try:
            assert begun.wait(MOST_SECONDS)
            set_to(world, Member(who), Membership.SUSPENDED)
        finally:
            go_on.set()
        if who == "XAA":
            assert answer.result(MOST_SECONDS) == "unavailable"
        else:
            assert isinstance(answer.exception(MOST_SECONDS), RefusedError)


def test_a_stream_that_is_open_enrols_nothing_after_a_suspension(world: World) -> None:
    """What was acknowledged before it stays."""
    enroller = world.enroller("XAA")

    def chunks() -> Iterator[Chunk]:
        yield Chunk(records=(record("before", unit(3)),))
        set_to(world, XAA, Membership.SUSPENDED)
        yield Chunk(records=(record("after", unit(4)),))

    assert reason(lambda: list(enroller.enrol_many(chunks()))) == "MEMBER_SUSPENDED"
    set_to(world, XAA, Membership.ACTIVE)
    assert {r.reference for r in enroller.records()} <= {"r", "before"}


def test_settings_that_are_not_good_or_wait_for_a_restart_are_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And again when asked; what was good before goes on to count."""
    path = world.root / "exchange.toml"
    text = path.read_text()
    path.write_text("version = 2\n")
    wait_until(lambda: "settings refused as UNKNOWN_VERSION" in caplog.text)
    for old, new in (
        ('"pilot"', '"other"'),
        ('"keys/XBB', '"keys/B'),
        ("witnesses/XBB", "witnesses/XCC"),
    ):
        text = text.replace(old, new)
    path.write_text(text)
    waits = "settings: `key` of XBB, `name`: counts from the next"
    wait_until(lambda: waits in caplog.text)
    wait_until(lambda: "witnesses refused as REPEATED_WITNESS" in caplog.text)
    (world.root / "spaces.toml").touch()
    wait_until(lambda: "spaces.toml` was edited" in caplog.text)
    time.sleep(2.2)
    for said in ("UNKNOWN_VERSION", waits, "was edited", "REPEATED_WITNESS"):
        assert caplog.text.count(said) == 1
    assert world.exchange is not None
    world.exchange.settings.remind()
    wait_until(lambda: caplog.text.count(waits) == 2)
    assert outcome(world.client("XCC")) == "match"


def test_a_witness_counts_from_when_the_settings_name_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And no longer than they do."""
    caplog.set_level("INFO")
    path = world.root / "exchange.toml"
    text = path.read_text()
    client = world.client("XBB", "auditor")

    def cosign() -> None:
        key = read_secret_file(world.root / "witnesses/XBB.key")
        note = client.checkpoint().offered
        signed = Note.parse(note).text
        now = int(SystemClock().now().timestamp())
        line = WitnessSecret.parse(key).cosign(signed, now).line
        client.add_cosignature(note + line.encode())

    cosign()
    path.write_text(text.replace('witness = "witnesses/XBB.pub"\n', ""))
    wait_until(lambda: "XBB has no witness from now on" in caplog.text)
    with pytest.raises(PreconditionError) as refused:
        cosign()
    assert refused.value.reason == "NO_WITNESS"
    path.write_text(text)
    wait_until(lambda: "the witness of XBB is" in caplog.text)
    cosign()


def test_who_has_not_destroyed_has_not_left(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator alone cannot end it: it stays suspended, and can be resumed."""
    joining(world).set(XAA, Membership.LEFT)
    wait_until(lambda: "XAA has not left yet" in caplog.text)
    assert "counts from the next start" not in caplog.text
    assert last(world)[XAA] is Membership.SUSPENDED
    path = world.root / "exchange.toml"
    path.write_text(path.read_text().replace('standing = "left"\n', ""))
    wait_until(lambda: last(world)[XAA] is Membership.ACTIVE)
    assert outcome(world.client("XCC")) == "match"


def test_who_joined_and_left_since_a_backup_has_left_after_its_restore(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The settings say it, and nothing of it is there that anybody could destroy."""
    world.stop()
    joining(world).join(NEW)
    joining(world).set(XHH, Membership.LEFT)
    world.start()
    assert last(world)[XHH] is Membership.LEFT
    assert "XHH has not left yet" not in caplog.text


def test_a_join_that_is_killed_anywhere_is_finished_by_the_same_command(
    tmp_path: Path,
) -> None:
    """Whatever it was killed before, the settings are whole, and it is one member."""
    made = World(tmp_path)  # not served: it is taken up by the next start
    config = made.root / "exchange.toml"
    script = KILLED.format(
        places="((os, 'link'), (os, 'replace'), (os, 'fsync'))",
        numbers="(1, 2, 4, 6, 9, 5, 2, 1, 99)",
    )
    ended = run(
        script,
        "members",
        "join",
        "XHH",
        "--config",
        config,
        "--name",
        "new",
        "--development",
        "--no-wait",
    )
    assert ended[-1] == "0"
    assert ended.count("killed") >= 4
    with made as world:
        # Everything fits together.
        assert world.client("XHH").spaces()
        assert len(json.loads(list_members(config))["members"]) == 9
        assert told(world, "XHH")
        assert not list(world.root.glob("*.draft"))
        with inspect_store(world.root / "data/exchange.sqlite") as stored:
            assert stored is not None
            assert {r.holder for r in stored.agreements.last()} == {XHH}


def test_a_leaving_that_is_killed_anywhere_is_finished_by_the_same_command(
    world: World, tmp_path: Path
) -> None:
    """At the end its certificates are refused, and everybody is told."""
    client = world.client("XCC")
    assert outcome(client) == "match"
    administrator = world.profile_file("XAA", "administrator")
    auditor = world.client("XAA", "auditor")
    exported = auditor.checkpoint()
    script = KILLED.format(
        places="((biometrics.server.joining, 'put'), (members, '_taken_up'),"
        " (members, '_destroy'), (members, '_tell_left'))",
        numbers="(2, 2, 4, 9)",
    )
    ended = run(
        script,
        "members",
        "leave",
        "XAA",
        "--yes",
        "XAA",
        "--config",
        world.root / "exchange.toml",
        "--administrator",
        administrator,
        "--to",
        tmp_path,
    )
    assert ended[-1] == "0"
    assert ended.count("killed") == 3
    assert last(world)[XAA] is Membership.LEFT
    (note,) = tmp_path.glob("erasure-*.note")
    assert "holder XAA\nby destruction" in note.read_text()
    for role in ("client", "administrator", "auditor"):
        assert reason(world.client("XAA", role).spaces) == "NO_IDENTITY"
    assert reason(lambda: outcome(client)) == "NOT_PERMITTED"
    assert told(world, "XCC")[-1] == "members"
    # What was shown of the log before stays provable by whoever is left.
    now = world.client("XCC", "auditor").checkpoint()
    assert now.verifier_key == exported.verifier_key
    # It is for good, and nothing of it is needed.
    (world.root / "auditors/XAA.pub").unlink()
    (world.root / "keys/XAA.key").unlink()
    world.restart()
    assert reason(lambda: outcome(world.client("XCC"))) == "NOT_PERMITTED"
    for again in (
        lambda: joining(world).set(XAA, Membership.ACTIVE),
        lambda: joining(world).join(
            Newcomer(member=XAA, name="again", key="keys/XAA.key", auditor=None)
        ),
    ):
        with pytest.raises(ConfigurationError, match="left for good"):
            again()
    path = world.root / "exchange.toml"
    path.write_text(path.read_text().replace('standing = "left"\n', ""))
    path.write_text(path.read_text().replace('auditor = "auditors/XAA.pub"\n', ""))
    world.restart()
    assert reason(world.client("XAA").spaces) == "NO_IDENTITY"


def run(script: str, *arguments: object) -> list[str]:
    """Run a script of `KILLED`; return how each command ended."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"COVERAGE_PROCESS_START": ""},
    )
    assert done.returncode == 0, done.stderr
    return [
        line for line in done.stdout.splitlines() if line == "killed" or line.isdigit()
    ]


def list_members(config: Path) -> str:
    """Return what `members list` prints."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "biometrics.cli",
            "members",
            "list",
            "--config",
            str(config),
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
