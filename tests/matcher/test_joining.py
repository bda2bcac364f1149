"""What keeps an exchange from taking part in a cluster, without Ray."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from certificates import Authority

from biometrics.errors import ConfigurationError
from matcher.joining import refuse_cluster, refuse_token, refuse_without_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "0123456789abcdef" * 4


class Head(grpc.GenericRpcHandler):
    """The head of a cluster, as far as it asks for a token."""

    def __init__(self, *, asks: bool) -> None:
        """Ask for one, or not."""
        self._asks = asks

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Answer whatever is asked."""
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        shown = dict(context.invocation_metadata())
        if self._asks and "authorization" not in shown:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return b""


@contextmanager
def head(*, asks: bool, tls: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """Have a head, and give its address."""
    server = grpc.server(ThreadPoolExecutor(1), [Head(asks=asks)])
    port = (
        server.add_secure_port("127.0.0.1:0", tls)
        if tls
        else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of a head that asks for a token."""
    with head(asks=True) as address:
        yield address


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a token, which callers show."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    return path


def reason(work: Callable[[], None]) -> str:
    """Return why something is refused."""
    with pytest.raises(ConfigurationError) as refused:
        work()
    return refused.value.reason


def test_a_cluster_that_is_there_is_joined(listening: str) -> None:
    """It asks for a token, which can be read."""
    refuse_cluster(listening)


def test_nobody_listens() -> None:
    """That is found out at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert reason(lambda: refuse_cluster(address)) == "CLUSTER_UNREACHABLE"
    nowhere = "[::1]:" + address.rpartition(":")[2]
    assert reason(lambda: refuse_cluster(nowhere)) == "CLUSTER_UNREACHABLE"


def test_nobody_asks_for_a_token(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reaches it would run programs there."""
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert reason(lambda: refuse_cluster(listening)) == "CLUSTER_WITHOUT_TOKEN"


def test_a_cluster_that_asks_nobody_is_not_joined() -> None:
    """Whatever is asked of the exchange: it would show its token to no purpose."""
    with head(asks=False) as address:
        assert reason(lambda: refuse_cluster(address)) == "CLUSTER_WITHOUT_TOKEN"


def test_it_is_asked_by_the_certificate_that_ray_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes answer nobody else."""
    authority = Authority.make()
    root = authority.signs.credential.certificate
    server, own = authority.signs.issue_server(), authority.client()
    tls = grpc.ssl_server_credentials(
        [(server.key, server.certificate)], root, require_client_auth=True
    )
    monkeypatch.setenv("RAY_USE_TLS", "1")
    for name, text in (
        ("RAY_TLS_CA_CERT", root),
        ("RAY_TLS_SERVER_CERT", own.certificate),
        ("RAY_TLS_SERVER_KEY", own.key),
    ):
        (tmp_path / name).write_bytes(text)
        monkeypatch.setenv(name, str(tmp_path / name))
    with head(asks=True, tls=tls) as address:
        refuse_cluster(address)
    with head(asks=False, tls=tls) as address:
        assert reason(lambda: refuse_cluster(address)) == "CLUSTER_WITHOUT_TOKEN"
        monkeypatch.delenv("RAY_TLS_SERVER_KEY")
        assert reason(lambda: refuse_cluster(address)) == "CLUSTER_WITHOUT_TLS"


@pytest.mark.parametrize("text", ["", "x", TOKEN[:31], TOKEN + "\n" + TOKEN, "é" * 40])
def test_what_is_no_token_is_refused(listening: str, path: Path, text: str) -> None:
    """It would be guessed, or Ray could not read it."""
    path.write_text(text)
    assert reason(lambda: refuse_cluster(listening)) == "WEAK_TOKEN"


@pytest.mark.parametrize("text", ["", TOKEN[:31]])
def test_a_token_that_is_given_directly_is_no_weaker(
    listening: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Ray takes that, whatever is in a file."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", text)
    assert reason(lambda: refuse_cluster(listening)) == "WEAK_TOKEN"
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    refuse_cluster(listening)


def test_a_token_that_cannot_be_read_is_refused(listening: str, path: Path) -> None:
    """It is not there, or is a folder."""
    path.unlink()
    assert reason(lambda: refuse_cluster(listening)) == "CLUSTER_WITHOUT_TOKEN"
    path.mkdir()
    assert reason(lambda: refuse_cluster(listening)) == "CLUSTER_WITHOUT_TOKEN"


def test_a_token_that_others_read_starts_no_nodes(path: Path) -> None:
    """They would run programs; where it is mounted it is another's to keep."""
    path.chmod(0o640)
    refuse_token(path)
    assert reason(lambda: refuse_token(path, is_own=True)) == "OPEN_TOKEN"


def test_another_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of several."""
    both = ["127.0.0.1:1", "192.0.2.2:1"]
    assert reason(lambda: refuse_without_tls(both)) == "CLUSTER_WITHOUT_TLS"
    refuse_without_tls(both[:1])
    monkeypatch.setenv("RAY_USE_TLS", "1")
    refuse_without_tls(both)
