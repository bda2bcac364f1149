"""The exchange without its doors, run step by step.

Everything that `Exchange.start` makes is real but the gRPC servers, and nothing goes on
by itself: what the exchange does time and again in the background is done when the
simulation says so. The members' clients call its handlers in the process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import biometrics.server.exchange as composed
from biometrics import limits
from biometrics.callers import CALLER, Caller, Role
from biometrics.client import ExchangeClient
from biometrics.client.asker import Asker
from biometrics.client.calls import AllCalls
from biometrics.client.line import BlockingLine
from biometrics.client.messages import RequestMaker
from biometrics.client.responses.enrolling import read_chunk_outcomes
from biometrics.client.sealer import Sealer
from biometrics.members import Member
from biometrics.server import edge
from biometrics.server.config import read_config
from biometrics.server.doors import Door
from biometrics.server.exchange import Exchange
from biometrics.store import upgrade
from biometrics.v1 import enrolment_pb2
from matcher.engine import engine
from matcher.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from pathlib import Path

    from biometrics.client import Chunk
    from biometrics.clock import Clock
    from biometrics.server.custodian import Custodian
    from biometrics.server.membership import SettingsInForce
    from biometrics.store import Store

# In so many steps that the power goes between any two of them.
STEPS = {
    "REWRAPPED_AT_ONCE": 4,
    "DELETED_AT_ONCE": 4,
    "LOADING_PAUSE_SECONDS": 0.0,
    "CHANGES_GATHER_SECONDS": 0.0,
}
TAIL_ROWS = 8
SCRIPTS = upgrade.ScriptDirectory.from_config(upgrade._configuration())
DONE_SECONDS = 30
GATHER_SECONDS = 0.25


class Handlers:
    """What stands in the place of a gRPC server: the handlers, by method."""

    def __init__(self) -> None:
        """Have none yet."""
        self.of: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """Take them by `add_registered_method_handlers`."""

    def add_registered_method_handlers(
        self, service: str, handlers: dict[str, Any]
    ) -> None:
        """Take those of a service."""
        self.of |= {f"/{service}/{name}": each for name, each in handlers.items()}

    async def start(self) -> None:
        """Listen nowhere."""

    async def stop(self, _grace: float) -> None:
        """Have nobody to wait for."""


class Parts:
    """What the simulation holds of an exchange that is starting."""

    handlers: Handlers
    store: Store
    custodian: Custodian
    settings: SettingsInForce
    keeper: Keeper


@contextmanager
def no_doors() -> Iterator[list[Parts]]:
    """Have every exchange that starts meanwhile leave its parts in a list."""
    started: list[Parts] = []

    def doors(
        _config: object, _trusted: object, _chain: object, adders: Iterable[Any]
    ) -> tuple[Door, ...]:
        parts = Parts()
        parts.handlers = Handlers()
        for add in adders:
            add(parts.handlers)
        started.append(parts)
        return (Door(parts.handlers, 0),)  # type: ignore[arg-type] - in its place

    def parking(name: str) -> Callable[..., Coroutine[Any, Any, None]]:
        async def park(first: object, *_: object) -> None:
            if name and not hasattr(started[-1], name):
                setattr(started[-1], name, first)
            await asyncio.Event().wait()

        return park

    def keep(keeper: Keeper) -> None:
        started[-1].keeper = keeper

    # Read once: they are the same for every start.
    scripts = SimpleNamespace(from_config=lambda _: SCRIPTS)
    with ExitStack() as stack:
        stack.enter_context(patch.object(upgrade, "ScriptDirectory", scripts))
        stack.enter_context(patch.object(edge, "make_doors", doors))
        for function, name in (
            ("keep_erasing", "store"),
            ("keep_disposing", ""),
            ("keep_ending_epochs", "custodian"),
            ("keep_looking", "settings"),
        ):
            stack.enter_context(patch.object(composed, function, parking(name)))
        stack.enter_context(patch.object(Keeper, "start", keep))
        stack.enter_context(patch.object(engine, "TAIL_ROWS", TAIL_ROWS))
        for name, value in STEPS.items():
            stack.enter_context(patch.object(limits, name, value))
        yield started


class Node:
    """An exchange that runs only while it is waited for; a context manager.

    Attributes:
        warnings: what it told that somebody should look at.
    """

    def __init__(
        self,
        root: Path,
        started: list[Parts],
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Start the exchange at a root; `started` is of `no_doors`."""
        self.warnings: list[str] = []
        self._handler = _Gathering(self.warnings)
        logging.getLogger().addHandler(self._handler)
        self.loop = asyncio.new_event_loop()
        self._random_bytes = random_bytes
        try:
            config = read_config(root / "exchange.toml")
            starting = Exchange.start(config, clock=clock, random_bytes=random_bytes)
            self._exchange = self.loop.run_until_complete(starting)
            self.loop.run_until_complete(asyncio.sleep(0))  # the parts are told
            self.parts = started[-1]
            self.tend()
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it in order."""
        try:
            journal = self.parts.store.journal
            self._exchange._follower._stopping.set()
            journal._head.advance(journal.end() + 1)  # so that nobody waits for a poll
            self.loop.run_until_complete(self._exchange.stop())
        finally:
            self._end()

    def _end(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        logging.getLogger().removeHandler(self._handler)

    def run(
        self, *work: Callable[[], Awaitable[Any]], are_one: bool = False
    ) -> list[Any]:
        """Do some things at once, and what comes of them; return what they did.

        Where they `are_one`, all that they write is one transaction.
        """
        if are_one:
            self._gather(len(work))

        async def all_of_it() -> list[Any]:
            async with asyncio.timeout(DONE_SECONDS):
                return await asyncio.gather(
                    *(each() for each in work), return_exceptions=True
                )

        done = self.loop.run_until_complete(all_of_it())
        self.tend()
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return done

    def _gather(self, count: int) -> None:
        """Hold the writer until so many writes wait, or as many as will."""
        writer = self.parts.store._writer
        end = time.monotonic() + GATHER_SECONDS

        def hold(_: object) -> None:
            while len(writer._light) < count and time.monotonic() < end:
                time.sleep(0.0005)

        writer.submit(hold)

    def tend(self) -> None:
        """Finish rotations and destructions that are begun."""
        tasks = self.parts.custodian._tending._tasks

        async def done() -> None:
            async with asyncio.timeout(DONE_SECONDS):
                while tasks:
                    await asyncio.wait(tasks.values())

        self.loop.run_until_complete(done())

    def keep(self, *, is_erasing: bool = False) -> None:
        """Do what the keeper does every second, or every hour."""
        keeper = self.parts.keeper
        if is_erasing:
            keeper._erase_at = keeper._retry_at = 0.0
        else:
            keeper._erase_at = float("inf")
        keeper._look()
        if not is_erasing:
            keeper._save()

    def client(self, member: str, role: str = "client") -> Client:
        """Return one of a member's systems."""
        return Client(self, member, role, self._random_bytes)


