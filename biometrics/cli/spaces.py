"""`biometrics spaces`: what templates the exchange compares."""

from dataclasses import asdict

import typer

from biometrics.cli.output import print_json, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import SpaceInfo

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
    """List the template spaces, and what their thresholds rest on.

    Established are the false positive identification rates that a calibration supports
    for what the exchange holds today; of others a threshold is kept to, and no more.
    """
    with connect(context, profile) as exchange:
        spaces = exchange.spaces()
    if as_json:
        print_json({"spaces": [asdict(space) for space in spaces]})
        return
    print_table(
        (
            *("space", "modality", "extractor", "dimension", "positions"),
            "thresholds",
        ),
        [
            (
                space.name,
                space.modality,
                f"{space.extractor} {space.extractor_version}",
                space.dimension,
                space.positions,
                [space.threshold_basis, _established(space), *_fused(space)],
            )
            for space in spaces
        ],
        texts=("extractor", "positions", "thresholds"),
    )


def _fused(space: SpaceInfo) -> list[str]:
    """Return that scores can be fused, in words."""
    return ["fused with others of a person"] if space.is_fused else []


def _established(space: SpaceInfo) -> str:
    """Return the error rates that are established, in words."""
    if not space.established:
        return "FPIR not established"
    return f"FPIR {', '.join(space.established)} established"
