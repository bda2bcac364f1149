"""`biometrics records`: what a holder has enrolled, and whom it must never reach."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from dataclasses import replace as changed
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.extraction import ModelOption, extract_probe, takes_model
from biometrics.cli.output import plain, print_json, print_line, print_table
from biometrics.cli.probes import read_probe
from biometrics.cli.session import (
    JsonOption,
    ProfileOption,
    ReferenceArgument,
    connect,
    read_reference,
)
from biometrics.cli.terms import template_of
from biometrics.client import ProtectOutcome, RecordInfo

app = typer.Typer(help="Your own records.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Your own records."""


@app.command("list")
def list_records(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List your own records with their references, page by page.

    References are shown wherever the output goes: handle it as you handle the file
    that they were enrolled from. Templates never come back.
    """
    with connect(context, profile) as exchange:
        records = exchange.records()
        if as_json:
            _print_document(records)
            return
        count = 0
        for page in _pages(records):
            _print_page(page)
            count += len(page)
        if not count:
            print_line("no record is enrolled")


@app.command()
def protect(
    context: typer.Context,
    reference: ReferenceArgument,
    *,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Member that must never learn of the record; repeat for more. Name"
            " all of them: whoever is left out may learn of it again.",
            metavar="CODE",
        ),
    ] = None,
    exclude_nobody: Annotated[
        bool,
        typer.Option("--exclude-nobody", help="Take every exclusion away."),
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Set which members must never learn of one of your own records.

    When this returns, no search tells them of it any more. It does not undo what
    they were told before. What was changed is printed: read it, since a member that
    is not named is excluded no longer.
    """
    excluded = exclude or []
    with connect(context, profile) as exchange:
        done = exchange.protect(
            read_reference(reference), excluded=excluded, exclude_nobody=exclude_nobody
        )
    if as_json:
        print_json(asdict(done))
    else:
        _show(done, excluded)


@app.command()
def replace(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    reference: ReferenceArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help="The new sample: a picture; a record of minutiae; `.npz` with"
            " `embedding`, `.npy`, or bare little-endian float32.",
            metavar="FILE",
        ),
    ],
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    row: Annotated[
        int | None, typer.Option(help="Row or view of the file, from 0.", metavar="N")
    ] = None,
    position: Annotated[
        str, typer.Option(help="Such as `right-thumb`.", metavar="WORD")
    ] = "face",
    quality: Annotated[
        int | None, typer.Option(help="Of the new sample, 0 to 100.", metavar="N")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Which template of the record, from 0, as `records list --json` shows"
            " them; where several are of that space and position.",
            metavar="N",
        ),
    ] = None,
    accept_lower_quality: Annotated[
        bool,
        typer.Option(
            "--accept-lower-quality", help="Also if the new sample is of lower quality."
        ),
    ] = False,
    model: ModelOption = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Put a better sample in the place of one of a record's templates.

    Reference, protection, legal basis and expiry stay as they are. Searches find the
    record by the old sample until they find it by the new one.
    """
    read = None if takes_model(file, model) else read_probe(file, row)
    with connect(context, profile) as exchange:
        new = read or extract_probe(file, space, exchange, model)
        template = template_of(new, space, position)
        done = exchange.replace(
            read_reference(reference),
            template if quality is None else changed(template, quality=quality),
            sample=sample,
            accept_lower_quality=accept_lower_quality,
        )
    if as_json:
        print_json(asdict(done))
    else:
        print_line(
            f"template {done.sample} replaced at"
            f" {done.replaced_at:%Y-%m-%d %H:%M:%S} UTC; generation {done.generation}"
        )


def _show(done: ProtectOutcome, excluded: list[str]) -> None:
    """Print what a protection has changed, for people."""
    whom = ", ".join(sorted(set(excluded))) or "nobody"
    print_line(f"excluded since {done.protected_at:%Y-%m-%d %H:%M:%S} UTC: {whom}")
    if done.added:
        print_line(f"added: {', '.join(done.added)}")
    if done.removed:
        told = "searches may tell them of the record again"
        print_line(f"excluded no longer: {', '.join(done.removed)}; {told}")
    if not done.added and not done.removed:
        print_line("nothing changed")


def _pages(records: Iterator[RecordInfo]) -> Iterator[list[RecordInfo]]:
    """Yield records as they come, as many as a page has."""
    while page := list(islice(records, limits.MAX_PAGE_RECORDS)):
        yield page


def _print_page(page: Iterable[RecordInfo]) -> None:
    """Print a page as a table of its own, so that none has to wait for the last."""
    print_table(
        ("reference", "templates", "enrolled", "expires", "excluded", "legal basis"),
        [
            (
                record.reference,
                tuple(f"{t.space} {t.position}" for t in record.templates),
                record.enrolled_at.date(),
                record.expires_at and record.expires_at.date(),
                record.excluded,
                record.legal_basis,
            )
            for record in page
        ],
        texts=("templates", "excluded", "legal basis"),
    )


def _print_document(records: Iterable[RecordInfo]) -> None:
    """Print one JSON document, a record a line; it is whole if the exit code is 0."""
    typer.echo('{"records": [', nl=False)
    for number, record in enumerate(records):
        typer.echo("," if number else "")
        typer.echo(json.dumps(asdict(record), default=plain), nl=False)
    typer.echo("\n]}")
