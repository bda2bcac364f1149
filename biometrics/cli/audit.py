"""`biometrics audit`: verify what the exchange says it has done."""

import base64
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.memory import Memory
from biometrics.audit.policy import Policy
from biometrics.audit.quorum import Wanted, Witnessed
from biometrics.audit.verify import Shown, Verified, verify
from biometrics.cli import witness
from biometrics.cli.cosigning import Allowed, cosign, witness_of
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
from biometrics.cli.session import JsonOption, LogKeyOption, ProfileOption, connect
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.members import Member
from biometrics.settings import read_bytes
from biometrics.signing import VerifierKey
from biometrics.signing.files import create_secret_file, read_secret_file

app = typer.Typer(
    help="The log: bring it here, and verify it offline.", no_args_is_help=True
)

FolderArgument = Annotated[
    Path,
    typer.Argument(help="Folder of the export.", metavar="FOLDER", file_okay=False),
]
SecretOption = Annotated[
    Path | None,
    typer.Option(
        "--secret",
        help="Secret key of your auditor: opens your own entries, and finds gaps.",
        metavar="FILE",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="Which witnesses have to have cosigned: a policy of C2SP's tlog-policy,"
        " of your own.",
        metavar="FILE",
    ),
]
AgeOption = Annotated[
    float,
    typer.Option(
        "--max-age",
        help="Hours: how old their cosignatures may be.",
        metavar="HOURS",
        min=0.0,
    ),
]
# A later look may find it mended: other witnesses have been slower, or were down.
_PASSING = frozenset({"NO_QUORUM", "COSIGNATURES_OLD"})

app.command("witness-key")(witness.make_key)
app.command("witness")(witness.witness)
app.command("misbehaviour")(witness.misbehaviour)


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
    key: LogKeyOption = None,
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
def verify_export(  # noqa: PLR0913 - what a verifier may hold it against
    folder: FolderArgument,
    *,
    key: LogKeyOption = None,
    secret: SecretOption = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option(
            "--receipt",
            help="A file of `match --receipt`; repeat for more.",
            metavar="FILE",
        ),
    ] = None,
    policy: PolicyOption = None,
    max_age: AgeOption = limits.COSIGNED_HOURS,
    other: Annotated[
        list[Path] | None,
        typer.Option(
            "--other",
            help="A checkpoint that another member was shown; repeat for more.",
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
    missing; and every receipt is kept. With a policy, enough witnesses have cosigned;
    what others were shown is of the same history.
    """
    found = verify(
        folder,
        _key(folder, key),
        secret=_read_secret(secret),
        receipts=[_read_receipt(path) for path in receipt or ()],
        wanted=_wanted(policy, max_age, _key(folder, key)),
        others={str(path): read_bytes(path) for path in other or ()},
    )
    _tell(found, entries=entries, as_json=as_json)
    if found.faults:
        raise typer.Exit(Exit.UNFINISHED)


@app.command()
def watch(  # noqa: PLR0913 - of an export, a verification, and a witness
    context: typer.Context,
    folder: FolderArgument,
    *,
    key: LogKeyOption = None,
    secret: SecretOption = None,
    every: witness.EveryOption = 60.0,
    policy: PolicyOption = None,
    max_age: AgeOption = limits.COSIGNED_HOURS,
    cosign_by: Annotated[
        Path | None,
        typer.Option(
            "--cosign",
            help="Secret key of your witness: cosign as well, as `witness` does.",
            metavar="FILE",
        ),
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Export and verify time and again; ends, with 1, at the first thing that is wrong.

    Takes an auditor's certificate. That too few witnesses have cosigned is told, and
    looked at again; likewise an exchange that cannot be reached.
    """
    by = None if cosign_by is None else witness.read_witness_secret(cosign_by)
    with connect(context, profile) as exchange, Memory.opened(folder) as memory:

        def look() -> None:
            if by is not None:
                who = witness_of(exchange, folder, key, by)
                cosign(exchange, memory, who, Allowed(), witness.seconds_now())
            export_log(exchange, folder, key)
            found = verify(
                folder,
                _key(folder, key),
                secret=_read_secret(secret),
                wanted=_wanted(policy, max_age, _key(folder, key)),
            )
            _tell(found, entries=False, as_json=False)
            reasons = {fault.reason for fault in found.faults}
            if reasons - _PASSING or (reasons and not every):
                raise typer.Exit(Exit.UNFINISHED)

        witness.repeat(every, look)


def _key(folder: Path, given: str | None) -> VerifierKey:
    """Return the key that an export is verified by."""
    key = log_key(folder, given)
    if key is None:
        raise ConfigurationError(
            "NO_KEY",
            f"`{folder}` has no `log.pub`: name a folder that `biometrics audit export`"
            " wrote, or give the log's key by `--key`",
        )
    return key


def _wanted(path: Path | None, hours: float, key: VerifierKey) -> Wanted | None:
    """Return which witnesses have to have cosigned, and since when."""
    if path is None:
        return None
    policy = Policy.parse(read_bytes(path), str(path))
    if not policy.is_for(key):
        raise ConfigurationError(
            "OTHER_POLICY", f"`{path}` is not for logs of `{key.name}`; name another"
        )
    now = witness.seconds_now()
    return Wanted(
        policy=policy,
        earliest=now - int(3600 * hours),
        latest=now + limits.COSIGNED_APART_SECONDS,
    )


def _read_secret(path: Path | None) -> AuditorSecret | None:
    """Return the secret key in a file, if one is named."""
    if path is None:
        return None
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
                "witnessed": _witnessed_document(found.witnessed),
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
        print_table(
            (*columns, "agreement"),
            [
                [*(each[name] for name in columns), _digits(each["agreement"])]
                for each in found.entries
            ],
        )
    told = [
        f"{found.checkpoint.size:,} leaves",
        f"{len(found.entries):,} own entries",
        counted(found.receipts, "receipt"),
    ]
    if found.witnessed:
        names = ", ".join(found.witnessed.names)
        told.append(f"{found.witnessed.checkpoint.size:,} cosigned by {names}")
    if found.sealed:
        told.append(f"{found.sealed:,} entries that were sealed to nobody")
    faults = counted(len(found.faults), "fault")
    verdict = faults if found.faults else "all as it must be"
    print_line(f"{found.checkpoint.origin}: {', '.join(told)}: {verdict}")


def _digits(encoded: str) -> str:
    """Return the first digits of a digest, in the form that signers are shown it."""
    try:
        return base64.b64decode(encoded).hex()[:16]
    except ValueError:  # whatever the exchange has sealed is to be seen
        return encoded


def _witnessed_document(witnessed: Witnessed | None) -> dict[str, object] | None:
    """Return up to where enough witnesses have cosigned, for programs."""
    if witnessed is None:
        return None
    return {
        "leaves": witnessed.checkpoint.size,
        "witnesses": list(witnessed.names),
        "cosigned_at": witnessed.time,
    }
