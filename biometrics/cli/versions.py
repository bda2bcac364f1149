"""`biometrics agreements diff`, `matrix` and `simulate`: what a version would mean."""

import datetime as dt
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from biometrics.calibration import EVERY_CLASS
from biometrics.cli.beside import rates_beside
from biometrics.cli.output import counted, print_json, print_line, print_table
from biometrics.cli.session import JsonOption
from biometrics.client import Explanation
from biometrics.clock import SystemClock
from biometrics.disclosure import Agreements, Clause, Purpose, explain, parse_version
from biometrics.disclosure.compare import (
    Difference,
    GroupDifference,
    differences,
    group_differences,
    named_members,
    strongest,
)
from biometrics.disclosure.replay import Replay, read_questions, replay
from biometrics.disclosure.wording import in_words
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    Fault,
    InvalidRequestError,
)
from biometrics.files import cannot_read
from biometrics.members import Member
from biometrics.settings import configuration_error, read_text
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
    before, after = read_versions(old), read_versions(new)
    members, day = named_members(before, after), read_day(on)
    found = differences(before, after, members, day)
    groups = group_differences(before, after, members, day)
    if as_json:
        print_json(
            {
                "from": day,
                "differences": [_document(each) for each in found],
                "groups": [_document(each) for each in groups],
            }
        )
        return
    for line in in_words(found, groups):
        print_line(line)
    if not found and not groups:
        print_line(f"nobody would learn more or less, from {day} on")


def matrix(
    agreements: Annotated[
        Path, typer.Argument(help="A folder of agreements.", metavar="DIR")
    ],
    output: Annotated[
        Path, typer.Argument(help="The picture to write.", metavar="FILE.png")
    ],
    *,
    purpose: Annotated[
        str | None, typer.Option(help="Only for this one.", metavar="WORD")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="Only with this one.", metavar="WORD")
    ] = None,
    on: DayOption = None,
) -> None:
    """Draw who learns how much from whom: holders by requesters, as a PNG.

    Each field shows the most that any search tells. Needs the extra `pictures`.
    """
    # Late: nothing else needs it, and it may not be there.
    from biometrics.cli.pictures import draw_matrix  # noqa: PLC0415

    found, day = read_versions(agreements), read_day(on)
    purposes = [read_word(Purpose, purpose, "--purpose")] if purpose else list(Purpose)
    modalities = (
        [read_word(Modality, modality, "--modality")] if modality else list(Modality)
    )
    members = named_members(found)
    searches = list(product(purposes, modalities))
    told = strongest(found, members, searches, day)
    about = f"{purpose or 'any purpose'}, {modality or 'any modality'}, {day}"
    draw_matrix(told, members, about, output)
    print_line(f"written to {output}")


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
    before, after = read_versions(old), read_versions(new)
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


def read_versions(path: Path) -> Agreements:
    """Return what stands in an agreement or in a folder of them, signed or not.

    Raises:
        ConfigurationError: there is none, or with every fault of every file.
    """
    paths = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not paths:
        raise ConfigurationError(
            "NO_AGREEMENTS", f"`{path}` has no agreement, `CODE.toml`, in it"
        )
    clauses: list[Clause] = []
    faults: list[Fault] = []
    for each in paths:
        try:
            holder = Member(each.stem) if path.is_dir() else None
            clauses += parse_version(read_text(each), each.name, holder).clauses
        except ExchangeError as error:
            plain = Fault(field=each.name, reason=error.reason, message=error.message)
            faults += error.faults or (plain,)
    if faults:
        raise configuration_error(faults)
    return Agreements(clauses)


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
    told = explain(
        read_versions(path),
        holder=Member(question["holder"]),
        requester=Member(question["requester"]),
        purpose=read_word(Purpose, question["purpose"], "--purpose"),
        modality=modality,
        today=day,
        established=rates.in_any(modality) if rates else EVERY_CLASS,
    )
    permission = told.permission
    doubts = (
        rates.shortfalls(permission.clause, modality) if rates and permission else ()
    )
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
    """Return a difference for JSON."""
    row = {name: _plain(value) for name, value in asdict(each).items()}
    return row | {"tells_more": each.tells_more}


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
            {name: _plain(value) for name, value in asdict(change).items()}
            | {"count": count}
            for change, count in found.changes.most_common()
        ],
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's
    """Return a member, which `asdict` has taken apart, as its code."""
    return value.get("code", value) if isinstance(value, dict) else value
