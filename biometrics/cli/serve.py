"""`biometrics serve`: run the exchange, or check its configuration."""

import logging
import os
import signal
import sys
from threading import Thread
from typing import Annotated

import typer

from biometrics.cli.output import counted, drop_output, print_line, print_note
from biometrics.cli.session import ConfigOption


def serve(
    config: ConfigOption,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Validate everything, and exit.")
    ] = False,
    until_stdin_ends: Annotated[
        bool,
        typer.Option(
            "--until-stdin-ends",
            help="Stop when stdin ends as well: for a parent that may be killed.",
        ),
    ] = False,
) -> None:
    """Serve the exchange until SIGTERM or Ctrl-C, then drain.

    Logs to stderr, one line an event; the line `ready on ...` says that it answers.
    Agreements that were signed anew, certificates, signers and members count within
    seconds. An edited template space or setting counts from the next start on, and the
    log says so.
    """
    # Late: the server brings the engine and the database with it.
    from biometrics.server.check import check as check_files  # noqa: PLC0415
    from biometrics.server.process import run  # noqa: PLC0415

    if check:
        notes = check_files(config)
        for note in notes:
            print_note(f"warning: {note}")
        warned = f", with {counted(len(notes), 'warning')}" if notes else ""
        print_line(f"{config} is in order{warned}")
        return
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if until_stdin_ends:
        Thread(target=stop_with_stdin, daemon=True).start()
    run(config)
    drop_output()  # a terminal that closed takes no more of the log


def stop_with_stdin() -> None:
    """Ask this process to stop when stdin ends, as it does when its writer does."""
    while sys.stdin is not None and os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
