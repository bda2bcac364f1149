"""A channel to the exchange, and how whoever calls over it waits.

There are two. Over a `LoopLine`, a task of an event loop waits, and others go on. Over
a `BlockingLine`, the thread waits, within the method: nothing that it does ever goes
back to an event loop, so that no coroutine over it is ever suspended, and none needs
such a loop: see `biometrics.client.blocking`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import grpc
import grpc.aio

from biometrics import limits
from biometrics.client.services import Services
from biometrics.client.streams import BulkStream
from biometrics.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from biometrics.client.channel import ChannelSettings, Peers
    from biometrics.client.sealer import Recipient

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT")
T = TypeVar("T")


class Line(Protocol):
    """What is called over.

    Attributes:
        peers: who talks to whom.
        services: what can be called.
    """

    peers: Peers
    services: Services

    async def send(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        seconds: float,
        *,
        wait_for_ready: bool,
    ) -> ResponseT:
        """Call one of `services`, in time.

        Raises:
            grpc.RpcError: it did not go well.
        """

    def stream(self, recipient: Recipient | None) -> BulkStream:
        """Open a stream of a bulk enrolment."""

    async def wait(self, wait: Callable[[], T]) -> T:
        """Return what a function returns that waits."""

    async def pause(self, seconds: float) -> None:
        """Let some time go by."""

    async def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""


class BlockingLine:
    """Its caller's thread waits."""

    def __init__(self, settings: ChannelSettings) -> None:
        """Open the channel; it connects when it is first used."""
        self.peers = settings.peers
        self._channel = grpc.secure_channel(
            settings.peers.target, settings.credentials, settings.options
        )
        self.services = Services.on(self._channel)

    async def send(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        seconds: float,
        *,
        wait_for_ready: bool,
    ) -> ResponseT:
        """Call one of `services`, in time."""
        return method(request, timeout=seconds, wait_for_ready=wait_for_ready)

    def stream(self, recipient: Recipient | None) -> BulkStream:
        """Open a stream of a bulk enrolment."""
        return BulkStream(self._channel, self.peers, recipient)

    async def wait(self, wait: Callable[[], T]) -> T:
        """Return what a function returns that waits."""
        return wait()

    async def pause(self, seconds: float) -> None:
        """Let some time go by."""
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop that it would hold up

    async def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""
        self._channel.close()


class LoopLine:
    """Its caller's task waits; bulk loads go over a blocking channel of their own.

    Why, says `biometrics.client.streams`.
    """

    def __init__(self, settings: ChannelSettings) -> None:
        """Open the channels; they connect when they are first used."""
        self.peers = settings.peers
        named = (settings.peers.target, settings.credentials, settings.options)
        self._channel = grpc.aio.secure_channel(*named)
        self._bulk = BlockingLine(settings)
        # Those who find no place on the connection wait here, in their order: the
        # exchange would refuse some of them, in any.
        self._places = asyncio.Semaphore(limits.CALLS_AT_ONCE_OF_A_CLIENT)
        self.services = Services.on(self._channel)

    async def send(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        seconds: float,
        *,
        wait_for_ready: bool,
    ) -> ResponseT:
        """Call one of `services`, in time.

        Raises:
            DeadlineError: other calls of this client took all of it.
        """
        awaited = cast("grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]", method)
        end = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise _crowded(seconds) from error
        try:
            left = end - time.monotonic()
            return await awaited(request, timeout=left, wait_for_ready=wait_for_ready)
        finally:
            self._places.release()

    def stream(self, recipient: Recipient | None) -> BulkStream:
        """Open a stream of a bulk enrolment."""
        return self._bulk.stream(recipient)

    async def wait(self, wait: Callable[[], T]) -> T:
        """Return what a function returns that waits."""
        return await asyncio.to_thread(wait)

    async def pause(self, seconds: float) -> None:
        """Let some time go by."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the channels; calls that are running are cancelled."""
        await self._bulk.close()
        await self._channel.close()


def _crowded(seconds: float) -> DeadlineError:
    """Return the error of a call for which there was no place in time."""
    return DeadlineError(
        "CLIENT_BUSY",
        f"no place came free in {seconds:g} seconds among the"
        f" {limits.CALLS_AT_ONCE_OF_A_CLIENT} calls that this client makes at once;"
        " make fewer at once, or set a longer deadline",
    )
