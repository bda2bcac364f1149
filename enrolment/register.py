"""What a holder sees of its own galleries and records."""

from __future__ import annotations

import asyncio
import binascii
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from biometrics.errors import Fault, InvalidRequestError, SealError
from biometrics.sealed import reference_binding

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from biometrics.clock import Clock
    from biometrics.custody import IndexKey, Vault
    from biometrics.members import Member
    from biometrics.store import (
        GalleryCount,
        Lives,
        Reason,
        RecordReader,
        RecordRow,
    )


class GalleryStates(Protocol):
    """Where the register learns whether galleries can be searched."""

    def state_name(self, holder: Member, space: str) -> str:
        """Return `READY`, `LOADING`, `LOCKED` or `DAMAGED`."""


@dataclass(frozen=True, slots=True)
class Summary:
    """When a holder's records expire, and when and why others went."""

    at: dt.datetime
    lives: Lives
    disposed: Mapping[Reason, Mapping[dt.date, int]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a holder's records, with their references in the clear."""

    records: tuple[tuple[str, RecordRow], ...]
    next_token: str


class Register:
    """Reads a holder's own galleries and records."""

    def __init__(
        self,
        *,
        rows: RecordReader,
        vault: Vault,
        states: GalleryStates,
        workers: Executor,
        clock: Clock,
    ) -> None:
        """Read `rows`, open references with `vault`, judge by `clock`."""
        self._rows = rows
        self._vault = vault
        self._states = states
        self._workers = workers
        self._clock = clock

    async def galleries(self, holder: Member) -> list[tuple[GalleryCount, str]]:
        """Return the holder's galleries with their counts and states."""
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(self._workers, self._counts, holder)
        return [(c, self._states.state_name(holder, c.space)) for c in counts]

    def _counts(self, holder: Member) -> list[GalleryCount]:
        """Return what galleries hold of people; one of canaries alone holds nobody."""
        canaries = self._rows.canaries(holder)
        people = [
            replace(
                count,
                records=count.records - canaries.get(count.space, 0),
                templates=count.templates - canaries.get(count.space, 0),
            )
            for count in self._rows.galleries(holder)
        ]
        return [count for count in people if count.templates]

    async def summary(self, holder: Member) -> Summary:
        """Return the holder's records, counted."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, self._summary, holder)

    def _summary(self, holder: Member) -> Summary:
        """Count a holder's records, those there are and those there were."""
        now = self._clock.now()
        lives = self._rows.lives(holder, now)
        canaries = sum(self._rows.canaries(holder).values())
        people = replace(lives, lasting=max(lives.lasting - canaries, 0))
        return Summary(now, people, self._rows.disposed(holder))

    async def page(
        self, holder: Member, size: int, token: str, *, canaries: bool = False
    ) -> Page:
        """Return one page of the holder's records, in the order of enrolment.

        Args:
            holder: whose.
            size: most records of the page.
            token: that the page before gave; empty for the first.
            canaries: True for its canaries, and them alone.

        Raises:
            InvalidRequestError: the token is none that a page before gave.
            GalleryLockedError: references cannot be opened now.
        """
        index = self._vault.index(holder)
        after = _read_token(index, token)
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(
            self._workers,
            partial(self._rows.records, holder, after, size + 1, canaries=canaries),
        )
        return await loop.run_in_executor(
            self._workers, self._page, holder, index, rows, size
        )

    def _page(
        self, holder: Member, index: IndexKey, rows: list[RecordRow], most: int
    ) -> Page:
        """Open one page, of rows of which one more shows that it is not the last."""
        shown = rows[:most]
        more = len(rows) > most
        return Page(
            records=tuple((self._reference(holder, row), row) for row in shown),
            next_token=_write_token(index, shown[-1].position) if more else "",
        )

    def _reference(self, holder: Member, row: RecordRow) -> str:
        """Open a record's reference."""
        binding = reference_binding(holder, row.record_id, row.generation)
        return self._vault.open(binding, row.sealed_reference).decode()


# Journal positions count the changes of every member, so tokens are sealed; under a
# label that no request id is, since those have 16 bytes.
_LABEL = b"page of records"
_POSITION_BYTES = 8


def _write_token(index: IndexKey, position: int) -> str:
    """Return the token of the page after `position`."""
    plain = position.to_bytes(_POSITION_BYTES, "big")
    return index.seal_reply(_LABEL, plain).hex()


def _read_token(index: IndexKey, token: str) -> int:
    """Return the position after which a page begins."""
    if not token:
        return 0
    try:
        sealed = binascii.unhexlify(token)
        return int.from_bytes(index.open_reply(_LABEL, sealed), "big")
    except (binascii.Error, ValueError, SealError) as error:
        told = "is not one that ListRecords gave; begin again without a token"
        fault = Fault(field="page_token", reason="WRONG_TOKEN", message=told)
        raise InvalidRequestError.of([fault]) from error
