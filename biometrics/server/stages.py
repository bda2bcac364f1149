"""How long stages of searches take: for figures, and for traces where there are any."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

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
        self._tracing = tracing

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        """Measure a stage, if it comes to its end."""
        span = None if self._tracing is None else self._tracing.span(stage)
        return _Timing(stage, self._took, span)


class _Timing:
    """Measures one stage; a class, as generators take longer and searches are many."""

    __slots__ = ("_begun", "_span", "_stage", "_took")

    def __init__(
        self,
        stage: Stage,
        took: Callable[[Stage, float], None],
        span: AbstractContextManager[object] | None,
    ) -> None:
        """Tell `took` of a stage, within `span` if there is one."""
        self._stage = stage
        self._took = took
        self._span = span

    def __enter__(self) -> None:
        """Begin."""
        self._begun = time.perf_counter()
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell how long it took, unless it failed."""
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
        if error is None:
            self._took(self._stage, time.perf_counter() - self._begun)


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
