"""CustodyService: how a member closes and opens its galleries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from biometrics.callers import CALLER, acting_as
from biometrics.server.custodian import Asked
from biometrics.v1 import custody_pb2 as v1
from biometrics.v1 import custody_pb2_grpc
from biometrics.wire import content_of, read_request_id, write_word

if TYPE_CHECKING:
    import datetime as dt

    import grpc

    from biometrics.server.custodian import Custodian

    Context = grpc.aio.ServicerContext[Any, Any]
    Request = v1.LockRequest | v1.UnlockRequest


class CustodyService(custody_pb2_grpc.CustodyServiceServicer):
    """A member's own galleries, as a whole; see `custody.proto` for the contract."""

    def __init__(self, *, custodian: Custodian) -> None:
        """Take the main paths."""
        self._custodian = custodian

    async def Lock(self, request: v1.LockRequest, context: Context) -> v1.LockResponse:
        """Close the caller's galleries."""
        body = await self._custodian.lock(_read(request), _write_lock)
        return v1.LockResponse.FromString(body)

    async def Unlock(
        self, request: v1.UnlockRequest, context: Context
    ) -> v1.UnlockResponse:
        """Open the caller's galleries."""
        body = await self._custodian.unlock(_read(request), _write_unlock)
        return v1.UnlockResponse.FromString(body)

    async def GetCustody(
        self, request: v1.GetCustodyRequest, context: Context
    ) -> v1.GetCustodyResponse:
        """Tell whether the caller's galleries are open."""
        custody = await self._custodian.custody(CALLER.get().member)
        state = v1.CustodyState.ValueType(write_word(v1.CustodyState, custody.state))
        response = v1.GetCustodyResponse(state=state)
        if custody.since is not None:
            response.change_time.CopyFrom(_moment(custody.since))
        return response


def _read(message: Request) -> Asked:
    """Return what a request asks."""
    holder = acting_as(message.holder)
    return Asked(holder, read_request_id(message.request_id), content_of(message))


def _write_lock(at: dt.datetime) -> bytes:
    return v1.LockResponse(lock_time=_moment(at)).SerializeToString()


def _write_unlock(at: dt.datetime) -> bytes:
    return v1.UnlockResponse(unlock_time=_moment(at)).SerializeToString()


def _moment(moment: dt.datetime) -> Timestamp:
    """Return the timestamp of a moment."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
