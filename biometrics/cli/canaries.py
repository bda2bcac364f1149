"""`biometrics canaries`: records that are nobody's, whose every hit is told."""

from dataclasses import asdict
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.output import print_json, print_line, print_table
from biometrics.cli.session import (
    JsonOption,
    ProfileOption,
    ReferenceArgument,
    connect,
    read_reference,
)
from biometrics.errors import NotFoundError

app = typer.Typer(
    help="Records of yours that are nobody's, whose every hit is told.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """Records of yours that are nobody's, whose every hit is told."""


@app.command()
def plant(
    context: typer.Context,
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    count: Annotated[
        int,
        typer.Option(
            help=f"How many, 1 to {limits.MAX_CANARIES_PLANTED}.", metavar="N"
        ),
    ] = 20,
    position: Annotated[
        str, typer.Option(help="Such as `right-thumb`.", metavar="WORD")
    ] = "face",
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Plant canaries among your records of one template space.

    The exchange draws their templates and gives them to nobody. No answer tells of
    them. Your auditor sees by `biometrics reviews alerts` whose searches would have
    matched some, and how often.
    """
    with connect(context, profile) as exchange:
        planted = exchange.plant_canaries(count, space=space, position=position)
    if as_json:
        print_json({"planted": planted})
    else:
        print_line(f"canaries planted: {len(planted)}")


@app.command("list")
def list_canaries(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List your canaries, which `biometrics records list` leaves out."""
    with connect(context, profile) as exchange:
        found = list(exchange.records(canaries=True))
    if as_json:
        print_json({"canaries": [asdict(record) for record in found]})
        return
    print_table(
        ("reference", "template", "planted"),
        [
            (
                record.reference,
                " ".join(f"{each.space} {each.position}" for each in record.templates),
                record.enrolled_at.date(),
            )
            for record in found
        ],
    )


@app.command()
def remove(
    context: typer.Context,
    reference: ReferenceArgument,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Take one of your canaries out, for good; a record that is none is refused."""
    named = read_reference(reference)
    with connect(context, profile) as exchange:
        if all(each.reference != named for each in exchange.records(canaries=True)):
            raise NotFoundError(
                "NO_SUCH_CANARY",
                "no canary of yours has this reference, and nothing was withdrawn;"
                " `biometrics canaries list` shows them. A record is taken out by"
                " `biometrics withdraw`",
            )
        done = exchange.withdraw(named)
    if as_json:
        print_json(asdict(done))
    else:
        print_line(f"withdrawn at {done.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC")
