"""The sweep of records that have expired: out for good, as if withdrawn.

No search finds a record from the moment of its expiry on, whenever this runs: the
matcher sees to that. What is left to do is to delete its keys and templates.

1. Read the next page of rows that say that they have expired, whoever holds them.
2. Give way to searches that are running, before each part of the page.
3. Make sure that each row is the record's own: works on a locked gallery. One that is
   not is left alone, or whoever edits a row could make a person disappear.
4. Store: keys and templates deleted, a tombstone left, in one transaction each.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.errors import DefectError, SealError, UnavailableError
from biometrics.store import FIRST_EXPIRED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Executor

    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.precedence import Precedence
    from biometrics.store import ExpiredRow, LiveRecord, RecordReader, RecordWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did.

    Attributes:
        disposed: records that were withdrawn because they have expired.
        left: rows that are not as they were written, or not a member's.
    """

    disposed: int
    left: int


class Disposal:
    """Withdraws records that have expired."""

    def __init__(  # noqa: PLR0913 - the parts of the sweep
        self,
        *,
        members: Collection[Member],
        rows: RecordReader,
        records: RecordWriter,
        precedence: Precedence,
        vault: Vault,
        workers: Executor,
        clock: Clock,
    ) -> None:
        """Read `rows` of `members`, write to `records`, attest by `vault`."""
        self._members = members
        self._rows = rows
        self._records = records
        self._precedence = precedence
        self._vault = vault
        self._workers = workers
        self._clock = clock
        self._started = clock.now() - dt.timedelta(seconds=clock.monotonic())

    async def sweep(self) -> Swept:
        """Withdraw every record that has expired by now, a page at a time.

        Raises:
            StorageError: they cannot be read or written now; what was withdrawn is.
            UnavailableError: the time of day was set ahead since the start. What is
                withdrawn cannot be brought back, so nothing is before the next start.
        """
        ahead = self._clock.now() - self._started
        ahead -= dt.timedelta(seconds=self._clock.monotonic())
        if ahead.total_seconds() > limits.MAX_CLOCK_AHEAD_SECONDS:
            raise UnavailableError(
                "CLOCK_SET_AHEAD",
                "the time of day was set ahead; see that it is right, and start the"
                " exchange again",
            )
        loop = asyncio.get_running_loop()
        now, after = self._clock.now(), FIRST_EXPIRED
        disposed = left = 0
        while page := await loop.run_in_executor(
            self._workers, self._rows.expired, now, after, limits.DISPOSED_AT_ONCE
        ):
            async with aclosing(self._precedence.parts(len(page))) as parts:
                async for part in parts:
                    done, wrong = await self._dispose(page[part])
                    disposed, left = disposed + done, left + wrong
            after = page[-1].place
        return Swept(disposed=disposed, left=left)

    async def _dispose(self, rows: Sequence[ExpiredRow]) -> tuple[int, int]:
        """Withdraw some records; return how many, and how many rows are wrong."""
        members = {member.code: member for member in self._members}
        known = [row for row in rows if row.member in members]
        results = await asyncio.gather(
            *(self._dispose_one(members[row.member], row) for row in known),
            return_exceptions=True,
        )
        done, wrong = 0, len(rows) - len(known)
        for result in results:
            if isinstance(result, (SealError, DefectError)):
                wrong += 1
            elif isinstance(result, BaseException):
                raise result
            else:
                done += result
        return done, wrong

    async def _dispose_one(self, member: Member, row: ExpiredRow) -> bool:
        """Withdraw one record; say whether it was there still."""
        key = self._vault.index(member)

        def check(found: LiveRecord) -> None:
            key.check_record(found.attested, found.record_tag)

        disposed = self._records.dispose(member, row.lookup, check=check)
        return (await delivered(disposed)).done
