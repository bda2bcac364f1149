"""AuditService: the pages of the log, to be read and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from biometrics import limits
from biometrics.audit import Checkpoint, origin_of
from biometrics.callers import CALLER
from biometrics.errors import Fault, InvalidRequestError
from biometrics.v1 import audit_pb2 as v1
from biometrics.v1 import audit_pb2_grpc
from biometrics.wire import read_number_token, read_page_size

if TYPE_CHECKING:
    import grpc

    from biometrics.signing import SigningKey
    from biometrics.store import LogReader

    Context = grpc.aio.ServicerContext[Any, Any]

_MOST_NUMBER: Final = 1 << 62  # of a leaf or tile, far beyond any


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """The log, as far as it is durable; see `audit.proto` for the contract.

    Checkpoints are signed when they are asked for: a search waits for no signature of
    the tree, and none is of what a crash could take back.
    """

    def __init__(self, *, log: LogReader, key: SigningKey) -> None:
        """Read `log`, sign its checkpoints with `key`."""
        self._log = log
        self._key = key

    async def GetCheckpoint(
        self, request: v1.GetCheckpointRequest, context: Context
    ) -> v1.GetCheckpointResponse:
        """Return the newest checkpoint."""
        head = await asyncio.to_thread(self._log.head)
        verifier = self._key.verifier
        checkpoint = Checkpoint(
            origin=origin_of(verifier.name, head.life), size=head.size, root=head.root
        )
        return v1.GetCheckpointResponse(
            checkpoint=checkpoint.signed_by(self._key), verifier_key=verifier.text
        )

    async def GetTile(
        self, request: v1.GetTileRequest, context: Context
    ) -> v1.GetTileResponse:
        """Return hashes of the tree."""
        _check("level", request.level, 0, limits.MAX_TILE_LEVEL)
        _check("number", request.number, 0, _MOST_NUMBER)
        _check("width", request.width, 1, limits.TILE_HASHES)
        hashes = await asyncio.to_thread(
            self._log.tile, request.level, request.number, request.width
        )
        return v1.GetTileResponse(hashes=b"".join(hashes))

    async def ListLeaves(
        self, request: v1.ListLeavesRequest, context: Context
    ) -> v1.ListLeavesResponse:
        """Return leaves."""
        _check("first", request.first, 0, _MOST_NUMBER)
        _check("count", request.count, 1, limits.MAX_PAGE_LEAVES)
        leaves = await asyncio.to_thread(self._log.leaves, request.first, request.count)
        return v1.ListLeavesResponse(leaves=leaves)

    async def ListOwnEntries(
        self, request: v1.ListOwnEntriesRequest, context: Context
    ) -> v1.ListOwnEntriesResponse:
        """Return the caller's own entries."""
        _check("first", request.first, 0, _MOST_NUMBER)
        _check("count", request.count, 1, limits.MAX_PAGE_ENTRIES)
        member = CALLER.get().member
        parts = await asyncio.to_thread(
            self._log.own, member, request.first, request.count
        )
        return v1.ListOwnEntriesResponse(
            entries=[
                v1.OwnEntry(
                    leaf_index=part.index,
                    slot=part.slot,
                    path=part.path,
                    key_id=part.key_id,
                    sealed=part.sealed,
                )
                for part in parts
            ]
        )

    async def ListEntryKeys(
        self, request: v1.ListEntryKeysRequest, context: Context
    ) -> v1.ListEntryKeysResponse:
        """Return one page of the keys of the caller's own entries."""
        size = read_page_size(request.page_size)
        after = read_number_token(request.page_token)
        member = CALLER.get().member
        rows = await asyncio.to_thread(self._log.keys, member, after, size + 1)
        return v1.ListEntryKeysResponse(
            keys=[
                v1.EntryKey(
                    key_id=row.key.key_id, hour=row.key.hour, handed=row.key.handed
                )
                for row in rows[:size]
            ],
            next_page_token=str(rows[size - 1].number) if len(rows) > size else "",
        )


def _check(field: str, value: int, least: int, most: int) -> None:
    """Refuse a number that is out of its bounds."""
    if not least <= value <= most:
        told = f"is {value}; must be {least:,} to {most:,}"
        fault = Fault(field=field, reason="WRONG_NUMBER", message=told)
        raise InvalidRequestError.of([fault])
