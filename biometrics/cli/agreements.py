"""`biometrics agreements`: what holders let requesters learn."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli import matrix, signed, signing, versions
from biometrics.cli.output import print_json, print_line, print_prose, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import AgreementInfo, VersionInfo
from biometrics.errors import InvalidRequestError

app = typer.Typer(
    help="What holders let requesters learn, and who signs for it.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """What holders let requesters learn, and who signs for it.

    `list` and `explain` ask the exchange, as far as you are a party. All others work
    on files, without an exchange.
    """


app.command("key")(signing.make_key)
app.command("propose")(signing.sign_first)
app.command("approve")(signing.sign_second)
app.command("check")(signed.check)
app.command("diff")(versions.diff)
app.command("matrix")(matrix.matrix)
app.command("simulate")(versions.simulate)


@app.command("list")
def list_agreements(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List the clauses in which you are the holder or the requester.

    A clause that is listed may yet permit nothing, where another forbids: `explain`
    decides. Below stands which version of your own agreement is in force.
    """
    with connect(context, profile) as exchange:
        clauses, own = exchange.agreements(), exchange.own_version()
    if as_json:
        print_json(
            {
                "agreements": [asdict(clause) for clause in clauses],
                "own_version": None if own is None else asdict(own),
            }
        )
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
    if own is None:
        print_line("of an agreement of your own no version is in force")
    else:
        _print_version(own)


def _print_version(own: VersionInfo) -> None:
    """Print which version of one's own agreement is in force."""
    print_table(
        ("yours in force", "SHA-256", "signed by"),
        [(f"revision {own.revision}", own.sha256, list(own.signers))],
        texts=("signed by",),
    )


def _terms(clause: AgreementInfo) -> list[str]:
    """Return what a clause covers, a line for each long text."""
    return [
        ", ".join(clause.purposes),
        f"{', '.join(clause.modalities)}; {_validity(clause)}",
        f"FPIR {clause.fpir}{', measured' if clause.measured_only else ''};"
        f" {clause.quota_per_day:,} searches a day"
        if clause.fpir
        else "",
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
    agreements: Annotated[
        Path | None,
        typer.Option(
            help="Answer from an agreement, or a folder of them, signed or not, and ask"
            " no exchange.",
            metavar="PATH",
        ),
    ] = None,
    on: versions.DayOption = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Say whether one search is permitted, and which line decides.

    An exchange answers for today and the versions that are in force; `--on` is for
    `--agreements`.
    """
    if agreements is not None:
        told = versions.explain_from(
            agreements,
            versions.read_day(on),
            holder=holder,
            requester=requester,
            purpose=purpose,
            modality=modality,
        )
    elif on is not None:
        raise InvalidRequestError(
            "ONLY_TODAY",
            "--on: an exchange answers for today only; name files by `--agreements`",
        )
    else:
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
    if told.own_version is not None:
        _print_version(told.own_version)
