"""What keeps an exchange from taking part in a cluster, without Ray."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from biometrics.errors import ConfigurationError
from matcher.joining import refuse_cluster, refuse_token, refuse_without_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def listening() -> Iterator[str]:
    """Somebody who listens, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


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


@pytest.mark.parametrize("text", ["", "x", TOKEN[:31], TOKEN + "\n" + TOKEN, "é" * 40])
def test_what_is_no_token_is_refused(listening: str, path: Path, text: str) -> None:
    """It would be guessed, or Ray could not read it."""
    path.write_text(text)
    assert reason(lambda: refuse_cluster(listening)) == "WEAK_TOKEN"


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
