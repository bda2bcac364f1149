"""`biometrics agreements diff` and `simulate`: what a version would mean."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from biometrics import limits
from biometrics.calibration import EVERY_CLASS
from biometrics.cli.beside import rates_beside, signers_beside, strangers
from biometrics.cli.given import agreements_in, read_files
from biometrics.cli.output import (
    counted,
    print_json,
    print_line,
    print_note,
    print_table,
)
from biometrics.cli.session import JsonOption
from biometrics.client import Explanation
from biometrics.clock import SystemClock
from biometrics.disclosure import Purpose, explain
from biometrics.disclosure.compare import (
    Difference,
    GroupDifference,
    differences,
    group_differences,
    named_members,
)
from biometrics.disclosure.prohibitions import (
    ProhibitionDifference,
    prohibition_differences,
)
from biometrics.disclosure.replay import Change, Replay, read_questions, replay
from biometrics.disclosure.wording import in_words, prohibitions_in_words
from biometrics.errors import InvalidRequestError
from biometrics.files import cannot_read
from biometrics.members import Member
from biometrics.templates import Modality

_Word = TypeVar("_Word", Purpose, Modality)

OldArgument = Annotated[
    Path, typer.Argument(help="One agreement, or a folder of them.", metavar="OLD")
]
NewArgument = Annotated[
    Path, typer.Argument(help="Likewise, to compare with.", metavar="NEW")
]
DayOption = Annotated[
    str | None,
    typer.Option("--on", help="Day in UTC; else today.", metavar="YYYY-MM-DD"),
]


def diff(
    old: OldArgument,
    new: NewArgument,
    *,
    on: DayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who would learn more from whom, and who less, from a day on.

    Every question that one member can ask of another is decided under both versions,
    for every day on which its answer can change. Signed or not does not matter here.
    """
    old_files, new_files = read_files(old), read_files(new)
    before, after = agreements_in(old_files), agreements_in(new_files)
    members, day = named_members(before, after), read_day(on)
    found = differences(before, after, members, day)
    groups = group_differences(before, after, members, day)
    prohibitions = prohibition_differences(before, after, day)
    warnings = [
        *strangers(
            after.clauses, (old, new), (signers_beside(old), signers_beside(new))
        ),
        *_without_groups(found, min(len(old_files), len(new_files))),
    ]
    if as_json:
        print_json(
            {
                "from": day,
                "differences": [_document(each) for each in found],
                "groups": [_document(each) for each in groups],
                "prohibitions": [_plain_row(each) for each in prohibitions],
                "warnings": warnings,
            }
        )
        return
    for line in (*in_words(found, groups), *prohibitions_in_words(prohibitions)):
        print_line(line)
    if not found and not groups:
        print_line(f"nobody would learn more or less, from {day} on")
    for text in warnings:
        print_note(f"warning: {text}")


def _without_groups(found: Iterable[Difference], files: int) -> Iterator[str]:
    """Yield a warning where a group may begin, or cease, of which no file is given.

    Args:
        found: the differences.
        files: how many agreements there are in the smaller version.
    """
    if files < limits.MIN_PRESENCE_HOLDERS and any(e.is_of_a_group for e in found):
        yield (
            f"of {counted(files, 'agreement')} no group at `presence` is known: a"
            f" holder that comes to it may be the {limits.MIN_PRESENCE_HOLDERS}th, by"
            " which the requester learns MORE; give the whole folders, OLD and NEW"
        )


