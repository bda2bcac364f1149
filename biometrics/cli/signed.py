"""`biometrics agreements check`: a folder of agreements, and its signatures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from biometrics.cli.beside import rates_beside
from biometrics.cli.output import counted, print_json, print_line, print_table
from biometrics.cli.session import JsonOption
from biometrics.cli.signing import SignersOption, doubts, moment, read_list, warn
from biometrics.clock import SystemClock
from biometrics.disclosure import parse_version
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from biometrics.members import Member
from biometrics.settings import configuration_error, decode_text, read_bytes
from biometrics.signing import SignedVersion, Signers, verify_version


def check(
    folder: Annotated[
        Path, typer.Argument(help="The folder of agreements.", metavar="DIR")
    ],
    *,
    signers: SignersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every agreement of a folder and its signatures, without an exchange.

    Which revision was in force last only the exchange knows.

    Says too which permissions demand a measured FPIR that no calibration in
    `calibrations`, in the folder above, supports: those permit nothing.

    Compare the printed SHA-256 of the list of signers with your own copy of it:
    whoever can change that list decides who signs.
    """
    listed = read_list(signers, folder)
    good, faults = _verified(folder, listed)
    rates = rates_beside(folder)
    versions = [each.version for each in good]
    unkept = (
        rates.unkept(clause for each in versions for clause in each.clauses)
        if rates
        else []
    )
    warnings = doubts(versions, folder, listed)
    if as_json and not faults:
        print_json(
            {
                "signers_sha256": listed.fingerprint,
                "agreements": [_document(each) for each in good],
                "unkept": unkept,
                "warnings": warnings,
            }
        )
        return
    if good and not as_json:
        print_table(
            ("holder", "revision", "dated", "clauses", "signed by"),
            [
                (
                    each.version.holder,
                    each.version.revision,
                    moment(each.version.dated),
                    len(each.version.clauses),
                    [signer.name for signer in each.signers],
                )
                for each in good
            ],
            texts=("signed by",),
        )
    if not as_json:
        warn([*unkept, *warnings])
    if faults:
        raise configuration_error(faults)
    ahead = sum(each.is_ahead_of(SystemClock().now()) for each in versions)
    told = f"{counted(len(good) - ahead, 'agreement')} in order"
    if ahead:
        told += f", {ahead} of the future"
    print_line(f"{told}; list of signers: SHA-256 {listed.fingerprint}")


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
        try:
            holder, data = Member(path.stem), read_bytes(path)
        except ExchangeError as error:
            faults += _faults_of(error, path)
            continue
        # What is wrong in it comes first: it has to be mended before anybody signs.
        try:
            parse_version(decode_text(data, path.name), path.name, holder)
        except ConfigurationError as error:
            faults += _faults_of(error, path)
        beside = path.with_suffix(".note")
        try:
            note = read_bytes(beside) if beside.is_file() else None
            version = verify_version(
                data, note, holder=holder, source=path.name, signers=signers
            )
        except ExchangeError as error:
            faults += (f for f in _faults_of(error, path) if f not in faults)
        else:
            good.append(version)
    return good, faults


def _faults_of(error: ExchangeError, path: Path) -> Sequence[Fault]:
    """Return what an error says of a file, fault by fault."""
    told = error.message.removeprefix(f"`{path.name}`: ")
    return error.faults or (Fault(field=path.name, reason=error.reason, message=told),)


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
