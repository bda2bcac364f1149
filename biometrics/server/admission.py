"""Whether there is time and room for a call: deadlines, and calls that are running."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.callers import CALLER, ENDS
from biometrics.errors import DeadlineError, ExhaustedError, InvalidRequestError
from biometrics.server.handlers import Call, Check, Guard
from biometrics.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from biometrics.members import Member
    from biometrics.server.methods import Method

# With no deadline grpcio tells some 9.2e18 seconds. No caller waits for a year.
_NO_DEADLINE_SECONDS: Final = 365 * 24 * 3600


class Deadlines(Check):
    """Refuses calls without a deadline, and those that cannot be answered in time."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Ask for deadlines by `methods`."""
        self._methods = methods

    async def check(self, call: Call) -> None:
        """Look at the time that is left."""
        if self._methods[call.method].needs_deadline:
            seconds = call.context.time_remaining()
            _check_deadline(seconds)
            ENDS.set(asyncio.get_running_loop().time() + seconds)


class RunningCalls(Guard):
    """Bounds the calls that run: of a method, of a member, and in all."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Bound by `methods`; calls that wait for ever only by their own row."""
        self._methods = methods
        self._of_method: Counter[tuple[Member, str]] = Counter()
        self._working: Counter[Member] = Counter()

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Hold a place for as long as the call runs."""
        member, row = CALLER.get().member, self._methods[call.method]
        self._check_room(member, call.method, row)
        self._of_method[member, call.method] += 1
        self._working[member] += row.needs_deadline
        try:
            yield
        finally:
            self._of_method[member, call.method] -= 1
            self._working[member] -= row.needs_deadline

    def _check_room(self, member: Member, method: str, row: Method) -> None:
        """Refuse one call too many; whoever has few is let in whatever others have.

        Raises:
            ExhaustedError: there is no room; with the time to try again.
        """
        if self._of_method[member, method] >= row.most_at_once:
            raise _exhausted(
                "TOO_MANY_CALLS", f"calls of this method by this member, {method}"
            )
        if not row.needs_deadline:
            return
        if self._working[member] >= limits.MAX_RUNNING_CALLS_PER_MEMBER:
            raise _exhausted("TOO_MANY_CALLS", "calls of this member")
        is_small = self._working[member] < limits.RESERVED_CALLS_PER_MEMBER
        if self._working.total() >= limits.MAX_RUNNING_CALLS and not is_small:
            raise _exhausted("EXCHANGE_BUSY", "calls of all members together")


class InTurn(Guard):
    """Lets searches begin, of each member in turn, as many as are answered in time.

    Whoever has none running begins at once, so that nobody's only one waits.
    They wait unread, so that what waits takes little memory and no work.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        slot_seconds: float,
        rows: Callable[[], float] = lambda: 0.0,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Hold up by `methods`; an answer takes two slots unless there are too many.

        Args:
            methods: says which are searches.
            slot_seconds: of the answers.
            rows: says with how many rows of codes a probe is compared of late.
            waited: is told how long each has waited, in seconds.
        """
        self._methods = methods
        self._rows = rows
        self._waited = waited
        self._turns = Turns(
            limits.LEAST_SEARCHES_AT_ONCE,
            most=limits.MAX_SEARCHES_AT_ONCE,
            soon_seconds=limits.SLOTS_OF_A_SEARCH * slot_seconds,
            first_at_once=True,
        )

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Wait for the member's turn, and have it for as long as the call runs."""
        if not self._methods[call.method].takes_turns:
            yield
            return
        sharing = int(self._rows() / limits.ROWS_FOR_ONE_MORE_AT_ONCE)
        sharing = min(sharing, limits.MOST_MORE_AT_ONCE)
        self._turns.at_least(limits.LEAST_SEARCHES_AT_ONCE + sharing)
        now = asyncio.get_running_loop().time
        begun = now()
        async with self._turns.turn(CALLER.get().member, ENDS.get()):
            self._waited(now() - begun)
            yield

    def waiting(self) -> int:
        """Return how many wait."""
        return self._turns.waiting

    def at_once(self) -> int:
        """Return how many may run at present, at most, as a power of two.

        It depends on how large galleries are, of which no figure tells more.
        """
        return 1 << math.ceil(math.log2(self._turns.room))


def _check_deadline(seconds: float | None) -> None:
    """Refuse a deadline that is missing, too long or too short."""
    if seconds is None or seconds > _NO_DEADLINE_SECONDS:
        raise InvalidRequestError(
            "DEADLINE_REQUIRED",
            f"the call has no deadline; set one of at most"
            f" {limits.MAX_DEADLINE_SECONDS} seconds",
        )
    if seconds > limits.MAX_DEADLINE_SECONDS:
        raise InvalidRequestError(
            "DEADLINE_TOO_LONG",
            f"the deadline is more than {limits.MAX_DEADLINE_SECONDS} seconds away;"
            " set a shorter one",
        )
    if seconds < limits.MIN_DEADLINE_SECONDS:
        raise DeadlineError(
            "DEADLINE_TOO_SHORT",
            f"less than {limits.MIN_DEADLINE_SECONDS} seconds are left, in which"
            " nothing can be answered; set a longer deadline",
        )


def _exhausted(reason: str, what: str) -> ExhaustedError:
    """Return the error for one call too many."""
    return ExhaustedError(
        reason,
        f"too many {what} are running; try again in {limits.BUSY_RETRY_SECONDS}"
        " seconds, with fewer at once",
        retry_after=limits.BUSY_RETRY_SECONDS,
    )
