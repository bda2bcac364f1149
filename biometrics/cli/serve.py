"""`biometrics serve`: run the exchange, or check its configuration."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.output import print_line, print_note


def serve(
    config: Annotated[
        Path,
        typer.Option(help="The exchange's settings, `exchange.toml`.", metavar="FILE"),
    ],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Validate everything, and exit.")
    ] = False,
) -> None:
    """Serve the exchange until SIGTERM or Ctrl-C, then drain.

    Logs to stderr, one line an event; the line `ready on ...` says that it answers.
    """
    # Late: the server brings the engine and the database with it.
    from biometrics.server.check import check as check_files  # noqa: PLC0415
    from biometrics.server.exchange import run  # noqa: PLC0415

    if check:
        for note in check_files(config):
            print_note(f"warning: {note}")
        print_line(f"{config} is in order")
        return
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    run(config)
