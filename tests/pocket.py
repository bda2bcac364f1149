"""A small exchange on loopback with mutual TLS, for tests of the client and the CLI.

It implements the generated services over dictionaries; see `tests.pocket_services`.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from cryptography import x509

from biometrics import limits
from biometrics.v1 import (
    agreement_pb2_grpc,
    enrolment_pb2_grpc,
    match_pb2_grpc,
    space_pb2_grpc,
)
from tests.pocket_authority import FAR_AHEAD, LONG_AGO, Authority, member_name
from tests.pocket_services import (
    WITHDRAWN_AT,
    Failure,
    PocketExchange,
    Script,
    info,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

__all__ = [
    "FAR_AHEAD",
    "LONG_AGO",
    "WITHDRAWN_AT",
    "Authority",
    "Failure",
    "RunningExchange",
    "Script",
    "info",
    "member_name",
    "write_profile",
]

T = TypeVar("T")


class RunningExchange:
    """A pocket exchange that listens on loopback, in a thread of its own."""

    def __init__(self, authority: Authority, trusts: bytes | None = None) -> None:
        """Listen on a free port, accepting clients that `trusts` signed."""
        self.script = Script()
        names = [x509.DNSName("localhost")]
        certificate, key = authority.issue(names)
        self._credentials = grpc.ssl_server_credentials(
            [(key, certificate)],
            root_certificates=trusts or authority.certificate,
            require_client_auth=True,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = self._run(self._start())

    def reset(self) -> Script:
        """Forget everything and return the new script."""
        self.script = self._services.script = Script()
        return self.script

    def stop(self) -> None:
        """Stop listening."""
        self._run(self._server.stop(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> int:
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES)]
        )
        self._services = services = PocketExchange(self.script)
        match_pb2_grpc.add_MatchServiceServicer_to_server(services, self._server)
        enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server(
            services, self._server
        )
        agreement_pb2_grpc.add_AgreementServiceServicer_to_server(
            services, self._server
        )
        space_pb2_grpc.add_SpaceServiceServicer_to_server(services, self._server)
        port = self._server.add_secure_port("127.0.0.1:0", self._credentials)
        await self._server.start()
        return port

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


def write_profile(
    folder: Path, authority: Authority, port: int, **changed: str
) -> Path:
    """Write certificates and a profile into `folder`; return the profile's path."""
    certificate, key = authority.issue([member_name()])
    (folder / "authority.pem").write_bytes(authority.certificate)
    (folder / "client.pem").write_bytes(certificate)
    (folder / "client.key").write_bytes(key)
    lines = {
        "version": "1",
        "target": f'"127.0.0.1:{port}"',
        "server_name": '"localhost"',
        "authority": '"authority.pem"',
        "certificate": '"client.pem"',
        "key": '"client.key"',
        "deadline_seconds": "10",
    } | changed
    path = folder / "XAA-client.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    return path
