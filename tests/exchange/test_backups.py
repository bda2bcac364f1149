"""A backup is of one moment, and a restore is whole, this exchange's, or nothing."""

from __future__ import annotations

import datetime as dt
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from world import AGREEMENTS, DIMENSION, World, agreement, face, permit, record, unit

from biometrics.client import Chunk, ExchangeClient, FollowUpTicket
from biometrics.clock import SystemClock
from biometrics.custody import create_key_file
from biometrics.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
)
from biometrics.members import Member
from biometrics.server.backup import back_up_data, back_up_keys, back_up_restrictions
from biometrics.server.development import write_agreement
from biometrics.server.examination import examine
from biometrics.server.restoration import restore_data, restore_keys
from biometrics.signing import read_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

    from biometrics.server.backup import Manifest
    from biometrics.server.restoration import Restored

CLOCK = SystemClock()
PEOPLE = range(60)
DATABASE = "data/exchange.sqlite"


def back_up(root: Path, folder: Path) -> Manifest:
    """Write a data backup."""
    return back_up_data(
        root / "exchange.toml", folder, clock=CLOCK, random_bytes=secrets.token_bytes
    )


def list_restrictions(root: Path, file: Path) -> int:
    """Write a list of restrictions."""
    return back_up_restrictions(root / "exchange.toml", file, clock=CLOCK)


def restore(root: Path, folder: Path, restrictions: Path | None = None) -> Restored:
    """Restore a data backup."""
    return restore_data(root / "exchange.toml", folder, restrictions)


def emptied(root: Path, target: Path) -> Path:
    """Return the same exchange, with its keys and settings, and no data."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns("data"))
    (target / "data").mkdir()
    return target


def is_whole(root: Path) -> bool:
    """Say whether everything that is stored is whole."""
    found = examine(root / "exchange.toml", show=lambda _step, _done, _of: None)
    assert found.faults == []
    return found.is_whole


def refusal(act: Callable[[], object]) -> str:
    """Return the reason for which something is refused."""
    with pytest.raises(ConfigurationError) as caught:
        act()
    return caught.value.reason


def outcome(world: World, number: int, requester: str = "XCC") -> str:
    """Return what a search for somebody answers at XAA."""
    answer = world.client(requester).match(
        face(unit(number)), purpose="border-check", holders=["XAA"]
    )
    return str(answer.holders[0].outcome)


@dataclass(frozen=True)
class Made:
    """An exchange, its backup, lists from before and after it, and a reference in it.

    After the backup R1 was withdrawn, R2 hidden from XCC, L was enrolled and
    withdrawn, XBB's permission was taken back, and R9 was enrolled.
    """

    root: Path
    folder: Path
    manifest: Manifest
    before: Path
    after: Path
    reference: bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make an exchange and its backup, while it runs."""
    place = tmp_path_factory.mktemp("made")
    with World(tmp_path_factory.mktemp("world"), agreements=AGREEMENTS) as world:
        enroller = world.enroller("XAA")
        people = tuple(record(f"R{n}", unit(n)) for n in PEOPLE)
        list(enroller.enrol_many([Chunk(records=people)]))
        enroller.withdraw("R0")
        enroller.protect("R3", excluded=["XCC"])
        found = world.client("XCC").match(face(unit(4)), purpose="border-check")
        reference = bytes.fromhex(found.holders[0].reference)
        list_restrictions(world.root, place / "before")
        manifest = back_up(world.root, place / "backup")
        enroller.withdraw("R1")
        enroller.protect("R2", excluded=["XCC"])
        enroller.enrol(record("L", unit(200)))
        enroller.withdraw("L")
        enroller.enrol(record("R9-more", unit(201)))
        less = agreement("XAA", permit("XCC", "reference"), revision=2)
        write_agreement(world.root, less)
        assert world.exchange is not None
        for _ in range(200):
            versions = {
                r.holder.code: r for r in world.exchange.store.agreements.last()
            }
            if versions["XAA"].revision == 2:
                break
            threading.Event().wait(0.05)
        list_restrictions(world.root, place / "after")
    return Made(
        *(world.root, place / "backup", manifest, place / "before", place / "after"),
        reference,
    )


