"""`biometrics withdraw`: take a record out for good."""

import typer

from biometrics.cli.output import print_json, print_line
from biometrics.cli.session import (
    JsonOption,
    ProfileOption,
    ReferenceArgument,
    connect,
    read_reference,
)


def withdraw(
    context: typer.Context,
    reference: ReferenceArgument,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Withdraw one of your own records; no search finds it any more.

    A reference that was withdrawn is never used again: to enrol it once more is
    refused. Withdrawing twice is no error and tells the first moment.
    """
    with connect(context, profile) as exchange:
        moment = exchange.withdraw(read_reference(reference))
    if as_json:
        print_json({"withdrawn_at": moment})
    else:
        print_line(f"withdrawn at {moment:%Y-%m-%d %H:%M:%S} UTC")
