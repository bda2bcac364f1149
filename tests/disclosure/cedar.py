"""Agreements as policies of Cedar, an engine that shares nothing with ours.

A clause becomes one policy for each level that it tells: whoever may learn a level may
learn every one below it. So the most that Cedar allows is what is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cedarpy

from biometrics.disclosure import Level

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from biometrics.disclosure import Clause, Purpose
    from biometrics.members import Member
    from biometrics.templates import Modality

    Asked = tuple[Member, Member, Purpose, Modality, dt.date]


def policies(clauses: Iterable[Clause]) -> str:
    """Return clauses in Cedar's language."""
    return "\n".join(map(_policy, clauses))


def _policy(clause: Clause) -> str:
    """Return one clause in Cedar's language."""
    principal = (
        f'principal == Member::"{clause.requester}"'
        if clause.requester
        else "principal"
    )
    action = "action"
    if clause.level is not None:
        told = [level for level in Level if level.rank <= clause.level.rank]
        action = f"action in [{', '.join(_action(level) for level in told)}]"
    conditions = [
        f"[{_quoted(clause.purposes)}].contains(context.purpose)",
        f"[{_quoted(clause.modalities)}].contains(context.modality)",
    ]
    if clause.valid_from is not None:
        conditions.append(f"context.day >= {clause.valid_from.toordinal()}")
    if clause.valid_until is not None:
        conditions.append(f"context.day <= {clause.valid_until.toordinal()}")
    return (
        f"{clause.effect} ({principal}, {action},"
        f' resource == Galleries::"{clause.holder}")'
        f" when {{ {' && '.join(conditions)} }};"
    )


def levels(clauses: Iterable[Clause], asked: Sequence[Asked]) -> list[Level | None]:
    """Return what Cedar lets be learnt of each question."""
    requests = [_request(question, level) for question in asked for level in Level]
    answers = iter(
        cedarpy.is_authorized_batch(requests, policies(clauses), entities=[])
    )
    found = []
    for _ in asked:
        allowed = [level for level in Level if _is_allowed(next(answers))]
        found.append(max(allowed, default=None))
    return found


def _is_allowed(answer: Any) -> bool:  # noqa: ANN401 - cedarpy's own
    """Say whether Cedar allows; it must have understood the question."""
    assert not answer.diagnostics.errors
    return bool(answer.allowed)


def _request(asked: Asked, level: Level) -> dict[str, Any]:
    """Return a question, at one level, as Cedar takes it."""
    holder, requester, purpose, modality, day = asked
    return {
        "principal": f'Member::"{requester}"',
        "action": _action(level),
        "resource": f'Galleries::"{holder}"',
        "context": {
            "purpose": purpose.value,
            "modality": modality.value,
            "day": day.toordinal(),
        },
    }


def _action(level: Level) -> str:
    return f'Action::"{level}"'


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in sorted(words))
