"""`biometrics galleries`: what a holder holds, and whether it can be searched."""

import datetime as dt
from dataclasses import asdict

import typer

from biometrics import limits
from biometrics.cli.output import print_json, print_line, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect

app = typer.Typer(help="Your own galleries.", no_args_is_help=True)

LONGEST = float(limits.MAX_DEADLINE_SECONDS)


@app.callback()
def group() -> None:
    """Your own galleries."""


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


@app.command()
def lock(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Close all your galleries at once, until you unlock them.

    No search is answered from them, nothing can be enrolled into them, and the exchange
    holds nothing in memory that opens them; a restart changes none of this. Withdrawals
    and protections go on. Takes an administrator's certificate.
    """
    with connect(context, profile) as exchange:
        moment = exchange.lock(deadline=LONGEST)
    _tell("locked", moment, as_json=as_json)


@app.command()
def unlock(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Open all your galleries; they are searchable when this returns.

    Takes an administrator's certificate, and your key-encryption key at the exchange.
    """
    with connect(context, profile) as exchange:
        moment = exchange.unlock(deadline=LONGEST)
    _tell("unlocked", moment, as_json=as_json)


def _tell(done: str, moment: dt.datetime, *, as_json: bool) -> None:
    """Say since when galleries are as they were asked to be."""
    if as_json:
        print_json({f"{done}_at": moment})
    else:
        print_line(f"{done} since {moment:%Y-%m-%d %H:%M:%S} UTC")
