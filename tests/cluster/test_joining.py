"""No exchange takes part in a cluster that runs what anybody tells it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from biometrics.errors import ConfigurationError

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: the extra `cluster`"
)


@pytest.fixture(autouse=True)
def with_ray() -> None:
    """Import it as other tests need it, before anything of its settings is changed."""
    import matcher.remote  # noqa: F401, PLC0415 - an extra


def joined(address: str) -> str:
    """Return why a cluster is not joined."""
    from matcher.remote import on_cluster  # noqa: PLC0415 - an extra

    with (
        pytest.raises(ConfigurationError) as refused,
        on_cluster(address, memory_bytes=0),
    ):
        pass
    return refused.value.reason


def test_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches it would run programs there."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert joined("127.0.0.1:1") == "CLUSTER_WITHOUT_TOKEN"


def test_on_another_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are sealed, and still nobody is to listen, or to answer in its place."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    assert joined("10.0.0.2:6379") == "CLUSTER_WITHOUT_TLS"
