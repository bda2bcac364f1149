"""`biometrics spaces`: what templates the exchange compares."""

from dataclasses import asdict

import typer

from biometrics.cli.output import print_json, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect

app = typer.Typer(help="The template spaces of the exchange.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The template spaces of the exchange."""


@app.command("list")
def list_spaces(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List the template spaces: extractor, version, positions and dimension."""
    with connect(context, profile) as exchange:
        spaces = exchange.spaces()
    if as_json:
        print_json({"spaces": [asdict(space) for space in spaces]})
        return
    print_table(
        (
            *("space", "modality", "extractor", "dimension", "positions"),
            "threshold basis",
        ),
        [
            (
                space.name,
                space.modality,
                f"{space.extractor} {space.extractor_version}",
                space.dimension,
                space.positions,
                space.threshold_basis,
            )
            for space in spaces
        ],
        texts=("extractor", "positions", "threshold basis"),
    )
