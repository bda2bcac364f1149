"""What has to be so before an exchange takes part in a Ray cluster.

Whoever reaches the ports of a cluster runs any program there. So callers have to show
a token, and what leaves the machine is under TLS. It is looked at without Ray, which
takes a quarter of an hour to give up where nobody listens, and shows its token also to
a cluster that asks for none.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from biometrics.errors import ConfigurationError
from biometrics.files import cause_of
from biometrics.settings import is_local

if TYPE_CHECKING:
    from collections.abc import Iterable

_ANSWER_SECONDS: Final = 10.0  # of a head that is busy; it takes milliseconds
# What any head answers whom it lets in; see `gcs_service.proto` of Ray.
_ASKED: Final = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_TLS: Final = ("RAY_TLS_CA_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_SERVER_CERT")
_ABSENT: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_LEAST_TOKEN: Final = 32  # characters: as many bits as nobody guesses, in any alphabet
_DEFAULT_TOKEN: Final = "~/.ray/auth_token"  # noqa: S105 - where Ray looks
_HOW: Final = (
    "have the nodes and the exchange show the same one, by `RAY_AUTH_MODE=token` and"
    " `RAY_AUTH_TOKEN_PATH`"
)


def refuse_cluster(address: str) -> None:
    """Refuse a cluster that is open to everybody, or is not there.

    Args:
        address: host and port of its head.

    Raises:
        ConfigurationError: it is.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise ConfigurationError(
            "CLUSTER_WITHOUT_TOKEN",
            "a Ray cluster runs what anybody tells it who reaches it; it has to ask"
            f" for a token: {_HOW}",
        )
    if (given := os.environ.get("RAY_AUTH_TOKEN")) is not None:
        _refuse_weak(os.fsencode(given), "RAY_AUTH_TOKEN")
    else:
        refuse_token(Path(os.environ.get("RAY_AUTH_TOKEN_PATH", _DEFAULT_TOKEN)))
    refuse_without_tls([address])
    _refuse_open(address)


def _refuse_open(address: str) -> None:
    """Refuse a cluster that lets in who shows no token, or is not there.

    It is asked without one: by its own settings alone, no exchange can know that.

    Raises:
        ConfigurationError: it is.
    """
    options = [("grpc.enable_http_proxy", 0)]
    with (
        grpc.secure_channel(address, _credentials(), options)
        if os.environ.get("RAY_USE_TLS") == "1"
        else grpc.insecure_channel(address, options)
    ) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_ASKED)
        asked = ask.future(b"", timeout=_ANSWER_SECONDS)
        code, told = asked.code(), asked.details()
    if code in _ABSENT:
        raise ConfigurationError(
            "CLUSTER_UNREACHABLE",
            f"nothing answers at `{address}`: {told}; see that the Ray"
            " cluster runs, and give `[matcher] address` the address of its head: that"
            " of `biometrics cluster up` is another one each time",
        )
    if code is not grpc.StatusCode.UNAUTHENTICATED:
        raise ConfigurationError(
            "CLUSTER_WITHOUT_TOKEN",
            f"what is at `{address}` lets in whoever shows no token, and runs what"
            f" anybody tells it: {_HOW}, and start the nodes anew",
        )


def _credentials() -> grpc.ChannelCredentials:
    """Return that by which Ray speaks TLS.

    Raises:
        ConfigurationError: a file of it cannot be read.
    """
    files = []
    for name in _TLS:
        try:
            files.append(Path(os.environ.get(name, "")).read_bytes())
        except OSError as error:
            raise ConfigurationError(
                "CLUSTER_WITHOUT_TLS",
                f"the file that `{name}` names cannot be read: {cause_of(error)}",
            ) from error
    return grpc.ssl_channel_credentials(*files)


def refuse_token(path: Path, *, is_own: bool = False) -> None:
    """Refuse the file of a token that is none.

    Args:
        path: of the file.
        is_own: nobody else on this machine may read it.

    Raises:
        ConfigurationError: it is.
    """
    path = path.expanduser()
    try:
        token = path.read_bytes()
        is_open = bool(path.stat().st_mode & 0o077)
    except OSError as error:
        raise ConfigurationError(
            "CLUSTER_WITHOUT_TOKEN",
            f"the token of the cluster cannot be read, `{path}`: {cause_of(error)};"
            f" {_HOW}",
        ) from error
    _refuse_weak(token, str(path))
    if is_own and is_open:
        raise ConfigurationError(
            "OPEN_TOKEN",
            f"`{path}` can be read by others than its owner, who run any program on the"
            f" cluster by it: make another one, and `chmod 600` it",
        )


def _refuse_weak(token: bytes, name: str) -> None:
    """Refuse a token that may be guessed, or that Ray could not read.

    Raises:
        ConfigurationError: it is one; the message says so of `name`.
    """
    if re.fullmatch(rb"[!-~]{%d,}" % _LEAST_TOKEN, token.strip()) is None:
        raise ConfigurationError(
            "WEAK_TOKEN",
            f"`{name}` is no token: it has to be {_LEAST_TOKEN} letters and digits or"
            " more, in one line, that nobody knows; `openssl rand -hex 32` writes one",
        )


def refuse_without_tls(addresses: Iterable[str]) -> None:
    """Refuse hosts and ports of other machines, unless nodes speak TLS.

    Raises:
        ConfigurationError: there is one, and they do not.
    """
    elsewhere = sorted(each for each in addresses if not is_local(each))
    if elsewhere and os.environ.get("RAY_USE_TLS") != "1":
        raise ConfigurationError(
            "CLUSTER_WITHOUT_TLS",
            f"`{elsewhere[0]}` is not of the loopback interface: have nodes and the"
            " exchange use TLS, by `RAY_USE_TLS=1`, `RAY_TLS_SERVER_CERT`,"
            " `RAY_TLS_SERVER_KEY` and `RAY_TLS_CA_CERT`; or have all nodes on"
            " `--node-ip-address=127.0.0.1`",
        )
