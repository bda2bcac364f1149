"""`biometrics withdraw`: take a record out for good."""

from typing import Annotated

import typer

from biometrics.cli.output import print_json, print_line
from biometrics.cli.session import JsonOption, ProfileOption, connect


def withdraw(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            help="What the record was enrolled under; `-` reads one line of stdin,"
            " which keeps it out of the shell's history.",
            metavar="REFERENCE",
        ),
    ],
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Withdraw one of your own records; no search finds it any more.

    A reference that was withdrawn is never used again: to enrol it once more is
    refused. Withdrawing twice is no error and tells the first moment.
    """
    if reference == "-":
        reference = typer.get_text_stream("stdin").readline().rstrip("\r\n")
    with connect(context, profile) as exchange:
        moment = exchange.withdraw(reference)
    if as_json:
        print_json({"withdrawn_at": moment})
    else:
        print_line(f"withdrawn at {moment:%Y-%m-%d %H:%M:%S} UTC")
