"""A server of every shape of method behind the whole chain, on loopback."""

from __future__ import annotations

import asyncio
import secrets
import threading
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
import pytest
from certificates import DOMAIN, Authority
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

from biometrics.callers import CALLER, Role
from biometrics.clock import SystemClock
from biometrics.errors import (
    ConfigurationError,
    Fault,
    InvalidRequestError,
    SealError,
)
from biometrics.members import Member
from biometrics.server.admission import InTurn
from biometrics.server.health import Health
from biometrics.server.interceptors import Identity, TakingPart, chain
from biometrics.server.methods import METHODS, Method
from biometrics.server.metrics import Metrics
from biometrics.server.roll import Roll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from biometrics.clock import Clock
    from biometrics.server.authorities import Authorities
    from biometrics.server.pki import Credential

T = TypeVar("T")
SECRET = "a-secret-that-must-not-leave"
MOST_HELD = 6
CLIENT = Method(roles=frozenset({Role.CLIENT}))
ROWS = {
    "/test.Echo/Say": CLIENT,
    "/test.Echo/Chat": CLIENT,
    "/test.Echo/Gather": CLIENT,
    "/test.Echo/Hold": Method(roles=CLIENT.roles, most_at_once=MOST_HELD),
    "/test.Echo/Wrong": CLIENT,
    "/test.Echo/Ghost": CLIENT,  # a row that nothing serves
    "/test.Echo/Enrol": Method(roles=frozenset({Role.ENROLLER})),
    **{name: row for name, row in METHODS.items() if "Health" in name},
}
FAULTS = [
    Fault(field="a", reason="ONE", message="x"),
    Fault(field="b", reason="TWO", message="y"),
]
ERRORS: dict[str, Callable[[], Exception]] = {
    "fault": lambda: InvalidRequestError.of(FAULTS),
    "configuration": lambda: ConfigurationError("BAD", SECRET),
    "seal": lambda: SealError("DAMAGED", SECRET),
    "bug": lambda: ValueError(SECRET),
}


