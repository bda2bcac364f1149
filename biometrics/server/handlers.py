"""Every method behind the same guards, as one shape: bytes in, bytes out.

grpcio reads the one message of a unary method before its handler is called, and so
before any guard, for as long as the message takes; and it sends the one response
behind it. The handler of two streams is called at once, reads by itself and writes by
itself. So every method is served as two streams, which its callers do not notice.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from abc import ABC, abstractmethod
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from biometrics import limits
from biometrics.callers import CALLER
from biometrics.errors import DeadlineError, DefectError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    from google.protobuf.message import Message

    from biometrics.members import Member
    from biometrics.server.methods import Method

    # Generic in the stubs alone; what passes here is of every method's type.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
    # Member, full name of the message, and what was sealed.
    Unseal = Callable[[Member, str, bytes], bytes]
    Behaviour = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]
    Step = Callable[["Call", AsyncIterator[bytes]], Awaitable[None]]

# The attribute of a handler that answers, by whether requests and responses stream.
_ANSWERS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its method's full name, and gRPC's context of it."""

    method: str
    context: Context


class Guard(ABC):
    """One part of what every call passes through."""

    @abstractmethod
    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Return what to enter before a call is read, and to leave once it is sent."""


class Check(ABC):
    """One part of what every call passes through that has nothing to do at its end."""

    @abstractmethod
    async def check(self, call: Call) -> None:
        """Raise if a call is not to be read."""


class Gate(grpc.aio.ServerInterceptor):
    """Leads every call through the same guards and checks, whatever its method."""

    def __init__(
        self,
        guards: Sequence[Guard | Check],
        *,
        methods: Mapping[str, Method],
        unseal: Unseal,
        unknown: Callable[[Context], Awaitable[None]],
    ) -> None:
        """Lead through `guards`, outermost first.

        Args:
            guards: what every call passes through.
            methods: what may be served, by full name.
            unseal: opens what a client has sealed.
            unknown: ends a call of any other method, after its guards.
        """
        self._guards = tuple(guards)
        self._methods = methods
        self._unseal = unseal
        self._unknown = unknown
        # Only what is served is kept: names of other methods come from the caller.
        self._ready: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler behind all guards; never None, so nothing goes around."""
        name = handler_call_details.method
        if name in self._ready:
            return self._ready[name]
        row = self._methods.get(name)
        served = row and await continuation(handler_call_details)
        if not (row and served):
            return self._behind_guards(name, self._end)
        answer = answering(served, row, self._unseal)
        self._ready[name] = self._behind_guards(name, answer)
        return self._ready[name]

    def _behind_guards(self, name: str, answer: Behaviour) -> Handler:
        """Return a handler that enters every guard before it answers."""
        through = _answering(answer)
        for guard in reversed(self._guards):
            if isinstance(guard, Check):
                through = _behind(guard, through)
            else:
                through = _within(guard, through)

        async def behaviour(incoming: AsyncIterator[bytes], context: Context) -> None:
            try:
                await through(Call(name, context), incoming)
            except BaseException as error:
                _let_go(error)
                raise

        return grpc.stream_stream_rpc_method_handler(behaviour)

    async def _end(self, _incoming: AsyncIterator[bytes], context: Context) -> None:
        """End a call, unread."""
        await self._unknown(context)


def _answering(answer: Behaviour) -> Step:
    """Return what reads and answers a call: the last step."""

    async def step(call: Call, incoming: AsyncIterator[bytes]) -> None:
        await answer(incoming, call.context)

    return step


def _behind(check: Check, following: Step) -> Step:
    """Return a step that goes on to the following one unless a check raises."""

    async def step(call: Call, incoming: AsyncIterator[bytes]) -> None:
        await check.check(call)
        await following(call, incoming)

    return step


def _within(guard: Guard, following: Step) -> Step:
    """Return a step in which the following one is done between a guard's two ends."""

    async def step(call: Call, incoming: AsyncIterator[bytes]) -> None:
        async with guard.around(call):
            await following(call, incoming)

    return step