@pytest.fixture
def empty(made: Made, tmp_path: Path) -> Path:
    """The exchange without its data."""
    return emptied(made.root, tmp_path / "exchange")


def served(root: Path) -> World:
    """Return a world around an exchange that is there, to be entered."""
    scratch = root.parent / "scratch"
    scratch.mkdir()
    world = World(scratch)
    world.root = root
    return world


def test_a_restored_exchange_answers_as_it_did(made: Made, empty: Path) -> None:
    """Without a list who was withdrawn since is back; the report says since when."""
    done = restore(empty, made.folder)
    assert done.restricted_until is None
    assert done.manifest == made.manifest
    assert made.manifest.position == len(PEOPLE) + 1
    assert is_whole(empty)
    with served(empty) as world:
        told = [outcome(world, n) for n in (0, 1, 2, 3, 4, 200, 201)]
        assert told == [
            *("no-match", "match", "match", "no-match", "match"),
            *("no-match", "no-match"),
        ]
        world.enroller("XAA").enrol(record("new", unit(300)))
        assert outcome(world, 300) == "match"
    assert is_whole(empty)


def test_a_restored_exchange_knows_no_reference(made: Made, empty: Path) -> None:
    """It may have been used up since the backup; the same search gives another."""
    restore(empty, made.folder)
    with served(empty) as world:
        client = world.client("XCC")

        def ask(reference: bytes) -> None:
            ticket = FollowUpTicket.make(
                requester=Member("XCC"),
                holder=Member("XAA"),
                reference=reference,
                purpose="border-check",
                modality="face",
                basis="article 12",
                key=read_signing_key(empty / "signing/XCC-first.key"),
                random_bytes=secrets.token_bytes,
            )
            client.request_follow_up(ticket)

        with pytest.raises(NotFoundError):
            ask(made.reference)
        again = client.match(face(unit(4)), purpose="border-check")
        ask(bytes.fromhex(again.holders[0].reference))


def test_a_later_list_keeps_out_whoever_was_taken_out(made: Made, empty: Path) -> None:
    """Withdrawn, protected and agreed as at the list; records as at the backup."""
    done = restore(empty, made.folder, made.after)
    assert done.carried_out == {"withdrawn": 1, "protected": 1, "agreed": 1}
    assert done.restricted_until is not None
    assert is_whole(empty)
    with served(empty) as world:
        told = [outcome(world, n) for n in (0, 1, 2, 3, 4, 200)]
        assert told == ["no-match"] * 4 + ["match", "no-match"]
        with pytest.raises(RefusedError):
            outcome(world, 4, requester="XBB")
        for gone in ("R1", "L"):
            with pytest.raises(ConflictError) as caught:
                world.enroller("XAA").enrol(record(gone, unit(400)))
            assert caught.value.reason == "REFERENCE_WITHDRAWN"


def test_a_list_that_says_nothing_new_changes_nothing(made: Made, empty: Path) -> None:
    """Restored once more from its own backup, it is what it was."""
    restore(empty, made.folder, made.after)
    again = emptied(empty, empty.with_name("again"))
    back_up(empty, empty.with_name("second"))
    list_restrictions(empty, empty.with_name("list"))
    done = restore(again, empty.with_name("second"), empty.with_name("list"))
    assert not done.carried_out
    assert is_whole(again)


