"""`biometrics audit`: verify what the exchange says it has done."""

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from biometrics.audit import AuditorSecret
from biometrics.audit.verify import Shown, Verified, verify
from biometrics.cli.exits import Exit
from biometrics.cli.log_export import export_log, log_key
from biometrics.cli.output import (
    counted,
    fault_documents,
    print_json,
    print_line,
    print_note,
    print_table,
)
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.members import Member
from biometrics.settings import read_bytes
from biometrics.signing.files import create_secret_file, read_secret_file

app = typer.Typer(
    help="The log: bring it here, and verify it offline.", no_args_is_help=True
)

FolderArgument = Annotated[
    Path,
    typer.Argument(help="Folder of the export.", metavar="FOLDER", file_okay=False),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="The log's key, `exchange.example/log+...`, from the people who run it."
        " Without it the exchange is believed the first time, and held to it.",
        metavar="KEY",
    ),
]
SecretOption = Annotated[
    Path | None,
    typer.Option(
        "--secret",
        help="Secret key of your auditor: opens your own entries, and finds gaps.",
        metavar="FILE",
    ),
]


@app.callback()
def group() -> None:
    """The log: bring it here, and verify it offline."""


@app.command()
def key(
    code: Annotated[str, typer.Argument(help="Your member code.", metavar="CODE")],
    *,
    to: Annotated[
        Path, typer.Option("--to", help="New file of the secret key.", metavar="FILE")
    ],
) -> None:
    """Make the key that your part of the log is sealed to.

    The secret key stays with you: whoever has it reads who searched your galleries.
    Prints the public one, for the file that `auditor` of your `[[member]]` names.
    """
    secret = AuditorSecret.generate(Member(code), secrets.token_bytes)
    create_secret_file(to, secret.text)
    print_line(secret.public.text)


@app.command()
def export(
    context: typer.Context,
    folder: FolderArgument,
    *,
    key: KeyOption = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Bring what is new of the log into a folder.

    Takes an auditor's certificate. Nothing in it is believed before `audit verify`.
    """
    with connect(context, profile) as exchange:
        checkpoint = export_log(exchange, folder, key)
    if as_json:
        print_json({"origin": checkpoint.origin, "leaves": checkpoint.size})
        return
    if key is None:
        print_note(f"compare `{folder / 'log.pub'}` with the key that you were given")
    print_line(f"{checkpoint.size:,} leaves of {checkpoint.origin}")


@app.command("verify")
def verify_export(
    folder: FolderArgument,
    *,
    key: KeyOption = None,
    secret: SecretOption = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option(
            "--receipt",
            help="A file of `match --receipt`; repeat for more.",
            metavar="FILE",
        ),
    ] = None,
    entries: Annotated[
        bool, typer.Option("--entries", help="List your own entries.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify an export, offline: exits with 1 if anything in it is not as it must be.

    The checkpoint is signed; the leaves are those that it stands for; they begin with
    all that was verified before; your own entries open, are in the log, and none is
    missing; and every receipt is kept.
    """
    found = _verified(folder, key, secret, receipt or ())
    _tell(found, entries=entries, as_json=as_json)
    if found.faults:
        raise typer.Exit(Exit.UNFINISHED)


@app.command()
def watch(
    context: typer.Context,
    folder: FolderArgument,
    *,
    key: KeyOption = None,
    secret: SecretOption = None,
    every: Annotated[
        float,
        typer.Option(help="Seconds between looks; 0 to look once.", min=0.0),
    ] = 60.0,
    profile: ProfileOption = None,
) -> None:
    """Export and verify time and again; ends, with 1, at the first thing that is wrong.

    Takes an auditor's certificate.
    """
    with connect(context, profile) as exchange:
        while True:
            export_log(exchange, folder, key)
            found = _verified(folder, key, secret, ())
            _tell(found, entries=False, as_json=False)
            if found.faults:
                raise typer.Exit(Exit.UNFINISHED)
            if not every:
                return
            time.sleep(every)


def _verified(
    folder: Path, given: str | None, secret: Path | None, receipts: Sequence[Path]
) -> Verified:
    """Return what a verification finds."""
    key = log_key(folder, given)
    if key is None:
        raise ConfigurationError(
            "NO_KEY", f"`{folder}` has no `log.pub`; give the log's key by `--key`"
        )
    return verify(
        folder,
        key,
        secret=None if secret is None else _read_secret(secret),
        receipts=[_read_receipt(path) for path in receipts],
    )


def _read_secret(path: Path) -> AuditorSecret:
    """Return the secret key in a file."""
    try:
        return AuditorSecret.parse(read_secret_file(path))
    except InvalidRequestError as error:
        raise ConfigurationError(error.reason, f"`{path}` {error.message}") from error


def _read_receipt(path: Path) -> Shown:
    """Return what `match --receipt` wrote, or a bare receipt."""
    data = read_bytes(path)
    try:
        document = json.loads(data)
        return Shown(
            name=str(path),
            receipt=str(document["receipt"]).encode(),
            answer=str(document["answer"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return Shown(name=str(path), receipt=data, answer=None)


def _tell(found: Verified, *, entries: bool, as_json: bool) -> None:
    """Print what a verification found."""
    if as_json:
        print_json(
            {
                "origin": found.checkpoint.origin,
                "leaves": found.checkpoint.size,
                "own_entries": len(found.entries),
                "sealed_to_nobody": found.sealed,
                "receipts": found.receipts,
                "faults": fault_documents(found.faults),
                "entries": [dict(each.lines) for each in found.entries]
                if entries
                else [],
            }
        )
        return
    for fault in found.faults:
        print_line(f"{fault.field}: {fault.message}")
    if entries:
        columns = ("sequence", "hour", "kind", "gallery", "with", "purpose", "count")
        print_table(columns, [[e[name] for name in columns] for e in found.entries])
    told = [
        f"{found.checkpoint.size:,} leaves",
        f"{len(found.entries):,} own entries",
        counted(found.receipts, "receipt"),
    ]
    if found.sealed:
        told.append(f"{found.sealed:,} entries that were sealed to nobody")
    verdict = f"{len(found.faults)} faults" if found.faults else "all as it must be"
    print_line(f"{found.checkpoint.origin}: {', '.join(told)}: {verdict}")
