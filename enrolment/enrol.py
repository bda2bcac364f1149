"""The main path of an enrolment: admitted records in, durable and searchable.

1. Give way to searches that are running, before each part of a chunk.
2. Admit: `wire` reads the records by the rules of `admission`.
3. Seal: each template under its own key, before anything reaches the store.
4. Store: records and journal, with the last part the answer to a replay.
5. Wait until the journal's position is searchable.
6. Answer.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from biometrics.delivery import delivered
from biometrics.errors import ConflictError, Fault, InvalidRequestError
from biometrics.sealed import Attested, reference_binding
from biometrics.store import EnrolResult, NewRecord
from enrolment.sealing import binding_of, new_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from biometrics.custody import IndexKey, Vault
    from biometrics.custody.buffers import Values
    from biometrics.members import Member
    from biometrics.precedence import Precedence
    from biometrics.sealed import Binding
    from biometrics.sealed import Sealed as SealedValue
    from biometrics.store import RecordWriter
    from enrolment.admission import Record
    from enrolment.wire import Asked, Enrolling

T = TypeVar("T")
Outcome = EnrolResult | InvalidRequestError
RECORD_ID_BYTES = 16
FIRST_GENERATION = 1


class Searchable(Protocol):
    """Where enrolment waits until what it wrote can be found, or no longer."""

    async def searchable(self, position: int) -> None:
        """Return once every change up to `position` is searchable."""


class StoredReplies(Protocol):
    """Where enrolment finds what it has answered before."""

    def find(self, member: Member, request_id: bytes, digest: bytes) -> bytes | None:
        """Return the sealed reply to a request, or None."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a request before it is read.

    Attributes:
        digest: 32 bytes that stand for its content.
        body: what it was answered, if it was asked before.
    """

    digest: bytes
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A part of a request, ready to be stored.

    Attributes:
        refused: of each record why it is refused, or None if it is admitted.
        records: those that are admitted, in their order.
    """

    refused: list[InvalidRequestError | None]
    records: list[NewRecord]

    def outcomes(self, results: Sequence[EnrolResult]) -> list[Outcome]:
        """Return the outcome of each record, given those of the admitted ones."""
        decided = iter(results)
        return [refusal or next(decided) for refusal in self.refused]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Enrols records.

    Attributes:
        records: step 4.
        replies: the answers to replays.
        journal_end: the position of the last change there is.
        precedence: step 1.
        vault: step 3.
        index: step 5.
        workers: threads for blocking work.
        random_bytes: where the ids of records come from.
    """

    records: RecordWriter
    replies: StoredReplies
    journal_end: Callable[[], int]
    precedence: Precedence
    vault: Vault
    index: Searchable
    workers: Executor
    random_bytes: Callable[[int], bytes]

    async def enrol(
        self,
        request: Enrolling,
        digest: bytes,
        encode: Callable[[Sequence[Outcome]], bytes],
    ) -> bytes:
        """Enrol the records of a request, once.

        Args:
            request: what to enrol; its refused records are passed over.
            digest: of the request, as `known` returned it.
            encode: writes the outcomes, in the order of the request, as the
                response; raises to refuse the request as a whole.

        Returns:
            The encoded response. The records that it calls enrolled are durable
            and searchable; a replay returns the same bytes. Where it is not returned,
            some parts may have been enrolled, which the request sent again finds.
        """
        key = self.vault.index(request.holder)
        outcomes: list[Outcome] = []
        sealed = Sealed(refused=[], records=[])

        def reply(results: Sequence[EnrolResult]) -> bytes:
            body = encode(outcomes + sealed.outcomes(results))
            return key.seal_reply(request.request_id, body)

        async with aclosing(self.precedence.parts(request.count)) as parts:
            async for part in parts:
                sealed = await self._in_worker(self._seal, request, part)
                if part.stop == request.count:
                    break
                added = self.records.add(request.holder, sealed.records)
                outcomes += sealed.outcomes((await delivered(added)).results)
            committed = await delivered(
                self.records.enrol(
                    request.holder,
                    sealed.records,
                    request_id=request.request_id,
                    digest=digest,
                    make_reply=reply,
                )
            )
        await self.index.searchable(committed.position)
        return key.open_reply(request.request_id, committed.reply)

    async def known(self, asked: Asked) -> Known:
        """Return the stored response to a request, if it was answered before.

        Asked first: what is wrong with a record by now, or that its gallery is locked,
        does not change what was acknowledged.

        Raises:
            ConflictError: the request id stands for another request.
        """
        digest, stored = await self._in_worker(self._find, asked)
        if stored is None:
            return Known(digest, None)
        # The first answer may have failed while it waited for just this.
        end = await self._in_worker(self.journal_end)
        await self.index.searchable(end)
        key = self.vault.index(asked.holder)
        return Known(digest, key.open_reply(asked.request_id, stored))

    def _find(self, asked: Asked) -> tuple[bytes, bytes | None]:
        """Return the digest of what was asked, and the sealed reply if there is one."""
        digest = self.vault.index(asked.holder).digest(asked.content)
        return digest, self.replies.find(asked.holder, asked.request_id, digest)

    async def _in_worker(self, work: Callable[..., T], *args: object) -> T:
        """Run blocking work on a worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, work, *args)

    def _seal(self, request: Enrolling, part: slice) -> Sealed:
        """Read a part of a request, and seal every record that is admitted."""
        read = request.read(part)
        return Sealed(
            refused=[r if isinstance(r, InvalidRequestError) else None for r in read],
            records=self._sealed(
                request.holder,
                [r for r in read if not isinstance(r, InvalidRequestError)],
            ),
        )

    def _sealed(self, holder: Member, records: Sequence[Record]) -> list[NewRecord]:
        """Return records as they are to be stored: reference and templates sealed."""
        drawn = self.random_bytes(RECORD_ID_BYTES * len(records))
        ids = [
            drawn[start : start + RECORD_ID_BYTES]
            for start in range(0, len(drawn), RECORD_ID_BYTES)
        ]
        values: list[tuple[Binding, Values]] = []
        for record_id, record in zip(ids, records, strict=True):
            reference = reference_binding(holder, record_id, FIRST_GENERATION)
            values.append((reference, record.reference.encode()))
            for sample, template in enumerate(record.templates):
                binding = binding_of(
                    template,
                    holder=holder,
                    record_id=record_id,
                    sample=sample,
                    generation=FIRST_GENERATION,
                )
                values.append((binding, template.values.data))
        sealed = iter(self.vault.seal_all(values))
        index = self.vault.index(holder)
        return [
            _new_record(index, record_id, record, sealed)
            for record_id, record in zip(ids, records, strict=True)
        ]


