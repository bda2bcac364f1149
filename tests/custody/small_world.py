"""A small world: three holders, their key files, and rows in memory."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from biometrics.clock import UTC, ManualClock
from biometrics.custody import FileKeyProvider, Vault, create_key_file
from biometrics.custody.gallery import Epoch
from biometrics.members import Member
from biometrics.sealed import (
    Binding,
    FileKind,
    GalleryKeyRow,
    NewGalleryKey,
    SealedFile,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLDERS = (Member("XAA"), Member("XAB"), Member("XAC"))


class Generator:
    """Random bytes from a seed, which remembers what it gave."""

    def __init__(self, seed: int = 7) -> None:
        """Begin with `seed`."""
        self._generator = np.random.default_rng(seed)
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        """Return `count` bytes."""
        given = self._generator.bytes(count)
        self.given.append(given)
        return given


class Rows:
    """Wrapped keys in memory; the first writer of a key wins."""

    def __init__(self) -> None:
        """Hold none."""
        self.keys: list[GalleryKeyRow] = []
        self.indexes: dict[Member, bytes] = {}
        self.signing: bytes | None = None
        self.additions = 0
        self.may_read = threading.Event()
        self.may_read.set()
        self.reading = threading.Event()
        self._lock = threading.Lock()

    def gallery_keys(self, member: Member) -> list[GalleryKeyRow]:
        """Return a member's keys, once that is allowed."""
        self.reading.set()
        assert self.may_read.wait(10)
        return [key for key in self.keys if key.member == member]

    def add_gallery_key(self, row: NewGalleryKey) -> GalleryKeyRow:
        """Keep a key, or return the one that the epoch has."""
        with self._lock:
            self.additions += 1
            wanted = (row.member, row.gallery, row.epoch)
            for key in self.keys:
                if (key.member, key.gallery, key.epoch) == wanted:
                    return key
            added = GalleryKeyRow(
                key_id=len(self.keys) + 1,
                member=row.member,
                gallery=row.gallery,
                epoch=row.epoch,
                wrapped=row.wrapped,
                commitment=row.commitment,
                created_at=row.created_at,
            )
            self.keys.append(added)
            return added

    def index_key(self, member: Member) -> bytes | None:
        """Return a member's index key."""
        return self.indexes.get(member)

    def add_index_key(self, member: Member, wrapped: bytes) -> bytes:
        """Keep an index key, or return the one that the member has."""
        with self._lock:
            self.additions += 1
            return self.indexes.setdefault(member, wrapped)

    def signing_key(self) -> bytes | None:
        """Return the signing key."""
        return self.signing

    def add_signing_key(self, wrapped: bytes) -> bytes:
        """Keep a signing key, or return the one that there is."""
        self.signing = self.signing or wrapped
        return self.signing


@dataclass
class World:
    """Everything that custody works with."""

    folder: Path
    stranger: ClassVar[Member] = Member("XZZ")
    rows: Rows = field(default_factory=Rows)
    random_bytes: Generator = field(default_factory=Generator)

    def __post_init__(self) -> None:
        """Make the key files."""
        for name in ("exchange", *(holder.code for holder in HOLDERS)):
            create_key_file(self.folder / f"{name}.key", self.random_bytes)

    def provider(self, name: str) -> FileKeyProvider:
        """Return the provider of a key file."""
        return FileKeyProvider(self.folder / f"{name}.key", self.random_bytes)

    def vault(self, **names: str) -> Vault:
        """Return a vault on the rows; `names` gives a holder another's key file."""
        return Vault(
            self.provider(names.pop("exchange", "exchange")),
            {
                holder: self.provider(names.get(holder.code, holder.code))
                for holder in HOLDERS
            },
            self.rows,
            ManualClock(NOW),
            self.random_bytes,
        )

    def unlocked(self) -> Vault:
        """Return a vault of which every holder is unlocked."""
        vault = self.vault()
        for holder in HOLDERS:
            vault.unlock(holder)
        return vault

    def change_key(self, index: int, **changes: object) -> None:
        """Tamper with a stored gallery key."""
        self.rows.keys[index] = replace(self.rows.keys[index], **changes)

    @staticmethod
    def binding(**changes: object) -> Binding:
        """Return what a template is bound to."""
        template = Binding(
            member=HOLDERS[0],
            gallery="faces-v1",
            record=bytes(range(16)),
            modality="face",
            space="faces-v1@0123",
            position="face",
            sample=0,
            generation=1,
        )
        return template._replace(**changes)  # type: ignore[arg-type]

    @staticmethod
    def file(**changes: object) -> SealedFile:
        """Return what a file of codes is."""
        segment = SealedFile(
            kind=FileKind.SEGMENT, position="face", name=bytes(range(16))
        )
        return replace(segment, **changes)

    def rotate(self, secret: bytes = bytes(range(32))) -> None:
        """Give the first gallery key a successor, without sealing anything anew."""
        old = self.rows.keys[0]
        epoch = Epoch(old.member, old.gallery, old.epoch + 1)
        rotated = replace(
            old,
            key_id=len(self.rows.keys) + 1,
            epoch=epoch.number,
            wrapped=epoch.wrap(secret, self.provider(old.member.code)),
            commitment=epoch.commit(secret),
        )
        self.rows.keys.append(rotated)
