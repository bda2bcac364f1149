"""`biometrics restore`: an exchange out of its backups, whole or not at all."""

from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.output import counted, print_json, print_line, print_note
from biometrics.cli.session import ConfigOption, JsonOption
from biometrics.errors import ConfigurationError

app = typer.Typer(help="Restore an exchange from its backups.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Restore an exchange from its backups: keys first, then data."""


@app.command()
def keys(
    folder: Annotated[
        Path,
        typer.Argument(help="As `biometrics backup keys` wrote it.", metavar="DIR"),
    ],
    config: ConfigOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Put the keys of a key backup where the settings name them.

    What is there is not overwritten.
    """
    # Late, with the server: clients need not wait for it.
    from biometrics.server.restoration import restore_keys  # noqa: PLC0415

    written = restore_keys(config, folder)
    if as_json:
        print_json({"restored": written})
        return
    print_line(f"restored {counted(len(written), 'key')}; those there already stayed")


@app.command()
def data(
    folder: Annotated[
        Path,
        typer.Argument(help="As `biometrics backup data` wrote it.", metavar="DIR"),
    ],
    config: ConfigOption,
    *,
    restrictions: Annotated[
        Path | None,
        typer.Option(
            help="List written after the backup, by `biometrics backup restrictions`.",
            metavar="FILE",
        ),
    ] = None,
    without_restrictions: Annotated[
        bool,
        typer.Option(
            "--without-restrictions",
            help="Go without a list: whoever was withdrawn since the backup is back.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a data backup into the database that the settings name.

    There must be nothing in it. Refuses a backup that is damaged, not whole, or of
    another exchange. What the list of restrictions says is carried out before anybody
    can search.
    """
    from biometrics.server.restoration import restore_data  # noqa: PLC0415 - likewise

    if (restrictions is None) != without_restrictions:
        raise ConfigurationError(
            "RESTRICTIONS_UNDECIDED",
            "give either `--restrictions FILE`, the latest list, or"
            " `--without-restrictions`: then every record that was withdrawn since the"
            " backup is found again, and every protection that was set since is gone",
        )
    done = restore_data(config, folder, restrictions)
    manifest = done.manifest
    if as_json:
        print_json(
            {
                "position": manifest.position,
                "taken_at": manifest.taken_at,
                "restricted_until": done.restricted_until,
                "carried_out": dict(done.carried_out),
            }
        )
        return
    print_line(f"restored as at {manifest.taken_at}, position {manifest.position:,}")
    if done.restricted_until is None:
        print_note(
            "warning: records withdrawn and protections set after"
            f" {manifest.taken_at} are as they were before; ask the holders for both"
        )
    else:
        count = counted(done.carried_out.total(), "restriction")
        print_line(f"{count} of later carried out")
        print_note(
            "warning: what was withdrawn or protected after"
            f" {done.restricted_until.isoformat()} is not known; ask the holders"
        )
    print_line(f"next: biometrics check --config {config}")
