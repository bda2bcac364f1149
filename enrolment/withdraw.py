"""The main path of a withdrawal: a record out, for good.

1. Find the record by the keyed hash of its reference, and make sure that it is this
   record's: works on a locked gallery.
2. Store: keys and templates deleted, a tombstone left, in one transaction.
3. Wait until no search finds it.
4. Answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.delivery import delivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.custody import Vault
    from biometrics.store import RecordWriter, Removed
    from enrolment.enrol import Searchable
    from enrolment.wire import Withdrawing


class Withdrawal:
    """Withdraws records."""

    def __init__(
        self, *, records: RecordWriter, vault: Vault, index: Searchable
    ) -> None:
        """Write to `records`, find by the keys of `vault`, wait for `index`."""
        self._records = records
        self._vault = vault
        self._index = index

    async def withdraw(
        self, request: Withdrawing, encode: Callable[[Removed], bytes]
    ) -> bytes:
        """Withdraw one record; on return no search finds it.

        Args:
            request: which record.
            encode: writes what was removed as the response.

        Raises:
            NotFoundError: the holder has never enrolled a record under the
                reference.
        """
        key = self._vault.index(request.holder)
        committed = await delivered(
            self._records.withdraw(
                request.holder,
                key.lookup(request.reference),
                request_id=request.request_id,
                digest=key.digest(request.content),
                check=lambda row: key.check_record(row.attested, row.record_tag),
                make_reply=lambda removed: key.seal_reply(
                    request.request_id, encode(removed)
                ),
            )
        )
        await self._index.searchable(committed.position)
        return key.open_reply(request.request_id, committed.reply)
