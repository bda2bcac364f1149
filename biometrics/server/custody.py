"""CustodyService: how a member closes and opens its galleries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from biometrics.callers import CALLER, acting_as
from biometrics.errors import Fault, InvalidRequestError
from biometrics.server.custodian import Asked
from biometrics.v1 import custody_pb2 as v1
from biometrics.v1 import custody_pb2_grpc
from biometrics.wire import (
    content_of,
    read_number_token,
    read_page_size,
    read_request_id,
    write_moment,
    write_word,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    import grpc

    from biometrics.members import Member
    from biometrics.server.custodian import Custodian
    from biometrics.store import ErasureRow

    Context = grpc.aio.ServicerContext[Any, Any]
    Request = v1.LockRequest | v1.UnlockRequest | v1.RotateRequest


class CustodyService(custody_pb2_grpc.CustodyServiceServicer):
    """A member's own galleries, as a whole; see `custody.proto` for the contract."""

    def __init__(
        self,
        *,
        custodian: Custodian,
        verifier: str,
        sealing_key: Callable[[Member], bytes],
    ) -> None:
        """Take the main paths, and what the exchange is known by.

        Args:
            custodian: the main paths.
            verifier: the key that certificates are checked by.
            sealing_key: returns a signed note with the key that a member's clients
                seal to.
        """
        self._custodian = custodian
        self._verifier = verifier
        self._sealing_key = sealing_key

    async def Lock(self, request: v1.LockRequest, context: Context) -> v1.LockResponse:
        """Close the caller's galleries."""
        body = await self._custodian.lock(_read(request), _write_lock)
        return v1.LockResponse.FromString(body)

    async def GetSealingKey(
        self, request: v1.GetSealingKeyRequest, context: Context
    ) -> v1.GetSealingKeyResponse:
        """Return what clients seal to."""
        member = CALLER.get().member
        note = self._sealing_key(member)
        return v1.GetSealingKeyResponse(note=note, member=member.code)

    async def Unlock(
        self, request: v1.UnlockRequest, context: Context
    ) -> v1.UnlockResponse:
        """Open the caller's galleries."""
        sealed_key = request.sealed_key
        request.ClearField("sealed_key")  # sealed again it is other bytes
        asked = replace(_read(request), sealed_key=sealed_key)
        body = await self._custodian.unlock(asked, _write_unlock)
        return v1.UnlockResponse.FromString(body)

    async def Rotate(
        self, request: v1.RotateRequest, context: Context
    ) -> v1.RotateResponse:
        """Begin to replace the keys of the caller's galleries."""
        body = await self._custodian.rotate(_read(request), _write_rotate)
        return v1.RotateResponse.FromString(body)

    async def Destroy(
        self, request: v1.DestroyRequest, context: Context
    ) -> v1.DestroyResponse:
        """Destroy the caller's galleries."""
        body = await self._custodian.destroy(_read_destroy(request), _write_destroy)
        return v1.DestroyResponse.FromString(body)

    async def GetCustody(
        self, request: v1.GetCustodyRequest, context: Context
    ) -> v1.GetCustodyResponse:
        """Tell whether the caller's galleries are open, and what is being done."""
        standing = await self._custodian.custody(CALLER.get().member)
        number = write_word(v1.CustodyState, standing.custody.state)
        response = v1.GetCustodyResponse(
            state=v1.CustodyState.ValueType(number),
            busy=standing.is_busy,
            items_left=standing.left,
            trouble=standing.trouble,
        )
        if standing.custody.since is not None:
            response.change_time.CopyFrom(write_moment(standing.custody.since))
        return response

    async def ListErasures(
        self, request: v1.ListErasuresRequest, context: Context
    ) -> v1.ListErasuresResponse:
        """List one page of what keys of the caller are no more."""
        size = read_page_size(request.page_size)
        after = read_number_token(request.page_token)
        rows = await self._custodian.erasures(CALLER.get().member, after, size + 1)
        return v1.ListErasuresResponse(
            erasures=[_erasure(row) for row in rows[:size]],
            next_page_token=str(rows[size - 1].number) if len(rows) > size else "",
            verifier_key=self._verifier,
        )


def _read(message: Request) -> Asked:
    """Return what a request asks."""
    holder = acting_as(message.holder)
    return Asked(holder, read_request_id(message.request_id), content_of(message))


def _read_destroy(message: v1.DestroyRequest) -> Asked:
    """Return what a request asks that must be meant."""
    holder = CALLER.get().member
    if message.confirm_holder != holder.code:
        fault = Fault(
            field="confirm_holder",
            reason="NOT_CONFIRMED",
            message=f"must be `{holder}`, whose galleries would be destroyed for good",
        )
        raise InvalidRequestError.of([fault])
    return Asked(holder, read_request_id(message.request_id), content_of(message))


def _erasure(row: ErasureRow) -> v1.Erasure:
    """Return what is told of an erasure."""
    return v1.Erasure(
        number=row.number,
        kind=v1.ErasureKind.ValueType(write_word(v1.ErasureKind, row.kind)),
        delete_time=write_moment(row.deleted_at),
        record_count=row.records,
        certificate=row.note or b"",
    )


def _write_rotate(at: dt.datetime) -> bytes:
    return v1.RotateResponse(begin_time=write_moment(at)).SerializeToString()


def _write_destroy(at: dt.datetime) -> bytes:
    return v1.DestroyResponse(destroy_time=write_moment(at)).SerializeToString()


def _write_lock(at: dt.datetime) -> bytes:
    return v1.LockResponse(lock_time=write_moment(at)).SerializeToString()


def _write_unlock(at: dt.datetime) -> bytes:
    return v1.UnlockResponse(unlock_time=write_moment(at)).SerializeToString()
