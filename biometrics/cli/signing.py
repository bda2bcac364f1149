"""`biometrics agreements key`, `propose`, `approve` and `check`: for who signs."""

import datetime as dt
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.beside import rates_beside
from biometrics.cli.output import (
    counted,
    print_json,
    print_line,
    print_note,
    print_table,
)
from biometrics.cli.session import JsonOption
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from biometrics.members import Member
from biometrics.settings import configuration_error, read_bytes
from biometrics.signing import (
    Signed,
    SignedVersion,
    Signers,
    SigningKey,
    approve,
    create_signing_key,
    parse_signers,
    propose,
    read_signing_key,
    verify_version,
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
    listed = read_list(signers, agreement.parent)
    signed = propose(agreement, read_signing_key(key), listed, SystemClock().now())
    _tell(signed)
    print_line(f"next, another signer: biometrics agreements approve {agreement}")


def sign_second(
    agreement: AgreementArgument, *, key: KeyOption, signers: SignersOption = None
) -> None:
    """Sign what another has proposed, after reading it: `diff` says what it changes.

    The exchange takes it up within seconds once both files are in its folder.
    """
    listed = read_list(signers, agreement.parent)
    _tell(approve(agreement, read_signing_key(key), listed))


def check(
    folder: Annotated[
        Path, typer.Argument(help="The folder of agreements.", metavar="DIR")
    ],
    *,
    signers: SignersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every agreement of a folder and its signatures, without an exchange.

    Says too which permissions demand a measured FPIR that no calibration in
    `calibrations`, in the folder above, supports: those permit nothing.

    Compare the printed SHA-256 of the list of signers with your own copy of it:
    whoever can change that list decides who signs.
    """
    listed = read_list(signers, folder)
    good, faults = _verified(folder, listed)
    rates = rates_beside(folder)
    unkept = (
        rates.unkept(clause for each in good for clause in each.version.clauses)
        if rates
        else []
    )
    if as_json and not faults:
        print_json(
            {
                "signers_sha256": listed.fingerprint,
                "agreements": [_document(each) for each in good],
                "unkept": unkept,
            }
        )
        return
    if not as_json:
        print_table(
            ("holder", "revision", "dated", "clauses", "signed by"),
            [
                (
                    each.version.holder,
                    each.version.revision,
                    _moment(each.version.dated),
                    len(each.version.clauses),
                    [signer.name for signer in each.signers],
                )
                for each in good
            ],
            texts=("signed by",),
        )
    if faults:
        raise configuration_error(faults)
    for text in unkept:
        print_note(f"warning: {text}")
    told = counted(len(good), "agreement")
    print_line(f"{told} in order; list of signers: SHA-256 {listed.fingerprint}")


def read_list(given: Path | None, folder: Path) -> Signers:
    """Return the list of signers that a command is to use.

    Raises:
        ConfigurationError: it is not there, or with every fault in it.
    """
    path = given or folder.absolute().parent / "signers.toml"
    if given is None and not path.is_file():
        raise ConfigurationError(
            "NO_SIGNERS_FILE",
            f"there is no `{path}`; name the list of signers by `--signers FILE`",
        )
    return parse_signers(read_bytes(path), path.name)


def _verified(
    folder: Path, signers: Signers
) -> tuple[list[SignedVersion], list[Fault]]:
    """Return the good versions of a folder, and the faults of the others."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ConfigurationError(
            "NO_AGREEMENTS", f"`{folder}` has no agreement, `CODE.toml`, in it"
        )
    good: list[SignedVersion] = []
    faults: list[Fault] = []
    for path in paths:
        beside = path.with_suffix(".note")
        try:
            version = verify_version(
                read_bytes(path),
                read_bytes(beside) if beside.is_file() else None,
                holder=Member(path.stem),
                source=path.name,
                signers=signers,
            )
        except ExchangeError as error:
            told = error.message.removeprefix(f"`{path.name}`: ")
            plain = Fault(field=path.name, reason=error.reason, message=told)
            faults += error.faults or (plain,)
        else:
            good.append(version)
    return good, faults


def _moment(moment: dt.datetime) -> str:
    """Return a moment as it stands in the file."""
    return moment.isoformat().replace("+00:00", "Z")


def _tell(signed: Signed) -> None:
    """Print what was signed and by whom."""
    version = signed.version
    print_line(
        f"{version.holder}, revision {version.revision} of"
        f" {_moment(version.dated)}, {counted(len(version.clauses), 'clause')}"
    )
    print_line(signed.statement.splitlines()[-1])
    names = " and ".join(signer.name for signer in signed.signers)
    print_line(f"signed by {names}")


def _document(each: SignedVersion) -> dict[str, object]:
    """Return a version for JSON."""
    return {
        "holder": each.version.holder.code,
        "revision": each.version.revision,
        "dated": each.version.dated,
        "clauses": len(each.version.clauses),
        "sha256": each.digest.hex(),
        "signers": [signer.name for signer in each.signers],
    }
