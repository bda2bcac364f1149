"""The standard health service: nothing is SERVING until it was told to be.

A name is a service's full name, or empty for the whole exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grpc_health.v1 import (  # type: ignore[import-untyped]  # no stubs
    health,
    health_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

WHOLE: Final = ""
_STATUS: Final = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """Tells load balancers and watchers what can be called."""

    def __init__(self, servicer: health.aio.HealthServicer) -> None:
        """Tell through `servicer`; use `not_serving`."""
        self.servicer = servicer

    @classmethod
    async def not_serving(cls, services: Iterable[str]) -> Health:
        """Return the health of services of which none is ready.

        Args:
            services: full names, as `biometrics.v1.MatchService`.
        """
        made = cls(health.aio.HealthServicer())
        for service in (WHOLE, *services):
            await made.set_serving(service, serving=False)
        return made

    async def set_serving(self, service: str, *, serving: bool) -> None:
        """Tell whether `service` can be called; watchers hear of it at once."""
        status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
        await self.servicer.set(service, status)

    async def drain(self) -> None:
        """Tell that nothing can be called, for good."""
        await self.servicer.enter_graceful_shutdown()
