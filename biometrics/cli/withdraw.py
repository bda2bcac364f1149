"""`biometrics withdraw`: take a record out for good."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from biometrics.cli.new_file import NewFile
from biometrics.cli.output import counted, plain, print_json, print_line
from biometrics.cli.session import (
    JsonOption,
    ProfileOption,
    ReferenceArgument,
    connect,
    read_reference,
)
from biometrics.client import WithdrawReceipt

_WHAT: Final = "receipt of a withdrawal, as the exchange told it; not signed"


def withdraw(
    context: typer.Context,
    reference: ReferenceArgument,
    *,
    receipt: Annotated[
        Path | None,
        typer.Option(
            help="New file for the receipt: reference, moment, reason, and what was"
            " removed. It is not signed.",
            metavar="FILE.json",
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Withdraw one of your own records; no search finds it any more.

    A reference that was withdrawn is never used again: to enrol it once more is
    refused. Withdrawing twice is no error and tells the first moment, but not what was
    removed then.
    """
    with (
        NewFile(receipt, "the receipt", "--receipt") if receipt else nullcontext()
    ) as file:
        with connect(context, profile) as exchange:
            done = exchange.withdraw(read_reference(reference))
        if file is not None:
            document = {"document": _WHAT, **asdict(done)}
            file.add(json.dumps(document, indent=2, default=plain) + "\n")
    if as_json:
        print_json(asdict(done))
    else:
        _show(done)


def _show(done: WithdrawReceipt) -> None:
    """Print what a withdrawal has removed, for people."""
    moment = f"{done.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC"
    if done.reason == "expired":
        print_line(f"had expired, and was withdrawn for that at {moment}")
        return
    print_line(f"withdrawn at {moment}")
    if not done.removed:
        print_line("nothing was removed now: that was done then")
        return
    told = ", ".join(f"{each.space} {each.position}" for each in done.removed)
    print_line(f"removed: {counted(len(done.removed), 'template')}: {told}")
