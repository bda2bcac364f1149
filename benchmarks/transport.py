"""Which gRPC server carries more: a thread pool, or asyncio with two workers?

All serve the same method over mutual TLS on loopback, each in a process of its own:
a request of one 512-d template, about 1.3 ms of work without the interpreter's lock
(a hash of 2 MiB, standing for a scan) and 0.1 ms with it, an answer of 4 KiB. The load
comes from another process. "Streams" is asyncio with the method served as two streams,
as `biometrics.server.handlers` does and says why: what does that cost?

    python -m benchmarks.transport [--seconds 4] [--rounds 3] [--json [FILE]]
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.kit import command, results, tables
from biometrics.callers import Caller, Role
from biometrics.clock import SystemClock
from biometrics.members import Member
from biometrics.server.pki import DevelopmentAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

CALLERS = (1, 8, 32)
CHANNELS = 8
WORKERS = 2
THREADS = 32
WORK = bytes(1 << 21)
REQUEST = bytes(2100)
RESPONSE = bytes(4096)
METHOD = "/Benchmark/Search"


def work(_request: bytes) -> bytes:
    """Stand for one search."""
    hashlib.sha256(WORK).digest()
    for _ in range(3000):
        pass
    return RESPONSE


class Files:
    """Certificates for one run, as PEM."""

    def __init__(self) -> None:
        """Make an authority, a server and a client."""
        authority = DevelopmentAuthority(
            "exchange.test", clock=SystemClock(), random_bytes=secrets.token_bytes
        )
        caller = Caller(member=Member("XAA"), role=Role.CLIENT, name="benchmark")
        self.authority = authority.credential.certificate
        self.server = authority.issue_server()
        self.client = authority.issue_client(caller)

    def of_server(self) -> grpc.ServerCredentials:
        """Return what the server shows, and asks for."""
        pair = (self.server.key, self.server.certificate)
        return grpc.ssl_server_credentials(
            [pair], self.authority, require_client_auth=True
        )

    def of_client(self) -> grpc.ChannelCredentials:
        """Return what the client shows, and trusts."""
        return grpc.ssl_channel_credentials(
            self.authority, self.client.key, self.client.certificate
        )


def handler(
    method: Callable[..., Any], *, streams: bool = False
) -> grpc.GenericRpcHandler:
    """Return the handler of the one method."""
    _, service, name = METHOD.split("/")
    make = (
        grpc.stream_stream_rpc_method_handler
        if streams
        else grpc.unary_unary_rpc_method_handler
    )
    return grpc.method_handlers_generic_handler(service, {name: make(method)})


def serve_threads(files: Files, port: Any) -> None:
    """Serve from a pool of threads."""

    def search(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.auth_context()
        return work(request)

    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers((handler(search),))
    port.put(server.add_secure_port("127.0.0.1:0", files.of_server()))
    server.start()
    server.wait_for_termination()


def serve_asyncio(files: Files, port: Any, *, streams: bool = False) -> None:
    """Serve from an event loop, with worker threads for the work."""

    async def main() -> None:
        workers = ThreadPoolExecutor(WORKERS)
        loop = asyncio.get_running_loop()

        async def search(request: bytes, context: Any) -> bytes:
            context.auth_context()
            return await loop.run_in_executor(workers, work, request)

        async def stream(requests: Any, context: Any) -> None:
            async for request in requests:
                await context.write(await search(request, context))
                return

        server = grpc.aio.server()
        made = handler(stream, streams=True) if streams else handler(search)
        server.add_generic_rpc_handlers((made,))
        port.put(server.add_secure_port("127.0.0.1:0", files.of_server()))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(main())


def load(files: Files, port: int, callers: int, seconds: float, result: Any) -> None:
    """Call as fast as `callers` callers can; put the latencies in seconds."""

    async def main() -> list[float]:
        channels = [
            grpc.aio.secure_channel(
                f"127.0.0.1:{port}",
                files.of_client(),
                options=[("grpc.use_local_subchannel_pool", 1)],
            )
            for _ in range(min(callers, CHANNELS))
        ]
        calls = [channel.unary_unary(METHOD) for channel in channels]
        await asyncio.gather(*(call(REQUEST, timeout=30) for call in calls))
        latencies: list[float] = []
        end = time.perf_counter() + seconds

        async def caller(number: int) -> None:
            while (begun := time.perf_counter()) < end:
                await calls[number % len(calls)](REQUEST, timeout=30)
                latencies.append(time.perf_counter() - begun)

        await asyncio.gather(*map(caller, range(callers)))
        return latencies

    result.put(asyncio.run(main()))


def serve_streams(files: Files, port: Any) -> None:
    """Serve from an event loop, the method as two streams."""
    serve_asyncio(files, port, streams=True)


SERVERS = {
    "threads": serve_threads,
    "asyncio": serve_asyncio,
    "streams": serve_streams,
}


def measure(kind: str, callers: int, seconds: float) -> dict[str, float]:
    """Return throughput and latencies of one server under one load."""
    context = multiprocessing.get_context("spawn")
    files, port, result = Files(), context.Queue(), context.Queue()
    server = context.Process(target=SERVERS[kind], args=(files, port), daemon=True)
    server.start()
    arguments = (files, port.get(timeout=30), callers, seconds, result)
    caller = context.Process(target=load, args=arguments, daemon=True)
    caller.start()
    latencies = sorted(result.get(timeout=seconds + 60))
    caller.join()
    server.kill()
    server.join()
    return {
        "a_second": len(latencies) / seconds,
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[len(latencies) * 99 // 100],
    }


COLUMNS = (
    tables.Column("server", "server"),
    tables.Column("callers", "callers", ",d"),
    tables.Column("a_second", "calls a second", ",.0f"),
    tables.Column("p50_ms", "p50 ms", ",.1f"),
    tables.Column("p99_ms", "p99 ms", ",.1f"),
    tables.Column("calls", "calls, times\nthose of threads", ".2f"),
    tables.Column("p99", "p99, times", ".2f"),
)
QUICK = {"seconds": 0.5, "rounds": 1}


def main() -> None:
    """Measure them in turn, and print medians."""
    parser = command.Parser("transport", __doc__, quick=QUICK)
    parser.add_argument("--seconds", default=4.0, help="of each load")
    parser.add_argument("--rounds", default=3)
    options = parser.parse_args()
    found = results.Results(
        "which gRPC server carries more?",
        key=("server", "callers"),
        settings={"threads": THREADS, "workers": WORKERS, "channels": CHANNELS},
        options=options,
    )
    runs: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for callers in CALLERS:
            for kind in SERVERS:
                run = measure(kind, callers, options.seconds)
                runs.setdefault((kind, callers), []).append(run)
    found.add(
        {"server": kind, "callers": callers}
        | results.medians(own)
        | beside(own, runs["threads", callers])
        for (kind, callers), own in runs.items()
    )
    found.show("medians of the rounds", COLUMNS)


def beside(
    own: list[dict[str, float]], threads: list[dict[str, float]]
) -> dict[str, float]:
    """Return the medians over rounds of how many times those of threads it has."""
    return {
        name: statistics.median(
            mine[field] / theirs[field]
            for mine, theirs in zip(own, threads, strict=True)
        )
        for name, field in (("calls", "a_second"), ("p99", "p99_ms"))
    }


if __name__ == "__main__":
    command.run(main)
