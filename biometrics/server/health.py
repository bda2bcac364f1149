"""The standard health service: nothing is SERVING until it was told to be.

A name is a service's full name, or empty for the whole exchange.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from grpc_health.v1 import (  # type: ignore[import-untyped]  # no stubs
    health,
    health_pb2,
)

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

WHOLE: Final = ""
_STATUS: Final = health_pb2.HealthCheckResponse.ServingStatus


class Servicer(health.aio.HealthServicer):  # type: ignore[misc]  # no stubs
    """The health service of grpcio, whose watches end when the exchange drains.

    Its own never do, so that one idle watcher would hold up every stop.
    """

    def __init__(self) -> None:
        """Begin with no service."""
        super().__init__()
        self._drained = asyncio.Event()

    async def Watch(  # noqa: N802 - named by gRPC
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Tell a service's status whenever it changes, until the exchange drains."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        drained = asyncio.ensure_future(self._drained.wait())
        try:
            await asyncio.wait((watch, drained), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch
        finally:
            watch.cancel()
            drained.cancel()
            await asyncio.gather(watch, drained, return_exceptions=True)

    async def end_watches(self) -> None:
        """End every watch, a moment later: what was set before is told first."""
        await asyncio.sleep(limits.WATCH_END_SECONDS)
        self._drained.set()


class Health:
    """Tells load balancers and watchers what can be called."""

    def __init__(self, services: Iterable[str]) -> None:
        """Know `services` by their full names; use `not_serving`."""
        self.servicer = Servicer()
        self._names = (WHOLE, *services)
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def not_serving(cls, services: Iterable[str]) -> Health:
        """Return the health of services of which none is ready.

        Args:
            services: full names, as `biometrics.v1.MatchService`.
        """
        made = cls(services)
        await made.set_all(serving=False)
        return made

    async def set_serving(self, service: str, *, serving: bool) -> None:
        """Tell whether `service` can be called; watchers hear of it at once."""
        status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
        await self.servicer.set(service, status)

    async def set_all(self, *, serving: bool) -> None:
        """Tell the same of every service."""
        for name in self._names:
            await self.set_serving(name, serving=serving)

    def lose(self) -> None:
        """Tell, from any thread, that nothing can be called until a new start."""
        asyncio.run_coroutine_threadsafe(
            self.servicer.enter_graceful_shutdown(), self._loop
        )

    async def drain(self) -> None:
        """Tell that nothing can be called, for good, and end every watch."""
        await self.servicer.enter_graceful_shutdown()
        await self.servicer.end_watches()
