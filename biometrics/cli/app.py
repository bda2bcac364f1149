"""The command `biometrics`: its groups, and what comes of an error."""

import errno
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Never

import typer

from biometrics.cli import (
    agreements,
    audit,
    backup,
    calibrate,
    canaries,
    check,
    cluster,
    conformance,
    console,
    demo,
    enrol,
    extract,
    followup,
    galleries,
    init,
    inspect,
    match,
    members,
    pki,
    records,
    restore,
    reviews,
    serve,
    slots,
    spaces,
    status,
    synthesise,
    withdraw,
)
from biometrics.cli.exits import Exit, exit_of
from biometrics.cli.output import drop_output, print_error, print_line
from biometrics.cli.session import PROFILE_VARIABLE
from biometrics.errors import ExchangeError, StorageError
from biometrics.files import cause_of

NAME = "biometrics"
DISTRIBUTION = "regional-biometrics-exchange"

app = typer.Typer(
    name=NAME,
    help="A regional exchange of biometrics: match or no match, and nothing more.",
    epilog="Exit codes: 0 done, 1 not fully done, 2 wrong usage or input, 3 refused,"
    " 4 unavailable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # so that paragraphs are wrapped as such
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    """Print the version and end, if that is what is wanted."""
    if wanted:
        print_line(f"{NAME} {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def choose(
    context: typer.Context,
    *,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            envvar=PROFILE_VARIABLE,
            help="Client profile, for the commands that talk to the exchange.",
            metavar="FILE",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Keep what stands before the command."""
    context.obj = profile


app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("console")(console.console)
app.command("status")(status.status)
app.command("check")(check.check)
app.command("enrol")(enrol.enrol)
app.command("extract")(extract.extract)
app.command("inspect")(inspect.inspect)
app.command("withdraw")(withdraw.withdraw)
app.command("match")(match.match)
app.command("calibrate")(calibrate.calibrate)
app.command("synthesise")(synthesise.synthesise)
app.command("demo")(demo.demo)
app.command("conformance")(conformance.conformance)
app.add_typer(backup.app, name="backup")
app.add_typer(restore.app, name="restore")
app.add_typer(galleries.app, name="galleries")
app.add_typer(records.app, name="records")
app.add_typer(canaries.app, name="canaries")
app.add_typer(agreements.app, name="agreements")
app.add_typer(reviews.app, name="reviews")
app.add_typer(followup.app, name="followup")
app.add_typer(spaces.app, name="spaces")
app.add_typer(audit.app, name="audit")
app.add_typer(slots.app, name="slots")
app.add_typer(members.app, name="members")
app.add_typer(pki.app, name="pki")
app.add_typer(cluster.app, name="cluster")


def main(arguments: Sequence[str] | None = None) -> Never:
    """Run the command line and exit.

    Args:
        arguments: those of the process if None.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(args=given, prog_name=NAME)
    except ExchangeError as error:
        print_error(error, as_json="--json" in given)
        raise SystemExit(exit_of(error)) from error
    except OSError as error:
        drop_output()
        _tell_lost(error, as_json="--json" in given)
        raise SystemExit(Exit.UNFINISHED) from error
    raise AssertionError("the application exits")


def _tell_lost(error: OSError, *, as_json: bool) -> None:
    """Say what could not be written; nothing where a reader has gone away."""
    if error.errno == errno.EPIPE:
        return
    where = f"`{error.filename}`" if error.filename else "the output cannot be written"
    told = f"{where}: {cause_of(error)}"
    print_error(StorageError("NOT_WRITTEN", told), as_json=as_json)
