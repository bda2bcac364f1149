"""Traces of searches by OpenTelemetry; of the extra `traces`.

A trace is of one search, and goes to whoever reads traces. So a span leaves here with a
name of ours and with times in steps of four, and with nothing else: no member, no
address, no status, no text of an error, nothing that a search found. Whether a search
is traced is thrown here, too: what a caller sends of a trace of its own is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators import textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from biometrics import limits
from biometrics.server.methods import METHODS
from biometrics.server.metrics import STAGE_STEPS, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import grpc

_SECOND: Final = 1_000_000_000  # nanoseconds
# When a stage begins tells when the one before it ended.
_GRAIN: Final = int(STAGE_STEPS[0] * _SECOND)


class Tracing:
    """Begins a trace with a search, and a span with each of its stages."""

    def __init__(self, exporter: SpanExporter, share: float) -> None:
        """Trace a share of all searches, and send them by `exporter`.

        That is done in the background; what cannot be sent is dropped, and told in the
        log.
        """
        set_global_textmap(Deaf())
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(share),
            resource=Resource({"service.name": "biometrics"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(Reticent(exporter)))
        self._tracer = self._provider.get_tracer("biometrics")

    @classmethod
    def to(cls, collector: str, share: float) -> Self:
        """Send them to a collector, `host:port`, by OTLP over plain gRPC."""
        exporter = OTLPSpanExporter(
            f"http://{collector}", insecure=True, timeout=limits.TRACES_SENT_SECONDS
        )
        return cls(exporter, share)

    def interceptor(self) -> grpc.aio.ServerInterceptor:
        """Return what begins traces; behind the gate, for callers who passed it."""
        begins: grpc.aio.ServerInterceptor = aio_server_interceptor(  # type: ignore[no-untyped-call]
            self._provider, filter_=lambda call: METHODS[call.method].takes_turns
        )
        return begins

    def span(self, name: str) -> AbstractContextManager[object]:
        """Return a span in the trace of the moment, if there is one."""
        return self._tracer.start_as_current_span(name, record_exception=False)

    def stop(self) -> None:
        """Send what is left, and end."""
        self._provider.shutdown()


class Deaf(textmap.TextMapPropagator):
    """Takes up nothing that a caller says of its own trace, and passes nothing on."""

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        """Return the context as it was; see `TextMapPropagator`."""
        del carrier, getter
        return Context() if context is None else context

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        """Write nothing; see `TextMapPropagator`."""

    @property
    def fields(self) -> set[str]:
        """Nothing is written; see `TextMapPropagator`."""
        return set()


class Reticent(SpanExporter):
    """Sends spans without whatever instrumentation has noted in them."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Send by `exporter`."""
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send names and coarse times; see `SpanExporter`."""
        return self._exporter.export([_bare(span) for span in spans])

    def shutdown(self) -> None:
        """End; see `SpanExporter`."""
        self._exporter.shutdown()


def _bare(span: ReadableSpan) -> ReadableSpan:
    """Return a span with its name, its place in the trace, and coarse times."""
    begun, ended = span.start_time or 0, span.end_time or 0
    took = step((ended - begun) / _SECOND, STAGE_STEPS)
    coarse = begun - begun % _GRAIN
    return ReadableSpan(
        span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        kind=span.kind,
        start_time=coarse,
        end_time=coarse + int(took * _SECOND),
    )
