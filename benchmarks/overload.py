"""What do others notice when one member asks for ten times what it may?

A real exchange in a process of its own, over mutual TLS. What it carries is measured
first, by as many callers as keep it busy; an eighth of that is what a member is
reckoned with. Four members search at a quarter of theirs each, at moments that are set
beforehand, so that one that waits does not ask less; a fifth in another process asks
for ten times its eighth, one and a quarter times what the exchange carries, without any
retry. Before, beside and after it the four time their searches. At last, connections
that say nothing and calls whose message never comes are opened, far more than there is
room for, and they search again, beside these and once they are gone.

    python -m benchmarks.overload [--records 20000] [--times 10] [--connections 10000]

Callers and exchange share the cores, so that both the exchange and the four wait for
the fifth's own work, which it would have on machines of its own; with `--apart` the
fifth, and those who measure what is carried, have only what the others leave. A core of
its own for the exchange would be no help: gRPC's threads, which take calls in, would
wait for Python's.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import re
import secrets
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from biometrics import limits
from biometrics.client import Profile
from biometrics.client.channel import prepare_channel
from biometrics.client.messages import RequestMaker
from biometrics.v1 import match_pb2_grpc

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from biometrics.v1 import match_pb2

SEED: Final = 7
FLOOD: Final = "XZZ"
OTHERS: Final = ("XZA", "XZB", "XZC", "XZD")
MEMBERS: Final = 8  # what the exchange carries is shared by
SHARE: Final = 0.25  # of its eighth that each of the four asks for
BUSY_CALLERS: Final = 32
DEADLINE_SECONDS: Final = 5.0
RECOVERED: Final = 1.5  # times the p99 of before, at most, for a whole second
PROBES: Final = 256
YIELDS: Final = 10  # to whom there is work for, of Unix's niceness
REFUSED_STREAM: Final = 7  # of RFC 9113
HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # no settings


QUICK = {
    "records": 1000,
    "seconds": 1.5,
    "rounds": 1,
    "connections": 20,
    "streams": 160,
    "silence": 8.0,
}


@dataclass
class Told:
    """What one member found: when each search began, how long it took, how it ended.

    Attributes:
        answered: when it began, and how long it took.
        shed: how long it took to be told that there is no room.
        refused: how many were more than a connection carries: by gRPC, unread.
        failed: how others ended.
    """

    answered: list[tuple[float, float]] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    def within(self, begin: float, end: float) -> list[float]:
        """Return how long the searches took that began in a time."""
        return [took for at, took in self.answered if begin <= at < end]


class Member:
    """A member's system, which tries each search once."""

    def __init__(self, profile: Path, gallery: Gallery) -> None:
        """Make its searches, which are different people's."""
        self._profile = Profile.load(profile)
        self._maker = RequestMaker(secrets.token_bytes)
        self._probes = gallery.non_mated(PROBES)
        self.told = Told()

    async def __aenter__(self) -> Self:
        """Connect."""
        settings = prepare_channel(self._profile)
        own = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        kept = [each for each in settings.options if "config" not in each[0]]
        self._channel = grpc.aio.secure_channel(
            self._profile.target, settings.credentials, [*kept, *own]
        )
        self._stub = match_pb2_grpc.MatchServiceStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._channel.close()

    def _request(self, number: int) -> match_pb2.MatchRequest:
        """Return a search that was never made."""
        probe = face(self._probes[number % PROBES])
        return self._maker.match(probe, PURPOSE, (), None)

    async def search(self, number: int) -> None:
        """Search once, and note how it ended."""
        begun = time.monotonic()
        try:
            await self._stub.Match(self._request(number), timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            took = time.monotonic() - begun
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.told.shed.append(took)
            elif is_refused(error):
                self.told.refused += 1
            else:
                self.told.failed.append(f"{error.code().name}: {error.details()}")
        else:
            self.told.answered.append((begun, time.monotonic() - begun))

    async def closed(self, callers: int, seconds: float) -> float:
        """Search as fast as `callers` can; return how many were answered a second."""
        end = time.monotonic() + seconds

        async def one(number: int) -> None:
            while time.monotonic() < end:
                await self.search(number)
                number += callers

        before = len(self.told.answered)
        await asyncio.gather(*map(one, range(callers)))
        return (len(self.told.answered) - before) / seconds

    async def open(self, rate: float, seconds: float) -> None:
        """Search `rate` times a second, whatever becomes of the searches."""
        begun = time.monotonic()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self.search(number)))
        await asyncio.gather(*tasks)


async def carried(
    profile: Path, gallery: Gallery, seconds: float, yields: int
) -> float:
    """Return how many searches a second the exchange carries."""
    os.nice(yields)
    async with Member(profile, gallery) as member:
        await member.closed(BUSY_CALLERS, 1.0)
        return await member.closed(BUSY_CALLERS, seconds)


