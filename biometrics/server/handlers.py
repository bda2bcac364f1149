"""Guards around gRPC handlers, whatever their shape.

grpcio knows four shapes of a method, by whether requests and responses are streams,
and tells by inspection whether a handler of a response stream yields its responses
or writes them to the context. A wrapped handler keeps all of that.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Container,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    # Generic in the stubs alone; what passes here is of every method's type.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

_SHAPES: Final = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
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
        """Return what to enter before a call and to leave after it."""


class Gate(grpc.aio.ServerInterceptor):
    """Leads every call through the same guards, whatever its method."""

    def __init__(
        self,
        guards: Sequence[Guard],
        *,
        methods: Container[str],
        unknown: Callable[[Context], Awaitable[None]],
    ) -> None:
        """Lead through `guards`, outermost first.

        Args:
            guards: what every call passes through.
            methods: full names of the methods that may be served.
            unknown: ends a call of any other method, after its guards.
        """
        self._guards = tuple(guards)
        self._methods = methods
        self._unknown = unknown
        # Wrapping costs more than a call's way through; so it is done once. Only
        # what is served is kept: names of other methods come from the caller.
        self._ready: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler behind all guards; never None, so nothing goes around."""
        method = handler_call_details.method
        if method in self._ready:
            return self._ready[method]
        served = method in self._methods and await continuation(handler_call_details)
        if not served:
            return self._behind_guards(method, _ending_by(self._unknown))
        self._ready[method] = self._behind_guards(method, reading_inside(served))
        return self._ready[method]

    def _behind_guards(self, method: str, handler: Handler) -> Handler:
        """Return the handler with every guard around it."""
        for guard in reversed(self._guards):
            handler = guarded(handler, method, guard)
        return handler


def guarded(handler: Handler, method: str, guard: Guard) -> Handler:
    """Return the handler of `method` with `guard` around every call of it."""
    inner = _behaviour(handler)

    async def single(request: object, context: Context) -> object:
        async with guard.around(Call(method, context)):
            return await inner(request, context)

    async def many(request: object, context: Context) -> AsyncIterator[object]:
        async with (
            guard.around(Call(method, context)),
            aclosing(inner(request, context)) as responses,
        ):
            async for response in responses:
                yield response

    behaviour = many if inspect.isasyncgenfunction(inner) else single
    return _with_behaviour(
        handler, behaviour, handler.request_deserializer, handler.response_serializer
    )


def reading_inside(handler: Handler) -> Handler:
    """Return the handler, given requests as bytes, that reads and writes messages.

    Otherwise grpcio reads a request before any guard has looked at its caller, and
    tells with the text of the exception what it could not read or write.
    """
    inner = _behaviour(handler)
    read = handler.request_deserializer or bytes
    write = handler.response_serializer or bytes

    def request_of(incoming: Any) -> object:  # noqa: ANN401 - bytes or a stream
        if handler.request_streaming:
            return _read_each(read, incoming)
        return _read(read, incoming)

    async def single(incoming: object, context: Context) -> object:
        response = await inner(request_of(incoming), context)
        return None if handler.response_streaming else write(response)

    async def many(incoming: object, context: Context) -> AsyncIterator[bytes]:
        async with aclosing(inner(request_of(incoming), context)) as responses:
            async for response in responses:
                yield write(response)

    if inspect.isasyncgenfunction(inner):
        return _with_behaviour(handler, many, None, None)
    # A handler that writes to its context needs the context's serialiser.
    writes = handler.response_serializer if handler.response_streaming else None
    return _with_behaviour(handler, single, None, writes)


def _ending_by(end: Callable[[Context], Awaitable[None]]) -> Handler:
    """Return a handler, good for methods of every shape, that reads nothing."""

    async def behaviour(_requests: object, context: Context) -> None:
        await end(context)

    return grpc.stream_stream_rpc_method_handler(behaviour)


async def _read_each(
    read: Callable[[bytes], object], incoming: AsyncIterator[bytes]
) -> AsyncIterator[object]:
    """Yield the messages of a stream of bytes."""
    async for data in incoming:
        yield _read(read, data)


def _read(read: Callable[[bytes], object], data: bytes) -> object:
    """Return one message, or raise InvalidRequestError."""
    try:
        return read(data)
    except DecodeError as error:
        raise InvalidRequestError(
            "MALFORMED_MESSAGE",
            "the request is no message of this method; check that client and"
            " exchange use the same contract",
        ) from error


def _behaviour(handler: Handler) -> Callable[..., Any]:
    """Return the function that answers."""
    name, _ = _SHAPES[handler.request_streaming, handler.response_streaming]
    behaviour: Callable[..., Any] = getattr(handler, name)
    return behaviour


def _with_behaviour(
    handler: Handler,
    behaviour: Callable[..., Any],
    read: Callable[[bytes], Any] | None,
    write: Callable[[Any], bytes] | None,
) -> Handler:
    """Return a handler of the same shape."""
    _, make = _SHAPES[handler.request_streaming, handler.response_streaming]
    return make(behaviour, request_deserializer=read, response_serializer=write)
