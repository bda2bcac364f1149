"""The main path of a replacement: a better sample in the place of one that is there.

1. Read the record as a whole, by the keyed hash of its reference, and make sure that
   every row is as it was written.
2. Choose the template that gives way: of the same space and position.
3. Seal all of the record anew, under its next generation: what was taken out of the
   database before fits nowhere any more.
4. Store: the old rows go and the new ones come in one transaction, but only while the
   record is as it was read; else from 1.
5. Wait until the new template is searchable.
6. Answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.errors import (
    DefectError,
    Fault,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from biometrics.sealed import reference_binding
from biometrics.store import NewRecord, NewTemplate
from enrolment.sealing import binding_of, new_template, template_binding

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from biometrics.custody import Vault
    from biometrics.sealed import Attested
    from biometrics.store import RecordWriter, StoredTemplate, WholeReader, WholeRecord
    from biometrics.templates import TemplateSpaces
    from enrolment.enrol import Searchable
    from enrolment.wire import Replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What a replacement has changed.

    Attributes:
        at: when.
        sample: ordinal in its record of the template that was replaced.
        generation: that the record has now.
    """

    at: dt.datetime
    sample: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anew:
    """A record, sealed anew.

    Attributes:
        record: what it is to be.
        sample: ordinal of the template that is new.
        before: its tag, as it was read.
    """

    record: NewRecord
    sample: int
    before: bytes


class Replacement:
    """Replaces templates of records."""

    def __init__(
        self,
        *,
        records: RecordWriter,
        whole: WholeReader,
        vault: Vault,
        spaces: TemplateSpaces,
        index: Searchable,
        workers: Executor,
    ) -> None:
        """Read by `whole`, write to `records`, seal by `vault`, wait for `index`."""
        self._records = records
        self._whole = whole
        self._vault = vault
        self._spaces = spaces
        self._index = index
        self._workers = workers

    async def replace(
        self, request: Replacing, encode: Callable[[Replaced], bytes]
    ) -> bytes:
        """Replace one template; on return searches compare with the new one alone.

        Args:
            request: which, and by what.
            encode: writes what was changed as the response.

        Raises:
            NotFoundError: the record is not there, or has no such template.
            InvalidRequestError: it has several.
            PreconditionError: the new one is of lower quality, or the record is a
                canary.
            GalleryLockedError: the holder is locked.
            UnavailableError: the record is being changed all the time.
        """
        loop = asyncio.get_running_loop()
        key = self._vault.index(request.holder)
        for _ in range(limits.MAX_DECISIONS_PER_SEARCH):
            anew = await loop.run_in_executor(self._workers, self._sealed, request)
            if anew is None:
                continue

            def reply(at: dt.datetime, anew: _Anew = anew) -> bytes:
                generation = anew.record.generation
                done = Replaced(at=at, sample=anew.sample, generation=generation)
                return key.seal_reply(request.request_id, encode(done))

            stored = self._records.replace(
                request.holder,
                anew.record,
                before=anew.before,
                request_id=request.request_id,
                digest=key.digest(request.content),
                make_reply=reply,
            )
            committed = await delivered(stored)
            if committed is not None:
                await self._index.searchable(committed.position)
                return key.open_reply(request.request_id, committed.reply)
        raise UnavailableError(
            "RECORDS_CHANGING",
            "the record is being changed faster than it can be sealed; send the request"
            " again",
            retry_after=limits.BUSY_RETRY_SECONDS,
        )

    def _sealed(self, request: Replacing) -> _Anew | None:
        """Return a record sealed anew; None if it was changed while it was read."""
        key = self._vault.index(request.holder)
        whole = self._whole.record(request.holder, key.lookup(request.reference))
        if whole is None:
            return None
        for template in whole.templates:
            key.check_record(template.attested, template.record_tag)
        if whole.row.attested.is_canary:
            raise PreconditionError(
                "CANARY_KEPT",
                "this is a canary, whose template only the exchange draws: withdraw it"
                " and plant another",
            )
        if [t.sample for t in whole.templates] != list(range(len(whole.templates))):
            raise DefectError(
                "RECORD_DAMAGED",
                "a template of the record is missing: restore the database from a"
                " backup",
            )
        old = chosen(whole.templates, request)
        before = whole.row.attested
        after = before._replace(generation=before.generation + 1)
        return _Anew(
            record=self._seal(request, whole, old, after),
            sample=old.sample,
            before=whole.row.record_tag,
        )

    def _seal(
        self,
        request: Replacing,
        whole: WholeRecord,
        old: StoredTemplate,
        after: Attested,
    ) -> NewRecord:
        """Return a record with a new template, all of it under its new generation."""
        holder, record_id = request.holder, after.record
        key = self._vault.index(holder)
        before = whole.row.attested.generation
        named = self._vault.open(
            reference_binding(holder, record_id, before), whole.sealed_reference
        )
        try:
            sealed_reference = self._vault.seal(
                reference_binding(holder, record_id, after.generation), named
            )
        finally:
            named[:] = bytes(len(named))
        return NewRecord(
            record_id=record_id,
            lookup=after.lookup,
            content_digest=whole.content_digest,
            sealed_reference=sealed_reference,
            generation=after.generation,
            excluded=after.excluded,
            legal_basis=whole.legal_basis,
            expires_at=after.expires_at,
            is_canary=after.is_canary,
            attest=key.tagging(after),
            templates=tuple(
                self._sealed_new(request, after, old.sample)
                if template is old
                else self._resealed(template, after.generation)
                for template in whole.templates
            ),
        )

    def _sealed_new(
        self, request: Replacing, after: Attested, sample: int
    ) -> NewTemplate:
        """Return the new template, as it is to be stored."""
        template = request.template
        binding = binding_of(
            template,
            holder=request.holder,
            record_id=after.record,
            sample=sample,
            generation=after.generation,
        )
        sealed = self._vault.seal(binding, template.values.data)
        return new_template(template, sample, sealed)

    def _resealed(self, template: StoredTemplate, generation: int) -> NewTemplate:
        """Return a template that stays, under another generation of its record."""
        binding = template_binding(
            holder=template.member,
            record_id=template.record_id,
            space=self._spaces.named(template.space),
            position=template.position,
            sample=template.sample,
            generation=template.generation,
        )
        clear = self._vault.open(binding, template.sealed)
        try:
            sealed = self._vault.seal(binding._replace(generation=generation), clear)
        finally:
            clear[:] = bytes(len(clear))
        return NewTemplate(
            space=template.space,
            position=template.position,
            modality=template.modality,
            sample=template.sample,
            quality=template.quality,
            sealed=sealed,
        )


