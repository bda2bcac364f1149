"""Traces tell where the time of a search goes, and nothing else of it."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)
from world import AGREEMENTS, World, face, record, unit

from biometrics.errors import ConfigurationError, RefusedError
from biometrics.server.check import check
from biometrics.server.config import read_config
from biometrics.server.metrics import STAGE_STEPS
from biometrics.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MATCH = "/biometrics.v1.MatchService/Match"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent, as a collector would get it."""

    def __init__(self) -> None:
        """Have nothing."""
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self._lock = threading.Lock()

    def Export(  # noqa: N802 - named by gRPC
        self, request: trace_service_pb2.ExportTraceServiceRequest, _: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep some spans."""
        with self._lock:
            self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Any]:
        """Return all spans."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """Collect; return what is collected, and the settings that send it."""
    made, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(made, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield made, f'\n[traces]\ncollector = "127.0.0.1:{port}"\nshare = 1\n'
    server.stop(None).wait()


def set_traces(world: World, text: str) -> None:
    """Add to the settings."""
    with (world.root / "exchange.toml").open("a") as settings:
        settings.write(text)


def test_a_trace_has_names_and_coarse_times_alone(
    tmp_path: Path, collector: tuple[Collector, str]
):
    """No member, address, reference, status or error; a match looks as no match does.

    What a caller says of a trace of its own is not taken up.
    """
    collected, settings = collector
    world = World(tmp_path, agreements=AGREEMENTS)
    set_traces(world, settings)
    with world:
        world.enroller("XRA").enrol(record("secret-reference", unit(1)))
        client = world.client("XAA")
        for seed in (1, 2):
            client.match(face(unit(seed)), purpose="border-check", holders=["XRA"])
        with pytest.raises(RefusedError):
            client.match(face(unit(1)), purpose="visa", holders=["XRA"])
        with pytest.raises(RefusedError):
            client.lock()
    spans = collected.spans()
    whole = [span for span in spans if not span.parent_span_id]
    assert [span.name for span in whole] == [MATCH] * 3
    by_trace = [
        sorted(s.name for s in spans if s.trace_id == each.trace_id) for each in whole
    ]
    assert by_trace[0] == by_trace[1] == sorted([MATCH, *Stage])
    for span in spans:
        assert {field.name for field, _ in span.ListFields()} <= {
            *("trace_id", "span_id", "parent_span_id", "name", "kind", "flags"),
            *("start_time_unix_nano", "end_time_unix_nano", "status"),
        }
        assert span.status.code == 0
        assert not span.status.message
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        assert took in STAGE_STEPS
        assert span.start_time_unix_nano % 4_000_000 == 0
    sent = b"".join(each.SerializeToString() for each in collected.requests)
    for told in (b"XAA", b"XRA", b"127.0.0.1", b"secret", b"grpc-python", b"Error"):
        assert told not in sent


def test_a_collector_that_is_away_is_not_waited_for(tmp_path: Path):
    """Searches are answered, and the exchange stops when it should."""
    world = World(tmp_path, agreements=AGREEMENTS)
    assert read_config(world.root / "exchange.toml").traces is None  # unless asked for
    set_traces(world, '\n[traces]\ncollector = "127.0.0.1:9"\nshare = 1\n')
    with world:
        world.enroller("XRA").enrol(record("one", unit(1)))
        answer = world.client("XAA").match(
            face(unit(1)), purpose="border-check", holders=["XRA"]
        )
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert answer.holders[0].outcome == "match"


def test_what_is_not_installed_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By `serve --check` too, before a start."""
    world = World(tmp_path, agreements=AGREEMENTS)
    set_traces(world, '\n[traces]\ncollector = "127.0.0.1:9"\n')
    assert check(world.root / "exchange.toml") is not None
    monkeypatch.delitem(sys.modules, "biometrics.server.traces", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match="extra `traces`") as caught:
        check(world.root / "exchange.toml")
    assert caught.value.reason == "EXTRA_MISSING"
    world._loop.close()
