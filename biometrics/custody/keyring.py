"""The gallery keys of one member, while the member is unlocked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from biometrics.custody.gallery import Epoch
from biometrics.custody.xaes import KEY_BYTES, unopened
from biometrics.sealed import REFERENCES, NewGalleryKey, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from biometrics.clock import Clock
    from biometrics.custody.gallery import GalleryKey
    from biometrics.custody.providers import KeyProvider
    from biometrics.members import Member
    from biometrics.sealed import GalleryKeyRow

FIRST_EPOCH: Final = 1


class KeyRows(Protocol):
    """Where wrapped keys are kept."""

    def gallery_keys(self, member: Member) -> list[GalleryKeyRow]:
        """Return every gallery key of a member."""

    def add_gallery_key(self, row: NewGalleryKey) -> GalleryKeyRow:
        """Make a key durable; if its epoch has one already, return that one."""

    def index_key(self, member: Member) -> bytes | None:
        """Return the member's wrapped index key, or None."""

    def add_index_key(self, member: Member, wrapped: bytes) -> bytes:
        """Make a key durable; if the member has one already, return that one."""

    def signing_key(self) -> bytes | None:
        """Return the exchange's wrapped signing key, or None."""

    def add_signing_key(self, wrapped: bytes) -> bytes:
        """Make a key durable; if the exchange has one already, return that one."""


class Keys:
    """Opened gallery keys: all by number, and the newest of each gallery."""

    __slots__ = ("by_id", "newest")

    def __init__(self) -> None:
        """Begin with none."""
        self.by_id: dict[int, GalleryKey] = {}
        self.newest: dict[str, GalleryKey] = {}

    def add(self, key: GalleryKey) -> None:
        """Have one more."""
        self.by_id[key.key_id] = key
        known = self.newest.get(key.epoch.gallery)
        if known is None or known.epoch.number < key.epoch.number:
            self.newest[key.epoch.gallery] = key

    def without_older(self) -> Keys:
        """Return the newest of each gallery alone."""
        kept = Keys()
        for key in self.newest.values():
            kept.add(key)
        return kept


