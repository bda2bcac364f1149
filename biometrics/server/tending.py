"""What goes on by itself once a member has begun it: rotations and destructions."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.errors import (
    GalleryLockedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from biometrics.sealed import KEYS_ROTATED
from biometrics.store import CustodyState, ErasureKind

if TYPE_CHECKING:
    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.server.rotation import Rotation
    from biometrics.store import Store
    from matcher.access import Access

log = logging.getLogger(__name__)


class Tending:
    """Finishes what was begun, for each member one thing at a time; of one loop."""

    def __init__(
        self, *, store: Store, vault: Vault, access: Access, rotation: Rotation
    ) -> None:
        """Look in `store` for what is left, and do it."""
        self._store = store
        self._vault = vault
        self._access = access
        self._rotation = rotation
        self._due: set[Member] = set()
        self._tasks: dict[Member, asyncio.Task[None]] = {}
        self._troubles: dict[Member, str] = {}
        self._settling: set[asyncio.Task[None]] = set()

    def begin(self, *holders: Member) -> None:
        """Look for what is left of some holders, and do it in the background."""
        for holder in holders:
            self._due.add(holder)
            if holder not in self._tasks:
                self._tasks[holder] = asyncio.ensure_future(self._tend(holder))

    def settle(self, holder: Member) -> None:
        """See to it that nothing is left here by keys that another front end replaced.

        Codes of the holder are made by its newest keys, or deleted with the last.
        Beside what else is done for it, which may wait for other front ends, as these
        do for this one.
        """
        settling = asyncio.ensure_future(self._settle(holder))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    @property
    def is_settled(self) -> bool:
        """Whether that is done of everybody."""
        return not self._settling

    def trouble(self, holder: Member) -> str:
        """Return what stops the work on a holder's galleries; empty if nothing."""
        return self._troubles.get(holder, "")

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        tasks = [*self._tasks.values(), *self._settling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tend(self, holder: Member) -> None:
        """Do what is due, until nothing is."""
        try:
            while holder in self._due:
                self._due.discard(holder)
                await self._try(holder)
        finally:
            del self._tasks[holder]

    async def _try(self, holder: Member) -> None:
        """Do what is due, or see to it that it is done later."""
        try:
            await self._do(holder)
            self._troubles.pop(holder, None)
        except GalleryLockedError as error:
            if error.reason == KEYS_ROTATED:  # by another front end, in the middle
                await asyncio.sleep(limits.JOURNAL_POLL_SECONDS)
                self._due.add(holder)
            else:
                log.info("keys of %s are rotated on once they are unlocked", holder)
        except PreconditionError as error:
            self._troubles[holder] = error.message
            log.error("keys of %s cannot be rotated: %s", holder, error.message)  # noqa: TRY400
        except UnavailableError as error:
            log.warning("keys of %s wait: %s", holder, error.reason)
            await asyncio.sleep(limits.TEND_RETRY_SECONDS)
            self._due.add(holder)
        except Exception:
            self._troubles[holder] = "a defect, which the log of the exchange tells"
            log.exception("keys of %s cannot be seen to", holder)

    async def _do(self, holder: Member) -> None:
        """Rotate or delete, whichever was begun, and sign for it."""
        custody = await asyncio.to_thread(self._store.custody.custody, holder)
        if custody.state is CustodyState.DESTROYED:
            if not await asyncio.to_thread(self._store.erasures.pending, holder):
                return
            await self._delete(holder)
            await self._rotation.certify(holder, ErasureKind)
            return
        if not self._vault.is_unlocked(holder):
            return  # codes by older keys stay on disk until it is
        if self._vault.is_rotating(holder):
            await self._access.loaded(holder)
            await self._rotation.go_on(holder)
        # What was destroyed meanwhile is signed for once it is deleted.
        await self._rotation.certify(holder, (ErasureKind.ROTATION,))

    async def _settle(self, holder: Member) -> None:
        """Have no codes of a holder by keys that are gone, however often that fails."""
        while True:
            try:
                await self._settle_once(holder)
            except GalleryLockedError as error:
                if error.reason != KEYS_ROTATED:
                    return  # whoever unlocks it loads it by the newest keys
                await asyncio.sleep(limits.JOURNAL_POLL_SECONDS)
                continue
            except UnavailableError as error:
                log.warning("codes of %s wait: %s", holder, error.reason)
            except Exception:
                log.exception("codes of %s cannot be seen to", holder)
            else:
                return
            await asyncio.sleep(limits.TEND_RETRY_SECONDS)

    async def _settle_once(self, holder: Member) -> None:
        """Have no codes of a holder by keys that are gone, in memory or on disk."""
        custody = await asyncio.to_thread(self._store.custody.custody, holder)
        if custody.state is CustodyState.DESTROYED:
            if not await self._access.discarded(holder):
                raise _not_deleted()
        elif self._vault.is_unlocked(holder):
            await self._access.loaded(holder)
            await self._rotation.code_anew(holder)

    async def _delete(self, holder: Member) -> None:
        """Delete all codes and rows of a holder whose keys are destroyed."""
        if not await self._access.discarded(holder):
            raise _not_deleted()
        is_more = True
        while is_more:
            await asyncio.sleep(limits.LOADING_PAUSE_SECONDS)
            deleting = self._store.destruction.delete_some(
                holder, limits.DELETED_AT_ONCE
            )
            is_more = await delivered(deleting)


def _not_deleted() -> StorageError:
    """Return the error of codes that stay on disk."""
    return StorageError("CODES_NOT_DELETED", "codes cannot be deleted now")
