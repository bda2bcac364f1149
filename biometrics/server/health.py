"""The standard health service: nothing is SERVING until it was told to be.

Not the servicer that comes with grpcio: it writes to a watcher while it holds what a
change of status waits for, and its watches never end, so that one watcher which reads
nothing holds up every other one and every stop.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from grpc_health.v1 import (  # type: ignore[import-untyped]  # no stubs
    health_pb2,
    health_pb2_grpc,
)

from biometrics.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

WHOLE: Final = ""
_STATUS: Final = health_pb2.HealthCheckResponse.ServingStatus


class Cause(Enum):
    """Why nothing can be called for a while."""

    STORAGE = auto()  # nothing can be made durable
    CERTIFICATES = auto()  # its own has ended, or whatever it believes others by


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # no stubs
    """Tells load balancers and watchers what can be called; see `health.proto`."""

    def __init__(self, services: Iterable[str]) -> None:
        """Serve nothing yet; on the event loop that answers calls.

        Args:
            services: full names, as `biometrics.v1.MatchService`. The empty name is
                the whole exchange.
        """
        self._statuses = dict.fromkeys((WHOLE, *services), _STATUS.NOT_SERVING)
        self._changed = asyncio.Event()
        self._lost = self._drained = False
        self._paused: set[Cause] = set()
        self._serving: set[str] = set()
        self._loop = asyncio.get_running_loop()

    async def Check(  # noqa: N802 - named by gRPC
        self, request: health_pb2.HealthCheckRequest, _context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Tell the status of a service."""
        if request.service not in self._statuses:
            raise NotFoundError("UNKNOWN_SERVICE", "there is no service of that name")
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def List(  # noqa: N802 - likewise
        self, _request: health_pb2.HealthListRequest, _context: Context
    ) -> health_pb2.HealthListResponse:
        """Tell the status of every service."""
        told = {
            name: health_pb2.HealthCheckResponse(status=status)
            for name, status in self._statuses.items()
        }
        return health_pb2.HealthListResponse(statuses=told)

    async def Watch(  # noqa: N802 - likewise
        self, request: health_pb2.HealthCheckRequest, _context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Tell a service's status whenever it changes, until the exchange drains."""
        told = None
        while True:
            changed, drained = self._changed, self._drained
            status = self._statuses.get(request.service, _STATUS.SERVICE_UNKNOWN)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            if drained:
                return
            await changed.wait()

    def is_serving(self) -> bool:
        """Say whether the whole exchange can be called; any thread."""
        return bool(self._statuses[WHOLE] == _STATUS.SERVING)

    def set_serving(self, service: str, *, serving: bool) -> None:
        """Tell whether `service` can be called; watchers hear of it at once."""
        if serving:
            self._serving.add(service)
        else:
            self._serving.discard(service)
        if not (self._lost or self._paused):
            status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
            self._tell({service: status})

    def set_all(self, *, serving: bool) -> None:
        """Tell the same of every service."""
        for service in list(self._statuses):
            self.set_serving(service, serving=serving)

    def drain(self) -> None:
        """Tell that nothing can be called, for good, and end every watch."""
        self._drained = True
        self._give_up()

    def lose(self) -> None:
        """Tell, from any thread, that nothing can be called until a new start.

        Watches go on: a client whose watch ends begins another at once.
        """
        self._loop.call_soon_threadsafe(self._give_up)

    def pause(self, cause: Cause) -> None:
        """Tell, from any thread, that nothing can be called until that is over."""
        self._loop.call_soon_threadsafe(self._set_paused, {cause}, set())

    def go_on(self, cause: Cause) -> None:
        """Tell, from any thread, that a cause is gone, and maybe the only one."""
        self._loop.call_soon_threadsafe(self._set_paused, set(), {cause})

    def _set_paused(self, more: set[Cause], fewer: set[Cause]) -> None:
        """Tell of everything that it cannot be called now, or what can be."""
        before, self._paused = self._paused, (self._paused | more) - fewer
        if self._lost or bool(before) == bool(self._paused):
            return
        can = set() if self._paused else self._serving
        self._tell(
            {
                service: _STATUS.SERVING if service in can else _STATUS.NOT_SERVING
                for service in self._statuses
            }
        )

    def _give_up(self) -> None:
        """Tell of everything that it cannot be called, for good."""
        self._lost = True
        self._tell(dict.fromkeys(self._statuses, _STATUS.NOT_SERVING))

    def _tell(self, statuses: dict[str, int]) -> None:
        """Change statuses and wake whoever watches."""
        self._statuses |= statuses
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
