"""`biometrics match`: ask the question."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from biometrics.cli.extraction import ModelOption, extract_probe, takes_model
from biometrics.cli.output import print_json, print_line, print_table
from biometrics.cli.probes import read_probe
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import MatchAnswer, Probe, Template
from biometrics.errors import InvalidRequestError
from biometrics.signing.files import create_secret_file


def match(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="A picture; `.npz` with `embedding`, `.npy`, or bare little-endian"
            " float32.",
            metavar="FILE",
        ),
    ],
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    purpose: Annotated[
        str, typer.Option(help="Such as `border-check`.", metavar="WORD")
    ],
    row: Annotated[
        int | None, typer.Option(help="Row of every file, from 0.", metavar="N")
    ] = None,
    position: Annotated[
        str, typer.Option(help="Such as `right-thumb`.", metavar="WORD")
    ] = "face",
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Another template of the same person, such as"
            " `fingers-v1:right-index:index.npz`; repeat for more. All decide together,"
            " and only holders are asked that permit all of their modalities.",
            metavar="SPACE:POSITION:FILE",
        ),
    ] = None,
    holder: Annotated[
        list[str] | None,
        typer.Option(
            help="Search this holder; repeat for more. By default all that the"
            " agreements permit.",
            metavar="CODE",
        ),
    ] = None,
    exclude_holder: Annotated[
        list[str] | None,
        typer.Option(
            help="Holder that must not learn of this person; repeat for more. It is"
            " not searched, also where `--holder` names it.",
            metavar="CODE",
        ),
    ] = None,
    fallback_position: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare with templates of this position as well, where the order of"
            " capture is in doubt; repeat for more. Each makes false positives that"
            " much more frequent.",
            metavar="WORD",
        ),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt",
            help="Write the answer with its receipt into this new file, for `audit"
            " verify`.",
            metavar="FILE",
        ),
    ] = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Ask whether anyone whose records you may search matches this person.

    Exits with 0 whatever the answer. `no-match` proves nothing: a person may be
    enrolled and protected from you. `unavailable` says nothing about a person, nor
    does `not-comparable`: that holder has never had a template in this space.

    A picture is extracted here, by what makes the templates of the space: it is never
    sent.
    """
    parts = [_Part(space, position, file), *map(_parse, also or ())]
    models = [model, *[None] * (len(parts) - 1)]
    vectors = [
        None if takes_model(part.file, each) else read_probe(part.file, row)
        for part, each in zip(parts, models, strict=True)
    ]
    with connect(context, profile) as exchange:
        templates = [
            Template(
                space=part.space,
                position=part.position,
                vector=extract_probe(part.file, part.space, exchange, each)
                if vector is None
                else vector,
            )
            for part, vector, each in zip(parts, vectors, models, strict=True)
        ]
        probe = Probe(
            template=templates[0],
            further=tuple(templates[1:]),
            excluded_holders=tuple(exclude_holder or ()),
            fallback_positions=tuple(fallback_position or ()),
        )
        answer = exchange.match(probe, purpose=purpose, holders=holder or ())
    if receipt is not None:
        _keep(answer, receipt)
    if as_json:
        print_json(asdict(answer))
    else:
        _show(answer)


class _Part(NamedTuple):
    """A file with one template of a person."""

    space: str
    position: str
    file: Path


def _parse(text: str) -> _Part:
    """Return what `--also` names.

    Raises:
        InvalidRequestError: it is not of that form.
    """
    match text.split(":", 2):
        case [space, position, file] if space and position and file:
            return _Part(space, position, Path(file))
    raise InvalidRequestError(
        "WRONG_FORM",
        f"--also: `{text[:80]}` must be a template space, a position and a file, such"
        " as `fingers-v1:right-index:index.npz`",
    )


def _keep(answer: MatchAnswer, path: Path) -> None:
    """Write an answer with its receipt into a new file, for its owner alone.

    Raises:
        ConfigurationError: the file is there already, or cannot be written.
    """
    create_secret_file(path, answer.kept)


def _show(answer: MatchAnswer) -> None:
    """Print an answer for people."""
    print_line(f"regional outcome: {answer.regional}")
    if answer.holders:
        print_table(
            ("holder", "outcome", "reference"),
            [(each.holder, each.outcome, each.reference) for each in answer.holders],
        )
    if answer.fallback_positions:
        also = ", ".join(answer.fallback_positions)
        print_line(f"compared with templates of these positions as well: {also}")
    if answer.receipt_status == "not-issued":
        print_line("no receipt: this is an answer from before the exchange had a log")
