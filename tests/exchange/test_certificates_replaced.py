"""Certificates and authorities are replaced under load, and nobody's call fails.

Each rotation is as the server's page says: first a second authority beside the first,
then certificates that it signed, of the exchange and of a member's system. `poe
rotations` does it 200 times.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest
from certificates import DOMAIN, caller
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.client.messages import RequestMaker
from biometrics.clock import SystemClock
from biometrics.server.pki import Credential, DevelopmentAuthority
from biometrics.v1 import match_pb2, match_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROTATIONS = int(os.environ.get("ROTATIONS", "5"))
SEARCHERS = 5
PAUSE_SECONDS = 0.1  # after each search: all together some 50 a second
LIFE_SEARCHES = 3  # of a connection; then the next has the newest chain
BETWEEN_SECONDS = 0.6  # rotations: longer than a connection lives


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return an exchange that looks at its certificates all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CERTIFICATES_LOOK_SECONDS", 0.02)
        folder = tmp_path_factory.mktemp("replaced")
        with World(folder, agreements=AGREEMENTS) as made:
            made.enroller("XRA").enrol(record("one", unit(1)))
            yield made


@dataclass
class Chain:
    """What a member's system connects with; it may change between connections."""

    roots: bytes
    own: Credential
    matched: int = 0
    failures: list[str] = field(default_factory=list)


async def search(chain: Chain, port: int, done: asyncio.Event) -> None:
    """Search without any retry until told to stop, with a new connection often."""
    requests = RequestMaker(secrets.token_bytes)
    while not done.is_set():
        credentials = grpc.ssl_channel_credentials(
            chain.roots, chain.own.key, chain.own.certificate
        )
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        target = f"localhost:{port}"
        async with grpc.aio.secure_channel(target, credentials, options) as channel:
            stub = match_pb2_grpc.MatchServiceStub(channel)
            for _ in range(LIFE_SEARCHES):
                asked = requests.match(face(unit(1)), "border-check", ["XRA"], None)
                try:
                    told = await stub.Match(asked, timeout=10)
                except grpc.RpcError as error:
                    chain.failures.append(f"{error.code()} {error.details()}")
                else:
                    chain.matched += told.answers[0].outcome == match_pb2.OUTCOME_MATCH
                await asyncio.sleep(PAUSE_SECONDS)


def put(path: Path, data: bytes) -> None:
    """Put a whole file in the place of another."""
    draft = path.with_suffix(".new")
    draft.write_bytes(data)
    draft.replace(path)


async def taken_up(world: World, what: bytes) -> None:
    """Wait until the exchange believes, or shows, something."""
    assert world.exchange is not None
    trusted = world.exchange.trusted
    async with asyncio.timeout(10):
        while what not in {trusted.trust.certificate, trusted.authorities().pem}:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)


async def replace(world: World, chain: Chain, old: bytes) -> bytes:
    """Replace everything once; return the new authority, which is then the old one."""
    place = world.root / "pki"
    signs = DevelopmentAuthority(
        DOMAIN, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    new = signs.credential.certificate
    # 1. Both are believed, each with its list.
    lists = (place / "revoked.pem").read_bytes().partition(b"END X509 CRL-----\n")
    put(place / "revoked.pem", signs.revoke([1]) + b"".join(lists[:2]))
    put(place / "authority.pem", new + old)
    await taken_up(world, new + old)
    # 2. Both sides show what the new one signed, the key before its certificate.
    chain.roots, chain.own = new + old, signs.issue_client(caller())
    shown = signs.issue_server()
    put(place / "server.key", shown.key)
    await asyncio.sleep(0.05)  # a look finds half of a pair
    put(place / "server.pem", shown.certificate)
    await taken_up(world, shown.certificate)
    return new


async def replace_under_load(world: World) -> Chain:
    """Replace everything again and again while somebody searches."""
    assert world.exchange is not None
    place = world.root / "pki"
    own = Credential(
        certificate=(place / "XAA-client.pem").read_bytes(),
        key=(place / "XAA-client.key").read_bytes(),
    )
    old = (place / "authority.pem").read_bytes()
    chain, done = Chain(old, own), asyncio.Event()
    searching = [
        asyncio.create_task(search(chain, world.exchange.port, done))
        for _ in range(SEARCHERS)
    ]
    for _ in range(ROTATIONS):
        begun = time.monotonic()
        old = await replace(world, chain, old)
        await asyncio.sleep(max(0.0, begun + BETWEEN_SECONDS - time.monotonic()))
    done.set()
    await asyncio.gather(*searching)
    return chain


def test_searches_go_on_while_everything_is_replaced(world: World):
    """Whoever has the new chain is answered at once, each time."""
    chain = asyncio.run(replace_under_load(world))
    assert chain.failures == []
    assert chain.matched >= 10 * ROTATIONS
    print(f"{ROTATIONS} rotations, {chain.matched} searches, none failed")  # noqa: T201
