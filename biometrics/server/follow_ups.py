"""The main paths of a follow-up: each step, once, while it is permitted.

1. The agreements in force permit it, at the level `reference`; else it is refused,
   before anything is looked up that a person's record has a part in.
2. Every record behind it may be told to the requester at that moment; else there is no
   such follow-up, and no such reference.
3. The step, its leaf in the log and its answer are durable in one transaction.
4. Answer the requester at the end of a slot, whatever came of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.disclosure import Level, Purpose, permit
from biometrics.errors import NotFoundError, RefusedError
from biometrics.sealed import reference_binding
from biometrics.store import Agreed, RequestKey
from biometrics.templates import Modality

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.disclosure import Agreements
    from biometrics.members import Member
    from biometrics.server.custodian import Asked
    from biometrics.slots import Slots
    from biometrics.store import (
        FollowUpRow,
        FollowUpTable,
        NewFollowUp,
        ReceivedRow,
        Refusal,
        Terms,
    )
    from biometrics.store.rows import LiveRecord


@dataclass(frozen=True, slots=True)
class Received:
    """A follow-up, with the holder's own references of its records in the clear."""

    row: FollowUpRow
    references: tuple[str, ...] = field(repr=False)
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUps:
    """Follow-ups; the gate of every step of them.

    Attributes:
        rows: where they are kept.
        agreements: returns those in force at the moment.
        vault: keys that tell replays apart, seal answers and open references.
        slots: when a requester is answered.
        workers: threads for blocking work.
        clock: the time.
    """

    rows: FollowUpTable
    agreements: Callable[[], Agreements]
    vault: Vault
    slots: Slots
    workers: Executor
    clock: Clock

    async def request(
        self, asked: Asked, new: NewFollowUp, encode: Callable[[dt.datetime], bytes]
    ) -> bytes:
        """Use a reference up, and ask its holder.

        Args:
            asked: the request.
            new: what is asked for.
            encode: writes the response from when it expires.

        Raises:
            RefusedError: no agreement permits it.
            NotFoundError: the reference is not good, whatever the cause.
        """

        def encoded(ends_at: dt.datetime | None) -> bytes:
            return b"" if ends_at is None else encode(ends_at)

        async def work() -> bytes:
            step = partial(self.rows.request, new, gate=self)
            body = await self._stored(asked, step, encoded)
            if not body:
                raise _no_reference()
            return body

        return await self.slots.release(work())

    async def read(
        self, asked: Asked, follow_up_id: bytes, encode: Callable[[bytes], bytes]
    ) -> bytes:
        """Hand a payload out, once.

        Raises:
            RefusedError: no agreement permits it any more.
            NotFoundError: it is not one of the requester's.
            PreconditionError: nothing is there to be read.
        """
        step = partial(self.rows.read, follow_up_id, asked.holder, gate=self)
        return await self.slots.release(self._stored(asked, step, encode))

    async def confirm(
        self,
        asked: Asked,
        follow_up_id: bytes,
        confirmation: bytes,
        encode: Callable[[dt.datetime], bytes],
    ) -> bytes:
        """Keep that a person at the holder has confirmed a follow-up.

        Raises:
            RefusedError: no agreement permits it any more.
            NotFoundError: none of the holder's is open that has this id.
            PreconditionError: it was confirmed before.
        """
        step = partial(
            self.rows.confirm,
            follow_up_id,
            asked.holder,
            confirmation=confirmation,
            gate=self,
        )
        return await self._stored(asked, step, encode)

    async def refuse(
        self,
        asked: Asked,
        follow_up_id: bytes,
        refusal: Refusal,
        encode: Callable[[], bytes],
    ) -> bytes:
        """Refuse a follow-up.

        Raises:
            NotFoundError: none of the holder's is open that has this id.
        """
        step = partial(
            self.rows.refuse, follow_up_id, asked.holder, refusal=refusal, gate=self
        )
        return await self._stored(asked, step, encode)

    async def release(
        self,
        asked: Asked,
        follow_up_id: bytes,
        payload: bytes,
        encode: Callable[[dt.datetime], bytes],
    ) -> bytes:
        """Give the payload of a follow-up.

        Raises:
            RefusedError: no agreement permits it any more.
            NotFoundError: none of the holder's is open that has this id.
            PreconditionError: it is not confirmed, or its payload was given.
        """
        step = partial(
            self.rows.release, follow_up_id, asked.holder, payload=payload, gate=self
        )
        return await self._stored(asked, step, encode)

    async def requested(self, requester: Member) -> list[FollowUpRow]:
        """Return the newest follow-ups that a member has asked for."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, self.rows.requested, requester)

    async def received(self, holder: Member) -> list[Received]:
        """Return what waits for a holder, and of which of its records.

        Raises:
            GalleryLockedError: its references cannot be opened now.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, self._received, holder)

    def permit(self, terms: Terms) -> Agreed:
        """Return by what a follow-up is permitted now; any thread.

        Raises:
            RefusedError: no agreement permits it at the level `reference`.
        """
        agreements = self.agreements()
        found = permit(
            agreements,
            holder=terms.holder,
            requester=terms.requester,
            purpose=Purpose(terms.purpose),
            modality=Modality(terms.modality),
            today=self.clock.now().date(),
        )
        if found is None or found.level is not Level.REFERENCE:
            raise RefusedError(
                "NOT_PERMITTED",
                "no agreement permits a follow-up for this purpose with what was"
                " searched by; list yours with AgreementService.ListAgreements or"
                " `biometrics agreements list`: its level must be `reference`",
            )
        return Agreed(agreements.digest_of(terms.holder), agreements.digest)

    def check(self, holder: Member, row: LiveRecord) -> None:
        """Refuse a row that is not its record's own; any thread.

        Raises:
            SealError: it was changed.
        """
        self.vault.index(holder).check_record(row.attested, row.record_tag)

    async def _stored(
        self,
        asked: Asked,
        step: Callable[..., Future[bytes]],
        encode: Callable[..., bytes],
    ) -> bytes:
        """Make a step, and return its answer, or that of the same request before."""
        index = self.vault.index(asked.holder)
        request = RequestKey(asked.request_id, index.digest(asked.content))

        def make_reply(*told: object) -> bytes:
            return index.seal_reply(asked.request_id, encode(*told))

        stored = await delivered(step(request=request, make_reply=make_reply))
        return index.open_reply(asked.request_id, stored)

    def _received(self, holder: Member) -> list[Received]:
        """Read what waits for a holder, and open its references."""
        rows = self.rows.received(holder, self)
        return [
            Received(each.row, tuple(self._references(each)), len(each.references))
            for each in rows
        ]

    def _references(self, received: ReceivedRow) -> list[str]:
        """Open the references of the records of a follow-up, up to a bound."""
        holder = received.row.terms.holder
        return [
            self.vault.open(
                reference_binding(holder, own.record_id, own.generation),
                own.sealed_reference,
            ).decode()
            for own in received.references[: limits.MAX_FOLLOW_UP_RECORDS_TOLD]
        ]


def _no_reference() -> NotFoundError:
    """Return the one answer of every reference that is not good.

    Whether it was never given, or stands for somebody who is protected, nobody learns.
    """
    return NotFoundError(
        "NO_SUCH_REFERENCE",
        "no reference of this kind can be followed up by you: it was not given to you"
        " by this holder for this purpose, has ended, or was used; the same search"
        " again gives a new one where there still is something to follow up",
    )
