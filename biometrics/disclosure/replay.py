"""A log of questions asked again under another version: whose outcomes would change.

The log is JSON Lines, one search a line, in any order, with nothing of a person in it:

    {"time": "2026-06-01T08:30:00Z", "requester": "XAA", "purpose": "border-check",
     "modality": "face", "holders": ["XBB"]}

`holders` are those that the requester named; left out, or empty, for all permitted.
`excluded_holders`, where there, are those that the probe was marked for.
A question is decided as of its own day, under both versions.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, ValidationError

from biometrics import limits
from biometrics.calibration import EVERY_CLASS
from biometrics.disclosure.agreements import Agreements
from biometrics.disclosure.clauses import Level, Purpose
from biometrics.disclosure.decision import plan_search
from biometrics.errors import ConfigurationError, Fault, RefusedError
from biometrics.members import Member
from biometrics.settings import (
    Settings,
    Word,
    configuration_error,
    parsed_by,
    told_of,
)
from biometrics.templates import Modality

# What is wrong with a line, where JSON is to be told of otherwise than TOML.
_LIKE: Final = (
    "a line is one JSON object with `time`, `requester`, `purpose`, `modality` and,"
    " where some were named, `holders` and `excluded_holders`"
)
_TOLD: Final = {
    "json_invalid": f"is no JSON; {_LIKE}",
    "model_type": f"is no JSON object; {_LIKE}",
    "extra_forbidden": "is no key of a line; remove it or correct its spelling",
    "datetime_type": "must be a moment such as `2026-01-31T12:00:00Z`, in quotes",
    "timezone_aware": "must say its zone, as in `2026-01-31T12:00:00Z`",
}
_Code = Annotated[Member, parsed_by(Member)]
_Codes = Annotated[list[_Code], Field(max_length=limits.MAX_HOLDERS_PER_SEARCH)]


class Question(Settings):
    """One search of the log."""

    time: AwareDatetime
    requester: _Code
    purpose: Word[Purpose]
    modality: Word[Modality]
    holders: _Codes = Field(default_factory=list)
    excluded_holders: _Codes = Field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one requester's searches tell of one holder under each of two versions.

    Attributes:
        requester: who asked.
        holder: who is searched.
        purpose: why.
        modality: with what.
        before: what the old version tells; None for nothing.
        after: what the new one does.
    """

    requester: Member
    holder: Member
    purpose: Purpose
    modality: Modality
    before: Level | None
    after: Level | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a log.

    Attributes:
        questions: how many, by requester.
        changed: how many of them would have another outcome, by requester.
        refused: how many were permitted and would be refused, by requester.
        permitted: how many were refused and would be permitted, by requester.
        changes: each change, with the number of questions that it is in.
    """

    questions: Counter[Member]
    changed: Counter[Member]
    refused: Counter[Member]
    permitted: Counter[Member]
    changes: Counter[Change]


def read_questions(lines: Iterable[bytes], source: str) -> Iterator[Question]:
    """Yield the questions of a log, line by line.

    Args:
        lines: of the file; empty ones are passed over.
        source: name of the file, for messages.

    Raises:
        ConfigurationError: a line is no question; with its number and every fault.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > limits.MAX_QUESTION_LINE_BYTES:
            told = f"is longer than {limits.MAX_QUESTION_LINE_BYTES} bytes"
            raise _no_question(source, number, [("", told)])
        try:
            yield Question.model_validate_json(line)
        except ValidationError as error:
            found = [
                (
                    ".".join(map(str, each["loc"])),
                    _TOLD.get(each["type"], told_of(each)),
                )
                for each in error.errors()
            ]
            raise _no_question(source, number, found) from error


def replay(old: Agreements, new: Agreements, questions: Iterable[Question]) -> Replay:
    """Return what `questions` would have been answered under each version."""
    found = Replay(Counter(), Counter(), Counter(), Counter(), Counter())
    for question in questions:
        before, after = told_by(old, question), told_by(new, question)
        found.questions[question.requester] += 1
        if before == after:
            continue
        found.changed[question.requester] += 1
        found.refused[question.requester] += bool(before and not after)
        found.permitted[question.requester] += bool(after and not before)
        for holder in before.keys() | after.keys():
            if before.get(holder) is not after.get(holder):
                change = Change(
                    requester=question.requester,
                    holder=holder,
                    purpose=question.purpose,
                    modality=question.modality,
                    before=before.get(holder),
                    after=after.get(holder),
                )
                found.changes[change] += 1
    return found


def told_by(agreements: Agreements, question: Question) -> dict[Member, Level]:
    """Return the level at each holder that is searched; none if it is refused."""
    try:
        plan = plan_search(
            agreements,
            requester=question.requester,
            purpose=question.purpose,
            modalities=[question.modality],
            today=question.time.astimezone(dt.UTC).date(),
            holders=frozenset(question.holders),
            excluded=frozenset(question.excluded_holders),
            established=EVERY_CLASS,
        )
    except RefusedError:
        return {}
    return {each.holder: each.level for each in plan.permissions}


def _no_question(
    source: str, number: int, found: Sequence[tuple[str, str]]
) -> ConfigurationError:
    """Return the error of a line that is no question, with every fault of it.

    Args:
        source: name of the file.
        number: of the line, from 1.
        found: by key, or for the line as a whole, what is wrong.
    """
    line = f"`{source}`, line {number}"
    return configuration_error(
        [
            Fault(
                field=f"{line}: {key}" if key else line,
                reason="NOT_A_QUESTION",
                message=told,
            )
            for key, told in found
        ]
    )