async def flood(
    profile: Path, gallery: Gallery, rate: float, seconds: float, yields: int
) -> Told:
    """Ask for far too much."""
    os.nice(yields)
    async with Member(profile, gallery) as member:
        await member.open(rate, seconds)
        return member.told


async def ask(
    profiles: Sequence[Path], gallery: Gallery, rate: float, seconds: float
) -> list[Told]:
    """Search as each of some members, `rate` times a second each."""
    async with contextlib.AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(Member(profile, gallery))
            for profile in profiles
        ]
        await asyncio.gather(*(member.open(rate, seconds) for member in members))
        return [member.told for member in members]


def run(told: Any, work: Any, *arguments: Any) -> None:
    """Do some work in a process of its own, and tell its result."""
    told.put(None)
    told.put(asyncio.run(work(*arguments)))


def begin(work: Any, *arguments: Any) -> Any:
    """Begin some work in a process of its own; return what waits for its result."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=run, args=(told, work, *arguments), daemon=True)
    process.start()
    told.get(timeout=120)

    def wait() -> Any:
        result = told.get(timeout=300)
        process.join()
        return result

    return wait


def memory(process: int, field: str = "VmRSS") -> float:
    """Return how many MiB a process has, or had at most (`VmHWM`)."""
    text = Path(f"/proc/{process}/status").read_text("ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def is_refused(error: grpc.RpcError) -> bool:
    """Say whether a call was refused unread: its connection has too many.

    gRPC sends such a call once more by itself, unless it is told not to, as here.
    """
    text = f"error code {REFUSED_STREAM})"
    return error.code() is grpc.StatusCode.UNAVAILABLE and text in (
        error.details() or ""
    )


def p99_ms(found: Sequence[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return 1e3 * float(np.percentile(found, 99)) if found else float("nan")


def recovery_seconds(told: Sequence[Told], end: float, bar_ms: float) -> float:
    """Return after how many seconds the four's searches were as before."""
    for half in range(40):
        at = end + half / 2
        found = [took for each in told for took in each.within(at, at + 1)]
        if found and 1e3 * max(found) <= bar_ms:
            return half / 2
    return float("inf")


def idle_connections(profile: Profile, count: int) -> list[ssl.SSLSocket]:
    """Return connections that have said hello, in TLS and HTTP/2, and say nothing more.

    Fewer than `count`, where the exchange refuses the others.
    """
    host, _, port = profile.target.rpartition(":")
    context = ssl.create_default_context(cafile=profile.authority)
    context.load_cert_chain(profile.certificate, profile.key)
    context.set_alpn_protocols(["h2"])
    made = []
    for _ in range(count):
        raw = socket.create_connection((host, int(port)), 5)
        try:
            wrapped = context.wrap_socket(raw, server_hostname="localhost")
            wrapped.sendall(HELLO)
            if wrapped.recv(1):
                made.append(wrapped)
        except OSError:
            raw.close()
    return made


async def slow_streams(profile: Path, count: int) -> int:
    """Return how many of many calls, whose message never comes, ran to their end."""
    own = Profile.load(profile)
    settings = prepare_channel(own)
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(
        own.target, settings.credentials, options
    ) as channel:
        call = channel.stream_unary("/biometrics.v1.MatchService/Match")

        async def silence() -> Any:
            await asyncio.sleep(DEADLINE_SECONDS)
            yield b""  # pragma: no cover - never asked for

        calls = [call(silence(), timeout=2.0) for _ in range(count)]
        codes = [await each.code() for each in calls]
    return sum(code is grpc.StatusCode.DEADLINE_EXCEEDED for code in codes)


