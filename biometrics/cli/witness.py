"""`biometrics audit witness`: what a member's witness types, or leaves running."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.memory import Memory
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.cli.cosigning import Allowed, cosign, witness_of
from biometrics.cli.output import print_error, print_line
from biometrics.cli.session import LogKeyOption, ProfileOption, connect
from biometrics.clock import SystemClock
from biometrics.errors import (
    ConfigurationError,
    DeadlineError,
    InvalidRequestError,
    UnavailableError,
)
from biometrics.settings import read_bytes
from biometrics.signing import VerifierKey
from biometrics.signing.files import create_secret_file, read_secret_file

FolderArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder of the witness's memory. There is one copy of it, which is never"
        " put back from a backup.",
        metavar="FOLDER",
        file_okay=False,
    ),
]
EveryOption = Annotated[
    float, typer.Option(help="Seconds between looks; 0 to look once.", min=0.0)
]


def make_key(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of the witness, such as `exchange.example/XAA/witness`.",
            metavar="NAME",
        ),
    ],
    *,
    to: Annotated[
        Path, typer.Option("--to", help="New file of the secret key.", metavar="FILE")
    ],
) -> None:
    """Make the key that your witness cosigns the log by.

    The secret key stays with you. Prints the public one: for the file that `witness` of
    your `[[member]]` names, and for the policies of all who believe you.
    """
    secret = WitnessSecret.generate(name, secrets.token_bytes)
    create_secret_file(to, secret.text)
    print_line(secret.public.text)


def witness(  # noqa: PLR0913 - and what a person may say once
    context: typer.Context,
    folder: FolderArgument,
    *,
    secret: Annotated[
        Path,
        typer.Option("--secret", help="Secret key of the witness.", metavar="FILE"),
    ],
    key: LogKeyOption = None,
    every: EveryOption = 60.0,
    follow: Annotated[
        str,
        typer.Option(
            help="Cosign this log from now on, in the place of the one before: the"
            " exchange was restored from a backup, and you have asked why.",
            metavar="ORIGIN",
        ),
    ] = "",
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Go on from the newest checkpoint that the exchange shows of this"
            " witness: its memory is lost, and you know how.",
        ),
    ] = False,
    profile: ProfileOption = None,
) -> None:
    """Cosign the log time and again; ends at the first thing that is wrong.

    Takes a certificate of a witness or an auditor. What is cosigned goes on from all
    that was cosigned before, or it is not. An exchange that cannot be reached is tried
    again.
    """
    allowed = Allowed(follow=follow, adopt=adopt)
    with connect(context, profile) as exchange, Memory.opened(folder) as memory:
        found = read_witness_secret(secret)

        def look() -> None:
            nonlocal allowed
            who = witness_of(exchange, folder, key, found)
            cosign(exchange, memory, who, allowed, seconds_now())
            allowed = Allowed()  # what was said counted once

        repeat(every, look)


def misbehaviour(
    file: Annotated[
        Path,
        typer.Argument(help="A file `two-histories-...`.", metavar="FILE"),
    ],
    *,
    key: Annotated[str, typer.Option("--key", help="The log's key.", metavar="KEY")],
) -> None:
    """Check the proof that a log has shown two histories, which anybody can show.

    Exits with 2 if it is none.
    """
    try:
        before, after = Misbehaviour.parse(read_bytes(file)).check(
            VerifierKey.parse(key)
        )
    except InvalidRequestError as error:
        raise ConfigurationError(error.reason, f"`{file}` {error.message}") from error
    print_line(
        f"{before.origin} has signed two histories: of {before.size:,} leaves with the"
        f" root {before.root.hex()}, and of {after.size:,} that do not begin with them"
    )


def read_witness_secret(path: Path) -> WitnessSecret:
    """Return the secret key in a file.

    Raises:
        ConfigurationError: there is none, or others can read it.
    """
    try:
        return WitnessSecret.parse(read_secret_file(path))
    except InvalidRequestError as error:
        raise ConfigurationError(error.reason, f"`{path}` {error.message}") from error


def repeat(every: float, step: Callable[[], None]) -> None:
    """Do something time and again, or once; what may pass by itself is told only.

    Args:
        every: seconds between; 0 for once.
        step: what to do.
    """
    while True:
        try:
            step()
        except (UnavailableError, DeadlineError) as error:
            if not every:
                raise
            print_error(error)
        if not every:
            return
        time.sleep(every)


def seconds_now() -> int:
    """Return the time, in seconds since 1970."""
    return int(SystemClock().now().timestamp())
