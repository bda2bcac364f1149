"""The command `biometrics`: its groups, and what comes of an error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Never

import typer

from biometrics.cli import (
    agreements,
    demo,
    enrol,
    galleries,
    init,
    match,
    serve,
    spaces,
    withdraw,
)
from biometrics.cli.exits import exit_of
from biometrics.cli.output import print_error
from biometrics.cli.session import PROFILE_VARIABLE
from biometrics.errors import ExchangeError

NAME = "biometrics"

app = typer.Typer(
    name=NAME,
    help="A regional exchange of biometrics: match or no match, and nothing more.",
    epilog="Exit codes: 0 done, 1 not fully done, 2 wrong usage or input, 3 refused,"
    " 4 unavailable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def choose(
    context: typer.Context,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            envvar=PROFILE_VARIABLE,
            help="Client profile, for the commands that talk to the exchange.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Keep what stands before the command."""
    context.obj = profile


app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("enrol")(enrol.enrol)
app.command("withdraw")(withdraw.withdraw)
app.command("match")(match.match)
app.command("demo")(demo.demo)
app.add_typer(galleries.app, name="galleries")
app.add_typer(agreements.app, name="agreements")
app.add_typer(spaces.app, name="spaces")


def main(arguments: Sequence[str] | None = None) -> Never:
    """Run the command line and exit.

    Args:
        arguments: those of the process if None.
    """
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name=NAME)
    except ExchangeError as error:
        print_error(error)
        raise SystemExit(exit_of(error)) from error
    raise AssertionError("the application exits")
