"""`biometrics galleries`: what a holder holds, and whether it can be searched."""

import datetime as dt
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli import register
from biometrics.cli.output import print_json, print_line, print_note, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import ErasureInfo, ExchangeClient
from biometrics.custody import create_key_file, read_key_file
from biometrics.errors import PreconditionError

app = typer.Typer(help="Your own galleries.", no_args_is_help=True)

# An unlocking waits half of it at the exchange; the rest is for what is before it.
LONGEST = 2 * limits.SEARCHABLE_WAIT_SECONDS
LOOK_SECONDS = 0.1


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
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Your key-encryption key, where you keep it yourself: a file as"
            " `make-key` writes it. It is sealed to the exchange that `verifier` in the"
            " profile tells, which holds it in memory until you lock, or it stops.",
            metavar="FILE",
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Open all your galleries; they are searchable when this returns.

    Takes an administrator's certificate, and your key-encryption key: at the exchange,
    or handed over now.
    """
    with connect(context, profile) as exchange:
        held = None if key is None else read_key_file(key)
        moment = exchange.unlock(key=held, deadline=LONGEST)
    _tell("unlocked", moment, as_json=as_json)


@app.command()
def make_key(
    path: Annotated[
        Path, typer.Argument(help="Where to write the secret key.", metavar="FILE")
    ],
) -> None:
    """Make a key-encryption key to keep yourself and hand over by `unlock --key`.

    Without it nothing of your galleries opens, ever: keep a copy in another place. The
    exchange's settings must say `key = "handed-over"` for you.
    """
    create_key_file(path, secrets.token_bytes)
    print_line(f"written to {path}: keep it secret, and a copy of it elsewhere")


@app.command()
def rotate(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Replace the keys that all you enrolled is sealed under; searches go on.

    Waits until the older keys are no more, and prints the exchange's certificate of
    that. It goes on by itself if you stop waiting. Takes an administrator's
    certificate.
    """
    with connect(context, profile) as exchange:
        known = _issued(exchange)
        exchange.rotate(deadline=LONGEST)
        finish(exchange, "values under older keys")
        _print_new(exchange, known, as_json=as_json)


@app.command()
def destroy(
    context: typer.Context,
    *,
    yes: Annotated[
        str,
        typer.Option(
            "--yes",
            help="Your own member code: destroy without asking.",
            metavar="CODE",
            prompt="All you have enrolled will be destroyed for good. Your member code",
        ),
    ],
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Destroy all your galleries for good, with their keys.

    Waits until nothing of them is left, and prints the exchange's certificate of that.
    It goes on by itself if you stop waiting. Backups keep what they have: only with
    your key-encryption key can it be opened, so destroy that too. `unlock` begins anew,
    with empty galleries. Takes an administrator's certificate.
    """
    with connect(context, profile) as exchange:
        known = _issued(exchange)
        exchange.destroy(confirm_holder=yes, deadline=LONGEST)
        finish(exchange, "records to delete")
        _print_new(exchange, known, as_json=as_json)


@app.command()
def erasures(
    context: typer.Context,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Write the certificates into this folder, which must be there.",
            metavar="FOLDER",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List which keys of yours are no more, and get the certificates of that again."""
    with connect(context, profile) as exchange:
        found = list(exchange.erasures())
    if to is not None:
        for each in found:
            if each.certificate:
                (to / f"erasure-{each.number}.note").write_bytes(each.certificate)
    if as_json:
        print_json({"erasures": [_document(each) for each in found]})
        return
    print_table(
        ("number", "kind", "keys deleted", "records", "certificate"),
        [
            (
                e.number,
                e.kind,
                f"{e.deleted_at:%Y-%m-%d %H:%M:%S}",
                e.records,
                "issued" if e.certificate else "follows",
            )
            for e in found
        ],
    )


def _issued(exchange: ExchangeClient) -> frozenset[int]:
    """Return the numbers of the erasures that have a certificate."""
    return frozenset(e.number for e in exchange.erasures() if e.certificate)


def finish(exchange: ExchangeClient, of_what: str) -> None:
    """Wait until nothing is under way.

    Raises:
        PreconditionError: something keeps it from going on.
    """
    told = None
    while (custody := exchange.custody()).is_busy:
        if custody.trouble:
            raise PreconditionError("NOT_FINISHED", custody.trouble)
        if custody.items_left != told and sys.stderr.isatty():
            told = custody.items_left
            print_note(f"{told:,} {of_what}")
        time.sleep(LOOK_SECONDS)


def _print_new(
    exchange: ExchangeClient, known: frozenset[int], *, as_json: bool
) -> None:
    """Print the certificates that were issued since; none where no key was there."""
    fresh = [each for each in exchange.erasures() if each.number not in known]
    if as_json:
        print_json({"erasures": [_document(each) for each in fresh]})
        return
    if not fresh:
        print_line("there was no key to be erased")
    for each in fresh:
        for line in each.certificate.decode().splitlines():
            print_line(line)


def _document(erasure: ErasureInfo) -> dict[str, object]:
    """Return an erasure for JSON."""
    return asdict(erasure) | {"certificate": erasure.certificate.decode()}


def _tell(done: str, moment: dt.datetime, *, as_json: bool) -> None:
    """Say since when galleries are as they were asked to be."""
    if as_json:
        print_json({f"{done}_at": moment})
    else:
        print_line(f"{done} since {moment:%Y-%m-%d %H:%M:%S} UTC")
