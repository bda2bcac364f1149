"""Calls of auditors and witnesses, about the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.client.calls.calls import Calls, pages
from biometrics.client.responses.log import (
    read_checkpoint,
    read_entry_keys,
    read_own_entries,
)
from biometrics.v1 import audit_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine
    from typing import Any

    from biometrics.client.results.log import CheckpointInfo, EntryKeyInfo, OwnEntryInfo


class LogCalls(Calls):
    """Read the log, and have it cosigned."""

    async def checkpoint(self, *, deadline: float | None = None) -> CheckpointInfo:
        """Return the newest checkpoint of the log, as an auditor or a witness."""
        request = audit_pb2.GetCheckpointRequest()
        return read_checkpoint(
            await self._asker.call(self._on.audit.GetCheckpoint, request, deadline)
        )

    async def log_tile(
        self, level: int, number: int, width: int, *, deadline: float | None = None
    ) -> bytes:
        """Return the first `width` hashes of a tile of the log, one behind another.

        Raises:
            NotFoundError: the log has fewer.
        """
        request = audit_pb2.GetTileRequest(level=level, number=number, width=width)
        response = await self._asker.call(self._on.audit.GetTile, request, deadline)
        return bytes(response.hashes)

    async def log_leaves(
        self, first: int, count: int, *, deadline: float | None = None
    ) -> tuple[bytes, ...]:
        """Return leaves of the log; fewer at its end.

        Args:
            first: number of the first, from 0.
            count: 1 to `limits.MAX_PAGE_LEAVES`.
            deadline: seconds.
        """
        request = audit_pb2.ListLeavesRequest(first=first, count=count)
        response = await self._asker.call(self._on.audit.ListLeaves, request, deadline)
        return tuple(response.leaves)

    async def log_entries(
        self, first: int, count: int, *, deadline: float | None = None
    ) -> tuple[OwnEntryInfo, ...]:
        """Return the entries of one's own below leaves of the log.

        Args:
            first: number of the first leaf, from 0.
            count: how many leaves, 1 to `limits.MAX_PAGE_ENTRIES`.
            deadline: seconds.
        """
        request = audit_pb2.ListOwnEntriesRequest(first=first, count=count)
        return read_own_entries(
            await self._asker.call(self._on.audit.ListOwnEntries, request, deadline)
        )

    def log_keys(
        self, *, deadline: float | None = None
    ) -> AsyncGenerator[EntryKeyInfo, None]:
        """Iterate over the keys of one's own entries; `deadline` is a page's."""

        def page(token: str) -> Coroutine[Any, Any, audit_pb2.ListEntryKeysResponse]:
            request = audit_pb2.ListEntryKeysRequest(
                page_size=limits.MAX_PAGE_RECORDS, page_token=token
            )
            return self._asker.call(self._on.audit.ListEntryKeys, request, deadline)

        return pages(page, read_entry_keys)

    async def add_cosignature(
        self, checkpoint: bytes, *, deadline: float | None = None
    ) -> None:
        """Have a cosignature of one's witness kept; durable on return.

        Takes an auditor's or a witness's certificate.

        Args:
            checkpoint: signed by the log, and cosigned.
            deadline: seconds.

        Raises:
            InvalidRequestError: it is none of the log's, or not cosigned by the witness
                that one's member has named.
            PreconditionError: the member has named none, or it has cosigned more.
        """
        request = audit_pb2.AddCosignatureRequest(checkpoint=checkpoint)
        await self._asker.call(self._on.audit.AddCosignature, request, deadline)
