"""The main path of a rotation, which goes on by itself once it is begun.

1. Code the galleries anew, by the newest keys, and save them: rotations of codes belong
   to the epoch, and a stop from here on costs the next start nothing.
2. Put every value's key under the newest key of its gallery, some at a time.
3. Delete the older keys, in the transaction that finds no value under any. The follower
   drops them from memory when it comes to that in the journal.
4. See to it that no codes are saved under others than the newest keys.
5. Take the bytes of what was deleted out of the files of the database.
6. Sign that they are no more.

What is left to do can be seen at any time from the tables alone, so that a start goes
on where a stop has left it, wherever that was.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.errors import PreconditionError, SealError, StorageError
from biometrics.exclusive import Exclusive
from biometrics.sealed import REFERENCES, Binding
from biometrics.signing import Erased, erasure_note
from biometrics.store import CHANGE_ID_BYTES, Rewrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.sealed import GalleryKeyRow
    from biometrics.signing import SigningKey
    from biometrics.store import ErasureKind, Store, WrappedValue
    from biometrics.templates import TemplateSpaces
    from matcher.access import Access

log = logging.getLogger(__name__)


class Rotation:
    """Finishes what a member has begun with its keys; of one event loop."""

    def __init__(  # noqa: PLR0913 - a rotation goes through all parts
        self,
        *,
        store: Store,
        vault: Vault,
        access: Access,
        spaces: TemplateSpaces,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        key: SigningKey,
    ) -> None:
        """Change `store`, `vault` and what `access` leads to.

        Args:
            store: where what is left to do shows.
            vault: whose older keys go.
            access: to the galleries in memory and on disk.
            spaces: what templates are bound to.
            clock: the time.
            random_bytes: where ids of changes come from.
            key: the exchange's, by which certificates are signed.
        """
        self._store = store
        self._vault = vault
        self._access = access
        self._spaces = spaces
        self._clock = clock
        self._random_bytes = random_bytes
        self._key = key
        self._coding: Exclusive[Member] = Exclusive()

    async def go_on(self, holder: Member) -> None:
        """Finish a rotation of a holder's keys, if one is begun; it may take long.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the database cannot be read or written now.
            PreconditionError: something is under an older key that does not open.
        """
        while self._vault.is_rotating(holder):
            # 1. Code anew. Where that cannot be saved, step 4 tries again.
            await self.code_anew(holder)
            # 2. Rewrap.
            for key in await asyncio.to_thread(self._store.custody.old, holder):
                await self._rewrap(key)
            # 3. Delete the older keys.
            position = await delivered(
                self._store.custody.retire(
                    holder, change_id=self._random_bytes(CHANGE_ID_BYTES)
                )
            )
            if position is not None:
                await self._access.obeyed(position)
                # Another front end may have ended it: the follower drops what is older.
                if not await asyncio.to_thread(self._store.custody.old, holder):
                    return

    async def code_anew(self, holder: Member) -> None:
        """Code a holder's galleries by their newest keys, and save them so.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the database cannot be read now.
        """
        async with self._coding.of(holder):
            await self._access.recode(holder)
            await self._access.kept(holder)

    async def certify(self, holder: Member, kinds: Iterable[ErasureKind]) -> None:
        """Sign for what keys of a holder are no more, once their bytes are not either.

        Args:
            holder: the holder.
            kinds: sign only for what was deleted in one of these ways.

        Raises:
            StorageError: the database cannot be read or written now.
        """
        wanted = frozenset(kinds)
        rows = await asyncio.to_thread(self._store.erasures.pending, holder)
        if not (pending := [row for row in rows if row.kind in wanted]):
            return
        # 4. Save codes, where step 1 did not, or they changed since; so that nobody has
        #    any by another key, here or at another front end.
        end = await asyncio.to_thread(self._store.journal.look)
        await self._access.settled(end)
        if self._vault.is_unlocked(holder):
            await self._access.recode(holder)
        if not await self._access.kept(holder):
            raise StorageError("CODES_NOT_SAVED", "codes cannot be saved now")
        # 5. Erase.
        if not await asyncio.to_thread(self._store.erase):
            raise StorageError("LOG_IN_USE", "the log of the database is being read")
        # 6. Sign.
        for row in pending:
            erased = Erased(
                number=row.number,
                holder=row.member,
                kind=row.kind.value,
                begun_at=row.begun_at,
                deleted_at=row.deleted_at,
                erased_at=self._clock.now(),
                records=row.records,
                keys=tuple((k.gallery, k.epoch, k.commitment) for k in row.keys),
            )
            note = erasure_note(erased, self._key)
            await asyncio.to_thread(self._store.erasures.certify, row.number, note)

    async def _rewrap(self, key: GalleryKeyRow) -> None:
        """Put all that is under one key under the newest of its gallery."""
        after, lost = 0, 0
        while True:
            values = await asyncio.to_thread(
                self._store.custody.under, key, after, limits.REWRAPPED_AT_ONCE
            )
            if not values:
                break
            after = values[-1].number
            rewrapped = await asyncio.to_thread(self._rewrapped, key, values)
            lost += len(values) - len(rewrapped)
            if rewrapped:
                await delivered(self._store.custody.rewrap(key, rewrapped))
            await asyncio.sleep(limits.LOADING_PAUSE_SECONDS)
        if lost:
            raise PreconditionError(
                "VALUES_DO_NOT_OPEN",
                f"{lost} values of `{key.member}` in `{key.gallery}` do not open, so"
                " the key that they are under is kept: they are damaged, or the"
                " definition of their space was changed; mend that and start the"
                " exchange again, or withdraw them and rotate again",
            )

    def _rewrapped(
        self, key: GalleryKeyRow, values: Sequence[WrappedValue]
    ) -> list[Rewrapped]:
        """Return the keys of some values under the newest key, of those that open."""
        made = []
        for value in values:
            try:
                wrapped = self._vault.rewrap(
                    self._binding(key, value), key.key_id, value.wrapped_key
                )
            except SealError:
                continue
            made.append(Rewrapped(value.number, *wrapped))
        return made

    def _binding(self, key: GalleryKeyRow, value: WrappedValue) -> Binding:
        """Return what a value is bound to, under today's spaces."""
        is_template = key.gallery != REFERENCES and value.space in self._spaces
        return Binding(
            member=key.member,
            gallery=key.gallery,
            record=value.record,
            modality=value.modality,
            space=self._spaces.named(value.space).identity if is_template else "",
            position=value.position,
            sample=value.sample,
            generation=value.generation,
        )
