"""Keeps the engine equal to what the store's journal says.

What was enrolled is opened and added, what was withdrawn is removed; at a start, codes
that were kept on disk stand for the changes up to which they reach.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from biometrics import limits
from biometrics.errors import GalleryLockedError, SealError, StorageError
from biometrics.sealed import Binding, locked
from biometrics.store import ChangeKind
from biometrics.templates import Position
from matcher.engine import Engine
from matcher.galleries import Galleries, GalleryName, GalleryState, Shelf
from matcher.kinds import coded_as, make_shelf, searched
from matcher.segments import Snapshot, StaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from biometrics.custody import CodesKey
    from biometrics.custody.buffers import Values
    from biometrics.members import Member
    from biometrics.sealed import Sealed
    from biometrics.store import Change, JournalReader, StoredTemplate
    from biometrics.templates import TemplateSpaces
    from matcher.engine import Coding
    from matcher.segments import SegmentFiles

log = logging.getLogger(__name__)

_POSITIONS: Final[frozenset[str]] = frozenset(Position)


class Opener(Protocol):
    """Keys of galleries: those of a vault, or those that it has lent."""

    def open_into(self, binding: Binding, sealed: Sealed, buffer: Values) -> None:
        """Open a template into a buffer; see `Vault.open_into`."""

    def codes(self, member: Member, gallery: str) -> CodesKey:
        """Return the key of a gallery's codes; see `Vault.codes`."""

    def every_codes(self, member: Member, gallery: str) -> list[CodesKey]:
        """Return what `codes` does, and those before it; see `Vault.every_codes`."""

    def is_unlocked(self, member: Member) -> bool:
        """Say whether keys of the member are at hand."""

    def lock(self, member: Member) -> None:
        """Drop the keys of a member."""

    def retire(self, member: Member) -> None:
        """Drop every key of a member but the newest of each gallery."""


def binding_of(stored: StoredTemplate, spaces: TemplateSpaces) -> Binding:
    """Return what a stored template must be bound to under today's spaces."""
    return Binding(
        stored.member,
        stored.space,
        stored.record_id,
        stored.modality,
        spaces.named(stored.space).identity,
        stored.position,
        stored.sample,
        stored.generation,
    )


