"""What the small steps of a search cost, one at a time, by pytest-benchmark.

python -m pytest benchmarks --benchmark-only
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.clock import UTC, SystemClock
from biometrics.custody import FileKeyProvider, Vault, create_key_file
from biometrics.disclosure import Agreements, Purpose, parse_version, plan_search
from biometrics.members import Member
from biometrics.sealed import Binding
from biometrics.store import open_store
from biometrics.templates import Modality
from matcher.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

HOLDER = Member("XAA")
DIMENSION = 512
RECORDS = 20_000


def rows(count: int) -> np.ndarray:
    """Return unit vectors."""
    vectors = np.random.default_rng(1).standard_normal((count, DIMENSION), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """One member's vault on a real database."""
    for name in ("exchange", "member"):
        create_key_file(tmp_path / name, secrets.token_bytes)
    provider = FileKeyProvider(tmp_path / "exchange", secrets.token_bytes)
    member = FileKeyProvider(tmp_path / "member", secrets.token_bytes)
    with open_store(tmp_path / "x.sqlite", SystemClock()) as store:
        vault = Vault(
            provider, {HOLDER: member}, store.keys, SystemClock(), secrets.token_bytes
        )
        vault.unlock(HOLDER)
        yield vault


BINDING = Binding(
    member=HOLDER,
    gallery="face",
    record=bytes(16),
    modality="face",
    space="face@1",
    position="face",
    sample=0,
    generation=1,
)


def test_seal_one_template(benchmark: BenchmarkFixture, vault: Vault) -> None:
    """Sealing one 512-d template."""
    (vector,) = rows(1)
    benchmark(vault.seal, BINDING, vector.data)


def test_open_one_template(benchmark: BenchmarkFixture, vault: Vault) -> None:
    """Opening one 512-d template in place."""
    (vector,) = rows(1)
    sealed = vault.seal(BINDING, vector.data)
    clear = np.empty(DIMENSION, np.float32)
    benchmark(vault.open_into, BINDING, sealed, clear)
    assert np.array_equal(clear, vector)


def test_plan_over_all_members(benchmark: BenchmarkFixture) -> None:
    """Deciding whom a requester may search, of 40 holders."""
    codes = [f"X{a}{b}" for a in "ABCDE" for b in "ABCDEFGH"]
    clauses = [
        clause
        for code in codes
        for clause in parse_version(
            f'version = 1\nholder = "{code}"\nrevision = 1\n'
            'dated = 2020-01-01T00:00:00Z\n[[permit]]\nrequester = "XZZ"\n'
            'modalities = ["face"]\npurposes = ["visa"]\nlevel = "holder"\n'
            "valid_from = 2020-01-01\nvalid_until = 2099-01-01\n"
            'legal_basis = "benchmark"\n',
            f"{code}.toml",
        ).clauses
    ]
    agreements = Agreements(clauses)
    today = dt.datetime.now(UTC).date()
    plan = benchmark(
        plan_search,
        agreements,
        requester=Member("XZZ"),
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=today,
        holders=frozenset(),
    )
    assert len(plan.permissions) == len(codes)


def test_scan(benchmark: BenchmarkFixture) -> None:
    """One probe against 20,000 x 512-d, one thread, without the confirmation."""
    engine: Engine[str] = Engine()
    vectors = rows(RECORDS)
    engine.make("gallery", dimension=DIMENSION, seed=secrets.token_bytes(32))
    engine.add("gallery", np.arange(RECORDS), vectors)
    engine.compact("gallery")
    (found,) = benchmark(engine.search, "gallery", vectors[:1], np.array([0.5]))
    assert 0 in found
