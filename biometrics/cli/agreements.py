"""`biometrics agreements`: what holders let requesters learn."""

from dataclasses import asdict
from typing import Annotated

import typer

from biometrics.cli.output import print_json, print_line, print_prose, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import AgreementInfo

app = typer.Typer(
    help="What holders let requesters learn, as far as you are a party.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """What holders let requesters learn, as far as you are a party."""


@app.command("list")
def list_agreements(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List the clauses in which you are the holder or the requester."""
    with connect(context, profile) as exchange:
        clauses = exchange.agreements()
    if as_json:
        print_json({"agreements": [asdict(clause) for clause in clauses]})
        return
    print_table(
        ("holder", "requester", "level", "purposes, modalities, validity, basis"),
        [
            (
                clause.holder,
                clause.requester,
                clause.level or clause.effect,
                _terms(clause),
            )
            for clause in clauses
        ],
        texts=("purposes, modalities, validity, basis",),
    )


def _terms(clause: AgreementInfo) -> list[str]:
    """Return what a clause covers, a line for each long text."""
    return [
        ", ".join(clause.purposes),
        f"{', '.join(clause.modalities)}; {_validity(clause)}",
        clause.legal_basis,
    ]


def _validity(clause: AgreementInfo) -> str:
    """Return the days of a clause; a side without a day is open."""
    if clause.valid_from is None and clause.valid_until is None:
        return "always"
    return f"{clause.valid_from or 'ever'} to {clause.valid_until or 'ever'}"


@app.command("explain")
def explain(  # noqa: PLR0913 - the four parts of a question, and how to answer
    context: typer.Context,
    *,
    holder: Annotated[str, typer.Option(help="Member code.", metavar="CODE")],
    requester: Annotated[str, typer.Option(help="Member code.", metavar="CODE")],
    purpose: Annotated[
        str, typer.Option(help="Such as `border-check`.", metavar="WORD")
    ],
    modality: Annotated[str, typer.Option(help="Such as `face`.", metavar="WORD")],
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Say whether one search is permitted today, and which line decides."""
    with connect(context, profile) as exchange:
        told = exchange.explain(
            holder=holder, requester=requester, purpose=purpose, modality=modality
        )
    if as_json:
        print_json(asdict(told))
        return
    print_line(f"permitted, level {told.level}" if told.permitted else "not permitted")
    print_prose(told.text)
    if told.decided_by not in told.text:
        print_line(f"decided by {told.decided_by}")