class Keyring:
    """Opens, makes and drops the gallery keys of one member.

    Keys are looked up without waiting. What changes the ring goes one after another:
    when `lock` returns, no key is left and no unlocking is under way.
    """

    def __init__(
        self,
        member: Member,
        provider: KeyProvider,
        rows: KeyRows,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Begin locked."""
        self._member = member
        self._provider = provider
        self._rows = rows
        self._clock = clock
        self._random_bytes = random_bytes
        self._changing = threading.Lock()
        self._keys: Keys | None = None
        self._retired: frozenset[int] = frozenset()
        self._durable: frozenset[int] = frozenset()  # when they were learnt last

    @property
    def is_unlocked(self) -> bool:
        """Whether keys are at hand."""
        return self._keys is not None

    def unlock(self) -> None:
        """Open every gallery key, or be as after `lock`; see `Vault.unlock`."""
        with self._changing:
            self._keys = None
            try:
                self._keys = self._opened_anew()
            except BaseException:
                self._provider.drop()
                raise

    def _opened_anew(self) -> Keys:
        """Return every gallery key, opened."""
        self._provider.check()  # also where there is no gallery key yet
        keys = Keys()
        for key in open_keys(self._rows.gallery_keys(self._member), self._provider):
            keys.add(key)
        return keys

    def lock(self) -> None:
        """Drop every key, and the one that was handed over."""
        with self._changing:
            self._keys = None
            self._provider.drop()

    def numbered(self, key_id: int) -> GalleryKey:
        """Return the gallery key of that number.

        Raises:
            GalleryLockedError: the member is locked, or the key was retired since the
                value was read (`KEYS_ROTATED`): by now it is under another.
            SealError: the member has no such key.
            StorageError: keys that are not at hand cannot be read now.
        """
        key = self._opened().by_id.get(key_id)
        if key is None and key_id in self._retired:
            raise locked(self._member, is_rotated=True)
        if key is None:
            self.learn()
            key = self._opened().by_id.get(key_id)
        if key is None:
            raise unopened("its key is not one of the member's")
        return key

    def newest(self, gallery: str) -> GalleryKey:
        """Return the key that a gallery is sealed with now, made if there is none.

        Raises:
            GalleryLockedError: the member is locked.
            StorageError: a new key could not be made durable.
        """
        key = self._opened().newest.get(gallery)
        return self._make(gallery) if key is None else key

    def every(self, gallery: str) -> list[GalleryKey]:
        """Return every key of a gallery, the newest first, made if there is none.

        Raises:
            GalleryLockedError: the member is locked.
            StorageError: a new key could not be made durable.
        """
        newest = self.newest(gallery)
        keys = self._opened().by_id.values()
        older = [k for k in keys if k.epoch.gallery == gallery and k is not newest]
        return [newest, *sorted(older, key=lambda k: k.epoch.number, reverse=True)]

    def successors(self) -> list[NewGalleryKey]:
        """Return a key of the next epoch for each gallery, which is not used yet.

        Raises:
            GalleryLockedError: the member is locked.
        """
        return [
            self._fresh(Epoch(self._member, gallery, key.epoch.number + 1))
            for gallery, key in sorted(self._opened().newest.items())
        ]

    def adopt(self, rows: Iterable[GalleryKeyRow]) -> None:
        """Use keys that are durable: what is sealed from now on is under the newest.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a row is damaged, or was wrapped by another key.
        """
        with self._changing:
            fresh = [row for row in rows if row.key_id not in self._retired]
            for key in open_keys(fresh, self._provider):
                self._opened().add(key)

    def learn(self) -> None:
        """Have keys at hand that another front end has made.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a row is damaged, or was wrapped by another key.
            StorageError: they cannot be read now.
        """
        rows = self._rows.gallery_keys(self._member)
        self.adopt([row for row in rows if not self.has(row.key_id)])
        self._durable = frozenset(row.key_id for row in rows)

    def has(self, key_id: int) -> bool:
        """Say whether a key is at hand; not while the member is locked."""
        keys = self._keys
        return keys is not None and key_id in keys.by_id

    def lendable(self) -> frozenset[int]:
        """Return the numbers of the keys that `secrets` gives; none while locked."""
        keys = self._keys
        return frozenset() if keys is None else frozenset(_of_templates(keys))

    def secrets(self) -> list[tuple[int, Epoch, bytes]]:
        """Return the keys of templates, to be lent: each with its number and epoch.

        That of the holder's references is not among them.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a row was damaged since it was opened.
        """
        with self._changing:
            held = _of_templates(self._opened())
            rows = self._rows.gallery_keys(self._member)
            return [
                (row.key_id, epoch, epoch.reveal(row, self._provider))
                for row in rows
                if row.key_id in held
                for epoch in [held[row.key_id].epoch]
            ]

    def is_rotating(self) -> bool:
        """Say whether a gallery has a key beside its newest; not while locked."""
        keys = self._keys
        return keys is not None and len(keys.by_id) > len(keys.newest)

    def retire(self) -> None:
        """Drop every key but the newest of each gallery, and those that are durable.

        When this one learnt them last: they may have been replaced once more since.
        """
        with self._changing:
            if (keys := self._keys) is None:
                return
            kept = keys.without_older()
            for number in keys.by_id.keys() & self._durable:
                kept.add(keys.by_id[number])
            self._retired |= keys.by_id.keys() - kept.by_id.keys()
            self._keys = kept

    def _make(self, gallery: str) -> GalleryKey:
        """Return the first key of a gallery; it is durable before it is used."""
        with self._changing:
            keys = self._opened()
            if gallery in keys.newest:  # another thread was first
                return keys.newest[gallery]
            epoch = Epoch(self._member, gallery, FIRST_EPOCH)
            row = self._rows.add_gallery_key(self._fresh(epoch))
            # The stored key counts: another process may have been first.
            key = epoch.open(row, self._provider)
            keys.add(key)
            return key

    def _fresh(self, epoch: Epoch) -> NewGalleryKey:
        """Return a new key of an epoch."""
        secret = self._random_bytes(KEY_BYTES)
        return NewGalleryKey(
            member=self._member,
            gallery=epoch.gallery,
            epoch=epoch.number,
            wrapped=epoch.wrap(secret, self._provider),
            commitment=epoch.commit(secret),
            created_at=self._clock.now(),
        )

    def _opened(self) -> Keys:
        keys = self._keys
        if keys is None:
            raise locked(self._member)
        return keys


def _of_templates(keys: Keys) -> dict[int, GalleryKey]:
    """Return the keys that are not of references, by number."""
    return {n: k for n, k in keys.by_id.items() if k.epoch.gallery != REFERENCES}


def open_keys(rows: Iterable[GalleryKeyRow], provider: KeyProvider) -> list[GalleryKey]:
    """Return a member's stored gallery keys, opened.

    Raises:
        GalleryLockedError: the key-encryption key is not at hand.
        SealError: a row is damaged, or was wrapped by another key.
    """
    return [
        Epoch(row.member, row.gallery, row.epoch).open(row, provider) for row in rows
    ]
