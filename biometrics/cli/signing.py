"""`biometrics agreements key`, `propose` and `approve`: for who signs."""

import datetime as dt
import json
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.beside import list_path, signers_beside, strangers
from biometrics.cli.output import (
    counted,
    print_line,
    print_note,
)
from biometrics.clock import SystemClock
from biometrics.disclosure import Version
from biometrics.errors import (
    ConfigurationError,
    InvalidRequestError,
)
from biometrics.signing import (
    Signed,
    Signers,
    SigningKey,
    approve,
    create_signing_key,
    propose,
    read_signers,
    read_signing_key,
)

AgreementArgument = Annotated[
    Path,
    typer.Argument(help="The agreement, `CODE.toml`.", metavar="FILE"),
]
KeyOption = Annotated[
    Path,
    typer.Option("--key", help="Your signing key, as `key` made it.", metavar="FILE"),
]
SignersOption = Annotated[
    Path | None,
    typer.Option(
        "--signers",
        help="The list of signers; else `signers.toml` in the folder above the"
        " agreements.",
        metavar="FILE",
    ),
]


def make_key(
    path: Annotated[
        Path, typer.Argument(help="Where to write the secret key.", metavar="FILE")
    ],
    *,
    name: Annotated[
        str,
        typer.Option(
            help="An address of your own, such as `exchange.example/XAA/legal-office`.",
            metavar="NAME",
        ),
    ],
) -> None:
    """Make a signing key, and print what the list of signers needs of it.

    The file is secret: it stays with the person or office that signs. What is printed
    is not: send it to the operator by a way on which nobody can change it.
    """
    key = SigningKey.generate(name, secrets.token_bytes)
    create_signing_key(path, key)
    print_line("[[signer]]")
    print_line('holder = "CODE"                    # for whom you sign')
    print_line('name = "PERSON OR OFFICE"          # who you are')
    print_line(f"key = {json.dumps(key.verifier.text)}")


def sign_first(
    agreement: AgreementArgument, *, key: KeyOption, signers: SignersOption = None
) -> None:
    """Make an edited agreement a new revision, and sign it as the first of two.

    Sets `revision` and `dated` in the file and changes nothing else in it. What was
    never signed is taken over in the same way. Until another approves, the exchange
    goes on with the version before.
    """
    listed = read_list(signers, agreement)
    signed = propose(agreement, read_signing_key(key), listed, SystemClock().now())
    _tell(signed)
    warn(doubts([signed.version], agreement, listed))
    print_line(
        "next, another signer, to whom you read the sha256: biometrics agreements"
        f" approve {agreement} --sha256 DIGITS"
    )


def sign_second(
    agreement: AgreementArgument,
    *,
    key: KeyOption,
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256",
            help="SHA-256 of the file that you have read, all 64 digits, as `propose`"
            " and `sha256sum` print it; another file is not signed.",
            metavar="DIGITS",
        ),
    ] = None,
    signers: SignersOption = None,
) -> None:
    """Sign what another has proposed, after reading it: `diff` says what it changes.

    The exchange takes it up within seconds once both files are in its folder.
    """
    listed = read_list(signers, agreement)
    digest = None if sha256 is None else _read_digest(sha256)
    signed = approve(agreement, read_signing_key(key), listed, digest=digest)
    _tell(signed)
    warn(doubts([signed.version], agreement, listed))


def read_list(given: Path | None, agreements: Path) -> Signers:
    """Return the list of signers that a command is to use.

    Args:
        given: as it was named; None for that beside the agreements.
        agreements: the folder of them, or one in it.

    Raises:
        ConfigurationError: it is not there, or with every fault in it.
    """
    listed = signers_beside(agreements) if given is None else read_signers(given)
    if listed is None:
        raise ConfigurationError(
            "NO_SIGNERS_FILE",
            f"there is no `{list_path(agreements)}`; name the list of signers by"
            " `--signers FILE`",
        )
    return listed


def doubts(versions: Iterable[Version], place: Path, listed: Signers) -> list[str]:
    """Return what the exchange may refuse of good versions, or pass over."""
    given, now = list(versions), SystemClock().now()
    clauses = (clause for each in given for clause in each.clauses)
    return [
        *strangers(clauses, [place], [listed]),
        *(
            f"`{each.holder}.toml` is dated {moment(each.dated)}, and by this"
            f" computer's clock it is {moment(now.replace(microsecond=0))}: until then"
            " the exchange refuses it, as DATED_IN_FUTURE"
            for each in given
            if each.is_ahead_of(now)
        ),
    ]


def warn(warnings: Iterable[str]) -> None:
    """Print warnings beside the answer."""
    for text in warnings:
        print_note(f"warning: {text}")


def _read_digest(text: str) -> bytes:
    """Return the SHA-256 that an option names.

    All of it: of a part, whoever proposes could find two files that share it.

    Raises:
        InvalidRequestError: it is none.
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text.strip()):
        raise InvalidRequestError(
            "WRONG_SHA256", "--sha256: must be all 64 hexadecimal digits of a SHA-256"
        )
    return bytes.fromhex(text.strip())


def moment(moment: dt.datetime) -> str:
    """Return a moment as it stands in the file."""
    return moment.isoformat().replace("+00:00", "Z")


def _tell(signed: Signed) -> None:
    """Print what was signed and by whom."""
    version = signed.version
    print_line(
        f"{version.holder}, revision {version.revision} of"
        f" {moment(version.dated)}, {counted(len(version.clauses), 'clause')}"
    )
    print_line(signed.statement.splitlines()[-1])
    names = " and ".join(signer.name for signer in signed.signers)
    print_line(f"signed by {names}")
