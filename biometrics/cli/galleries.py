"""`biometrics galleries`: what a holder holds."""

from dataclasses import asdict

import typer

from biometrics.cli import register
from biometrics.cli.output import print_json, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect

app = typer.Typer(help="Your own galleries.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Your own galleries."""


app.command("register")(register.register)


@app.command("list")
def list_galleries(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List your own galleries with their counts."""
    with connect(context, profile) as exchange:
        galleries = exchange.galleries()
    if as_json:
        print_json({"galleries": [asdict(gallery) for gallery in galleries]})
        return
    print_table(
        ("space", "records", "templates", "state"),
        [(g.space, g.records, g.templates, g.state) for g in galleries],
    )
