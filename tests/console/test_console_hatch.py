"""The socket that the console asks by: as somebody, of what is shown, and no more."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from biometrics import limits
from biometrics.client.hatch import Hatch
from biometrics.errors import RefusedError, UnauthenticatedError
from biometrics.server.methods import METHODS, SHOWN
from biometrics.settings import socket_target

if TYPE_CHECKING:
    from tests.console.console_world import ConsoleWorld

CHANGES = (
    *("/Match", "/BatchMatch", "/Enrol", "/BulkEnrol", "/Withdraw", "/Replace"),
    *("/Protect", "/Lock", "/Unlock", "/Rotate", "/Destroy", "/Decide", "/Find"),
)


def der(world: ConsoleWorld, who: str) -> bytes:
    """Return a certificate as TLS gives it."""
    pem = (world.root / f"pki/{who}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def call(
    world: ConsoleWorld, method: str, *certificates: bytes
) -> tuple[grpc.StatusCode, str]:
    """Return how an empty request ends that comes by the socket."""
    credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    with grpc.secure_channel(socket_target(world.socket), credentials) as channel:
        ask = channel.unary_unary(method, bytes, bytes)
        metadata = [(limits.SHOWN_CERTIFICATE, each) for each in certificates]
        try:
            ask(b"", timeout=5, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def test_nothing_that_changes_or_finds_anything_is_shown():
    """Whatever a certificate may do elsewhere, the console may not for it."""
    for name in SHOWN:
        assert not any(word in name for word in CHANGES), name
        assert "Records" not in name
        assert "OwnEntries" not in name


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(SHOWN)))
def test_what_is_not_shown_is_not_served(world: ConsoleWorld, method: str):
    """As if there were no such method."""
    code, _ = call(world, method, der(world, "XAA-client"))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_certificate_is_judged_as_everywhere(world: ConsoleWorld):
    """None, two, no certificate, an authority's: all are nobody."""
    good = der(world, "XAA-auditor")
    method = "/biometrics.v1.RegionService/DescribeCaller"
    assert call(world, method, good)[0] is grpc.StatusCode.OK
    for shown in ((), (good, good), (b"nonsense",), (b"",), (good[:-1],)):
        assert call(world, method, *shown)[0] is grpc.StatusCode.UNAUTHENTICATED
    authority = der(world, "authority")
    assert call(world, method, authority)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_roles_are_kept_to(world: ConsoleWorld):
    """The table is the one of every other caller."""

    async def ask() -> None:
        async with Hatch(socket_target(world.socket)) as hatch:
            client = hatch.reader(der(world, "XAA-client"))
            assert (await client.caller()).role == "client"
            for refused in (client.region, client.reviews, client.checkpoint):
                with pytest.raises(RefusedError, match="role `client`"):
                    await refused()
            with pytest.raises(UnauthenticatedError):
                await hatch.reader(b"nobody").caller()

    asyncio.run(ask())


def test_the_socket_is_for_its_owner_and_a_group(world: ConsoleWorld):
    """Whoever reaches it may ask as any certificate that it has seen."""
    assert stat.S_IMODE(world.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(world.socket.parent.stat().st_mode) == 0o750
