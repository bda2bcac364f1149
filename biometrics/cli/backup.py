"""`biometrics backup`: data, keys and what was taken back, each to its own place."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.output import counted, print_json, print_line, print_note
from biometrics.cli.session import ConfigOption, JsonOption
from biometrics.clock import SystemClock

app = typer.Typer(help="Write backups, while the exchange runs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Write backups, while the exchange runs.

    Data and keys go to different places: a data backup opens nothing, and with the keys
    it opens everything.
    """


@app.command()
def data(
    folder: Annotated[
        Path, typer.Argument(help="To be made; nothing is overwritten.", metavar="DIR")
    ],
    config: ConfigOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a data backup: every row as at one moment, settings and agreements.

    Whole or not at all. No key is in it, nor anything of TLS.
    """
    # Late, with the server: clients need not wait for it.
    from biometrics.server.backup import back_up_data  # noqa: PLC0415

    manifest = back_up_data(
        config, folder, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    if as_json:
        print_json({"folder": str(folder), **manifest.model_dump()})
        return
    print_line(f"written to {folder}: the exchange at position {manifest.position:,}")
    print_line("no key is in it: `biometrics backup keys` writes them, elsewhere")


@app.command()
def keys(
    folder: Annotated[
        Path,
        typer.Argument(help="To be made, on another medium than data.", metavar="DIR"),
    ],
    config: ConfigOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a key backup: the exchange's key and each member's, in the clear.

    Whoever has it and a data backup has everything. Only the folder's owner can read
    it; encrypt the medium, and keep it where no data backup is.
    """
    from biometrics.server.backup import back_up_keys  # noqa: PLC0415 - likewise

    missing = back_up_keys(config, folder, random_bytes=secrets.token_bytes)
    if as_json:
        print_json({"folder": str(folder), "missing": missing})
        return
    for code in missing:
        print_note(f"not in it: the key of {code}, which is not at hand")
    print_line(f"written to {folder}: keep it apart from every data backup")


@app.command()
def restrictions(
    file: Annotated[
        Path, typer.Argument(help="To be written, or replaced.", metavar="FILE")
    ],
    config: ConfigOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the list of what holders took back: withdrawals, protections, agreements.

    A restore needs one that is later than its data backup, or it would bring back who
    was withdrawn since. Write it every few minutes, to another machine.
    """
    from biometrics.server.backup import back_up_restrictions  # noqa: PLC0415

    count = back_up_restrictions(config, file, clock=SystemClock())
    if as_json:
        print_json({"file": str(file), "restrictions": count})
        return
    print_line(f"written to {file}: {counted(count, 'restriction')}")
