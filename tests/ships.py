"""A fleet of shards in this process, each of which can be taken away."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from archive import FACES, OTHER_FACES, SURE, XAA, XRA, Archive, digest
from world import unit

from biometrics.disclosure import Band
from biometrics.errors import StorageError
from biometrics.store import ChangeKind, RequestKey
from biometrics.store.entries import add_change, reserve
from biometrics.templates import Template
from matcher.calls import LostError, SlowError
from matcher.fleet import Fleet, Others
from matcher.galleries import Galleries, GalleryState
from matcher.schedule import Scan, Turn
from matcher.shard import Shard, ShardPlan
from matcher.shares import Sharing

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Connection

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import StoredTemplate
    from matcher.calls import Call
    from matcher.fleet.beside import Beside
    from matcher.galleries import Shelf

SHARING = Sharing(places=3, together=8)


class Here:
    """A shard of this process, which can be taken away."""

    def __init__(self, plan: ShardPlan) -> None:
        """Have it there."""
        self.number, self.copy = plan.number, plan.copy
        self.plan = plan
        self.shard: Shard | None = Shard(plan)
        self._made = [self.shard]
        self.was_seen = True
        self.asked: list[str] = []  # methods
        self.is_ended = False
        self._held: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(4)

    def send(self, asked: Call) -> Future[Any]:
        """Call it, on some thread."""
        self.asked.append(asked.method)
        if self.shard is None:
            failed: Future[Any] = Future()
            failed.set_exception(LostError("gone"))
            return failed
        shard = self.shard
        method = getattr(shard, asked.method)
        held = self._held.get(asked.method)

        def answer() -> Any:  # noqa: ANN401
            if held is not None:
                end = time.monotonic() + 30
                while self.shard is shard and not held.wait(0.01):
                    assert time.monotonic() < end
            if self.shard is not shard:
                raise LostError("ended")
            return method(*asked.arguments, **asked.more)

        return self._pool.submit(answer)

    def hold(
        self, method: str, event: threading.Event | None = None
    ) -> threading.Event:
        """Have calls of a method wait for an event, which is returned."""
        return self._held.setdefault(method, event or threading.Event())

    def answer(self, sent: Future[Any], *, seconds: float) -> Any:  # noqa: ANN401
        """Wait for what it says."""
        try:
            return sent.result(seconds)
        except TimeoutError as error:
            raise SlowError(seconds) from error
        except LostError:
            raise
        except Exception as error:
            raise LostError(repr(error), is_alive=True) from error

    def is_gone(self) -> bool:
        """Say whether its end was seen."""
        is_gone = self.shard is None and self.was_seen
        if is_gone and self.is_ended:
            self._drop()
        return is_gone

    def waits_for(self) -> str:
        """Say nothing."""
        return ""

    def restart(self) -> None:
        """Have another."""
        assert not self.is_ended
        self.shard = Shard(self.plan)
        self._made.append(self.shard)

    def end(self) -> None:
        """Have none; it hangs, with keys, until its end is to be seen."""
        self.shard, self.is_ended = None, True
        self.is_gone()

    def free(self) -> None:
        """Have it said to be gone, also if it hangs; nor a thread of one that was."""
        self.end()
        self.was_seen = True
        self._pool.shutdown()
        for shard in self._made:
            shard._keeper.stop()

    def has_keys(self, member: Member) -> bool:
        """Say whether a process of it that has not ended has keys of a member."""
        return any(shard._keys.is_unlocked(member) for shard in self._made)

    def _drop(self) -> None:
        """Hold nothing any more, so that it fills nothing for ever."""
        for shard in self._made:
            for member in shard._keys.members:
                shard._keys.lock(member)


class Ships:
    """A fleet of shards of an archive, and what it tells."""

    def __init__(
        self,
        archive: Archive,
        sharing: Sharing = SHARING,
        *,
        absent: int | None = None,
        vault: Vault | None = None,
        beside: Beside | None = None,
    ) -> None:
        """Make one, and follow the journal; of `absent` copies there is none yet."""
        self.archive = archive
        self._vault = vault or archive.vault
        self.galleries = Galleries()
        for member in (XAA, XRA):
            for space in archive.store.register.spaces(member):
                self.galleries.know(member, space)
        self.remotes: list[Here] = []
        self._absent = absent
        self.fleet = Fleet(
            self.make,
            sharing,
            vault=self._vault,
            galleries=self.galleries,
            register=archive.store.register,
            is_trusted=True,
            beside=beside,
        )
        while True:
            try:
                journal = archive.store.journal
                self.fleet.restore(archive.files, journal, start=journal.end())
            except StorageError:
                continue
            break
        self.galleries.loaded()

    def make(self, sharing: Sharing) -> list[Here]:
        """Have shards, beside those that there are."""
        made = shards(self.archive, sharing)
        for remote in made:
            if remote.copy == self._absent:
                remote.shard = None
        self.remotes += made
        return made

    def follow(self) -> None:
        """Apply what is new."""
        journal = self.archive.store.journal
        while changes := journal.changes(self.fleet.position, 1000):
            self.fleet.apply(changes)

    def turn(self, shelf: Shelf, person: int) -> Turn:
        """Return a probe of somebody, who waits for a shelf."""
        space = self.archive.spaces.named(shelf.space)
        probe = Template(
            space=space,
            position=shelf.position,
            values=unit(person, space.dimension),
            quality=None,
        )
        return Turn(Scan(probe, 1, {shelf: Band.without(SURE)}, 1, {shelf: []}), shelf)

    def found(self, shelf: Shelf, *people: int) -> list[set[int]] | None:
        """Return the candidates of some people; None where that cannot be known."""
        turns = [self.turn(shelf, person) for person in people]
        together: list[set[int]] = [set() for _ in people]
        for part in self.fleet.parts(shelf):
            for ids, all_ids in zip(
                self.fleet.comparing.compare(part, turns), together, strict=True
            ):
                if ids is None:
                    return None
                all_ids.update(ids.tolist())
        return together

    def has_followed(self, number: int) -> bool:
        """Say whether a shard is at the journal's end."""
        shard = self.remotes[number].shard
        end = self.archive.store.journal.end()
        return shard is not None and shard._index.position == end

    def state(self, shelf: Shelf) -> GalleryState:
        """Return what is told of a gallery."""
        return self.galleries.state(shelf.holder, shelf.space)

    def close(self, *, is_open: bool) -> None:
        """Store that XAA has closed or opened its galleries."""
        if not is_open:
            self.galleries.lock(XAA)
        self.archive.store.custody.set_open(
            XAA,
            is_open=is_open,
            change_id=bytes(16),
            request=RequestKey(np.random.default_rng().bytes(16), bytes(32)),
            make_reply=lambda _: b"",
        ).result(30)

    def open(self) -> None:
        """Unlock XAA, and load it."""
        self._vault.unlock(XAA)
        self.close(is_open=True)
        self.follow()
        self.load()

    def load(self) -> None:
        """Load XAA, which was unlocked."""
        self.galleries.load(XAA)
        self.fleet.load(
            XAA, is_wanted=lambda: True, done=lambda: self.galleries.open(XAA)
        )

    def renew_keys(self) -> None:
        """Begin newer keys of XAA, which shards are lent from then on."""
        keys = self._vault.successors(XAA)
        self.archive.store.custody.begin_unasked(
            XAA, keys, change_id=os.urandom(16)
        ).result(30)
        self._vault.learn(XAA)

    def end_rotation(self) -> None:
        """Store that keys of XAA went, but for the newest."""

        def write(connection: Connection) -> None:
            position, _ = reserve(connection, changes=1, templates=0)
            change_id = os.urandom(16)
            kind = ChangeKind.ROTATED
            add_change(connection, position, kind, XAA, change_id=change_id)

        self.archive.store.custody._writer.run(write)

    def destroy(self) -> None:
        """Destroy the galleries of XAA, until nothing of them is left."""
        destruction = self.archive.store.destruction
        destruction.destroy(
            XAA,
            change_id=os.urandom(16),
            request=RequestKey(os.urandom(16), bytes(32)),
            make_reply=lambda _: b"",
        ).result(30)
        self.follow()
        while destruction.delete_some(XAA, 1000).result(30):
            pass
        assert self.fleet.discard(XAA)