def simulate(
    old: OldArgument,
    new: NewArgument,
    log: Annotated[
        Path, typer.Argument(help="Questions, a JSON object a line.", metavar="LOG")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask a log of searches again under both versions: whose outcomes would change.

    A line is `{"time": "2026-06-01T08:30:00Z", "requester": "XAA", "purpose":
    "border-check", "modality": "face", "holders": ["XBB"]}`; `holders` are those that
    the requester named, and may be left out. Each is decided as of its own day.
    """
    before, after = agreements_in(read_files(old)), agreements_in(read_files(new))
    try:
        with log.open("rb") as file:
            found = replay(before, after, read_questions(file, str(log)))
    except OSError as error:
        raise cannot_read(log, error) from error
    if as_json:
        print_json(_replayed(found))
        return
    print_table(
        ("requester", "searches", "would change", "now refused", "now permitted"),
        [
            (
                member,
                count,
                found.changed[member],
                found.refused[member],
                found.permitted[member],
            )
            for member, count in sorted(found.questions.items())
        ],
    )
    for change, count in found.changes.most_common():
        print_line(
            f"{change.requester} of {change.holder}, {change.purpose} with"
            f" {change.modality}: {change.before or 'nothing'} ->"
            f" {change.after or 'nothing'}: {counted(count, 'search')}"
        )


def explain_from(path: Path, day: dt.date, **question: str) -> Explanation:
    """Return what decides one question in files, as an exchange would tell it.

    A demand for a measured FPIR is held against the calibrations beside them, if any.

    Args:
        path: one agreement, or a folder of them.
        day: in UTC.
        question: `holder`, `requester`, `purpose` and `modality`.

    Raises:
        ExchangeError: a file or a word is wrong.
    """
    modality = read_word(Modality, question["modality"], "--modality")
    rates = rates_beside(path)
    found = agreements_in(read_files(path))
    told = explain(
        found,
        holder=Member(question["holder"]),
        requester=Member(question["requester"]),
        purpose=read_word(Purpose, question["purpose"], "--purpose"),
        modality=modality,
        today=day,
        established=rates.in_any(modality) if rates else EVERY_CLASS,
    )
    permission = told.permission
    doubts = [
        *(rates.shortfalls(permission.clause, modality) if rates and permission else ())
    ]
    if not found.digest_of(Member(question["holder"])):
        doubts.append(f"there is no agreement of {question['holder']} in `{path}`")
    return Explanation(
        permitted=permission is not None,
        level=permission.level.value if permission else "",
        decided_by=told.decided_by,
        text="; ".join([told.text, *doubts]),
    )


def read_day(text: str | None) -> dt.date:
    """Return the day that an option names, or today's in UTC.

    Raises:
        InvalidRequestError: it is none.
    """
    if text is None:
        return SystemClock().now().date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(
            "WRONG_DAY", f"--on: `{text[:32]}` is no day; write it as 2026-01-31"
        ) from error


def read_word(words: type[_Word], text: str, option: str) -> _Word:
    """Return the word that an option names.

    Raises:
        InvalidRequestError: there is no such word.
    """
    try:
        return words(text)
    except ValueError as error:
        known = ", ".join(f"`{word}`" for word in words)
        raise InvalidRequestError(
            "UNKNOWN_WORD", f"{option}: `{text[:64]}` is none of {known}"
        ) from error


def _document(each: Difference | GroupDifference) -> dict[str, Any]:
    """Return a difference for JSON, with what it comes to."""
    return _plain_row(each) | {"tells_more": each.tells_more}


def _plain_row(
    each: Difference | GroupDifference | ProhibitionDifference | Change,
) -> dict[str, Any]:
    """Return a value's fields for JSON."""
    return {name: _plain(value) for name, value in asdict(each).items()}


def _replayed(found: Replay) -> dict[str, object]:
    """Return a replay for JSON."""
    return {
        "requesters": {
            member.code: {
                "searches": count,
                "changed": found.changed[member],
                "refused": found.refused[member],
                "permitted": found.permitted[member],
            }
            for member, count in sorted(found.questions.items())
        },
        "changes": [
            _plain_row(change) | {"count": count}
            for change, count in found.changes.most_common()
        ],
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's
    """Return a member, which `asdict` has taken apart, as its code."""
    return value.get("code", value) if isinstance(value, dict) else value
