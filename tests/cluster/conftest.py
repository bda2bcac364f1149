"""Three Ray nodes as processes on this machine, for all tests of this folder."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from biometrics.server.site import prepare_ray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matcher.trial import Nodes

# Read once, when the first test imports Ray.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
prepare_ray("127.0.0.1:0")


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A cluster of three nodes."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: the extra `cluster`")
    from matcher import trial  # noqa: PLC0415 - an extra

    with trial.Nodes(3, memory_bytes=1 << 30, cores=2) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def cluster(nodes: Nodes) -> str:
    """Its address."""
    return nodes.address
