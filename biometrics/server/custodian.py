"""The main paths of custody: a member closes and opens its galleries.

Lock:
1. Close the door: from here on no search begins on them.
2. Store that they are locked. By the same writer nothing is enrolled any more, and no
   answer is stored that compared with them.
3. Wait until keys, rotations and codes are dropped, by the follower of the journal and
   by that of every other front end, and whoever still had some of them is done. What
   was sealed to hand a key over is void.
4. Answer.

Unlock:
1. Open the gallery keys, which takes the member's key-encryption key: one that the
   exchange has, or that is handed over.
2. Store that they are open.
3. Load codes from sealed segments, and what was changed since, beside everything else.
4. Answer, once they are searchable.

Rotate:
1. Store newer keys, all at once, and seal by them from then on.
2. Answer; `rotation` has what goes on by itself.

Destroy:
1. Close the door.
2. Store that the keys are destroyed, which overwrites them.
3. Wait until all is dropped from memory, as after a lock; delete what is kept on disk.
4. Answer; the rows that nothing opens any more are deleted by and by.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.custody import NOT_AT_HAND
from biometrics.delivery import delivered
from biometrics.errors import (
    OUTCOME_UNKNOWN,
    ExchangeError,
    GalleryLockedError,
    PreconditionError,
    SealError,
    UnavailableError,
)
from biometrics.exclusive import Exclusive
from biometrics.store import CHANGE_ID_BYTES, Custody, CustodyState, RequestKey

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.sealed import NewGalleryKey
    from biometrics.server.tending import Tending
    from biometrics.store import ErasureRow, Store
    from matcher.access import Access

    Encode = Callable[[dt.datetime], bytes]  # a response, from when it was done

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a member asks of its own galleries, parsed.

    Attributes:
        holder: whose; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request but for a sealed key, to tell a replay from another one.
        sealed_key: the holder's key-encryption key, sealed to the exchange for this
            request; empty where none is handed over.
    """

    holder: Member
    request_id: bytes
    content: bytes
    sealed_key: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it is about a member's galleries.

    Attributes:
        custody: whether they are open.
        is_busy: whether a rotation or destruction goes on.
        left: of that, how many values or records.
        trouble: what stops it; empty if nothing does.
    """

    custody: Custody
    is_busy: bool
    left: int
    trouble: str


class Custodian:
    """Closes and opens the galleries of members; of one event loop."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        access: Access,
        tending: Tending,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Keep in `store` what is to be, and have the others act by it."""
        self._store = store
        self._vault = vault
        self._access = access
        self._tending = tending
        self._clock = clock
        self._random_bytes = random_bytes
        self._turns: Exclusive[Member] = Exclusive()
        self._begun: set[asyncio.Task[bytes]] = set()

    async def lock(self, asked: Asked, encode: Encode) -> bytes:
        """Close a member's galleries; on return nothing of them is in memory.

        Args:
            asked: whose.
            encode: writes since when they are closed as the response.
        """
        return await self._to_the_end(self._lock(asked, encode))

    async def unlock(self, asked: Asked, encode: Encode) -> bytes:
        """Open a member's galleries; on return they are searchable.

        Args:
            asked: whose.
            encode: writes since when they are open as the response.

        Raises:
            PreconditionError: the member's key-encryption key is not at hand.
            UnavailableError: loading takes longer; it goes on.
        """
        return await self._to_the_end(self._unlock(asked, encode))

    async def rotate(self, asked: Asked, encode: Encode) -> bytes:
        """Begin to replace a member's gallery keys, unless that is under way.

        Args:
            asked: whose.
            encode: writes when it was begun as the response.

        Raises:
            GalleryLockedError: they are locked.
        """
        return await self._to_the_end(self._rotate(asked, encode))

    async def destroy(self, asked: Asked, encode: Encode) -> bytes:
        """Destroy a member's gallery keys; on return nothing opens what they sealed.

        Args:
            asked: whose.
            encode: writes when that was done as the response.
        """
        return await self._to_the_end(self._destroy(asked, encode))

    async def rotate_due(self, holder: Member) -> None:
        """Begin to replace a member's gallery keys, if their epoch has lasted too long.

        What was withdrawn in it is erased for good only at its end.

        Raises:
            GalleryLockedError: they are locked.
            StorageError: the database cannot be read or written now.
        """
        since = await asyncio.to_thread(self._store.custody.withdrawn_since, holder)
        longest = dt.timedelta(seconds=limits.WITHDRAWAL_EPOCH_SECONDS)
        if since is None or self._clock.now() < since + longest:
            return
        async with self._turns.of(holder):
            keys = await asyncio.to_thread(self._successors, holder)
            await delivered(
                self._store.custody.begin_unasked(
                    holder, keys, change_id=self._random_bytes(CHANGE_ID_BYTES)
                )
            )
            await asyncio.to_thread(self._adopt, holder)
        self._tending.begin(holder)

    async def obey(self, holder: Member) -> None:
        """Have a member's galleries here as another front end has left them.

        Raises:
            ExchangeError: that cannot be now.
        """
        custody = await asyncio.to_thread(self._store.custody.custody, holder)
        if custody.state is CustodyState.OPEN:
            async with self._turns.of(holder):
                await asyncio.to_thread(self._open_if_at_hand, holder)
                if self._vault.is_unlocked(holder) and self._access.is_locked(holder):
                    self._access.load(holder)
        else:
            # Not in turn: whoever has it may wait for another front end to do this.
            self._access.close(holder)
            self._vault.lock(holder)
            self._vault.renew_sealing_key(holder)
            await self._access.gone(holder)
        self._tending.settle(holder)
        self._tending.begin(holder)

    async def custody(self, holder: Member) -> Standing:
        """Return whether a member's galleries are open, and what is being done."""
        return await asyncio.to_thread(self._standing, holder)

    async def erasures(self, holder: Member, after: int, most: int) -> list[ErasureRow]:
        """Return some of what keys of a member are no more; see `ErasureTable.of`."""
        return await asyncio.to_thread(self._store.erasures.of, holder, after, most)

    def _standing(self, holder: Member) -> Standing:
        custody = self._store.custody.custody(holder)
        if custody.state is CustodyState.DESTROYED:
            left, is_rotating = self._store.destruction.left(holder), False
        else:
            left = self._store.custody.left(holder)
            is_rotating = bool(self._store.custody.old(holder))
        is_unlocked = self._vault.is_unlocked(holder)
        if custody.state is CustodyState.OPEN and not is_unlocked:
            custody = Custody(state=CustodyState.LOCKED, since=None)
        return Standing(
            custody=custody,
            # In this order: what ends a rotation leaves an erasure that is pending.
            is_busy=is_rotating or bool(self._store.erasures.pending(holder)),
            left=left,
            trouble=self._tending.trouble(holder),
        )

    async def _to_the_end(self, work: Coroutine[None, None, bytes]) -> bytes:
        """Do work that a caller who goes away must not leave half done."""
        task = asyncio.ensure_future(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    async def _lock(self, asked: Asked, encode: Encode) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            if (stored := await self._replayed(asked)) is None:
                # 1. Close the door.
                with self._closed(holder):
                    # 2. Store.
                    stored = await self._set_open(asked, encode, is_open=False)
            # 3. Wait until all is dropped, and nobody has any of it.
            end = await self._followed()
            if self._access.is_locked(holder):  # not opened since this was asked first
                self._vault.renew_sealing_key(holder)
                await self._access.gone(holder)
        # Not in turn: another front end may lock them as well, and wait for this one.
        await self._access.obeyed(end)
        # 4. Answer.
        return key.open_reply(asked.request_id, stored)

    async def _unlock(self, asked: Asked, encode: Encode) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            # What was locked before is dropped before anything is opened.
            await self._followed()
            if (stored := await self._replayed(asked)) is None:
                # 1. Open the gallery keys.
                await asyncio.to_thread(self._refuse_destroying, holder)
                was_unlocked = self._vault.is_unlocked(holder)
                if not was_unlocked:
                    await asyncio.to_thread(self._open_keys, asked)
                elif asked.sealed_key:
                    await asyncio.to_thread(self._hand, asked)
                # 2. Store.
                try:
                    stored = await self._set_open(asked, encode, is_open=True)
                except BaseException:
                    if not was_unlocked:
                        self._vault.lock(holder)
                    raise
            elif await asyncio.to_thread(self._lacks_keys, holder):
                await asyncio.to_thread(self._open_keys, asked)
            # 3. Load.
            if self._vault.is_unlocked(holder) and self._access.is_locked(holder):
                self._access.load(holder)
        await self._access.loaded(holder)
        self._tending.begin(holder)
        # 4. Answer.
        return key.open_reply(asked.request_id, stored)

    async def _replayed(self, asked: Asked) -> bytes | None:
        """Return what a request was answered before, sealed, or None.

        Raises:
            ConflictError: the request id stands for another request.
        """
        request = self._request(asked)
        return await asyncio.to_thread(
            self._store.answers.find, asked.holder, request.request_id, request.digest
        )

    async def _set_open(self, asked: Asked, encode: Encode, *, is_open: bool) -> bytes:
        """Store whether a member's galleries are open; return the sealed reply."""
        key = self._vault.index(asked.holder)
        committed = await delivered(
            self._store.custody.set_open(
                asked.holder,
                is_open=is_open,
                change_id=self._random_bytes(CHANGE_ID_BYTES),
                request=self._request(asked),
                make_reply=lambda at: key.seal_reply(asked.request_id, encode(at)),
            )
        )
        return committed.reply

    def _request(self, asked: Asked) -> RequestKey:
        """Return what tells a request from others."""
        digest = self._vault.index(asked.holder).digest(asked.content)
        return RequestKey(asked.request_id, digest)

    async def _followed(self) -> int:
        """Wait until everything that is durable is obeyed here; return up to where."""
        end = await asyncio.to_thread(self._store.journal.look)
        await self._access.followed(end)
        return end

    async def _rotate(self, asked: Asked, encode: Encode) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            if (stored := await self._replayed(asked)) is None:
                # 1. Store newer keys, and use them.
                keys = await asyncio.to_thread(self._successors, holder)
                committed = await delivered(
                    self._store.custody.begin(
                        holder,
                        keys,
                        change_id=self._random_bytes(CHANGE_ID_BYTES),
                        request=self._request(asked),
                        make_reply=lambda at: key.seal_reply(
                            asked.request_id, encode(at)
                        ),
                    )
                )
                stored = committed.reply
                await asyncio.to_thread(self._adopt, holder)
        self._tending.begin(holder)
        # 2. Answer.
        return key.open_reply(asked.request_id, stored)

    @contextmanager
    def _closed(self, holder: Member) -> Iterator[None]:
        """Close a holder's galleries; open them again where that was not stored."""
        before = self._access.close(holder)
        try:
            yield
        except ExchangeError as error:
            # Where nobody knows, they stay closed; the journal decides.
            if error.reason != OUTCOME_UNKNOWN:
                self._access.undo(holder, before)
            raise

    def _successors(self, holder: Member) -> list[NewGalleryKey]:
        """Return keys of the epoch that follows on what is durable."""
        if self._store.front_ends is not None:
            self._vault.learn(holder)
        return self._vault.successors(holder)

    def _adopt(self, holder: Member) -> None:
        """Use every key of a holder that is durable."""
        self._vault.adopt(holder, self._store.keys.gallery_keys(holder))

    async def _destroy(self, asked: Asked, encode: Encode) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            if (stored := await self._replayed(asked)) is None:
                # 1. Close the door.
                with self._closed(holder):
                    # 2. Store.
                    committed = await delivered(
                        self._store.destruction.destroy(
                            holder,
                            change_id=self._random_bytes(CHANGE_ID_BYTES),
                            request=self._request(asked),
                            make_reply=lambda at: key.seal_reply(
                                asked.request_id, encode(at)
                            ),
                        )
                    )
                stored = committed.reply
            # 3. Wait until all is dropped, and nobody has any of it.
            end = await self._followed()
            if self._access.is_locked(holder):
                self._vault.renew_sealing_key(holder)
                await self._access.gone(holder)
                await self._access.discarded(holder)
        await self._access.obeyed(end)
        self._tending.begin(holder)
        # 4. Answer.
        return key.open_reply(asked.request_id, stored)

    def _open_if_at_hand(self, holder: Member) -> None:
        """Have the gallery keys of a holder that are durable, if its own is at hand.

        One that does not open is its holder's trouble, and holds up nobody else.
        """
        try:
            if self._vault.is_unlocked(holder):
                self._vault.learn(holder)
                return
        except (GalleryLockedError, SealError) as error:
            log.warning("a newer key of %s is not at hand: %s", holder, error.message)
            return
        others = self._store.front_ends
        if others is not None and (sealed := others.lent().get(holder.code)):
            try:
                self._vault.take_over(holder, sealed)
            except PreconditionError as error:
                log.warning("a key of %s is refused: %s", holder, error.message)
                others.refuse(holder)
        try:
            self._unlock_keys(holder)
        except (GalleryLockedError, SealError) as error:
            log.info("galleries of %s stay locked here: %s", holder, error.message)

    def _unlock_keys(self, holder: Member) -> None:
        """Open a holder's gallery keys; where there are other front ends, it has one.

        So no two of them can hold different key-encryption keys of a member.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
            SealError: it is not the one that the keys were wrapped by.
        """
        self._vault.unlock(holder)
        if self._store.front_ends is not None:
            try:
                self._vault.settle(holder)
            except BaseException:
                self._vault.lock(holder)
                raise

    def _lacks_keys(self, holder: Member) -> bool:
        """Say whether a start since a holder's unlocking had no key to open it by."""
        is_open = self._store.custody.custody(holder).state is CustodyState.OPEN
        return is_open and not self._vault.is_unlocked(holder)

    def _refuse_destroying(self, holder: Member) -> None:
        """Refuse to open what is still being destroyed."""
        state = self._store.custody.custody(holder).state
        if state is CustodyState.DESTROYED and self._store.erasures.pending(holder):
            raise UnavailableError(
                "GALLERY_BEING_DESTROYED",
                f"what `{holder}` had enrolled is still being deleted; unlock once the"
                " certificate of that is issued, to begin anew",
                retry_after=limits.TEND_RETRY_SECONDS,
            )

    def _hand(self, asked: Asked) -> None:
        """Hold the key-encryption key that a request carries."""
        self._vault.hand(asked.holder, asked.sealed_key, asked.request_id)

    def _open_keys(self, asked: Asked) -> None:
        """Open a holder's gallery keys, or say what keeps them closed."""
        holder = asked.holder
        try:
            if asked.sealed_key:
                self._hand(asked)
            self._unlock_keys(holder)
        except (GalleryLockedError, SealError) as error:
            if error.reason == NOT_AT_HAND:
                raise PreconditionError(error.reason, error.message) from error
            log.warning("galleries of %s stay locked: %s", holder, error.message)
            if asked.sealed_key:
                raise PreconditionError(
                    "KEY_NOT_THE_ONE",
                    f"the galleries of `{holder}` stay locked: the key that was handed"
                    " over is not the one that they were made with, or what it wrapped"
                    " is damaged",
                ) from error
            raise PreconditionError(
                "KEY_NOT_AT_HAND",
                f"the galleries of `{holder}` stay locked: its key-encryption key is"
                " not at hand, or is not the one that they were made with; mend that at"
                " the exchange, whose log says more, and unlock again",
            ) from error
