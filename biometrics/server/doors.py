"""Where the exchange is called: one address, or two, with administrators at their own.

Who may close, open and destroy galleries need not be reached from where searches come:
a second address can stand behind another network's rules. It has calls and bounds of
its own, so that a gallery can be locked while everything else is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from biometrics import limits
from biometrics.callers import Role
from biometrics.errors import ConfigurationError
from biometrics.settings import socket_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from biometrics.server.config import Config
    from biometrics.server.tls import Trusted

    Interceptors = Sequence[grpc.aio.ServerInterceptor]

_EVERYBODY: Final = frozenset(Role)
_FOLDER: Final = 0o750  # of the console's socket: a group of its own may enter
_SOCKET: Final = 0o660
_ADMINISTRATORS: Final = frozenset({Role.ADMINISTRATOR})

# A channel argument for each bound that gRPC itself keeps.
OPTIONS: Final = (
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_connection_age_ms", 1000 * limits.MAX_CONNECTION_AGE_SECONDS),
    ("grpc.max_connection_age_grace_ms", 1000 * limits.CONNECTION_GRACE_SECONDS),
    ("grpc.max_connection_idle_ms", 1000 * limits.MAX_IDLE_CONNECTION_SECONDS),
    ("grpc.server_handshake_timeout_ms", 1000 * limits.HANDSHAKE_SECONDS),
    ("grpc.max_concurrent_streams", limits.MAX_STREAMS_PER_CONNECTION),
    # A second server on the same port is an error, not a lottery.
    ("grpc.so_reuseport", 0),
)
_CONNECTIONS: Final = "grpc.max_allowed_incoming_connections"


@dataclass(frozen=True, slots=True)
class Door:
    """One address: its server, and the port that it has."""

    server: grpc.aio.Server
    port: int


def make_doors(
    config: Config,
    trusted: Trusted,
    interceptors: Callable[[frozenset[Role]], Interceptors],
    servicers: Sequence[Callable[[grpc.aio.Server], None]],
) -> tuple[Door, ...]:
    """Return the doors, closed yet: everybody's, and that of administrators if apart.

    Args:
        config: where they are.
        trusted: certificates of both.
        interceptors: what every call passes through where only some roles are served.
        servicers: each adds itself to a server.

    Raises:
        ConfigurationError: a port cannot be had.
    """
    served = [(config.listen, _EVERYBODY)]
    if config.admin_listen is not None:
        served = [
            (config.listen, _EVERYBODY - _ADMINISTRATORS),
            (config.admin_listen, _ADMINISTRATORS),
        ]
    doors = []
    for address, roles in served:
        server = grpc.aio.server(
            interceptors=interceptors(roles),
            options=[*OPTIONS, (_CONNECTIONS, config.connections)],
            maximum_concurrent_rpcs=limits.MAX_OPEN_CALLS,
        )
        for add in servicers:
            add(server)
        doors.append(Door(server, _bind(server, address, trusted)))
    return tuple(doors)


def make_hatch(
    path: Path | None,
    interceptors: Interceptors,
    servicers: Iterable[Callable[[grpc.aio.Server], None]],
) -> tuple[Door, ...]:
    """Return the way in for the console, closed yet: a socket on this machine, if any.

    Whoever can reach it may ask, of what the console shows, as any certificate that it
    has seen; its folder keeps out whoever may not.

    Args:
        path: of the socket; what an earlier server left there is replaced. None for an
            exchange that no console asks.
        interceptors: what every call passes through.
        servicers: each adds itself to a server.

    Raises:
        ConfigurationError: the socket cannot be made.
    """
    if path is None:
        return ()
    server = grpc.aio.server(
        interceptors=interceptors,
        options=[*OPTIONS, (_CONNECTIONS, limits.DEFAULT_CONNECTIONS)],
        maximum_concurrent_rpcs=limits.MAX_RUNNING_CALLS,
    )
    for add in servicers:
        add(server)
    try:
        path.parent.mkdir(_FOLDER, parents=True, exist_ok=True)
        server.add_secure_port(
            socket_target(path),
            grpc.local_server_credentials(grpc.LocalConnectionType.UDS),
        )
        path.chmod(_SOCKET)
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(
            "SOCKET_UNAVAILABLE",
            f"cannot listen on the socket `{path}`: check that its folder can be"
            " written to; see [console]",
        ) from error
    return (Door(server, 0),)


def _bind(server: grpc.aio.Server, address: str, trusted: Trusted) -> int:
    """Open the port, for mutual TLS only; return its number.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    try:
        port: int = server.add_secure_port(address, trusted.credentials())
    except RuntimeError as error:
        raise ConfigurationError(
            "PORT_UNAVAILABLE",
            f"cannot listen on `{address}`: the port is in use, or the address is not"
            " this machine's; see [exchange]",
        ) from error
    return port