class Ship(Here):
    """A shard that is there already, as another front end knows it."""

    def __init__(self, here: Here) -> None:
        """Be it."""
        self.number, self.copy = here.number, here.copy
        self.send = here.send  # type: ignore[method-assign]
        self.answer = here.answer  # type: ignore[method-assign]
        self.restart = here.restart  # type: ignore[method-assign]
        self.is_gone = here.is_gone  # type: ignore[method-assign]

    def free(self) -> None:
        """Leave it to whoever has made it."""


class Second(Ships):
    """Another front end, which speaks to the shards of a first one."""

    def __init__(
        self, archive: Archive, first: Ships, sharing: Sharing = SHARING
    ) -> None:
        """Have keys of its own."""
        self.first = first
        beside = Others(lambda: False, list)
        super().__init__(archive, sharing, vault=archive.unlocked(), beside=beside)

    def make(self, _sharing: Sharing) -> list[Here]:
        """Have those of the first one."""
        self.remotes = [Ship(here) for here in self.first.remotes]
        return self.remotes


def shards(archive: Archive, sharing: Sharing) -> list[Here]:
    """Return shards of an archive, which have nothing yet."""
    plan = ShardPlan(
        number=0,
        sharing=sharing,
        database=archive.database,
        segments=archive.folder,
        spaces=tuple(archive.spaces),
        threads=1,
    )
    return [Here(each) for each in plan.all()]


def holding(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, method: str
) -> threading.Event:
    """Have those that are made from now on wait in a method."""
    gate, make = threading.Event(), ships.make

    def made(sharing: Sharing) -> list[Here]:
        remotes = make(sharing)
        for remote in remotes:
            remote.hold(method, gate)
        return remotes

    monkeypatch.setattr(ships.fleet._growth, "_make", made)
    return gate


def replaced_elsewhere(
    *fleets: Ships, shelf: Shelf = FACES, person: int = 1
) -> tuple[StoredTemplate, StoredTemplate]:
    """Replace a template of somebody by one that comes into another shard.

    What was done before is followed by all fleets of the archive that are given, and
    the replacement by none.

    Returns:
        The old template and the new one.
    """
    archive = fleets[0].archive
    lookups = [digest(shelf, person)]
    (old,) = archive.store.journal.templates_of(shelf.holder, lookups)
    while True:
        archive.replace(shelf, person)
        (new,) = archive.store.journal.templates_of(shelf.holder, lookups)
        if SHARING.place_of(old) != SHARING.place_of(new):
            return old, new
        old = new
        archive.enrol(OTHER_FACES, *range(600 + new.template_id, 608 + new.template_id))
        for ships in fleets:
            ships.follow()


def whole(archive: Archive, shelf: Shelf, *people: int) -> list[set[int]]:
    """Return what one machine finds."""
    vectors = np.stack([unit(person) for person in people])
    found = archive.engine.search(shelf, vectors, np.full(len(people), SURE))
    return [set(ids.tolist()) for ids in found]
