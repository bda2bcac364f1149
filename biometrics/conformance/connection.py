"""Calls as they are on the wire: what TLS is spoken, who may call what, how long it is.

Requests are empty here, so nothing is done by any of them: whatever changes something
needs a request id.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Final

import grpc

from biometrics import limits
from biometrics.client.channel import prepare_channel
from biometrics.client.status import translate
from biometrics.conformance.sheet import NotSoError
from biometrics.errors import ExchangeError, UnauthenticatedError, UnavailableError
from biometrics.server.methods import METHODS

if TYPE_CHECKING:
    from typing import Self

    from google.protobuf.message import Message

    from biometrics.callers import Role
    from biometrics.client import Profile

_CHECK: Final = "/grpc.health.v1.Health/Check"
# What a role is refused with, whatever it asks.
_SUSPENDED: Final = "MEMBER_SUSPENDED"
_OF_ROLE: Final = frozenset({"WRONG_ROLE", "OTHER_ADDRESS"})


class Connection:
    """A channel that tries once; a context manager."""

    def __init__(self, profile: Profile) -> None:
        """Open it.

        Raises:
            ConfigurationError: a file of the profile is not what it should be.
        """
        settings = prepare_channel(profile)
        self._peers = settings.peers
        self._deadline = profile.deadline_seconds
        options = [
            option for option in settings.options if option[0] != "grpc.service_config"
        ]
        self._channel = grpc.secure_channel(
            profile.target,
            settings.credentials,
            [
                *options,
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._channel.close()

    def ask(
        self,
        method: str,
        request: Message | None = None,
        *,
        seconds: float | None = None,
        has_deadline: bool = True,
    ) -> bytes:
        """Return the first message that a method answers with; empty if none.

        Args:
            method: full name.
            request: what is asked; an empty message by default.
            seconds: until the deadline; by default the profile's.
            has_deadline: False sends none.

        Raises:
            ExchangeError: as the exchange tells it.
        """
        data = b"" if request is None else request.SerializeToString()
        timeout = (seconds or self._deadline) if has_deadline else None
        call = self._channel.stream_stream(method, bytes, bytes)(
            iter([data]), timeout=timeout
        )
        try:
            for answer in call:
                call.cancel()
                return bytes(answer)
        except grpc.RpcError as error:
            raise translate(error, self._peers) from error
        return b""


def check_tls(profile: Profile) -> str:
    """Return what is spoken, which is TLS 1.3 with the exchange that is meant.

    Raises:
        NotSoError: it is not, or there is no connection.
    """
    host, _, port = profile.target.rpartition(":")
    context = ssl.create_default_context(cafile=str(profile.authority))
    context.load_cert_chain(profile.certificate, profile.key)
    context.set_alpn_protocols(["h2"])
    name = profile.server_name or host
    try:
        with (
            socket.create_connection(
                (host.strip("[]"), int(port)), profile.deadline_seconds
            ) as line,
            context.wrap_socket(line, server_hostname=name) as secured,
        ):
            version, protocol = secured.version(), secured.selected_alpn_protocol()
    except OSError as error:
        raise NotSoError(
            f"no connection with `{profile.target}` as `{name}`: {error}"
        ) from error
    if version != "TLSv1.3" or protocol != "h2":
        raise NotSoError(
            f"{version} and {protocol or 'no HTTP/2'} are spoken; something stands in"
            " between that ends TLS: take it away"
        )
    return f"{version}, {protocol}, `{name}`"


def check_stranger(profile: Profile) -> str:
    """Return that nobody is answered without a certificate.

    Raises:
        NotSoError: somebody is.
    """
    authority = profile.authority.read_bytes()
    options = []
    if profile.server_name:
        options.append(("grpc.ssl_target_name_override", profile.server_name))
    credentials = grpc.ssl_channel_credentials(authority)
    with grpc.secure_channel(profile.target, credentials, options) as channel:
        try:
            channel.unary_unary(_CHECK, bytes, bytes)(
                b"", timeout=limits.DEFAULT_DEADLINE_SECONDS
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    raise NotSoError("a call without a certificate is answered: this is no exchange")


def check_role(profile: Profile, role: Role) -> str:
    """Return how many methods a role is admitted to, which are those of the table.

    Raises:
        NotSoError: it is admitted to another, or refused one.
    """
    wrong, counts = [], Counter[bool]()
    with Connection(profile) as connection:
        for method, row in METHODS.items():
            is_admitted = _is_admitted(connection, method)
            counts[is_admitted] += 1
            if is_admitted is not (role in row.roles):
                wrong.append(method.rpartition("/")[2])
    if wrong:
        raise NotSoError(
            f"`{role}` is not admitted as it should be to {', '.join(wrong)}: is the"
            " certificate of this role, and the exchange of this version?"
        )
    return f"{counts[True]} methods are its own, {counts[False]} are refused"


def _is_admitted(connection: Connection, method: str) -> bool:
    """Say whether a role may call a method, whatever is wrong with the request.

    Raises:
        ExchangeError: nobody can know, for it is not known who asks, or whoever asks
            is suspended.
    """
    try:
        connection.ask(method)
    except (UnavailableError, UnauthenticatedError):
        raise
    except ExchangeError as error:
        if error.reason == _SUSPENDED:
            raise
        return error.reason not in _OF_ROLE
    return True
