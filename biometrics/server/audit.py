"""AuditService: the pages of the log, and what witnesses state of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from biometrics import limits
from biometrics.audit import Checkpoint, origin_of
from biometrics.audit.findings import forked, other_log, rolled_back
from biometrics.audit.tiles import root_of
from biometrics.audit.witness import goes_on
from biometrics.callers import CALLER
from biometrics.errors import (
    DefectError,
    Fault,
    InvalidRequestError,
    PreconditionError,
)
from biometrics.signing import Note
from biometrics.store import Cosigned
from biometrics.v1 import audit_pb2 as v1
from biometrics.v1 import audit_pb2_grpc
from biometrics.wire import read_number_token, read_page_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import grpc

    from biometrics.audit.cosignature import WitnessKey
    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.signing import SigningKey
    from biometrics.store import CosignatureTable, LogReader

    Context = grpc.aio.ServicerContext[Any, Any]

_MOST_NUMBER: Final = 1 << 62  # of a leaf or tile, far beyond any


@dataclass(frozen=True, slots=True)
class _Offer:
    """A checkpoint that witnesses cosign, until a moment."""

    note: bytes
    until: dt.datetime


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """The log, as far as it is durable; see `audit.proto` for the contract.

    Checkpoints are signed when they are asked for: a search waits for no signature of
    the tree, and none is of what a crash could take back.
    """

    def __init__(
        self,
        *,
        log: LogReader,
        cosignatures: CosignatureTable,
        key: SigningKey,
        witnesses: Mapping[Member, WitnessKey],
        clock: Clock,
    ) -> None:
        """Read `log`, sign its checkpoints with `key`, and believe `witnesses`."""
        self._log = log
        self._cosignatures = cosignatures
        self._key = key
        self._witnesses = witnesses
        self._clock = clock
        self._offer: _Offer | None = None
        self._signed: Checkpoint | None = None
        self._signing = threading.Lock()

    async def GetCheckpoint(
        self, request: v1.GetCheckpointRequest, context: Context
    ) -> v1.GetCheckpointResponse:
        """Return the newest checkpoint, and what there is of cosigned ones."""
        cosigned = await asyncio.to_thread(self._cosignatures.notes)
        checkpoint = await asyncio.to_thread(self._newest, cosigned)
        now = self._clock.now()
        if self._offer is None or now >= self._offer.until:
            until = now + dt.timedelta(seconds=limits.OFFER_SECONDS)
            self._offer = _Offer(checkpoint, until)
        return v1.GetCheckpointResponse(
            checkpoint=checkpoint,
            verifier_key=self._key.verifier.text,
            offered=self._offer.note,
            cosigned=cosigned,
        )

    async def AddCosignature(
        self, request: v1.AddCosignatureRequest, context: Context
    ) -> v1.AddCosignatureResponse:
        """Keep a cosignature."""
        await asyncio.to_thread(
            self._add_cosignature, CALLER.get().member, request.checkpoint
        )
        return v1.AddCosignatureResponse()

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

    def _newest(self, cosigned: Sequence[bytes]) -> bytes:
        """Return the newest checkpoint, signed.

        It begins with the last one, of before a restart too where that was cosigned: a
        page that is damaged, or gone, must not become a history that the exchange has
        signed for.

        Raises:
            DefectError: it does not.
        """
        with self._signing:  # no later one is signed between reading this and signing
            head = self._log.head()
            origin = origin_of(self._key.verifier.name, head.life)
            checkpoint = Checkpoint(origin=origin, size=head.size, root=head.root)
            known = self._signed
            if known is None and cosigned:
                known = Checkpoint.parse(cosigned[0], self._key.verifier)
            is_shorter = known is not None and known.size > head.size
            if known and (is_shorter or not goes_on(known, checkpoint, self._log)):
                raise DefectError(
                    "LOG_DAMAGED",
                    f"the log's pages do not lead to the {known.size} leaves that were"
                    " signed: one is damaged, lost or was edited, restore the database"
                    " from a backup",
                )
            self._signed = checkpoint
        return checkpoint.signed_by(self._key)

    def _add_cosignature(self, member: Member, data: bytes) -> None:
        """Keep a cosignature of a member's witness, durably.

        Raises:
            InvalidRequestError: it is none of this log by this witness, of now.
            PreconditionError: the member has named no witness, or that one has gone
                back.
        """
        # 1. The checkpoint is one of this log, and nobody's restored or edited one.
        checkpoint = Checkpoint.parse(data, self._key.verifier)
        head = self._log.head()
        origin = origin_of(self._key.verifier.name, head.life)
        if checkpoint.origin != origin:
            raise other_log(checkpoint.origin, origin)
        if checkpoint.size > head.size:
            raise rolled_back(checkpoint.size, head.size)
        if root_of(self._log, checkpoint.size) != checkpoint.root:
            raise forked(checkpoint.size)
        # 2. It is cosigned by the witness that the member has named, now.
        witness = self._witnesses.get(member)
        if witness is None:
            raise PreconditionError(
                "NO_WITNESS",
                f"{member} has named no `witness` to the exchange: give the people who"
                " run it the line of `biometrics audit witness-key`",
            )
        cosignature = witness.cosigned(Note.parse(data))
        if cosignature is None:
            raise InvalidRequestError(
                "FOREIGN_COSIGNATURE",
                f"the checkpoint is not cosigned by `{witness.text}`, which {member}"
                " has named as its witness: cosign by the secret key of that, or have"
                " the people who run the exchange name yours",
            )
        now = int(self._clock.now().timestamp())
        if abs(cosignature.time - now) > limits.COSIGNED_APART_SECONDS:
            raise InvalidRequestError(
                "WRONG_TIME",
                f"was cosigned {abs(cosignature.time - now)} s"
                f" {'from' if cosignature.time > now else 'before'} now; set the clock"
                " of the witness, and cosign again",
            )
        # 3. It is the latest of the witness; and kept.
        self._cosignatures.add(
            Cosigned(
                size=checkpoint.size,
                member=member,
                time=cosignature.time,
                checkpoint=checkpoint.signed_by(self._key),
                line=cosignature.line.line,
            )
        )


def _check(field: str, value: int, least: int, most: int) -> None:
    """Refuse a number that is out of its bounds."""
    if not least <= value <= most:
        told = f"is {value}; must be {least:,} to {most:,}"
        fault = Fault(field=field, reason="WRONG_NUMBER", message=told)
        raise InvalidRequestError.of([fault])
