"""The main path of an enrolment: admitted records in, durable and searchable.

1. Admit: `wire` has read the records by the rules of `admission`.
2. Seal: each template under its own key, before anything reaches the store.
3. Store: records, journal and the answer to a replay, in one transaction.
4. Wait until the journal's position is searchable.
5. Answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from biometrics.errors import ConflictError, Fault, InvalidRequestError
from biometrics.sealed import REFERENCES, Attested, Binding
from biometrics.store import EnrolResult, NewRecord, NewTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import RecordWriter
    from enrolment.admission import Record
    from enrolment.wire import Asked, Enrolling

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Enrols records.

    Attributes:
        records: step 3.
        replies: the answers to replays.
        journal_end: the position of the last change there is.
        vault: step 2.
        index: step 4.
        workers: threads for blocking work.
        random_bytes: where the ids of records come from.
    """

    records: RecordWriter
    replies: StoredReplies
    journal_end: Callable[[], int]
    vault: Vault
    index: Searchable
    workers: Executor
    random_bytes: Callable[[int], bytes]

    async def enrol(
        self, request: Enrolling, encode: Callable[[Sequence[Outcome]], bytes]
    ) -> bytes:
        """Enrol the records of a request, once.

        Args:
            request: what to enrol; its refused records are passed over.
            encode: writes the outcomes, in the order of the request, as the
                response; raises to refuse the request as a whole.

        Returns:
            The encoded response. The records that it calls enrolled are durable
            and searchable; a replay returns the same bytes.
        """
        loop = asyncio.get_running_loop()
        sealed, digest = await loop.run_in_executor(self.workers, self._seal, request)
        key = self.vault.index(request.holder)

        def reply(results: Sequence[EnrolResult]) -> bytes:
            body = encode(_merge(request.records, results))
            return key.seal_reply(request.request_id, body)

        committed = await asyncio.wrap_future(
            self.records.enrol(
                request.holder,
                sealed,
                request_id=request.request_id,
                digest=digest,
                make_reply=reply,
            )
        )
        await self.index.searchable(committed.position)
        return key.open_reply(request.request_id, committed.reply)

    async def replay(self, asked: Asked) -> bytes | None:
        """Return the stored response to a request that was answered before.

        Asked first: what is wrong with a record by now, or that its gallery is locked,
        does not change what was acknowledged.

        Raises:
            ConflictError: the request id stands for another request.
        """
        loop = asyncio.get_running_loop()
        stored = await loop.run_in_executor(self.workers, self._find, asked)
        if stored is None:
            return None
        # The first answer may have failed while it waited for just this.
        end = await loop.run_in_executor(self.workers, self.journal_end)
        await self.index.searchable(end)
        return self.vault.index(asked.holder).open_reply(asked.request_id, stored)

    def _find(self, asked: Asked) -> bytes | None:
        """Return the sealed reply to what was asked, if there is one."""
        digest = self.vault.index(asked.holder).digest(asked.content)
        return self.replies.find(asked.holder, asked.request_id, digest)

    def _seal(self, request: Enrolling) -> tuple[list[NewRecord], bytes]:
        """Seal every admitted record of a request; return the request's digest too."""
        sealed = [
            self._seal_record(request.holder, record)
            for record in request.records
            if not isinstance(record, InvalidRequestError)
        ]
        return sealed, self.vault.index(request.holder).digest(request.content)

    def _seal_record(self, holder: Member, record: Record) -> NewRecord:
        """Seal one record's templates and its reference."""
        record_id = self.random_bytes(RECORD_ID_BYTES)
        index = self.vault.index(holder)
        lookup = index.lookup(record.reference)
        return NewRecord(
            record_id=record_id,
            lookup=lookup,
            content_digest=index.digest(record.content),
            sealed_reference=self.vault.seal(
                reference_binding(holder, record_id, FIRST_GENERATION),
                record.reference.encode(),
            ),
            generation=FIRST_GENERATION,
            excluded=record.excluded,
            legal_basis=record.legal_basis,
            expires_at=record.expires_at,
            record_tag=index.record_tag(
                Attested(
                    record=record_id,
                    generation=FIRST_GENERATION,
                    lookup=lookup,
                    excluded=record.excluded,
                    expires_at=record.expires_at,
                )
            ),
            templates=tuple(
                NewTemplate(
                    space=template.space.name,
                    position=template.position.value,
                    modality=template.space.modality.value,
                    sample=sample,
                    quality=template.quality,
                    sealed=self.vault.seal(
                        Binding(
                            member=holder,
                            gallery=template.space.name,
                            record=record_id,
                            modality=template.space.modality.value,
                            space=template.space.identity,
                            position=template.position.value,
                            sample=sample,
                            generation=FIRST_GENERATION,
                        ),
                        template.vector.data,
                    ),
                )
                for sample, template in enumerate(record.templates)
            ),
        )


def reference_binding(holder: Member, record_id: bytes, generation: int) -> Binding:
    """Return what a record's sealed reference is bound to."""
    return Binding(
        member=holder,
        gallery=REFERENCES,
        record=record_id,
        modality="",
        space="",
        position="",
        sample=0,
        generation=generation,
    )


def _merge(
    records: Sequence[Record | InvalidRequestError], results: Sequence[EnrolResult]
) -> list[Outcome]:
    """Return outcomes in the order of the request, refused records included."""
    decided = iter(results)
    return [
        record if isinstance(record, InvalidRequestError) else next(decided)
        for record in records
    ]


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
        "was withdrawn, and a reference is never used again; use a new one",
    ),
}


def conflict(result: EnrolResult) -> ConflictError | None:
    """Return why a record cannot be enrolled under its reference, or None."""
    if result not in _CONFLICTS:
        return None
    reason, message = _CONFLICTS[result]
    fault = Fault(field="reference", reason=reason, message=message)
    return ConflictError(reason, f"the reference {message}", faults=[fault])
