"""A small archive: a store, its keys, and what follows from both.

Everything is real: SQLite, key files, the engine, sealed files of codes. There is no
network and no thread but the store's writer. People are numbers, as in `world.unit`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import time
from typing import TYPE_CHECKING

import numpy as np
from world import SPACE, SPACES, unit

from biometrics.clock import UTC, ManualClock
from biometrics.custody import FileKeyProvider, Vault, create_key_file
from biometrics.custody.gallery import Epoch
from biometrics.members import Member
from biometrics.sealed import Binding, NewGalleryKey, Sealed
from biometrics.spaces import parse_spaces
from biometrics.store import open_store
from biometrics.store.rows import NewRecord, NewTemplate
from biometrics.templates import Position
from matcher.engine import Engine
from matcher.galleries import Galleries, GalleryName, Shelf
from matcher.index import Index
from matcher.keeper import Keeper
from matcher.loading import Loading
from matcher.segments import SegmentFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

XAA = Member("XAA")
XRA = Member("XRA")
FINGER = "tiny-finger"
LEFT, RIGHT = Position.LEFT_INDEX, Position.RIGHT_INDEX
FACES = Shelf(XAA, SPACE, Position.FACE)
OTHER_FACES = Shelf(XRA, SPACE, Position.FACE)
LEFT_FINGERS = Shelf(XAA, FINGER, LEFT)
FEW = Shelf(XRA, FINGER, LEFT)  # of nobody at first
RIGHT_FINGERS = Shelf(XAA, FINGER, RIGHT)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)
SURE = 0.9  # strangers are far below, and everybody is at 1.0 with herself


def digest(*words: object) -> bytes:
    """Return 32 bytes that stand for some words."""
    return hashlib.sha256(repr(words).encode()).digest()


class Archive:
    """The store and keys of two members, and the galleries that are made of them."""

    def __init__(self, root: Path, spaces: str = SPACES) -> None:
        """Make an archive under `root`, or open the one that is there."""
        self.root = root
        self.spaces = parse_spaces(spaces, "spaces.toml")
        self.database = root / "exchange.sqlite"
        self.folder = root / "segments"
        self._clock = ManualClock(NOW)
        for name in ("exchange", XAA.code, XRA.code):
            if not (root / f"{name}.key").exists():
                create_key_file(root / f"{name}.key", os.urandom)
        self.open()

    def provider(self, name: str) -> FileKeyProvider:
        """Return the provider of a key file."""
        return FileKeyProvider(self.root / f"{name}.key", os.urandom)

    def open(self) -> None:
        """Open the store and unlock everybody."""
        self.store = open_store(self.database, self._clock)
        self.vault = self.unlocked()

    def unlocked(self) -> Vault:
        """Return a vault in which everybody is unlocked, with keys of its own."""
        vault = Vault(
            self.provider("exchange"),
            {member: self.provider(member.code) for member in (XAA, XRA)},
            self.store.keys,
            self._clock,
            os.urandom,
        )
        for member in (XAA, XRA):
            vault.unlock(member)
        return vault

    def enrol(self, shelf: Shelf, *people: int) -> None:
        """Enrol people, each with one template at a shelf."""
        records = [self._record(shelf, person) for person in people]
        self.store.records.enrol(
            shelf.holder,
            records,
            request_id=os.urandom(16),
            digest=digest(*people),
            make_reply=lambda _: b"",
        ).result(30)

    def withdraw(self, shelf: Shelf, *people: int) -> None:
        """Withdraw people who are enrolled at a shelf."""
        for person in people:
            self.store.records.withdraw(
                shelf.holder,
                digest(shelf, person),
                request_id=os.urandom(16),
                digest=digest(person),
                check=lambda _: None,
                make_reply=lambda _: b"",
            ).result(30)

    def replace(self, shelf: Shelf, person: int) -> None:
        """Put another template of somebody in the place of that at a shelf."""
        lookup = digest(shelf, person)
        (before,) = self.store.journal.templates_of(shelf.holder, [lookup])
        self.store.records.replace(
            shelf.holder,
            self._record(shelf, person, before.record_id),
            before=before.record_tag,
            request_id=os.urandom(16),
            digest=digest(person, "again"),
            make_reply=lambda _: b"",
        ).result(30)

    def _record(
        self, shelf: Shelf, person: int, record_id: bytes | None = None
    ) -> NewRecord:
        space = self.spaces.named(shelf.space)
        binding = Binding(
            member=shelf.holder,
            gallery=shelf.space,
            record=record_id or os.urandom(16),
            modality=space.modality,
            space=space.identity,
            position=shelf.position,
            sample=0,
            generation=1,
        )
        return NewRecord(
            record_id=binding.record,
            lookup=digest(shelf, person),
            content_digest=digest(person),
            sealed_reference=Sealed(
                key_id=self.vault.codes(*shelf[:2]).key_id,
                wrapped_key=bytes(72),
                ciphertext=bytes(72),
            ),
            generation=1,
            excluded=frozenset(),
            legal_basis="",
            expires_at=None,
            attest=lambda _first: bytes(32),
            templates=(
                NewTemplate(
                    space=shelf.space,
                    position=shelf.position,
                    modality=space.modality,
                    sample=0,
                    quality=None,
                    sealed=self.vault.seal(binding, unit(person, space.dimension)),
                ),
            ),
        )

    def start(self) -> None:
        """Make the galleries as the exchange does when it starts."""
        self.engine: Engine[Shelf] = Engine()
        self.galleries = Galleries()
        for member in (XAA, XRA):
            for space in self.store.register.spaces(member):
                self.galleries.know(member, space)
        self.index = Index(
            vault=self.vault,
            spaces=self.spaces,
            engine=self.engine,
            galleries=self.galleries,
        )
        self.files = SegmentFiles(self.folder, os.urandom)
        self.index.restore(self.files, self.store.journal)
        self.restored = self.index.position
        self.follow()
        self.galleries.loaded()

    def follow(self) -> None:
        """Bring the index up to the journal's end."""
        while changes := self.store.journal.changes(self.index.position, 1000):
            self.index.apply(changes)

    def keeper(self) -> Keeper:
        """Return a keeper of the galleries that were made last; it is not started."""
        return Keeper(
            index=self.index,
            engine=self.engine,
            galleries=self.galleries,
            files=self.files,
        )

    def loading(self, *, is_whole: bool = True) -> Loading:
        """Return what loads galleries into the index, of a shard if it is not whole."""
        return Loading(
            index=self.index,
            journal=self.store.journal,
            register=self.store.register,
            files=self.files,
            is_whole=is_whole,
        )

    def save(self) -> None:
        """Follow, then keep every gallery on disk."""
        self.follow()
        for gallery in sorted(self.galleries.known()):
            self.files.save(gallery, self.index.snapshot(gallery))

    def compact(self) -> None:
        """Join what can be joined, and leave out whatever was removed."""
        for shelf in self.engine.names():
            self.engine.compact(shelf, most_removed=0.0)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def reopen(self) -> None:
        """Close and open, as after a stop."""
        self.close()
        self.open()

    def found(self, shelf: Shelf, people: range) -> set[int]:
        """Return who among `people` is found at a shelf, each by her own probe."""
        probes = np.array([unit(person) for person in people])
        ids = self.engine.search(shelf, probes, np.full(len(people), SURE))
        assert all(len(one) <= 1 for one in ids)
        return {person for person, one in zip(people, ids, strict=True) if len(one)}

    def rotate(self, gallery: GalleryName) -> None:
        """Give a gallery a key of the next epoch; what was sealed stays as it is."""
        epoch = Epoch(gallery.holder, gallery.space, 2)
        secret = os.urandom(32)
        self.store.keys.add_gallery_key(
            NewGalleryKey(
                member=gallery.holder,
                gallery=gallery.space,
                epoch=epoch.number,
                wrapped=epoch.wrap(secret, self.provider(gallery.holder.code)),
                commitment=epoch.commit(secret),
                created_at=NOW,
            )
        )

    def gallery(self, shelf: Shelf) -> Path:
        """Return the folder of a gallery's files."""
        return self.folder / shelf.holder.code / shelf.space

    def segments(self, shelf: Shelf) -> list[Path]:
        """Return a gallery's files of codes."""
        return sorted(self.gallery(shelf).glob("*.segment"))


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes within seconds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def warnings(records: list[logging.LogRecord]) -> Iterator[str]:
    """Yield what was told that somebody should look at."""
    for record in records:
        if record.levelno >= logging.WARNING:
            yield record.getMessage()
