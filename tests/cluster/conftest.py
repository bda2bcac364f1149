"""Three Ray nodes as processes on this machine, for all tests of this folder."""

from __future__ import annotations

import secrets
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Small, for there are three of everything: a node is four processes of 400 MB in all.
NODE = {
    "num_cpus": 2,
    "memory": 1 << 30,
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "no_monitor": True,
    "include_log_monitor": False,
    "node_ip_address": "127.0.0.1",
}
# Ray reads these when it is imported, its nodes when they start.
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all of it on the loopback interface
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster of three nodes."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: the extra `cluster`")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

        nodes = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            for _ in range(2):
                nodes.add_node(**NODE)
            yield nodes.address
        finally:
            nodes.shutdown()
