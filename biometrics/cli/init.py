"""`biometrics init`: a configuration to try the exchange with."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.output import print_line
from biometrics.clock import SystemClock


def init(
    directory: Annotated[
        Path, typer.Argument(help="Where to write; made, or empty.", metavar="DIR")
    ],
    listen: Annotated[
        str, typer.Option(help="Host and port of the server.", metavar="HOST:PORT")
    ] = "127.0.0.1:7443",
    console: Annotated[
        str | None,
        typer.Option(
            help="Host and port of `biometrics console`, such as `127.0.0.1:7445`; by"
            " default the exchange answers none.",
            metavar="HOST:PORT",
        ),
    ] = None,
) -> None:
    """Write a configuration with development certificates, keys and samples.

    Overwrites nothing. The certificates are for trying the exchange on this machine
    only, and for 30 days; see the comments in the files.
    """
    # Late, with the server: clients need not wait for it.
    from biometrics.server.blueprint import write_exchange  # noqa: PLC0415
    from biometrics.server.pki import LIFE  # noqa: PLC0415

    config = write_exchange(
        directory,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen=listen,
        console=console,
    )
    print_line(f"written to {directory}")
    print_line(f"the development certificates last {LIFE.days} days")
    print_line(f"next: biometrics serve --config {config}")
