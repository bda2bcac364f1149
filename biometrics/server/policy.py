"""Reads the files that say what is compared, when it matches, and who signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.audit import AuditorKey
from biometrics.audit.cosignature import WitnessKey
from biometrics.calibration import Calibrations, parse_calibration
from biometrics.errors import ConfigurationError, Fault, InvalidRequestError
from biometrics.settings import configuration_error, read_bytes, read_text
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from biometrics.disclosure import Clause
    from biometrics.members import Member
    from biometrics.templates import TemplateSpaces


def read_spaces(path: Path) -> TemplateSpaces:
    """Return the template spaces of the file at `path`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    return parse_spaces(read_text(path), path.name, path.parent)


def read_calibrated(
    spaces: Path, calibrations: Path
) -> tuple[TemplateSpaces, Calibrations]:
    """Return the template spaces, and the calibration of each.

    Raises:
        ConfigurationError: with every fault of the spaces, or of all calibrations.
    """
    found = read_spaces(spaces)
    return found, read_calibrations(calibrations, found)


def read_calibrations(folder: Path, spaces: TemplateSpaces) -> Calibrations:
    """Return the calibration of every space, each out of its file in `folder`.

    Raises:
        ConfigurationError: one is missing or wrong; with every fault of every file.
    """
    found, faults = [], []
    for space in spaces:
        path = folder / f"{space.name}.toml"
        if not path.is_file():
            told = (
                f"`{space.name}` has no calibration; make one with `biometrics"
                " calibrate`, or write one whose basis is `vendor` or `unmeasured`"
            )
            faults.append(Fault(field=str(path), reason="NOT_CALIBRATED", message=told))
            continue
        try:
            found.append(parse_calibration(read_bytes(path), path.name, space))
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise configuration_error(faults)
    return Calibrations(found)


def read_auditors(paths: Mapping[Member, Path]) -> dict[Member, AuditorKey]:
    """Return the public keys of members' auditors.

    Raises:
        ConfigurationError: with the first file that is wrong.
    """
    found = {}
    for member, path in paths.items():
        try:
            key = AuditorKey.parse(read_text(path).strip())
        except InvalidRequestError as error:
            raise ConfigurationError(
                error.reason, f"`{path}` {error.message}"
            ) from error
        if key.member != member:
            raise ConfigurationError(
                "OTHER_MEMBER",
                f"`{path}` is the key of an auditor of {key.member}, not of {member}",
            )
        found[member] = key
    return found


def read_witnesses(paths: Mapping[Member, Path]) -> dict[Member, WitnessKey]:
    """Return the public keys of members' witnesses, no two of them the same.

    Raises:
        ConfigurationError: with the first file that is wrong.
    """
    found: dict[Member, WitnessKey] = {}
    for member, path in paths.items():
        try:
            key = WitnessKey.parse(read_text(path).strip())
        except InvalidRequestError as error:
            raise ConfigurationError(
                error.reason, f"`{path}` {error.message}"
            ) from error
        for other, known in found.items():
            if key.public == known.public:
                raise ConfigurationError(
                    "REPEATED_WITNESS",
                    f"`{path}` is the key of the witness of {other}; each member has"
                    " one of its own, which counts once",
                )
        found[member] = key
    return found


def unaudited(members: Iterable[Member], auditors: Collection[Member]) -> Iterator[str]:
    """Yield a note for each member that has named no auditor."""
    for member in members:
        if member not in auditors:
            yield (
                f"{member} has named no `auditor`: nobody can open what the log tells"
                " it; `biometrics audit key` makes a key"
            )


def strangers(clauses: Iterable[Clause], members: Collection[Member]) -> list[str]:
    """Return a note for each clause that names a requester who is no member here.

    It may be one who has left, or a mistyped prohibition that protects from nobody.
    """
    return [
        f"`{clause.source}` names {clause.requester}, which is no member of this"
        " exchange: the clause has no effect"
        for clause in clauses
        if clause.requester is not None and clause.requester not in members
    ]