def files_of(folder: Path) -> list[Path]:
    """Return every file in a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_backup_that_is_not_as_it_was_written_is_refused(
    made: Made, empty: Path, tmp_path: Path, damage: str
) -> None:
    """Whichever of its files it is; nothing is restored."""
    assert len(files_of(made.folder)) > 10
    for path in files_of(made.folder):
        folder = shutil.copytree(made.folder, tmp_path / "damaged")
        victim = folder / path.relative_to(made.folder)
        content = bytearray(victim.read_bytes())
        if damage == "gone":
            victim.unlink()
        else:
            content[len(content) // 2] ^= 1
            victim.write_bytes(content[:-1] if damage == "cut" else content)
        reason = refusal(lambda folder=folder: restore(empty, folder))
        assert reason in {"BACKUP_DAMAGED", "NOT_A_BACKUP", "FOREIGN_BACKUP"}
        assert list((empty / "data").glob("*.sqlite*")) in (
            [],
            [empty / f"{DATABASE}.lock"],
        )
        shutil.rmtree(folder)


def test_a_backup_of_another_exchange_is_refused(made: Made, empty: Path) -> None:
    """Its key did not seal it: a data backup without its keys is nothing."""
    key = empty / "keys/exchange.key"
    key.unlink()
    create_key_file(key, secrets.token_bytes)
    assert refusal(lambda: restore(empty, made.folder)) == "FOREIGN_BACKUP"


def test_nothing_that_is_there_is_overwritten(made: Made, empty: Path) -> None:
    """No database, no log that would be taken for the restored one's, no backup."""
    restore(empty, made.folder)
    before = (empty / DATABASE).read_bytes()
    assert refusal(lambda: restore(empty, made.folder)) == "DATABASE_EXISTS"
    assert (empty / DATABASE).read_bytes() == before
    (empty / DATABASE).rename(empty / f"{DATABASE}-wal")
    assert refusal(lambda: restore(empty, made.folder)) == "DATABASE_EXISTS"
    (empty / "data").rename(empty / "away")
    assert refusal(lambda: restore(empty, made.folder)) == "DATABASE_UNREACHABLE"
    assert refusal(lambda: back_up(made.root, made.folder)) == "BACKUP_EXISTS"
    (empty / "data").mkdir()
    assert refusal(lambda: back_up(empty, empty / "none")) == "NOTHING_STORED"
    assert not (empty / "none").exists()


def test_a_list_is_refused_that_cannot_be_trusted(
    made: Made, empty: Path, tmp_path: Path
) -> None:
    """Older than the backup, cut off, changed, or no list at all."""
    assert [
        made.after.read_bytes().count(f'"kind": "{kind}"'.encode())
        for kind in ("withdrawn", "protected", "agreed", "locked", "destroyed")
    ] == [3, 2, len(AGREEMENTS), 0, 0]
    assert (
        refusal(lambda: restore(empty, made.folder, made.before))
        == "RESTRICTIONS_TOO_OLD"
    )
    lines = made.after.read_bytes().splitlines(keepends=True)
    for wrong in (
        lines[:-1],
        lines[:2] + lines[3:],
        [lines[0], lines[1].replace(b"XAA", b"XBB"), *lines[2:]],
        [*lines[:-1], lines[-1][:-10]],
    ):
        (tmp_path / "list").write_bytes(b"".join(wrong))
        assert (
            refusal(lambda: restore(empty, made.folder, tmp_path / "list"))
            == "RESTRICTIONS_DAMAGED"
        )
    (tmp_path / "list").write_text("something else\n")
    reason = refusal(lambda: restore(empty, made.folder, tmp_path / "list"))
    assert reason == "NOT_A_LIST"
    assert refusal(lambda: list_restrictions(made.root, tmp_path / "list")) == reason
    assert not (empty / DATABASE).exists()


def test_a_data_backup_has_all_that_a_start_reads_but_keys(
    made: Made, tmp_path: Path
) -> None:
    """Calibrations and centres too, without which no template would be compared.

    And the keys of auditors and witnesses, without which nobody would open or cosign
    the log of what is restored.
    """
    root = tmp_path / "exchange"
    shutil.copytree(made.root, root)
    spaces = root / "spaces.toml"
    (root / "centres").mkdir()
    np.save(root / "centres/mean.npy", np.zeros(DIMENSION))
    np.save(root / "centres/spread.npy", np.eye(DIMENSION, dtype=np.float32))
    named = (
        'positions = ["face"]\ncentre_file = "centres/mean.npy"\n'
        'spread_file = "centres/spread.npy"'
    )
    spaces.write_text(spaces.read_text().replace('positions = ["face"]', named, 1))
    back_up(root, tmp_path / "backup")
    settings = tmp_path / "backup/settings"
    for folder in ("calibrations", "centres", "auditors", "witnesses"):
        kept = {path.name: path.read_bytes() for path in (settings / folder).iterdir()}
        assert kept
        there = [p for p in (root / folder).iterdir() if p.suffix != ".key"]
        assert kept == {path.name: path.read_bytes() for path in there}


