"""`biometrics agreements matrix`: what files say, as a page to print and file."""

from itertools import product
from pathlib import Path
from typing import Annotated, Final

import typer

from biometrics.cli.beside import signers_beside
from biometrics.cli.given import GivenFile, agreements_in, read_files
from biometrics.cli.output import print_line, print_note
from biometrics.cli.signing import SignersOption, read_list
from biometrics.cli.versions import DayOption, read_day, read_word
from biometrics.clock import SystemClock
from biometrics.disclosure import Purpose
from biometrics.disclosure.compare import named_members, strongest
from biometrics.disclosure.prohibitions import forbidden_pairs
from biometrics.errors import ConfigurationError
from biometrics.settings import read_bytes
from biometrics.signing import Signers, verify_version
from biometrics.templates import Modality

_NOT_SIGNED: Final = "NOT SIGNED"
_DIGITS: Final = 16  # of a SHA-256, by which people know a file again


def matrix(
    agreements: Annotated[
        Path, typer.Argument(help="A folder of agreements.", metavar="DIR")
    ],
    output: Annotated[
        Path, typer.Argument(help="The picture to write.", metavar="FILE.png")
    ],
    *,
    purpose: Annotated[
        str | None, typer.Option(help="Only for this one.", metavar="WORD")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="Only with this one.", metavar="WORD")
    ] = None,
    on: DayOption = None,
    signers: SignersOption = None,
) -> None:
    """Draw who learns how much from whom: holders by requesters, as a PNG.

    Each field shows the most that any search tells. Below stand the revision of each
    agreement, the first digits of its SHA-256, and whether it is signed. Needs the
    extra `pictures`.
    """
    # Late: nothing else needs it, and it may not be there.
    from biometrics.cli.pictures import Matrix, draw_matrix  # noqa: PLC0415

    files, day = read_files(agreements), read_day(on)
    found = agreements_in(files)
    purposes = [read_word(Purpose, purpose, "--purpose")] if purpose else list(Purpose)
    modalities = (
        [read_word(Modality, modality, "--modality")] if modality else list(Modality)
    )
    members = named_members(found)
    searches = list(product(purposes, modalities))
    listed = (
        signers_beside(agreements)
        if signers is None
        else read_list(signers, agreements)
    )
    footing = [_footing(each, listed) for each in files]
    drawn = Matrix(
        members=members,
        told=strongest(found, members, searches, day),
        forbidden=forbidden_pairs(found, members, searches, day),
        unknown={each for each in members if not found.digest_of(each)},
        about=f"{purpose or 'any purpose'}, {modality or 'any modality'}, {day}",
        footing=[f"made {SystemClock().now():%Y-%m-%d %H:%M} UTC", *footing],
    )
    draw_matrix(drawn, output)
    print_line(f"written to {output}")
    for line in footing:
        if line.endswith(_NOT_SIGNED):
            print_note(f"warning: {line}")


def _footing(file: GivenFile, signers: Signers | None) -> str:
    """Return which version a file is, and whether it is signed, in one short line."""
    beside = file.path.with_suffix(".note")
    if signers is None:
        told = "signatures not checked"
    else:
        try:
            verify_version(
                file.data,
                read_bytes(beside) if beside.is_file() else None,
                holder=file.version.holder,
                source=file.path.name,
                signers=signers,
            )
        except ConfigurationError:
            told = _NOT_SIGNED
        else:
            told = "signed"
    return (
        f"{file.version.holder} revision {file.version.revision},"
        f" SHA-256 {file.digest.hex()[:_DIGITS]}, {told}"
    )