class Echo:
    """A servicer of every shape; `gate` holds back the method Hold."""

    def __init__(self) -> None:
        """Let everything through but Hold."""
        self.gate = asyncio.Event()
        self.held = 0
        self.seen: list[str] = []

    async def say(self, request: StringValue, _context: object):
        """Answer with the caller."""
        if request.value in ERRORS:
            error = ERRORS[request.value]()
            raise error
        self.seen.append(request.value)
        caller = CALLER.get()
        return StringValue(value=f"{caller.member} {caller.role} {caller.name}")

    async def chat(self, requests: AsyncIterator[StringValue], _context: object):
        """Answer each request as it comes."""
        async for request in requests:
            if request.value in ERRORS:
                error = ERRORS[request.value]()
                raise error
            yield StringValue(value=f"{CALLER.get().member}: {request.value}")

    async def gather(self, requests: AsyncIterator[StringValue], _context: object):
        """Answer all requests at once."""
        return StringValue(value=" ".join([each.value async for each in requests]))

    async def hold(self, request: StringValue, _context: object):
        """Answer when the gate opens."""
        self.held += 1
        try:
            await self.gate.wait()
        finally:
            self.held -= 1
        return request

    async def wrong(self, _request: StringValue, _context: object):
        """Answer with what is no message."""
        return SECRET

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server serves."""
        codec = (StringValue.FromString, StringValue.SerializeToString)
        methods = {
            "Say": grpc.unary_unary_rpc_method_handler(self.say, *codec),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, *codec),
            "Gather": grpc.stream_unary_rpc_method_handler(self.gather, *codec),
            "Hold": grpc.unary_unary_rpc_method_handler(self.hold, *codec),
            "Wrong": grpc.unary_unary_rpc_method_handler(self.wrong, *codec),
            "Enrol": grpc.unary_unary_rpc_method_handler(self.say, *codec),
            "Rowless": grpc.unary_unary_rpc_method_handler(self.say, *codec),
        }
        return grpc.method_handlers_generic_handler("test.Echo", methods)


class World:
    """A server on loopback in a thread of its own, and clients of it."""

    def __init__(
        self,
        authority: Authority,
        domain: str = DOMAIN,
        clock: Clock | None = None,
        trusts: Authorities | None = None,
    ) -> None:
        """Serve."""
        self.clock = clock or SystemClock()
        self.domain = domain
        self.authority = authority
        self.trusts = trusts or authority.trusted()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.channels: list[grpc.Channel] = []
        self.echo: Echo
        self.health: Health
        self.port = self.run(self._start())

    def tell(self, told: Callable[[], None]) -> None:
        """Call something on the server's loop, and wait for it."""

        async def work() -> None:
            told()

        self.run(work())

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Return what `work` returns, done on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _start(self) -> int:
        self.echo = Echo()
        self.health = Health(["test.Echo"])
        self.server = grpc.aio.server(
            interceptors=chain(
                identity=Identity(
                    self.domain,
                    [Member(code) for code in ("XAA", "XBB", "XDD")],
                    lambda: self.trusts,
                    self.clock,
                ),
                taking_part=TakingPart(Roll()),
                in_turn=InTurn(ROWS, 1.0),
                metrics=Metrics(),
                methods=ROWS,
                roles=Role,
                unseal=lambda _member, _message, sealed: sealed,
                clock=self.clock,
                random_bytes=secrets.token_bytes,
            )
        )
        self.server.add_generic_rpc_handlers((self.echo.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        own = self.authority.signs.issue_server()
        port = self.server.add_secure_port(
            "127.0.0.1:0",
            grpc.ssl_server_credentials(
                [(own.key, own.certificate)],
                self.trusts.pem,
                require_client_auth=True,
            ),
        )
        await self.server.start()
        return port

    def channel(self, credential: Credential | None = None) -> grpc.Channel:
        """Return a channel of a client with these credentials."""
        authority = self.authority.signs.credential.certificate
        own = (credential.key, credential.certificate) if credential else (None, None)
        made = grpc.secure_channel(
            f"localhost:{self.port}",
            grpc.ssl_channel_credentials(authority, *own),
            [("grpc.use_local_subchannel_pool", 1)],
        )
        self.channels.append(made)
        return made

    def close(self) -> None:
        """Stop serving."""
        for channel in self.channels:
            channel.close()
        self.run(self.server.stop(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def unary(channel: grpc.Channel, method: str = "/test.Echo/Say"):
    """Return the callable of a method with one request and one response."""
    return channel.unary_unary(
        method, StringValue.SerializeToString, StringValue.FromString
    )


def refusal(call: Callable[[], object]) -> tuple[grpc.RpcError, str]:
    """Return the error that `call` ends with, and its reason."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    status = rpc_status.from_call(caught.value)
    infos = []
    for detail in status.details if status else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            assert info.domain == "biometrics.exchange"
            infos.append(info.reason)
    assert len(infos) <= 1
    return caught.value, infos[0] if infos else ""


def say(channel: grpc.Channel, text: str = "hello", timeout: float | None = 10) -> str:
    """Return what the server answers."""
    return unary(channel)(StringValue(value=text), timeout=timeout).value


class Held:
    """Calls that run until the block is left."""

    def __init__(self, world: World, channel: grpc.Channel, count: int) -> None:
        """Begin `count` calls."""
        self.world = world
        hold = unary(channel, "/test.Echo/Hold")
        self.calls = [
            hold.future(StringValue(value="x"), timeout=20) for _ in range(count)
        ]
        world.run(until(lambda: world.echo.held == count))

    def __enter__(self) -> Self:
        """Hold them."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let them end."""
        self.world.loop.call_soon_threadsafe(self.world.echo.gate.set)
        self.world.run(until(lambda: all(call.done() for call in self.calls)))
        self.world.loop.call_soon_threadsafe(self.world.echo.gate.clear)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)