def test_a_data_backup_has_no_key_and_nobody_else_can_read_it(made: Made) -> None:
    """Nor has a list; both say what the database says, and no more."""
    keys = [p.read_text().split()[-1] for p in (made.root / "keys").iterdir()]
    for path in (*files_of(made.folder), made.after):
        content = path.read_bytes()
        assert not any(key.encode() in content for key in keys)
        assert not any(bytes.fromhex(key) in content for key in keys)
        assert path.stat().st_mode & 0o077 == 0
    assert made.folder.stat().st_mode & 0o077 == 0


def test_keys_are_backed_up_apart_and_come_back(made: Made, tmp_path: Path) -> None:
    """To their places, once; another key is not overwritten."""
    root = shutil.copytree(made.root, tmp_path / "exchange")
    settings, folder = root / "exchange.toml", tmp_path / "keys"
    (root / "keys/XGG.key").unlink()
    missing = back_up_keys(settings, folder, random_bytes=secrets.token_bytes)
    assert missing == ["XGG"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in (folder, *folder.iterdir()))
    before = {p.name: p.read_bytes() for p in (root / "keys").iterdir()}
    shutil.rmtree(root / "keys")
    assert len(restore_keys(settings, folder)) == len(before) == 8
    assert restore_keys(settings, folder) == []
    assert {p.name: p.read_bytes() for p in (root / "keys").iterdir()} == before
    (root / "keys/XAA.key").unlink()
    (root / "keys/XBB.key").write_bytes(before["XCC.key"])
    assert refusal(lambda: restore_keys(settings, folder)) == "FILE_EXISTS"
    assert not (root / "keys/XAA.key").exists()
    assert refusal(lambda: restore_keys(settings, made.folder)) == "NOT_A_KEY_BACKUP"
    beside = made.folder / "keys"
    assert (
        refusal(
            lambda: back_up_keys(settings, beside, random_bytes=secrets.token_bytes)
        )
        == "KEYS_BESIDE_DATA"
    )


# A restore that is killed before some call, in a process for each; exit code 0 if
# each of them was killed and left no database.
KILLED = """\
import os, sys
from importlib import import_module
from pathlib import Path
from biometrics.server.restoration import restore_data
settings, folder, restrictions, database = map(Path, sys.argv[1:])
def die(*_, **__):
    os.kill(os.getpid(), 9)
for step in (
    "shutil copyfile",
    "biometrics.store.sqlite_copy upgrade",
    "biometrics.server.restoration carry_out",
    "biometrics.store.sqlite_copy make_durable",
    "pathlib replace",
):
    if not (child := os.fork()):
        module, name = step.split()
        owner = Path if module == "pathlib" else import_module(module)
        setattr(owner, name, die)
        restore_data(settings, folder, restrictions)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 9 or database.exists():
        sys.exit(step)
"""


def test_a_restore_that_is_killed_leaves_nothing_and_can_be_done_again(
    made: Made, empty: Path
) -> None:
    """At each step of it; no exchange starts from half of one."""
    arguments = (empty / "exchange.toml", made.folder, made.after, empty / DATABASE)
    subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=True)
    assert restore(empty, made.folder, made.after).carried_out["withdrawn"] == 1
    assert is_whole(empty)
    assert not list((empty / "data").glob(".*"))


KILLED_AT_THE_LIST = """\
import os, sys
from pathlib import Path
from biometrics.server import restoration
restoration.carry_out = lambda *_: os.kill(os.getpid(), 9)
restoration.restore_data(*map(Path, sys.argv[1:]))
"""


