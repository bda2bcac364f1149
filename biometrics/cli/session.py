"""What commands have in common: those of clients, and those beside an exchange."""

from pathlib import Path
from typing import Annotated

import typer

from biometrics.client import ExchangeClient, Profile
from biometrics.errors import ConfigurationError

PROFILE_VARIABLE = "BIOMETRICS_PROFILE"

ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="Client profile; may also stand before the command, or in"
        f" {PROFILE_VARIABLE}.",
        metavar="FILE",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, for programs.")
]
ConfigOption = Annotated[
    Path,
    typer.Option(help="The exchange's settings, `exchange.toml`.", metavar="FILE"),
]
ReferenceArgument = Annotated[
    str,
    typer.Argument(
        help="What the record was enrolled under; `-` reads one line of stdin,"
        " which keeps it out of the shell's history.",
        metavar="REFERENCE",
    ),
]
LogKeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="The log's key, `exchange.example/log+...`, from the people who run it."
        " Without it the exchange is believed the first time, and held to it.",
        metavar="KEY",
    ),
]


def read_reference(given: str) -> str:
    """Return the reference of an argument, or the line of stdin that it stands for."""
    if given != "-":
        return given
    return typer.get_text_stream("stdin").readline().rstrip("\r\n")


def load_profile(context: typer.Context, given: Path | None) -> Profile:
    """Return the profile of the command, of the options before it, or of the variable.

    Raises:
        ConfigurationError: none is named, or the one named is wrong.
    """
    path = given or context.obj
    if path is None:
        raise ConfigurationError(
            "NO_PROFILE",
            f"no client profile; give `--profile FILE` or set {PROFILE_VARIABLE}."
            " `biometrics init` writes some to `clients/`",
        )
    return Profile.load(path)


def connect(context: typer.Context, given: Path | None) -> ExchangeClient:
    """Return a client; a context manager.

    Raises:
        ConfigurationError: the profile or one of its files is missing or wrong.
    """
    return ExchangeClient(load_profile(context, given))