@contextmanager
def until_gone() -> Iterator[None]:
    """Take it for a cancellation if what is sent finds no caller any more.

    grpcio tells a lost connection and a call that ended meanwhile as errors of its own,
    which are no defects.
    """
    try:
        yield
    except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
        raise asyncio.CancelledError from error


def _let_go(error: BaseException) -> None:
    """Clear the frames that an error went through, which are logged by now.

    They hold the request, and some of them the error itself: the whole would stay, a
    hundred megabytes at worst, until the collector of cycles comes by.
    """
    step: BaseException | None = error
    while step is not None:
        traceback.clear_frames(step.__traceback__)
        step = step.__context__
    error.__context__ = None  # gRPC keeps the abort itself


def answering(handler: Handler, row: Method, unseal: Unseal) -> Behaviour:
    """Return what reads, answers and writes as `handler` would.

    grpcio itself would tell with the text of the exception what it could not read or
    write.

    Args:
        handler: of any shape; one that streams its responses yields them.
        row: what the table says of the method.
        unseal: opens a request that its client has sealed.

    Raises:
        DefectError: the handler writes its responses to the context.
    """
    streams = handler.request_streaming, handler.response_streaming
    answer: Callable[..., Any] = getattr(handler, _ANSWERS[streams])
    if inspect.isasyncgenfunction(answer) is not handler.response_streaming:
        raise DefectError("HANDLER_SHAPE", "a handler does not yield its responses")
    read = _Reader(
        handler.request_deserializer or bytes,
        unseal,
        row.most_bytes,
        None if row.needs_deadline else limits.FIRST_MESSAGE_SECONDS,
    )
    write = handler.response_serializer or bytes

    async def behaviour(incoming: AsyncIterator[bytes], context: Context) -> None:
        request = (
            read.each(incoming)
            if handler.request_streaming
            else await read.one(incoming)
        )
        if not handler.response_streaming:
            response = write(await answer(request, context))
            with until_gone():
                await context.write(response)
            return
        async with aclosing(answer(request, context)) as responses:
            async for response in responses:
                with until_gone():
                    await context.write(write(response))

    return behaviour


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the messages of a request."""

    parse: Callable[[bytes], Any]
    unseal: Unseal
    most_bytes: int
    most_seconds: float | None  # of a call that has no deadline of its own

    async def one(self, incoming: AsyncIterator[bytes]) -> object:
        """Return the only message.

        Raises:
            DeadlineError: it did not come in time.
            InvalidRequestError: it is none of the method's.
        """
        try:
            async with asyncio.timeout(self.most_seconds):
                async for data in incoming:
                    return self._read(data)
        except TimeoutError as error:
            raise DeadlineError(
                "MESSAGE_TOO_LATE",
                f"no request came within {self.most_seconds} seconds of the call; send"
                " it at once",
            ) from error
        raise _malformed()

    async def each(self, incoming: AsyncIterator[bytes]) -> AsyncIterator[object]:
        """Yield the messages of a stream."""
        async for data in incoming:
            yield self._read(data)

    def _read(self, data: bytes) -> object:
        """Return a message, which takes many times its bytes once it is read."""
        if len(data) > self.most_bytes:
            raise InvalidRequestError(
                "MESSAGE_TOO_LARGE",
                f"the request has {len(data)} bytes where this method takes"
                f" {self.most_bytes}; send less at once",
            )
        try:
            message = self.parse(data)
            if sealed := getattr(message, "sealed", b""):
                return self._opened(message, sealed)
        except DecodeError as error:
            raise _malformed() from error
        return message

    def _opened(self, message: Message, sealed: bytes) -> object:
        """Return the request that is sealed in one of its own kind."""
        message.ClearField("sealed")
        if message.ByteSize():
            raise InvalidRequestError(
                "SEALED_AND_OPEN",
                "something stands beside what is sealed; put the whole request into it",
            )
        name = message.DESCRIPTOR.full_name
        inner = self.parse(self.unseal(CALLER.get().member, name, sealed))
        if inner.sealed:
            raise _malformed()
        return inner


def _malformed() -> InvalidRequestError:
    """Return the error of what is no message of the method."""
    return InvalidRequestError(
        "MALFORMED_MESSAGE",
        "the request is no message of this method; check that client and exchange use"
        " the same contract",
    )
