"""The main path of a late protection: from now on others must not learn of a record.

1. Find the record by the keyed hash of its reference, and make sure that it is this
   record's: works on a locked gallery.
2. Store whom it excludes, with the tag that attests them, in one transaction. Answers
   are stored by the same writer, and none that tells of the record as it was before.
3. Answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.delivery import delivered
from biometrics.store import NewProtection

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.custody import IndexKey, Vault
    from biometrics.members import Member
    from biometrics.store import LiveRecord, Protected, RecordWriter
    from enrolment.wire import Protecting


class LateProtection:
    """Protects records that are enrolled already."""

    def __init__(self, *, records: RecordWriter, vault: Vault) -> None:
        """Write to `records`, find and attest by the keys of `vault`."""
        self._records = records
        self._vault = vault

    async def protect(
        self, request: Protecting, encode: Callable[[Protected], bytes]
    ) -> bytes:
        """Set whom one record excludes; on return no answer ignores it.

        Args:
            request: which record, and whom.
            encode: writes what was changed as the response.

        Raises:
            NotFoundError: the holder has never enrolled a record under the
                reference, or has withdrawn it.
        """
        key = self._vault.index(request.holder)

        def attest(row: LiveRecord) -> NewProtection:
            return _attested(key, row, request.excluded)

        committed = await delivered(
            self._records.protect(
                request.holder,
                key.lookup(request.reference),
                request_id=request.request_id,
                digest=key.digest(request.content),
                attest=attest,
                make_reply=lambda done: key.seal_reply(
                    request.request_id, encode(done)
                ),
            )
        )
        return key.open_reply(request.request_id, committed.reply)


def _attested(
    key: IndexKey, row: LiveRecord, excluded: frozenset[Member]
) -> NewProtection:
    """Return what is to protect a record, with its tag.

    Raises:
        SealError: its rows are not as they were written.
    """
    key.check_record(row.attested, row.record_tag)
    attested = row.attested._replace(excluded=excluded)
    return NewProtection(excluded=excluded, record_tag=key.record_tag(attested))