def measure(
    exchange: BenchmarkExchange, server: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row for each time."""
    gallery, seconds = exchange.gallery, options.seconds
    paths = {code: exchange.profile(code, "client") for code in (FLOOD, *OTHERS)}
    others = [paths[code] for code in OTHERS]
    yields = YIELDS if options.apart else 0
    capacity = begin(carried, paths[FLOOD], gallery, seconds, yields)()
    rated = capacity / MEMBERS
    memory_before = memory(server)
    # 1. Before, beside and after the flood, in one go of the four.
    whole = begin(ask, others, gallery, SHARE * rated, 3 * seconds + 6)
    time.sleep(3 + seconds)
    flooded_at = time.monotonic()
    much = options.times * rated
    flooding = begin(flood, paths[FLOOD], gallery, much, seconds, yields)()
    flood_end = max(
        (at + took for at, took in flooding.answered), default=time.monotonic()
    )
    flood_begin = min((at for at, _ in flooding.answered), default=flooded_at)
    told = whole()
    memory_most = memory(server, "VmHWM")

    def of_all(begin_at: float, end_at: float) -> list[float]:
        return [took for each in told for took in each.within(begin_at, end_at)]

    before = of_all(0, flooded_at)
    beside = of_all(flood_begin + 0.5, flood_end)
    answered = len([1 for at, _ in flooding.answered if at < flood_begin + seconds])
    idle_p99 = p99_ms(before)
    rows = [
        {"when": "carried", "a_second": capacity},
        {
            "when": "before",
            "p50_ms": 1e3 * float(np.median(before)),
            "p99_ms": idle_p99,
        },
        {
            "when": "beside",
            "p50_ms": 1e3 * float(np.median(beside)),
            "p99_ms": p99_ms(beside),
            "a_second": (answered + len(of_all(flood_begin, flood_begin + seconds)))
            / seconds,
            "offered": much,
            "shed": len(flooding.shed),
            "shed_ms": 1e3 * float(np.median(flooding.shed)) if flooding.shed else None,
            "refused": flooding.refused,
            "failed": len(flooding.failed) + sum(len(each.failed) for each in told),
            "others_shed": sum(len(each.shed) for each in told),
            "memory_ratio": memory_most / memory_before,
            "recovery_s": recovery_seconds(told, flood_end, RECOVERED * idle_p99),
        },
    ]
    # 2. Connections that say nothing, and calls whose message never comes. Whoever is
    #    connected before them goes on; there may be no room for others.
    beside_silence = begin(ask, others, gallery, SHARE * rated, options.silence)
    time.sleep(1.0)
    streams = begin(slow_streams, paths[FLOOD], options.streams)
    opened = idle_connections(Profile.load(paths[FLOOD]), options.connections)
    opened_at = time.monotonic()
    once_more = beside_silence()
    found = [
        took for each in once_more for took in each.within(opened_at, float("inf"))
    ]
    rows.append(
        {
            "when": "silent",
            "p50_ms": 1e3 * float(np.median(found)),
            "p99_ms": p99_ms(found),
            "connections": len(opened),
            "refused": options.connections - len(opened),
            "streams": streams(),
            "failed": sum(len(each.failed) for each in once_more),
            "memory_ratio": memory(server, "VmHWM") / memory_before,
        }
    )
    for each in opened:
        each.close()
    closed_at = time.monotonic()
    once_more = begin(ask, others, gallery, SHARE * rated, 6.0)()
    rows.append(
        {
            "when": "closed",
            "p99_ms": p99_ms([took for each in once_more for _, took in each.answered]),
            "failed": sum(len(each.failed) for each in once_more),
            "memory_ratio": memory(server) / memory_before,
            "recovery_s": recovery_seconds(once_more, closed_at, RECOVERED * idle_p99),
        }
    )
    return rows


COLUMNS = (
    tables.Column("when", "when"),
    tables.Column("p50_ms", "others' p50 ms", ".1f"),
    tables.Column("p99_ms", "others' p99 ms", ".1f"),
    tables.Column("a_second", "answered\na second", ",.0f"),
    tables.Column("offered", "asked for\na second", ",.0f"),
    tables.Column("shed", "shed", ",d"),
    tables.Column("shed_ms", "shed in ms", ".1f"),
    tables.Column("others_shed", "of others", ",d"),
    tables.Column("failed", "failed", ",d"),
    tables.Column("memory_ratio", "memory, times", ".2f"),
    tables.Column("recovery_s", "as before\nafter s", ".1f"),
    tables.Column("connections", "silent\nconnections", ",d"),
    tables.Column("refused", "refused", ",d"),
    tables.Column("streams", "silent\ncalls", ",d"),
)


def main() -> None:
    """Measure once, round by round."""
    parser = command.Parser("overload", __doc__, quick=QUICK)
    parser.add_argument("--records", default=20_000)
    parser.add_argument("--seconds", default=10.0, help="of each time")
    parser.add_argument("--times", default=10.0, help="the rated load")
    parser.add_argument("--rounds", default=3)
    parser.add_argument("--connections", type=command.natural, default=10_000)
    parser.add_argument(
        "--silence",
        default=40.0,
        help="seconds for all connections",
    )
    parser.add_argument("--streams", type=command.natural, default=500)
    parser.add_argument(
        "--apart", action="store_true", help="as if the fifth were on other machines"
    )
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "what do others notice when one member asks for ten times what it may?",
        key=("round", "when"),
        settings={
            "records": options.records,
            "times": options.times,
            "scanning_at_once": limits.SCANNING_AT_ONCE,
            "apart": options.apart,
        },
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        exchange = BenchmarkExchange(
            Path(folder) / "exchange",
            holders=1,
            threshold=THRESHOLD,
            gallery=gallery,
            slot_ms=limits.DEFAULT_SLOT_MILLISECONDS,
            requesters=(FLOOD, *OTHERS),
        )
        with exchange.serving() as server:
            exchange.enrol(options.records)
            for number in range(options.rounds):
                rows = measure(exchange, server.number, options)
                found.add([{"round": number} | row for row in rows])
    found.show("each round", COLUMNS)


if __name__ == "__main__":
    command.run(main)
