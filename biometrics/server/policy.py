"""Reads the files that say what may be compared and who may learn what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.disclosure import Agreements, parse_agreements
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from biometrics.members import Member
from biometrics.settings import configuration_error, read_text
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from biometrics.disclosure import Clause
    from biometrics.templates import TemplateSpaces


def read_spaces(path: Path) -> TemplateSpaces:
    """Return the template spaces of the file at `path`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    return parse_spaces(read_text(path), path.name)


def read_agreements(directory: Path, members: Collection[Member]) -> Agreements:
    """Return the agreements of every `CODE.toml` in `directory`.

    A member without a file permits nothing. Files that do not end in `.toml` are
    not agreements and are passed over.

    Raises:
        ConfigurationError: with every fault of every file at once.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            "NO_AGREEMENTS",
            f"`{directory}` is no folder; make it, and one `CODE.toml` in it for each"
            " holder that permits anything",
        )
    clauses: list[Clause] = []
    faults: list[Fault] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            holder = _holder(path, members)
            clauses += parse_agreements(read_text(path), path.name, holder)
        except ExchangeError as error:
            plain = Fault(field=path.name, reason=error.reason, message=error.message)
            faults += error.faults or (plain,)
    if faults:
        raise configuration_error(faults)
    return Agreements(clauses)


def strangers(agreements: Agreements, members: Collection[Member]) -> list[str]:
    """Return a note for each clause that names a requester who is no member here.

    It may be one who has left, or a mistyped prohibition that protects from nobody.
    """
    return [
        f"`{clause.source}` names {clause.requester}, which is no member of this"
        " exchange: the clause has no effect"
        for clause in agreements.clauses
        if clause.requester is not None and clause.requester not in members
    ]


def _holder(path: Path, members: Collection[Member]) -> Member:
    """Return the member whose agreements the file holds, by its name."""
    holder = Member(path.stem)
    if holder not in members:
        raise ConfigurationError(
            "NOT_A_MEMBER",
            f"`{holder}` is no member of this exchange; add a [[member]] or take the"
            " file away",
        )
    return holder