class Load:
    """Members that write all the time."""

    def __init__(self, world: World) -> None:
        """Begin."""
        self._stopped = threading.Event()
        self._world = world
        self._threads = [
            threading.Thread(target=self._write, args=(tag,)) for tag in ("a", "b")
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _write(self, tag: str) -> None:
        """Enrol, withdraw and protect."""
        with ExchangeClient(self._world.profile("XAA", "enroller")) as client:
            number = 1000
            while not self._stopped.is_set():
                names = [f"{tag}{number}-{n}" for n in range(8)]
                people = tuple(record(name, unit(number)) for name in names)
                list(client.enrol_many([Chunk(records=people)]))
                client.withdraw(names[0])
                client.protect(names[1], excluded=["XCC"])
                number += 1


def under_load(world: World, folder: Path) -> list[tuple[Path, Manifest]]:
    """Take backups one after another while members write."""
    load = Load(world)
    try:
        taken = []
        for turn in range(3):
            threading.Event().wait(0.2)
            path = folder / f"backup-{turn}"
            taken.append((path, back_up(world.root, path)))
    finally:
        load.stop()
    positions = [manifest.position for _, manifest in taken]
    assert 0 < positions[0] < positions[1] < positions[2]
    return taken


def test_a_backup_under_load_is_of_one_moment(tmp_path: Path) -> None:
    """Every change up to its position is in it, and none after; all of it is whole."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        taken = under_load(world, tmp_path)

    def changes(root: Path, position: int) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(root / DATABASE)
        rows = connection.execute(
            "SELECT * FROM change WHERE position <= ? ORDER BY position", (position,)
        ).fetchall()
        connection.close()
        return rows

    for number, (folder, manifest) in enumerate(taken):
        root = emptied(world.root, tmp_path / f"restored-{number}")
        restore(root, folder)
        assert is_whole(root)
        assert changes(root, 10**9) == changes(world.root, manifest.position)


@pytest.fixture
def on_postgres(
    tmp_path: Path, postgres: PostgresServer
) -> Iterator[tuple[World, str, str]]:
    """An exchange on PostgreSQL, and the URLs of its database and of an empty one."""
    url, other = postgres.make(), postgres.make()
    world = World(tmp_path, agreements=AGREEMENTS)
    settings = world.root / "exchange.toml"
    settings.write_text(settings.read_text().replace("data/exchange.sqlite", url))
    yield world, url, other
    postgres.take_back(url)
    postgres.take_back(other)


def test_so_it_is_on_postgresql(
    on_postgres: tuple[World, str, str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """Taken under load, restored as a whole, with what was withdrawn since left out."""
    unentered, url, other = on_postgres
    with unentered as world:
        taken = under_load(world, tmp_path)
        world.enroller("XAA").withdraw("a1000-2")
        world.enroller("XAA").protect("a1000-3", excluded=["XCC"])
        list_restrictions(world.root, tmp_path / "list")
    folder, manifest = taken[0]
    root = emptied(world.root, tmp_path / "restored")
    assert refusal(lambda: restore(root, folder)) == "DATABASE_EXISTS"
    settings = root / "exchange.toml"
    settings.write_text(settings.read_text().replace(url, other))
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "database/record.rows").write_bytes(b"")
    assert refusal(lambda: restore(root, damaged)) == "BACKUP_DAMAGED"
    arguments = (settings, folder, tmp_path / "list")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_LIST, *map(str, arguments)], check=False
    )
    assert killed.returncode == -9
    done = restore(root, folder, tmp_path / "list")  # there is nothing in it
    assert done.carried_out["withdrawn"] >= 1
    assert done.carried_out["protected"] >= 1
    assert is_whole(root)
    asked = "SELECT position, kind, record_id FROM change ORDER BY position"
    before, after = (postgres.run(each, asked) for each in (url, other))
    assert before[: manifest.position] == after[: manifest.position]
    assert len(after) == manifest.position + done.carried_out["withdrawn"]
    asked = "SELECT last_value FROM pg_sequences WHERE sequencename LIKE 'gallery_key%'"
    before, after = (postgres.run(each, asked) for each in (url, other))
    assert before == after
    assert after[0][0] > 0  # no number is given to a second key
    with served(root) as restored:
        told = [outcome(restored, 1000), outcome(restored, 5)]
        assert told == ["match", "no-match"]
        moment = dt.datetime.fromisoformat(done.manifest.taken_at)
        assert moment < CLOCK.now()
