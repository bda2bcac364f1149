"""No exchange takes part in a cluster that runs what anybody tells it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from biometrics.errors import ConfigurationError

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: the extra `cluster`"
)

# In a process of its own: Ray reads once how it is about tokens.
HEAD = """
import sys
from matcher import trial
with trial.Nodes(1, memory_bytes=1 << 30, cores=1) as nodes:
    print(nodes.address, flush=True)
    sys.stdin.read()
"""


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


def test_a_cluster_that_asks_for_none_whatever_the_exchange_does() -> None:
    """Whoever has started its head has left that out."""
    settings = os.environ | {"RAY_AUTH_MODE": "disabled"}
    del settings["RAY_AUTH_TOKEN"]
    with subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as head:
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        reason = joined(address)
        head.communicate(timeout=60)
    assert reason == "CLUSTER_WITHOUT_TOKEN"


def test_what_is_asked_is_in_no_store_of_objects(cluster: str) -> None:
    """Ray may write that to a disk; a pass of many probes is larger than most calls."""
    import ray  # noqa: PLC0415 - an extra
    from ray._private.internal_api import memory_summary  # noqa: PLC0415

    from matcher.remote import on_cluster  # noqa: PLC0415

    class Reads:
        def size(self, asked: list[bytes]) -> int:
            return len(asked[0])

    with on_cluster(cluster, memory_bytes=0):
        reads = ray.remote(Reads).remote()
        kept = reads.size.remote([bytes(8 << 20)])
        assert ray.get(kept) == 8 << 20
        told = memory_summary(address=cluster, stats_only=True)
        assert re.search(r"Plasma memory usage \d+ MiB, 0 objects", told), told
