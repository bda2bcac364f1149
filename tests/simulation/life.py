"""One life of an exchange, drawn from a seed: it works until the power goes.

1. It starts from what an ordered stop has left, or, now and then, from nothing.
2. It enrols, replaces, protects and withdraws, searches, locks, rotates and destroys,
   keeps and erases, takes up agreements and keys, stops and starts; alone, or several
   at once that share one flush.
3. The power goes at one event of the disk, or when all is done.
4. Sometimes it goes once more while the exchange comes back.
5. What is left is compared with what was acknowledged: see `checks`.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from simulation.checks import RESTRICTIONS, check
from simulation.disk import Disk, image_of, restore
from simulation.exchange import Node
from simulation.ledger import Key, Ledger, State
from world import AGREEMENTS, face, record, unit, write_spaces

from biometrics.cli.log_export import export_log
from biometrics.client import Chunk, Record, Template
from biometrics.client.responses.searching import read_answer
from biometrics.clock import UTC, ManualClock, SystemClock
from biometrics.custody import create_key_file
from biometrics.errors import ExchangeError
from biometrics.members import Member
from biometrics.server.backup import back_up_data, back_up_restrictions
from biometrics.server.blueprint import write_exchange
from biometrics.server.development import write_agreement
from biometrics.signing import read_signers, read_signing_key
from biometrics.signing.proposal import approve, propose
from biometrics.v1 import enrolment_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from simulation.disk import Image
    from simulation.exchange import Parts
    from simulation.watch import Watch

# What the exchange, its operator and its signers write.
FOLDERS: Final = ("data", "keys", "agreements", "backups")
HOLDERS: Final = ("XAA", "XRA")
REQUESTER: Final = "XCC"
JOINING: Final = "XBB"
MEMBERS: Final = (*HOLDERS, JOINING, REQUESTER)
MOST_OPERATIONS: Final = 14
MOST_EVENTS: Final = 45
MOST_EVENTS_LATE: Final = 150
LATE: Final = 0.35
MOST_EVENTS_BACK: Final = 25
FROM_NOTHING: Final = 40  # one of so many lives
SECOND_LOSS: Final = 0.3
STRANGER: Final = 10**6
# Whoever was answered too early goes on; the disk's power waits so long for that.
ANSWERED_SECONDS: Final = 0.02


class Place:
    """Where lives are lived, one after another: an exchange's files in memory.

    Attributes:
        base: what each begins with, and what of it was acknowledged.
    """

    def __init__(self, folder: Path, watch: Watch, started: list[Parts]) -> None:
        """Write the files of an exchange below a folder, and have it enrol some."""
        self.root = folder / "exchange"
        self.logs = folder / "logs"
        self.watch = watch
        self.started = started
        write_exchange(
            self.root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen="127.0.0.1:0",
        )
        write_spaces(self.root)
        settings = self.root / "exchange.toml"
        settings.write_text(_small(settings.read_text()))
        for path in (self.root / "agreements").iterdir():
            path.unlink()
        for holder in HOLDERS:
            write_agreement(self.root, AGREEMENTS[holder])
        (self.root / f"keys/{JOINING}.key").unlink()
        for name in ("data", "backups"):
            (self.root / name).mkdir(exist_ok=True)
        self.began = dt.datetime.now(UTC).replace(microsecond=0)
        self.nothing = image_of(self.root, FOLDERS)
        self.base, self.known = self._lived_in()

    def _lived_in(self) -> tuple[Image, Ledger]:
        """Return what an ordered stop leaves of a few records and searches."""
        life = Life(self, 0, from_nothing=True)
        with life:
            for holder in HOLDERS:
                life.load(holder, 5)
            life.enrol("XAA", fingers=True)
            life.search(4)
            life.withdraw("XRA")
            life.node.keep()
            life.export()
            life.ledger.kept = life._kept()
        shutil.copytree(self.logs, self.logs.with_name("base"))
        return image_of(self.root, FOLDERS), life.ledger


def _small(text: str) -> str:
    """Return settings with a few members, and answers that wait for nothing."""
    text = re.sub(r"(?m)^slot_ms = .*$", "slot_ms = 1", text)
    head, *members = re.split(r"(?m)^(?=\[\[member\]\])", text)
    kept = [each for each in members if re.search(r'"(\w+)"', each)[1] in MEMBERS]
    return "".join((head, *kept))


class Life:
    """An exchange that works until its disk loses power; a context manager."""

    def __init__(self, place: Place, seed: int, *, from_nothing: bool = False) -> None:
        """Begin from what the place has, or from nothing."""
        self.place = place
        self.seed = seed
        # Of its own for what is done, where the power goes, and what is left then.
        done, goes, left, drawn = np.random.SeedSequence(seed).spawn(4)
        self.random = np.random.default_rng(done)
        self._goes = np.random.default_rng(goes)
        self._left = np.random.default_rng(left)
        self.random_bytes = np.random.default_rng(drawn).bytes
        self.clock = ManualClock(place.began)
        is_fresh = from_nothing or seed % FROM_NOTHING == FROM_NOTHING - 1
        restore(place.root, place.nothing if is_fresh else place.base)
        shutil.rmtree(place.logs, ignore_errors=True)
        if is_fresh:
            self.ledger = Ledger(
                custody=dict.fromkeys(HOLDERS, "open"),
                revisions=dict.fromkeys(HOLDERS, 1),
            )
        else:
            self.ledger = place.known.copy()
            shutil.copytree(place.logs.with_name("base"), place.logs)
        self._numbers = 1000 if is_fresh else 2000
        self.disk = Disk(place.root, FOLDERS, self._left)

    def __enter__(self) -> Self:
        """Start the exchange on its disk."""
        self.place.watch.disk = self.disk
        try:
            self._start()
        except BaseException:
            self._unwatch()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.node.__exit__()
        self._unwatch()

    def _unwatch(self) -> None:
        self.place.watch.disk = None
        self.disk.close()

    def _start(self) -> None:
        self.node = Node(
            self.place.root, self.place.started, self.clock, self.random_bytes
        )

    def live(self) -> Ledger:
        """Work until the power goes; return what was acknowledged by then.

        On return the files are as the loss has left them.
        """
        at_loss: list[Ledger] = []

        def lost() -> None:
            time.sleep(ANSWERED_SECONDS)
            at_loss.append(self.ledger.copy())

        # Mostly early, since whatever is done first is done in some life.
        is_late = self._goes.random() < LATE
        most = MOST_EVENTS_LATE if is_late else MOST_EVENTS
        self.disk.go_at(int(self._goes.integers(1, most)), lost)
        with self:
            for _ in range(int(self.random.integers(4, MOST_OPERATIONS))):
                if self.disk.image is not None:
                    break
                self.clock.advance(dt.timedelta(seconds=1))
                self._draw()()
                if self.disk.image is None:
                    self.ledger.kept = self._kept()
            self.disk.lose_power()
        self._leave(self.disk)
        if self._goes.random() < SECOND_LOSS:
            with suppress(ExchangeError):  # it does not start: that is told later
                self._lose_again()
        return at_loss[0]

    def _lose_again(self) -> None:
        """Have the power go while the exchange comes back."""
        self.disk = Disk(self.place.root, FOLDERS, self._left)
        self.disk.go_at(int(self._goes.integers(1, MOST_EVENTS_BACK)), lambda: None)
        with self:
            self.node.keep()
            self.disk.lose_power()
        self._leave(self.disk)

    def _leave(self, disk: Disk) -> None:
        assert disk.image is not None
        restore(self.place.root, disk.image)

    def _kept(self) -> set[str]:
        """Return the galleries that have a manifest."""
        folder = self.place.root / "data/segments"
        found = folder.glob("*/*/manifest")
        return {str(path.parent.relative_to(folder)) for path in found}

    def _draw(self) -> Callable[[], None]:
        """Return what is done next."""
        holder = HOLDERS[int(self.random.integers(len(HOLDERS)))]
        is_open = self.ledger.custody[holder] == "open"
        has_some = len(self.ledger.alive(holder)) > 1
        ways: list[tuple[float, bool, Callable[[], None]]] = [
            (3, is_open, partial(self.load, holder, int(self.random.integers(2, 7)))),
            (1, is_open, partial(self.enrol, holder, fingers=True)),
            (4, is_open and has_some, partial(self.at_once, holder)),
            (2, has_some, partial(self.withdraw, holder)),
            (2, has_some, partial(self.protect, holder)),
            (2, is_open and has_some, partial(self.replace, holder)),
            (5, True, partial(self.search, 3)),
            (2, True, self.keep),
            (1, True, self.erase),
            (1, is_open, partial(self.lock, holder)),
            (2, not is_open, partial(self.unlock, holder)),
            (2.5, is_open, partial(self.rotate, holder)),
            (0.4, is_open, partial(self.destroy, holder)),
            (0.7, True, self.restart),
            (0.7, True, self.export),
            (1, True, partial(self.agree, holder)),
            (1, True, self.back_up),
            (1.5, not self.ledger.joined, self.join),
        ]
        possible = [(weight, way) for weight, can, way in ways if can]
        weights = np.array([weight for weight, _ in possible])
        chosen = self.random.choice(len(possible), p=weights / weights.sum())
        return possible[int(chosen)][1]

    def fresh(self) -> int:
        """Return a person who was not there before."""
        self._numbers += 1
        return self._numbers

    def _one(self, holder: str) -> Key:
        """Return one record of a holder."""
        alive = self.ledger.alive(holder)
        return alive[int(self.random.integers(len(alive)))]

    def load(self, holder: str, count: int) -> None:
        """Enrol a chunk, of records with one face or two."""
        states = {
            Key(holder, f"R{number}"): State(
                (number, self.fresh()) if number % 3 == 0 else (number,)
            )
            for number in (self.fresh() for _ in range(count))
        }
        records = tuple(
            record(key.reference, *(unit(p) for p in state.people))
            for key, state in states.items()
        )
        client = self.node.client(holder, "enroller")
        with self.ledger.changing(states):
            (told,) = self.node.run(lambda: client.load(Chunk(records=records)))
        assert set(told) == {"enrolled"}

    def enrol(self, holder: str, *, fingers: bool = False) -> None:
        """Enrol one record, of a face or of two fingers."""
        number = self.fresh()
        key, state = Key(holder, f"R{number}"), State((number,))
        one: Record = record(key.reference, unit(number))
        if fingers:
            state = State((number, self.fresh()), are_fingers=True)
            one = Record(
                reference=key.reference,
                templates=tuple(
                    Template(space="tiny-finger", position=position, vector=unit(p))
                    for position, p in zip(
                        ("right-index", "left-index"), state.people, strict=True
                    )
                ),
            )
        with self.ledger.changing({key: state}):
            self.node.client(holder, "enroller").enrol(one)

    def at_once(self, holder: str) -> None:
        """Search, enrol, withdraw and protect at once, in one transaction."""
        client = self.node.client(holder, "enroller")
        number, one = self.fresh(), self._one(holder)
        key = Key(holder, f"R{number}")
        changes: dict[object, object] = {
            key: State((number,)),
            one: None,
        }
        requests = client._requests
        withdrawal = enrolment_pb2.WithdrawRequest(reference=one.reference)
        asked: list[tuple[str, Any]] = [
            ("Enrol", requests.enrol(record(key.reference, unit(number)), None)),
            ("Withdraw", requests.under(None, withdrawal)),
        ]
        others = [k for k in self.ledger.alive(holder) if k != one]
        found = others[int(self.random.integers(len(others)))]
        state = self.ledger.records[found]
        assert state is not None
        searching = self.node.client(REQUESTER)
        searches = [
            searching._requests.match(face(unit(p)), "border-check", [holder], None)
            for p in (state.people[0], STRANGER)
        ]
        work: list[Callable[[], Awaitable[Any]]] = [
            partial(client.ask, f"/biometrics.v1.EnrolmentService/{name}", request)
            for name, request in asked
        ] + [
            partial(searching.ask, "/biometrics.v1.MatchService/Match", request)
            for request in searches
        ]
        with self.ledger.changing(changes):
            done = self.node.run(*work, are_one=True)
        self._received(*done[2:])

    def withdraw(self, holder: str) -> None:
        """Withdraw one record."""
        key = self._one(holder)
        with self.ledger.changing({key: None}):
            self.node.client(holder, "enroller").withdraw(key.reference)

    def protect(self, holder: str) -> None:
        """Hide one record from the requester, or show it again."""
        key = self._one(holder)
        state = self.ledger.records[key]
        assert state is not None
        excluded = () if state.excluded else (REQUESTER,)
        after = replace(state, excluded=excluded)
        with self.ledger.changing({key: after}):
            self.node.client(holder, "enroller").protect(
                key.reference, excluded=excluded, exclude_nobody=not excluded
            )

    def replace(self, holder: str) -> None:
        """Put another face, or finger, in the place of a record's first."""
        key = self._one(holder)
        state = self.ledger.records[key]
        assert state is not None
        client, number = self.node.client(holder, "enroller"), self.fresh()
        (listed,) = [r for r in client.records() if r.reference == key.reference]
        first = listed.templates[0]
        template = Template(
            space=first.space, position=first.position, vector=unit(number)
        )
        people = (number, *state.people[1:])
        after = replace(state, people=people, generation=state.generation + 1)
        with self.ledger.changing({key: after}):
            client.replace(key.reference, template, sample=0)

    def search(self, count: int) -> None:
        """Search for some who are enrolled, and for nobody."""
        client = self.node.client(REQUESTER)
        for holder in self.random.choice(HOLDERS, count):
            alive = self.ledger.alive(str(holder))
            number = STRANGER
            if alive and self.random.random() < 0.8:
                state = self.ledger.records[
                    alive[int(self.random.integers(len(alive)))]
                ]
                assert state is not None
                number = state.people[0]
            answer = client.match(
                face(unit(number)), purpose="border-check", holders=[str(holder)]
            )
            if self.disk.image is None:
                self.ledger.answers.append(answer)

    def _received(self, *messages: Any) -> None:
        """Keep answers, if they were received before the power went."""
        if self.disk.image is None:
            self.ledger.answers += map(read_answer, messages)

    def keep(self) -> None:
        """Join segments and save codes."""
        self.node.keep(is_erasing=bool(self.random.integers(2)))

    def erase(self) -> None:
        """Take what was withdrawn out of the database's files."""
        self.node.parts.store.erase()

    def lock(self, holder: str) -> None:
        """Close a holder's galleries."""
        with self.ledger.changing({("custody", holder): "locked"}):
            self.node.client(holder, "administrator").lock()

    def unlock(self, holder: str) -> None:
        """Open them again."""
        with self.ledger.changing({("custody", holder): "open"}):
            self.node.client(holder, "administrator").unlock()

    def rotate(self, holder: str) -> None:
        """Replace a holder's keys, to the end."""
        with self._erasing(holder):
            self.node.client(holder, "administrator").rotate()

    def destroy(self, holder: str) -> None:
        """Destroy a holder's galleries, to the end."""
        after = {("custody", holder): "destroyed"}
        with self._erasing(holder), self.ledger.changing(after):
            self.node.client(holder, "administrator").destroy(confirm_holder=holder)

    def restart(self) -> None:
        """Stop in order, and start."""
        self.node.keep()
        self.node.__exit__()
        self._start()

    def export(self) -> None:
        """Bring the log to two auditors, and verify it."""
        self.clock.advance(dt.timedelta(seconds=1))
        for member in (REQUESTER, HOLDERS[0]):
            client = self.node.client(member, "auditor")
            export_log(client, self.place.logs / member, None)

    def back_up(self) -> None:
        """Write a backup, and a list of restrictions."""
        settings, folder = (
            self.place.root / "exchange.toml",
            self.place.root / "backups",
        )
        name = f"of-{self.fresh()}"
        with self.ledger.changing({("backup", name): True}):
            back_up_data(
                settings,
                folder / name,
                clock=self.clock,
                random_bytes=self.random_bytes,
            )
            back_up_restrictions(settings, folder / RESTRICTIONS, clock=self.clock)

    def agree(self, holder: str) -> None:
        """Sign the next revision of a holder's agreement, and take it up."""
        path = self.place.root / f"agreements/{holder}.toml"
        keys = self.place.root / "signing"
        signers = read_signers(self.place.root / "signers.toml")
        after = self.ledger.revisions[holder] + 1
        with self.ledger.changing({("revision", holder): after}):
            first = read_signing_key(keys / f"{holder}-first.key")
            propose(path, first, signers, self.clock.now())
            approve(path, read_signing_key(keys / f"{holder}-second.key"), signers)
            told = self.node.parts.settings.look()
            assert not any(each.is_warning for each in told), told

    def join(self) -> None:
        """Make the key of the member that has none; it counts from the next start."""
        with self.ledger.changing({("joined", JOINING): True}):
            create_key_file(self.place.root / f"keys/{JOINING}.key", self.random_bytes)
            self.restart()
            if self.disk.image is None:
                self.load(JOINING, 2)

    @contextmanager
    def _erasing(self, holder: str) -> Iterator[None]:
        """Have the keys that a holder has now be gone when the block has ended.

        And the files that are sealed by them.
        """
        rows = self.node.parts.store.keys.gallery_keys(Member(holder))
        folder = self.place.root / "data/segments" / holder
        names = {path.name.encode() for path in folder.rglob("*.segment")}
        yield
        if self.disk.image is None:
            custody = self.node.client(holder, "administrator").custody()
            assert not custody.is_busy, custody
            left = {path.name.encode() for path in folder.rglob("*.segment")}
            self.ledger.gone |= {row.wrapped for row in rows} | (names - left)


def lived(place: Place, seed: int) -> list[str]:
    """Live one life, and return what is wrong with what was left of it."""
    life = Life(place, seed)
    ledger = life.live()
    return check(place, ledger, life)