def chosen(templates: Sequence[StoredTemplate], request: Replacing) -> StoredTemplate:
    """Return which of a record's templates is to give way.

    Raises:
        NotFoundError: it has none of that space and position, or not that sample.
        InvalidRequestError: it has several, and the request names none.
        PreconditionError: the new one is of lower quality, which the request does not
            accept.
    """
    new = request.template
    what = f"`{new.space.name}` at `{new.position}`"
    fitting = {
        template.sample: template
        for template in templates
        if (template.space, template.position) == (new.space.name, new.position.value)
    }
    if not fitting:
        raise NotFoundError(
            "NO_SUCH_TEMPLATE",
            f"the record holds no template of {what}; to add one, withdraw the record"
            " and enrol it under a new reference",
        )
    numbers = ", ".join(str(sample) for sample in fitting)
    if request.sample is None and len(fitting) > 1:
        message = f"the record holds several templates of {what}; name one of {numbers}"
        fault = Fault(field="sample", reason="SAMPLE_REQUIRED", message=message)
        raise InvalidRequestError.of([fault])
    sample = next(iter(fitting)) if request.sample is None else request.sample
    if sample not in fitting:
        raise NotFoundError(
            "NO_SUCH_TEMPLATE",
            f"sample {sample} of the record is none of {what}; of these it has"
            f" {numbers}",
        )
    old = fitting[sample]
    if (
        new.quality is not None
        and old.quality is not None
        and new.quality < old.quality
        and not request.accept_lower_quality
    ):
        raise PreconditionError(
            "LOWER_QUALITY",
            f"the new template is of quality {new.quality}, and the one to be replaced"
            f" of {old.quality}; set `accept_lower_quality` if that is meant",
        )
    return old