class Index:
    """The engine, filled; one thread changes it and any may take a snapshot."""

    def __init__(  # noqa: PLR0913 - what it is filled with, and of whom
        self,
        *,
        vault: Opener,
        spaces: TemplateSpaces,
        engine: Engine[Shelf],
        galleries: Galleries,
        holder: Member | None = None,
        is_own: Callable[[StoredTemplate], bool] = lambda _: True,
        learn: Callable[[Sequence[Change]], bool] = lambda _: True,
    ) -> None:
        """Fill `engine` and `galleries`, opening with `vault`.

        Args:
            vault: opens templates; what closes it is followed too, but by the index of
                one holder.
            spaces: what templates can be compared.
            engine: empty.
            galleries: whose galleries are known.
            holder: whose galleries alone it is of; everybody's if None.
            is_own: says which templates are to be in it, of a gallery in several.
            learn: has keys at hand; see `learning.learn`.
        """
        self._learn = learn
        self._holder = holder
        self._is_own = is_own
        self._vault = vault
        self._spaces = spaces
        self._engine = engine
        self._galleries = galleries
        self._applying = threading.Lock()
        self._position = 0
        self._change = b""
        self._reached: dict[GalleryName, int] = {}
        self._keys: dict[GalleryName, CodesKey] = {}
        self._start = 0  # what was locked before is known by other means
        self._ahead = 0

    @property
    def position(self) -> int:
        """Position of the journal up to which every change is searchable."""
        return self._position

    @property
    def reaching(self) -> int:
        """Position up to which something may be in it already, from disk or `ahead`."""
        return max(self._position, self._ahead, *self._reached.values())

    @property
    def ahead(self) -> int:
        """Position up to which something was added already, or may have been.

        By `add`, or by changes that the database cut short.
        """
        return self._ahead

    @property
    def change(self) -> bytes:
        """Id of the record that was changed at the position; see `Journal.entry`."""
        return self._change

    def restore(
        self, files: SegmentFiles, journal: JournalReader, *, start: int | None = None
    ) -> None:
        """Load what is kept on disk; the position is that from which to go on.

        Args:
            files: what is kept.
            journal: that it was made from.
            start: position up to which it is known who is locked; its end if None.

        Raises:
            StorageError: the journal cannot be read now.
        """
        self._start = journal.end() if start is None else start
        known = self._galleries.known()
        for gallery in sorted({*known, *files.galleries()}):
            if self._holder not in (None, gallery.holder):
                continue
            if gallery not in known and gallery.space not in self._spaces:
                continue  # a folder of something else
            if self._galleries.closed(gallery.holder) is GalleryState.DESTROYED:
                continue  # a stop has left its files, which are about to be deleted
            reached = self._restored(gallery, files, journal)
            if gallery not in known and not reached:
                # Files make no gallery, but for those that were kept of one: then its
                # rows are missing from the database.
                for shelf in self._shelves(gallery):
                    self._engine.drop(shelf)
                continue
            self._galleries.know(*gallery)
            if reached is not None:
                self._reached[gallery] = reached
        self._position = min(self._reached.values(), default=0)
        self._change = journal.entry(self._position) or b""

    def learn(self, changes: Sequence[Change]) -> bool:
        """Have keys at hand that changes ask for; say whether all are there.

        Raises:
            StorageError: they cannot be read now.
        """
        return self._learn(changes)

    def add(self, changes: Sequence[Change]) -> None:
        """Have found what later changes enrol; what they remove, when it is applied.

        Raises:
            StorageError: as `apply`.
        """
        with self._applying:
            try:
                self._add(changes)
            finally:
                self._ahead = max(self._ahead, changes[-1].position)

    def apply(self, changes: Sequence[Change]) -> None:
        """Bring changes into the engine, which follow on the position.

        Raises:
            StorageError: keys cannot be read or written now. Some of it may be there;
                it is to be called again with changes that follow on the same position.
        """
        with self._applying:
            # In this order: what was replaced is found as what it was or what it is.
            try:
                self._add(changes)
            except StorageError:
                self._ahead = max(self._ahead, changes[-1].position)
                raise
            self._remove(changes)
            if self._holder is None:
                self._obey(changes)
            self._position = changes[-1].position
            self._change = changes[-1].record_id

    def skip_to(self, position: int) -> None:
        """Begin after a position, up to which there is nothing for it."""
        self._position = max(self._position, position)

    def has_older_codes(self, holder: Member) -> bool:
        """Say whether a gallery of a holder is coded by another key than its newest.

        Raises:
            GalleryLockedError: the holder is locked.
        """
        with self._applying:
            own = [(g, key) for g, key in self._keys.items() if g.holder == holder]
        return any(self._vault.codes(*g).key_id != key.key_id for g, key in own)

    def beside(self, holder: Member, spaces: Iterable[str]) -> Index:
        """Return an empty index of one holder's galleries, for `adopt` later."""
        galleries = Galleries()
        for space in spaces:
            galleries.know(holder, space)
        return Index(
            vault=self._vault,
            spaces=self._spaces,
            engine=Engine(),
            galleries=galleries,
            holder=holder,
            is_own=self._is_own,
            learn=self._learn,
        )

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the index at its position, which is given, while the block runs."""
        with self._applying:
            yield self._position

    def adopt(self, other: Index) -> None:
        """Have the galleries that the index of one holder has made, as one's own.

        To be called within `held`, with the other at the same position. It MUST NOT be
        used any more.

        Raises:
            GalleryLockedError: the holder was locked meanwhile; or keys were replaced,
                and not all could be opened (`KEYS_ROTATED`): it is to be made again.
        """
        holder = other._holder
        if holder is not None and not self._vault.is_unlocked(holder):
            raise locked(holder)
        if holder is not None and other._galleries.closed(holder) is not None:
            raise locked(holder, is_rotated=True)
        for shelf in self._engine.names():
            if shelf.holder == other._holder and shelf not in other._engine:
                self._engine.drop(shelf)
        self._engine.take(other._engine)
        own = {g: k for g, k in self._keys.items() if g.holder != other._holder}
        self._keys = own | other._keys
        # What was on disk may have been of a later moment than the other is made of.
        left = {g: p for g, p in self._reached.items() if g.holder != other._holder}
        self._reached = left
        for gallery in other._galleries.known():
            self._galleries.know(*gallery)
            if other._galleries.state(*gallery) is GalleryState.DAMAGED:
                self._galleries.damage(*gallery, "it could not be loaded whole")

    def snapshot(self, gallery: GalleryName) -> Snapshot:
        """Return a gallery's codes as they are at the position.

        Raises:
            GalleryLockedError: the holder is locked.
            StorageError: something of it may be of a later position.
        """
        with self._applying:
            if max(self._reached.get(gallery, 0), self._ahead) > self._position:
                raise StorageError("GALLERY_AHEAD", "some of it is of a later moment")
            return Snapshot(
                key=self._key(gallery),
                identity=coded_as(self._spaces.named(gallery.space)),
                position=self._position,
                change=self._change,
                parts={
                    shelf.position: [
                        (part, part.alive.copy()) for part in self._engine.parts(shelf)
                    ]
                    for shelf in self._shelves(gallery)
                },
            )

    def verify(self, counts: Mapping[GalleryName, int]) -> None:
        """Compare what was loaded with what was counted as it was written.

        A row that is missing leaves no trace but this: without it the person would
        be NO_MATCH. To be called after loading and before the first change.
        """
        for gallery in sorted({*self._galleries.known(), *counts}):
            if self._galleries.closed(gallery.holder) is not None:
                continue
            held = sum(self._engine.count(shelf) for shelf in self._shelves(gallery))
            counted = counts.get(gallery, 0)
            if held != counted:
                self._galleries.damage(
                    *gallery, f"{held} templates are there of {counted}"
                )

    def counts(self) -> dict[Shelf, int]:
        """Return how many templates can be found, by shelf."""
        return {shelf: self._engine.count(shelf) for shelf in self._engine.names()}

    def is_of(self, counts: Mapping[str, int]) -> bool:
        """Say whether it has as many templates as counted, by space of its holder."""
        held: dict[str, int] = defaultdict(int)
        for shelf in self._engine.names():
            held[shelf.space] += self._engine.count(shelf)
        return +Counter(held) == +Counter(counts)

    def _restored(
        self, gallery: GalleryName, files: SegmentFiles, journal: JournalReader
    ) -> int | None:
        """Load one gallery; return up to where, or None if it cannot be opened."""
        if gallery.space not in self._spaces:
            self._galleries.damage(*gallery, "its space is not defined")
            return None
        if not self._vault.is_unlocked(gallery.holder):
            self._lock(gallery.holder)
            return None
        try:
            kept = self._kept(gallery, files, journal)
        except GalleryLockedError:
            self._lock(gallery.holder)
            return None
        if kept is None:
            return 0
        for position, parts in kept.parts.items():
            shelf = Shelf(*gallery, Position(position))
            self._engine.load(shelf, [segment for segment, _ in parts])
        return kept.position

    def _kept(
        self, gallery: GalleryName, files: SegmentFiles, journal: JournalReader
    ) -> Snapshot | None:
        """Return what is kept of a gallery, and have empty shelves for it.

        A stop during a rotation may have left it by an older key than the newest.

        Raises:
            GalleryLockedError: the holder is locked.
        """
        identity = coded_as(self._spaces.named(gallery.space))
        newest, *older = self._vault.every_codes(*gallery)
        stale: StaleError | None = None
        for key in (newest, *older):
            codings = self._emptied(gallery, key)
            try:
                return files.load(gallery, identity, codings, journal.entry, key=key)
            except StaleError as error:
                stale = error
        self._emptied(gallery, newest)
        log.warning(
            "codes of %s in %s are made anew from the database: %s", *gallery, stale
        )
        return None

    def _emptied(self, gallery: GalleryName, key: CodesKey) -> dict[str, Coding]:
        """Have a gallery's shelves empty, with the rotations of a key.

        Returns:
            How they are coded, by position on the body.
        """
        self._keys[gallery] = key
        codings = {}
        for position in self._spaces.named(gallery.space).positions:
            shelf = Shelf(*gallery, position)
            self._engine.drop(shelf)
            self._make(shelf)
            codings[position.value] = self._engine.coding(shelf)
        return codings

    def _add(self, changes: Sequence[Change]) -> None:
        """Open what was enrolled and add it to the engine, a shelf at a time."""
        # By words, which are found in no time where shelves are not.
        found: dict[tuple[str, str, str], list[tuple[int, StoredTemplate]]]
        found = defaultdict(list)
        for change in changes:
            for stored in filter(self._is_own, change.templates):
                words = stored.member.code, stored.space, stored.position
                found[words].append((change.position, stored))
        for placed in found.values():
            self._add_placed(placed)

    def _add_placed(self, placed: Sequence[tuple[int, StoredTemplate]]) -> None:
        """Open and add templates of one shelf, each with its change's position."""
        first = placed[0][1]
        if self._galleries.closed(first.member):
            return  # what is loaded later reads them then
        gallery = GalleryName(first.member, first.space)
        self._galleries.know(*gallery)
        reached = self._reached.get(gallery, 0)  # the rest was kept on disk
        left = [each for each in placed if each[0] > reached]
        if left and self._is_usable(gallery, first):
            shelf = Shelf(*gallery, Position(first.position))
            last = self._engine.last_id(shelf)
            held = [
                stored
                for position, stored in left
                if position > self._ahead or stored.template_id > last
            ]
            try:
                for piece in _pieces(held):
                    self._add_to(shelf, piece)
            except GalleryLockedError:
                self._lock(gallery.holder)
            except SealError:
                self._galleries.damage(
                    *gallery,
                    "its key does not open: it is damaged, or the key of its member is"
                    " another here than where it was made",
                )

    def _is_usable(self, gallery: GalleryName, stored: StoredTemplate) -> bool:
        """Say whether a template can be opened; if not, note what that means."""
        if gallery.space not in self._spaces:
            self._galleries.damage(*gallery, "its space is not defined")
        elif not self._vault.is_unlocked(gallery.holder):
            self._lock(gallery.holder)
        elif stored.position not in _POSITIONS:
            self._galleries.damage(*gallery, "a position is unknown")
        else:
            return True
        return False

    def _add_to(self, shelf: Shelf, held: Sequence[StoredTemplate]) -> None:
        """Open the templates of one shelf and add those that do."""
        self._make(shelf)
        space = self._spaces.named(shelf.space)
        opened = space.room(len(held))
        vectors = opened[:0]
        ids: list[int] = []
        try:
            for stored in held:
                try:
                    binding = binding_of(stored, self._spaces)
                    self._vault.open_into(binding, stored.sealed, opened[len(ids)])
                except SealError:
                    self._galleries.damage(
                        shelf.holder,
                        shelf.space,
                        f"template {stored.template_id} does not open: it is damaged,"
                        " or the definition of the space was changed",
                    )
                    continue
                ids.append(stored.template_id)
            vectors, numbers = searched(space).coded(opened[: len(ids)])
            self._engine.add(shelf, np.array(ids, np.int64)[numbers], vectors)
        except ValueError as error:  # numbers are given in order, and once
            self._galleries.damage(
                shelf.holder, shelf.space, f"templates have others' numbers: {error}"
            )
        finally:
            vectors.fill(0)
            opened.fill(0)

    def _remove(self, changes: Sequence[Change]) -> None:
        """Remove what was withdrawn, wherever its holder has it."""
        gone: dict[Member, list[int]] = defaultdict(list)
        for change in changes:
            gone[change.member].extend(change.withdrawn)
        for holder, numbers in gone.items():
            if numbers:
                for shelf in self._shelves_of(holder):
                    self._engine.remove(shelf, np.array(numbers, np.int64))

    def _make(self, shelf: Shelf) -> None:
        """Make a shelf, if there is none yet, with the rotation of its gallery.

        Raises:
            GalleryLockedError: the holder is locked.
        """
        if shelf not in self._engine:
            space = self._spaces.named(shelf.space)
            seed = self._key(GalleryName(shelf.holder, shelf.space)).seed(
                shelf.position
            )
            make_shelf(self._engine, shelf, space, seed)

    def _key(self, gallery: GalleryName) -> CodesKey:
        """Return the key that the codes of a gallery are of: one, whatever position.

        Raises:
            GalleryLockedError: the holder is locked.
        """
        if gallery not in self._keys:
            self._keys[gallery] = self._vault.codes(*gallery)
        return self._keys[gallery]

    def _obey(self, changes: Sequence[Change]) -> None:
        """Drop what is closed, in the order of the journal."""
        for change in changes:
            if change.position <= self._start:
                continue
            if change.kind in (ChangeKind.LOCKED, ChangeKind.DESTROYED):
                self._lock(change.member)
                self._vault.lock(change.member)
            if change.kind is ChangeKind.ROTATED:
                self._vault.retire(change.member)
            if change.kind is ChangeKind.DESTROYED:
                self._galleries.destroy(change.member)

    def _shelves_of(self, holder: Member) -> list[Shelf]:
        """Return the shelves of a holder that the engine has."""
        return [s for s in self._engine.names() if s.holder == holder]

    def _shelves(self, gallery: GalleryName) -> list[Shelf]:
        """Return the shelves of a gallery that the engine has."""
        return [s for s in self._shelves_of(gallery.holder) if s.space == gallery.space]

    def _lock(self, holder: Member) -> None:
        """Make a holder's galleries unavailable, and drop what its keys have opened."""
        self._galleries.lock(holder)
        self._keys = {g: k for g, k in self._keys.items() if g.holder != holder}
        for shelf in self._shelves_of(holder):
            self._engine.drop(shelf)


def _pieces(held: Sequence[StoredTemplate]) -> Iterator[Sequence[StoredTemplate]]:
    """Yield what is to be added to a shelf, as much as is opened and coded at once."""
    most = limits.TEMPLATES_CODED_AT_ONCE
    for start in range(0, len(held), most):
        yield held[start : start + most]
