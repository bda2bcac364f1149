"""One front end among those that serve the same database: abreast of what others do.

What is durable decides, whoever wrote it, and each answer is stored in a transaction
that sees all of it. Here is what comes before that, and what has to be in memory:

*A search* begins by finding out how far the database is, and waits until that is in
effect here: so it sees every change that was acknowledged by anybody. Searches that
wait together share one look.

*Galleries* that are closed, opened or rekeyed by another front end are so here as soon
as the follower of the journal comes to it. How far that is, is told to the others: who
answers a lock waits until no front end has a key, and who certifies that keys are no
more, until none has codes by them.

*Keys* that a member has handed to one front end are passed on to the others.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import ExchangeError, UnavailableError
from biometrics.members import Membership
from biometrics.server.told import tell
from biometrics.store import ChangeKind
from matcher.galleries import GalleryState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.server.in_force import InForce
    from biometrics.server.roll import Roll
    from biometrics.store import Change, FrontEndTable, Seen, Store
    from matcher.follower import Follower
    from matcher.galleries import Galleries

log = logging.getLogger(__name__)

_CUSTODY: Final = frozenset(
    {
        ChangeKind.LOCKED,
        ChangeKind.UNLOCKED,
        ChangeKind.REKEYED,
        ChangeKind.ROTATED,
        ChangeKind.DESTROYED,
    }
)


class Abreast:
    """A front end that may have others beside it; of one loop, but for `heard`."""

    def __init__(  # noqa: PLR0917 - what others change, and whose it is
        self,
        store: Store,
        vault: Vault,
        galleries: Galleries,
        in_force: InForce,
        roll: Roll,
    ) -> None:
        """Be one of those that `store` knows of; alone, where that knows none."""
        self._front_ends = store.front_ends
        self._agreements = store.agreements
        self._membership = store.membership
        self._galleries = galleries
        self._vault = vault
        self._in_force = in_force
        self._roll = roll
        self._lock = threading.Lock()
        self._reached = 0
        self._due: set[Member] = set()
        self._told = (-1, -1)
        self._settled = 0
        self._memberships: int | None = None
        self._troubles: dict[str, str] = {}
        self._looking: asyncio.Task[Seen] | None = None
        self._next: asyncio.Task[Seen] | None = None
        self._revisions: int | None = None
        self._heard = asyncio.Event()
        self._is_leaving = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follower: Follower | None = None

    def heard(self, changes: Sequence[Change]) -> None:
        """Take note of changes that are in effect; from the follower's thread."""
        with self._lock:
            self._reached = changes[-1].position
            self._due |= {c.member for c in changes if c.kind in _CUSTODY}
        if self._due and self._loop is not None:
            self._loop.call_soon_threadsafe(self._heard.set)

    async def abreast(self) -> None:
        """Return once all that is durable by now is in effect here.

        Raises:
            StorageError: the database cannot be read now.
            UnavailableError: that takes longer than it should.
        """
        if self._front_ends is None:
            return
        seen = await self._seen(self._front_ends)
        if self._follower is None or self._follower.position < seen.end:
            await self._follow(seen.end)

    async def obeyed(self, position: int) -> None:
        """Return once every other front end has obeyed the journal up to a position.

        One that is gone has nothing any more. One that the database has lost, and that
        still runs, has keys until it finds out; it can answer nothing.

        Raises:
            StorageError: it cannot be read how far they are.
            UnavailableError: it takes longer than `limits.SEARCHABLE_WAIT_SECONDS`.
        """
        await self._wait_for_others(position, is_settled=False)

    async def settled(self, position: int) -> None:
        """Return once no other front end has codes of keys that went up to a position.

        Raises:
            StorageError: it cannot be read how far they are.
            UnavailableError: it takes longer than `limits.SEARCHABLE_WAIT_SECONDS`.
        """
        await self._wait_for_others(position, is_settled=True)

    def begin(self, follower: Follower) -> None:
        """Follow by `follower`, which has loaded all that there was."""
        self._follower = follower
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._reached = follower.position

    async def keep(
        self,
        obey: Callable[[Member], Awaitable[None]],
        is_settled: Callable[[], bool],
    ) -> None:
        """Be as the others are, time and again, until `leave`.

        Args:
            obey: has a member's galleries here as they are in the database, but for
                what may take long.
            is_settled: says whether that is done too, of all that was obeyed.
        """
        if self._front_ends is None:
            return
        look_at = 0.0
        while not self._is_leaving:
            self._heard.clear()
            await self._obey(self._front_ends, obey, is_settled)
            if time.monotonic() >= look_at:
                await self._try("look", self._exchange(self._front_ends))
                look_at = time.monotonic() + limits.FRONT_END_LOOK_SECONDS
            try:
                async with asyncio.timeout_at(self._later(look_at)):
                    await self._heard.wait()
            except TimeoutError:
                continue

    async def leave(self, keeping: asyncio.Task[None]) -> None:
        """Be none of them any more, once `keep` has ended."""
        self._is_leaving = True
        self._heard.set()
        await asyncio.wait((keeping,))
        if self._front_ends is not None:
            await self._try("leave", asyncio.to_thread(self._front_ends.leave))

    async def _wait_for_others(self, position: int, *, is_settled: bool) -> None:
        """Return once every other front end has told that it is at a position."""
        if self._front_ends is None:
            return
        behind = partial(self._front_ends.behind, position, is_settled=is_settled)
        end = time.monotonic() + limits.SEARCHABLE_WAIT_SECONDS
        are_gone = False
        while (found := await asyncio.to_thread(behind)).late:
            are_gone |= found.gone > 0
            if time.monotonic() > end:
                raise UnavailableError(
                    "FRONT_END_BEHIND",
                    "it is durable, and another front end of the exchange has not"
                    " followed it yet: repeat the call with the same request_id",
                    retry_after=limits.BUSY_RETRY_SECONDS,
                )
            await asyncio.sleep(limits.FRONT_END_WAIT_SECONDS)
        if are_gone or found.gone:
            # One whose session was lost alone is told by the journal itself.
            await asyncio.sleep(limits.FRONT_END_GRACE_SECONDS)

    async def _seen(self, front_ends: FrontEndTable) -> Seen:
        """Return how far the database is, with what others agreed on in force here."""
        seen = await self._look(front_ends)
        if seen.revisions != self._revisions:
            await asyncio.to_thread(self._take_up)
            self._revisions = seen.revisions
        if seen.memberships != self._memberships:
            await asyncio.to_thread(self._take_up_members)
            self._memberships = seen.memberships
        return seen

    async def _look(self, front_ends: FrontEndTable) -> Seen:
        """Return how far the database is, by a look that begins after this is called.

        Whoever calls while one is under way shares the next one.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(self._look_after(front_ends))
        return await asyncio.shield(self._next)

    async def _look_after(self, front_ends: FrontEndTable) -> Seen:
        """Look, once the look that is under way is done."""
        if self._looking is not None:
            await asyncio.wait((self._looking,))
        self._looking, self._next = self._next, None
        return await asyncio.to_thread(front_ends.look)

    async def _follow(self, end: int) -> None:
        """Wait until the follower is at a position."""
        try:
            if self._follower is not None:
                async with asyncio.timeout(limits.CATCH_UP_SECONDS):
                    await self._follower.searchable(end)
                    return
        except TimeoutError:
            pass
        raise UnavailableError(
            "FRONT_END_BEHIND",
            "this front end of the exchange has not followed yet what others have"
            " written; send the request again",
            retry_after=limits.BUSY_RETRY_SECONDS,
        )

    def _take_up(self) -> None:
        """Put in force what another front end has put in force."""
        tell(self._in_force.take_up(self._agreements.last()))

    def _take_up_members(self) -> None:
        """Have members suspended or resumed as another front end has them."""
        for member, membership in self._membership.last().items():
            if member not in self._roll:
                continue
            if membership is Membership.ACTIVE:
                self._galleries.resume(member)
            else:
                self._galleries.suspend(member)
            self._roll.enter(member, membership)

    async def _obey(
        self,
        front_ends: FrontEndTable,
        obey: Callable[[Member], Awaitable[None]],
        is_settled: Callable[[], bool],
    ) -> None:
        """Have galleries as they are in the database, and tell how far that is."""
        with self._lock:
            position, due, self._due = self._reached, self._due, set()
        done = await asyncio.gather(*(self._try(f"obey {m}", obey(m)) for m in due))
        with self._lock:
            self._due |= {
                m for m, is_done in zip(due, done, strict=True) if not is_done
            }
            is_due = bool(self._due)
        if not all(done):
            return
        if is_settled() and not is_due:
            self._settled = position
        told = (position, self._settled)
        if told == self._told:
            return
        reaching = asyncio.to_thread(front_ends.reach, self._vault.shown(), *told)
        if await self._try("reach", reaching):
            self._told = told

    async def _exchange(self, front_ends: FrontEndTable) -> None:
        """Pass keys on that others lack, and have those that are lacking here."""
        await self._seen(front_ends)
        for other in await asyncio.to_thread(front_ends.others):
            for member in self._roll:
                if member.code in other.lent:
                    continue
                sealed = self._vault.pass_on(member, other.shown)
                if sealed is not None:
                    await asyncio.to_thread(front_ends.lend, other.name, member, sealed)
        lent = await asyncio.to_thread(front_ends.lent)
        with self._lock:
            self._due |= {each for each in self._roll if self._is_apart(each, lent)}
        # Others may have forgotten this one while its session was lost.
        self._told = (-1, -1)

    def _is_apart(self, member: Member, lent: Collection[str]) -> bool:
        """Say whether a member's galleries may be open, and are not so here."""
        if not self._vault.is_unlocked(member):
            return member.code in lent
        # A key went while something was opened by it.
        return self._galleries.closed(member) is GalleryState.LOCKED

    async def _try(self, what: str, work: Awaitable[None]) -> bool:
        """Do something; say whether it was done. A trouble is told once."""
        try:
            await work
        except ExchangeError as error:
            trouble = error.reason
        except Exception:
            log.exception("front end: %s failed", what)
            return False
        else:
            self._troubles.pop(what, None)
            return True
        if self._troubles.get(what) != trouble:
            self._troubles[what] = trouble
            log.warning("front end: %s waits: %s", what, trouble)
        return False

    @staticmethod
    def _later(moment: float) -> float:
        """Return a moment of the monotonic clock by that of the loop."""
        loop = asyncio.get_running_loop()
        return loop.time() + max(moment - time.monotonic(), 0.01)