def _new_record(
    index: IndexKey, record_id: bytes, record: Record, sealed: Iterator[SealedValue]
) -> NewRecord:
    """Return a record as it is to be stored.

    Args:
        index: the holder's.
        record_id: 16 random bytes.
        record: as it was admitted. Nothing of it that is not sealed MUST be kept.
        sealed: gives its reference, and each of its templates.
    """
    lookup = index.lookup(record.reference)
    attested = Attested(
        record_id,
        FIRST_GENERATION,
        lookup,
        record.excluded,
        record.expires_at,
        None,
        record.is_canary,
    )
    return NewRecord(
        record_id,
        lookup,
        index.digest(record.content),
        next(sealed),
        FIRST_GENERATION,
        record.excluded,
        record.legal_basis,
        record.expires_at,
        index.tagging(attested),
        tuple(
            [
                new_template(template, sample, next(sealed))
                for sample, template in enumerate(record.templates)
            ]
        ),
        record.is_canary,
    )


_CONFLICTS = {
    EnrolResult.REFERENCE_TAKEN: (
        "REFERENCE_TAKEN",
        (
            "is enrolled with other content: templates, protection, legal basis or"
            " expiry; use a new reference"
        ),
    ),
    EnrolResult.REFERENCE_WITHDRAWN: (
        "REFERENCE_WITHDRAWN",
        (
            "was withdrawn or has expired, and a reference is never used again; use a"
            " new one"
        ),
    ),
}


def conflict(result: EnrolResult) -> ConflictError | None:
    """Return why a record cannot be enrolled under its reference, or None."""
    if result not in _CONFLICTS:
        return None
    reason, message = _CONFLICTS[result]
    fault = Fault(field="reference", reason=reason, message=message)
    return ConflictError(reason, f"the reference {message}", faults=[fault])
