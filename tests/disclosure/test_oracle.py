"""The decision agrees with an independent engine on random questions.

The short form is part of the tests; `poe oracle` asks 100,000 questions.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from disclosure.cedar import levels

from biometrics.disclosure import Agreements, Clause, Effect, Level, Purpose, permit
from biometrics.members import Member
from biometrics.templates import Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from disclosure.cedar import Asked

T = TypeVar("T")

QUESTIONS = int(os.environ.get("ORACLE_QUESTIONS", "2000"))
QUESTIONS_PER_WORLD = 500
CLAUSES_PER_WORLD = 60
MEMBERS = [Member(f"X{letter}{letter}") for letter in "ABCDE"]
DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(12)]


def one(random: np.random.Generator, of: Sequence[T]) -> T:
    """Return one of several."""
    return of[int(random.integers(len(of)))]


def some(random: np.random.Generator, of: Sequence[T]) -> frozenset[T]:
    """Return one or more of several."""
    count = int(random.integers(1, len(of) + 1))
    return frozenset(
        of[number] for number in random.choice(len(of), count, replace=False)
    )


def clause(random: np.random.Generator, number: int) -> Clause:
    """Return a clause, one in eight of them a prohibition."""
    holder, requester = (
        MEMBERS[each] for each in random.choice(len(MEMBERS), 2, replace=False)
    )
    start, end = sorted((one(random, DAYS), one(random, DAYS)))
    forbids = bool(random.integers(8) == 0)
    return Clause(
        holder=holder,
        requester=None if forbids and random.integers(3) == 0 else requester,
        effect=Effect.FORBID if forbids else Effect.PERMIT,
        purposes=some(random, list(Purpose)),
        modalities=some(random, list(Modality)),
        level=None if forbids else one(random, list(Level)),
        valid_from=None if forbids and random.integers(2) else start,
        valid_until=None if forbids and random.integers(2) else end,
        legal_basis="oracle",
        source=f"{holder}.toml:{number}",
    )


def question(random: np.random.Generator) -> Asked:
    """Return a question, of a member about itself too."""
    return (
        one(random, MEMBERS),
        one(random, MEMBERS),
        one(random, list(Purpose)),
        one(random, list(Modality)),
        one(random, DAYS),
    )


def decided(agreements: Agreements, asked: Asked) -> Level | None:
    """Return what the product decides."""
    holder, requester, purpose, modality, today = asked
    permission = permit(
        agreements,
        holder=holder,
        requester=requester,
        purpose=purpose,
        modality=modality,
        today=today,
    )
    return permission.level if permission else None


def test_cedar_decides_alike() -> None:
    """Every question of every random world, and each answer was among them."""
    random = np.random.default_rng(20260601)
    seen: Counter[Level | None] = Counter()
    while seen.total() < QUESTIONS:
        clauses = [clause(random, number) for number in range(CLAUSES_PER_WORLD)]
        asked = [question(random) for _ in range(QUESTIONS_PER_WORLD)]
        agreements = Agreements(clauses)
        expected = levels(clauses, asked)
        for each, level in zip(asked, expected, strict=True):
            assert decided(agreements, each) is level, each
        seen.update(expected)
    assert all(seen[level] > QUESTIONS // 100 for level in (None, *Level)), seen
