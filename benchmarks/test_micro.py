"""What the small steps of a search cost, one at a time, by pytest-benchmark.

python -m benchmarks.micro
"""

from __future__ import annotations

import datetime as dt
import secrets
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics import limits
from biometrics.calibration import EVERY_CLASS
from biometrics.clock import UTC, SystemClock
from biometrics.custody import FileKeyProvider, Vault, create_key_file
from biometrics.disclosure import (
    Agreements,
    Clause,
    Effect,
    Level,
    Outcome,
    Permission,
    Purpose,
    SearchPlan,
    decide,
    parse_version,
    permit,
    plan_search,
)
from biometrics.disclosure.compare import (
    differences,
    group_differences,
    named_members,
)
from biometrics.members import Member
from biometrics.sealed import Binding
from biometrics.sealing import SealingKey, seal_to
from biometrics.server.hour import Hour
from biometrics.server.metrics import Metrics
from biometrics.server.stages import Stages
from biometrics.stages import Stage
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


MEMBERS = [Member(f"X{a}{b}") for a in "ABCDEF" for b in "ABCDEFGH"]


def clause(holder: Member, requester: Member, level: Level, **more: object) -> Clause:
    """Return a permission of many purposes, or a prohibition if it has no level."""
    values = {
        "effect": Effect.PERMIT,
        "purposes": frozenset(Purpose),
        "modalities": frozenset(Modality),
        "valid_from": dt.date(2020, 1, 1),
        "valid_until": dt.date(2099, 1, 1),
        "legal_basis": "benchmark",
        "source": f"{holder}.toml:1",
    } | more
    return Clause(holder=holder, requester=requester, level=level, **values)


def region(seed: int) -> Agreements:
    """Return 48 holders, with three permissions for each requester."""
    random = np.random.default_rng(seed)

    def some(words: type[Purpose | Modality]) -> frozenset[object]:
        count = int(random.integers(1, 4))
        return frozenset(random.choice(list(words), count, replace=False).tolist())

    permissions = [
        clause(
            holder,
            requester,
            list(Level)[random.integers(3)],
            purposes=frozenset(map(Purpose, some(Purpose))),
            modalities=frozenset(map(Modality, some(Modality))),
            valid_until=dt.date(int(random.integers(2090, 2099)), 6, 30),
        )
        for holder in MEMBERS
        for requester in MEMBERS
        if holder != requester
        for _ in range(3)
    ]
    prohibitions = [
        clause(
            holder,
            None,
            None,
            effect=Effect.FORBID,
            purposes=frozenset({Purpose.SMUGGLING_INVESTIGATION}),
        )
        for holder in MEMBERS
    ]
    return Agreements([*permissions, *prohibitions])


def within(benchmark: BenchmarkFixture, seconds: float) -> bool:
    """Say whether it can be done within a bound; of a run that measures nothing, yes.

    By the shortest time: others on the machine make any other one longer.
    """
    return benchmark.stats is None or benchmark.stats.stats.min < seconds


def test_permit_one_question(benchmark: BenchmarkFixture) -> None:
    """What one holder lets one requester learn, in a region of 48: under 5 us."""
    permission = benchmark(
        permit,
        Agreements([*region(1).clauses, clause(HOLDER, MEMBERS[1], Level.REFERENCE)]),
        holder=HOLDER,
        requester=MEMBERS[1],
        purpose=Purpose.VISA,
        modality=Modality.FACE,
        today=dt.date(2026, 1, 1),
    )
    assert permission is not None
    assert within(benchmark, 5e-6)


def test_decide_one_answer(benchmark: BenchmarkFixture) -> None:
    """The answer of one holder from its outcome: under 5 us."""
    reference = bytes(limits.REFERENCE_BYTES)
    told = clause(HOLDER, MEMBERS[1], Level.REFERENCE)
    plan = SearchPlan(permissions=(Permission(HOLDER, Level.REFERENCE, told),))
    answer = benchmark(decide, plan, {HOLDER: Outcome.MATCH}, {HOLDER: reference})
    assert answer.holders[0].reference == reference
    assert within(benchmark, 5e-6)


def test_compare_versions_of_all_members(benchmark: BenchmarkFixture) -> None:
    """Who would learn more and who less, of 48 members: under five seconds."""
    old, new = region(1), region(2)
    day = dt.date(2026, 1, 1)

    def compare() -> int:
        members = named_members(old, new)
        found = differences(old, new, members, day)
        return len(found) + len(group_differences(old, new, members, day))

    assert benchmark.pedantic(compare, rounds=3) > len(MEMBERS) ** 2
    assert within(benchmark, 5.0)


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
        modalities=[Modality.FACE],
        today=today,
        holders=frozenset(),
        excluded=frozenset(),
        established=EVERY_CLASS,
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


def test_seal_a_search_to_the_exchange(benchmark: BenchmarkFixture) -> None:
    """What a client adds that seals its requests: 2 KiB, by HPKE."""
    public = SealingKey().public
    clear = secrets.token_bytes(4 * DIMENSION)
    benchmark(seal_to, public, clear, HOLDER, b"biometrics.v1.MatchRequest")


def test_open_a_search_that_was_sealed(benchmark: BenchmarkFixture) -> None:
    """What the exchange adds for it."""
    key = SealingKey()
    name = b"biometrics.v1.MatchRequest"
    sealed = seal_to(key.public, secrets.token_bytes(4 * DIMENSION), HOLDER, name)
    benchmark(key.open, sealed, HOLDER, name)


@pytest.mark.parametrize("share", [None, 0.01, 1.0])
def test_measure_the_stages_of_a_search(
    benchmark: BenchmarkFixture, share: float | None
) -> None:
    """For figures alone, and with some or all searches traced, but for sending."""
    tracing = None
    if share is not None:
        traces = pytest.importorskip("biometrics.server.traces")
        tracing = traces.Tracing(Nowhere(), share)
    timed = Stages(Metrics(Hour(SystemClock())).took, tracing).timed

    def search() -> None:
        with tracing.span("search") if tracing else nullcontext():
            for stage in Stage:
                with timed(stage):
                    pass

    benchmark(search)
    if tracing is not None:
        tracing.stop()


class Nowhere:
    """Takes spans, and does nothing with them."""

    def export(self, _spans: object) -> None:
        """Take spans."""

    def shutdown(self) -> None:
        """End."""
