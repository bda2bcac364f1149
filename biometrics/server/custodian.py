"""The main paths of custody: a member closes and opens its galleries.

Lock:
1. Close the door: from here on no search begins on them.
2. Store that they are locked. By the same writer nothing is enrolled any more, and no
   answer is stored that compared with them.
3. Wait until keys, rotations and codes are dropped, by the follower of the journal, and
   whoever still had some of them is done.
4. Answer.

Unlock:
1. Open the gallery keys, which takes the member's key-encryption key.
2. Store that they are open.
3. Load codes from sealed segments, and what was changed since, beside everything else.
4. Answer, once they are searchable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.errors import GalleryLockedError, PreconditionError, SealError
from biometrics.exclusive import Exclusive
from biometrics.store import Custody, CustodyState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Coroutine

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import Store
    from matcher.access import Access

CHANGE_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What a member asks of its own galleries, parsed.

    Attributes:
        holder: whose; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request as it came, to tell a replay from another request.
    """

    holder: Member
    request_id: bytes
    content: bytes


class Custodian:
    """Closes and opens the galleries of members; of one event loop."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        access: Access,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Keep in `store` what is to be, and have `access` and `vault` act by it."""
        self._store = store
        self._vault = vault
        self._access = access
        self._random_bytes = random_bytes
        self._turns: Exclusive[Member] = Exclusive()
        self._begun: set[asyncio.Task[bytes]] = set()

    async def lock(self, asked: Asked, encode: Callable[[dt.datetime], bytes]) -> bytes:
        """Close a member's galleries; on return nothing of them is in memory.

        Args:
            asked: whose.
            encode: writes since when they are closed as the response.
        """
        return await self._to_the_end(self._lock(asked, encode))

    async def unlock(
        self, asked: Asked, encode: Callable[[dt.datetime], bytes]
    ) -> bytes:
        """Open a member's galleries; on return they are searchable.

        Args:
            asked: whose.
            encode: writes since when they are open as the response.

        Raises:
            PreconditionError: the member's key-encryption key is not at hand.
            UnavailableError: loading takes longer; it goes on.
        """
        return await self._to_the_end(self._unlock(asked, encode))

    async def custody(self, holder: Member) -> Custody:
        """Return whether a member's galleries are open, and since when."""
        stored = await asyncio.to_thread(self._store.custody.custody, holder)
        if stored.state is CustodyState.OPEN and not self._vault.is_unlocked(holder):
            return Custody(state=CustodyState.LOCKED, since=None)
        return stored

    async def _to_the_end(self, work: Coroutine[None, None, bytes]) -> bytes:
        """Do work that a caller who goes away must not leave half done."""
        task = asyncio.ensure_future(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    async def _lock(
        self, asked: Asked, encode: Callable[[dt.datetime], bytes]
    ) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            if (stored := await self._replayed(asked)) is None:
                # 1. Close the door.
                before = self._access.close(holder)
                # 2. Store.
                try:
                    stored = await self._set_open(asked, encode, is_open=False)
                except BaseException:
                    self._access.undo(holder, before)
                    raise
            # 3. Wait until all is dropped, and nobody has any of it.
            await self._caught_up()
            await self._access.gone(holder)
        # 4. Answer.
        return key.open_reply(asked.request_id, stored)

    async def _unlock(
        self, asked: Asked, encode: Callable[[dt.datetime], bytes]
    ) -> bytes:
        holder = asked.holder
        key = self._vault.index(holder)
        async with self._turns.of(holder):
            # What was locked before is dropped before anything is opened.
            await self._caught_up()
            if (stored := await self._replayed(asked)) is None:
                # 1. Open the gallery keys.
                was_unlocked = self._vault.is_unlocked(holder)
                if not was_unlocked:
                    await asyncio.to_thread(self._open_keys, holder)
                # 2. Store.
                try:
                    stored = await self._set_open(asked, encode, is_open=True)
                except BaseException:
                    if not was_unlocked:
                        self._vault.lock(holder)
                    raise
                # 3. Load.
                if not was_unlocked:
                    self._access.load(holder)
        await self._access.loaded(holder)
        # 4. Answer.
        return key.open_reply(asked.request_id, stored)

    async def _replayed(self, asked: Asked) -> bytes | None:
        """Return what a request was answered before, sealed, or None.

        Raises:
            ConflictError: the request id stands for another request.
        """
        digest = self._vault.index(asked.holder).digest(asked.content)
        return await asyncio.to_thread(
            self._store.answers.find, asked.holder, asked.request_id, digest
        )

    async def _set_open(
        self, asked: Asked, encode: Callable[[dt.datetime], bytes], *, is_open: bool
    ) -> bytes:
        """Store whether a member's galleries are open; return the sealed reply."""
        key = self._vault.index(asked.holder)
        committed = await asyncio.wrap_future(
            self._store.custody.set_open(
                asked.holder,
                is_open=is_open,
                change_id=self._random_bytes(CHANGE_ID_BYTES),
                request_id=asked.request_id,
                digest=key.digest(asked.content),
                make_reply=lambda at: key.seal_reply(asked.request_id, encode(at)),
            )
        )
        return committed.reply

    async def _caught_up(self) -> None:
        """Wait until the follower has obeyed everything that is durable."""
        end = await asyncio.to_thread(self._store.journal.end)
        await self._access.obeyed(end)

    def _open_keys(self, holder: Member) -> None:
        """Open a holder's gallery keys, or say what keeps them closed."""
        try:
            self._vault.unlock(holder)
        except (GalleryLockedError, SealError) as error:
            raise PreconditionError(
                "KEY_NOT_AT_HAND",
                f"the galleries of `{holder}` stay locked: its key-encryption key is"
                " not at hand, or is not the one that they were made with; mend that at"
                " the exchange, whose log says more, and unlock again",
            ) from error