class Client(ExchangeClient):
    """The SDK's client, whose channel ends at the handlers of this process."""

    def __init__(
        self,
        node: Node,
        member: str,
        role: str,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Call as one of a member's systems."""
        self._node = node
        self._caller = Caller(member=Member(member), role=Role(role), name=role)
        with patch("grpc.secure_channel", lambda *_: self):
            line = BlockingLine(_NOWHERE)
        self._requests = RequestMaker(random_bytes)
        self._asker = Asker(_OneLine(line), Sealer(""), 10.0)
        self._calls = AllCalls(self._asker, self._requests)

    def close(self) -> None:
        """Have nothing to close."""

    def unary_unary(self, method: str, **_: object) -> Callable[..., Any]:
        """Return what calls a method, as a channel does."""

        def call(request: Any, **_: object) -> Any:
            return self._node.run(lambda: self.ask(method, request))[0]

        return call

    stream_stream = unary_unary

    async def ask(self, method: str, request: Any) -> Any:
        """Return what a method answers."""
        CALLER.set(self._caller)  # of this task
        return await self._node.parts.handlers.of[method].unary_unary(request, None)

    async def load(self, chunk: Chunk) -> list[str]:
        """Enrol a chunk; return the status of each record."""
        CALLER.set(self._caller)
        handler = self._node.parts.handlers.of[
            "/biometrics.v1.EnrolmentService/BulkEnrol"
        ]

        async def sent() -> Any:
            written = self._requests.chunk(chunk).body
            yield enrolment_pb2.BulkEnrolRequest.FromString(written)

        responses: list[enrolment_pb2.BulkEnrolResponse] = [
            each async for each in handler.stream_stream(sent(), None)
        ]
        return [o.status for each in responses for o in read_chunk_outcomes(each)]


class _OneLine:
    """Stands for `Lines` that follow no file."""

    def __init__(self, line: BlockingLine) -> None:
        """Have one line."""
        self.current = lambda: line
        self.take_idle = list


class _Nowhere:
    """Settings of a channel to nowhere."""

    class peers:  # noqa: N801 - as it is read
        """Whom it is to."""

        target = "nowhere"

    credentials = None
    options = ()


_NOWHERE: Any = _Nowhere()


class _Gathering(logging.Handler):
    """Gathers warnings."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage())
