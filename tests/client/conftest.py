"""A pocket exchange, once a module; its script is new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.client import ExchangeClient, Profile, Record, Template
from tests.pocket import Authority, RunningExchange, Script, write_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def authority():
    """The authority that the exchange and its clients trust."""
    return Authority("test authority")


@pytest.fixture(scope="module")
def running(authority: Authority):
    """An exchange that listens."""
    exchange = RunningExchange(authority)
    yield exchange
    exchange.stop()


@pytest.fixture
def script(running: RunningExchange):
    """What the exchange is sent and how it is to behave, in this test."""
    return running.reset()


@pytest.fixture
def profile(tmp_path: Path, authority: Authority, running: RunningExchange):
    """A client's profile."""
    return Profile.load(write_profile(tmp_path, authority, running.port))


@pytest.fixture
def exchange(profile: Profile, script: Script):  # noqa: ARG001
    """A client of the exchange."""
    with ExchangeClient(profile) as client:
        yield client


@pytest.fixture(scope="session")
def face():
    """A maker of templates: one seed, one person."""

    def make(seed: int, dimension: int = 16) -> Template:
        vector = np.random.default_rng(seed).standard_normal(dimension)
        return Template(space="faces-v1", position="face", vector=vector)

    return make


@pytest.fixture(scope="session")
def person(face: Callable[..., Template]):
    """A maker of records: one seed, one person."""

    def make(seed: int) -> Record:
        return Record(reference=f"ref-{seed}", templates=(face(seed),))

    return make
