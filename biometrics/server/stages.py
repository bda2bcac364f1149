"""How long stages of searches take: for figures, and for traces where there are any."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from biometrics.server.config import Traces
    from biometrics.server.traces import Tracing
    from biometrics.stages import Stage


class Stages:
    """Measures stages; see `biometrics.stages.Timed`."""

    def __init__(
        self, took: Callable[[Stage, float], None], tracing: Tracing | None
    ) -> None:
        """Tell each time to `took`, and lay a span around each where there are any."""
        self._took = took
        self._span: Callable[[str], AbstractContextManager[object]] = (
            nullcontext if tracing is None else tracing.span
        )

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Measure a stage, if it comes to its end."""
        begun = time.perf_counter()
        with self._span(stage):
            yield
        self._took(stage, time.perf_counter() - begun)


def begin_tracing(settings: Traces | None) -> Tracing | None:
    """Return what traces searches, if they are to be traced.

    Raises:
        ConfigurationError: the extra `traces` is not installed.
    """
    if settings is None:
        return None
    try:
        from biometrics.server.traces import Tracing  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "[traces] needs packages of the extra `traces`: install"
            " `regional-biometrics-exchange[traces]`, or take [traces] out",
        ) from error
    return Tracing.to(settings.collector, settings.share)


async def end_tracing(tracing: Tracing | None) -> None:
    """Send what is left, if there is anything that traces."""
    if tracing is not None:
        await asyncio.to_thread(tracing.stop)
